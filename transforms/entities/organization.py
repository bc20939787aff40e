"""Organization-wide documents: configuration, currencies, custom field defaults."""

import re
from contextlib import suppress
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StringConstraints

from transforms.entities.resource import (
    CodeReference,
    CustomFieldValue,
    Day,
    Entity,
    Flag,
    Id,
    Identifier,
    Integer,
    Name,
    Number,
    PositiveNumber,
    Reference,
    ValueObject,
)
from transforms.money import RoundingMode


class TimePeriodUnit(StrEnum):
    """Unit of the auto-approval grace period."""

    MINUTES = "MINUTES"
    HOURS = "HOURS"
    DAYS = "DAYS"


class InvoiceDate(StrEnum):
    """Which day a bill names as its external invoice date (billing.md 2.9)."""

    LAST_DAY_OF_ARREARS = "LAST_DAY_OF_ARREARS"
    FIRST_DAY_OF_NEXT_PERIOD = "FIRST_DAY_OF_NEXT_PERIOD"


class StatementAutoGenerateMode(StrEnum):
    """Which statement documents an approval generates."""

    NONE = "NONE"
    JSON = "JSON"
    JSON_AND_CSV = "JSON_AND_CSV"


class BillCreditType(StrEnum):
    """A kind of credit that bills draw from."""

    PREPAYMENT = "PREPAYMENT"
    BALANCE = "BALANCE"


class LateUsage(StrEnum):
    """What happens to usage that arrives for a locked bill (DECISIONS 32)."""

    CARRY_FORWARD = "CARRY_FORWARD"
    IGNORE = "IGNORE"


SCHEDULED_BILL_INTERVALS = tuple(map(Decimal, ("0", "0.25", "0.5", "1", "2", "3", "4", "6", "8", "12", "24")))


def time_zone(name: str) -> str:
    """The tz database name for the spellings users write: Europe/Berlin, UTC, GMT+1, UTC+1:00, +1:00, +1."""
    with suppress(ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(name).key
    found = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?", name)
    if found and int(found[2]) <= 14 and int(found[3] or 0) == 0:
        # The tz database spells offsets with the opposite sign (POSIX): Etc/GMT-1 is one hour east.
        return f"Etc/GMT{'-' if found[1] == '+' else '+'}{int(found[2])}" if int(found[2]) else "UTC"
    raise ValueError(f"unknown time zone {name!r}; write a tz database name such as Europe/Berlin, or an offset in whole hours such as UTC+1")


def _known_time_zone(name: str) -> str:
    time_zone(name)
    return name


#: At most a century, so that every due date can be written down.
DaysBeforeDue = Annotated[Integer, Field(gt=0, le=36500)]


class CurrencyConversion(ValueObject):
    """A rate: an amount in ``from`` times ``multiplier`` is the amount in ``to``."""

    from_: Annotated[str, StringConstraints(min_length=1)] = Field(alias="from")
    to: Annotated[str, StringConstraints(min_length=1)]
    multiplier: PositiveNumber = Decimal(1)


class OrganizationConfig(Entity):
    """Defaults of the organization for periods, currencies and bills. Source: billing.md 1.9, 2.2, 2.9."""

    timezone: Annotated[str, AfterValidator(_known_time_zone)] = "UTC"
    year_epoch: Day = date(2022, 1, 1)
    month_epoch: Day = date(2022, 1, 1)
    week_epoch: Day = date(2022, 1, 3)
    day_epoch: Day = date(2022, 1, 1)
    currency: Annotated[str, StringConstraints(min_length=1), CodeReference("Currency")] = "USD"
    currency_conversions: list[CurrencyConversion] = Field(default_factory=list)
    days_before_bill_due: DaysBeforeDue = 30
    scheduled_bill_interval: Number | None = None
    scheduled_bill_offset: Annotated[Integer, Field(ge=0, le=23)] | None = None
    standing_charge_bill_in_advance: Flag = False
    commitment_fee_bill_in_advance: Flag = False
    minimum_spend_bill_in_advance: Flag = False
    auto_approve_bills_grace_period: Annotated[Integer, Field(gt=0)] | None = None
    auto_approve_bills_grace_period_unit: TimePeriodUnit | None = None
    external_invoice_date: InvoiceDate = InvoiceDate.FIRST_DAY_OF_NEXT_PERIOD
    suppressed_empty_bills: Flag = False
    consolidate_bills: Flag = False
    default_statement_definition_id: Annotated[Id | None, Reference("StatementDefinition")] = None
    auto_generate_statement_mode: StatementAutoGenerateMode = StatementAutoGenerateMode.NONE
    credit_application_order: list[BillCreditType] = Field(default_factory=lambda: [BillCreditType.PREPAYMENT, BillCreditType.BALANCE])
    allow_negative_balances: Flag = False
    allow_overlapping_plans: Flag = False
    bill_prefix: str | None = None
    sequence_start_number: Integer | None = None
    late_usage: LateUsage = LateUsage.CARRY_FORWARD


class Currency(Entity):
    """A currency of the organization and how it rounds. Source: billing.md 4.4."""

    name: Name
    code: Identifier | None = None
    archived: Flag = False
    max_decimal_places: Annotated[Integer, Field(ge=0, le=5)] | None = None
    rounding_mode: RoundingMode | None = None


CustomFieldDefaults = Annotated[dict[str, CustomFieldValue], Field(max_length=25)]


class CustomFields(Entity):
    """Organization-level custom fields and their defaults, by entity type. Source: usage.md 3.4."""

    organization: CustomFieldDefaults = Field(default_factory=dict)
    account: CustomFieldDefaults = Field(default_factory=dict)
    account_plan: CustomFieldDefaults = Field(default_factory=dict)
    meter: CustomFieldDefaults = Field(default_factory=dict)
    product: CustomFieldDefaults = Field(default_factory=dict)
    plan: CustomFieldDefaults = Field(default_factory=dict)
    plan_template: CustomFieldDefaults = Field(default_factory=dict)
    aggregation: CustomFieldDefaults = Field(default_factory=dict)
    compound_aggregation: CustomFieldDefaults = Field(default_factory=dict)
    contract: CustomFieldDefaults = Field(default_factory=dict)
