"""What a client may ask of a bill job: the bodies of create and recalculate, with their bounds.

Put here the fields and bounds of the requests. Keep out what needs the database (which accounts and bills exist, how
many jobs run). Source: wire.json BillJobRequest, billing.md 3.1.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from transforms.entities.organization import CurrencyConversion, time_zone
from transforms.entities.resource import Day, Id, Integer, ValueObject


def _known_time_zone(name: str) -> str:
    time_zone(name)
    return name


#: A job names one frequency or none (all); MIXED only ever stands on a consolidated bill.
JobFrequency = Literal["DAILY", "WEEKLY", "MONTHLY", "ANNUALLY", "AD_HOC"]


class BillJobOverrides(ValueObject):
    """A job's departures from the organization's settings; kept on its bills, so that a recalculation repeats them."""

    due_date: Day | None = None
    external_invoice_date: Day | None = None
    target_currency: Annotated[str, StringConstraints(min_length=3, max_length=3)] | None = None
    currency_conversions: Annotated[list[CurrencyConversion], Field(max_length=250)] | None = None
    timezone: Annotated[str, AfterValidator(_known_time_zone)] | None = None
    year_epoch: Day | None = None
    month_epoch: Day | None = None
    week_epoch: Day | None = None
    day_epoch: Day | None = None


class BillJobRequest(BillJobOverrides):
    """Bill the accounts (all of them where none is named) whose billing period ends on a day."""

    last_date_in_billing_period: Day | None = None
    bill_date: Day | None = None
    billing_frequency: JobFrequency | None = None
    bill_frequency_interval: Annotated[Integer, Field(ge=1, le=365)] | None = None
    account_ids: Annotated[list[Id], Field(min_length=1, max_length=100)] | None = None

    @property
    def overrides(self) -> BillJobOverrides:
        """The part that stays with the bills."""
        return BillJobOverrides.model_validate({name: getattr(self, name) for name in BillJobOverrides.model_fields})


class BillApproveRequest(ValueObject):
    """Approve the named bills."""

    bill_ids: Annotated[list[Id], Field(min_length=1)]


class BillJobRecalculateRequest(ValueObject):
    """Compute the named bills again, for their own accounts, dates and overrides."""

    bill_ids: Annotated[list[Id], Field(min_length=1, max_length=100)]


def document(request: ValueObject) -> dict[str, Any]:
    """The request as a JSON document in wire names, decimals as strings and without the fields that were not given."""
    return request.model_dump(mode="json", by_alias=True, exclude_none=True)
