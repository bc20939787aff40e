"""Which bills a client wants as CSV, with the bounds of one file. Source: wire.json DownloadCsvRequest, billing.md 3.5, E11."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator

from transforms.billing.bill_csv import ExternalSystem
from transforms.entities.resource import Day, ValueObject, refuse

#: Longest period and most bills of one file.
DAYS_MAX = 31
BILLS_MAX = 5_000


def _day_as_written(value: Any) -> Any:
    """An instant stands for the calendar day that it is written with, whatever its offset: bills have days, not instants."""
    if not isinstance(value, str) or "T" not in value:
        return value
    try:
        return datetime.fromisoformat(value).date().isoformat()
    except ValueError:
        raise ValueError("must be a date and time such as 2025-01-31T00:00:00Z") from None


DayOfInstant = Annotated[Day, BeforeValidator(_day_as_written)]


class DownloadCsvRequest(ValueObject):
    """Bills whose period's last day, or whose external invoice date, lies in [start, end); both where both are given."""

    start_date: DayOfInstant | None = None
    end_date: DayOfInstant | None = None
    external_invoice_date_start: DayOfInstant | None = None
    external_invoice_date_end: DayOfInstant | None = None
    external_system: ExternalSystem = ExternalSystem.STANDARD

    def checked(self) -> None:
        """Raise EntityInvalid unless a period of at most 31 days is given, and no open one."""
        refuse(
            (
                *_wrong("startDate", self.start_date, "endDate", self.end_date),
                *_wrong("externalInvoiceDateStart", self.external_invoice_date_start, "externalInvoiceDateEnd", self.external_invoice_date_end),
                (
                    self.start_date is None and self.external_invoice_date_start is None,
                    "startDate",
                    f"give startDate and endDate, or externalInvoiceDateStart and externalInvoiceDateEnd, at most {DAYS_MAX} days apart",
                ),
            )
        )


def _wrong(first: str, start: date | None, last: str, end: date | None) -> tuple[tuple[bool, str, str], ...]:
    return (
        ((start is None) != (end is None), first if start is None else last, f"{first} and {last} need each other"),
        (start is not None and end is not None and end <= start, last, f"{last} must be after {first}: it is exclusive"),
        (
            start is not None and end is not None and (end - start).days > DAYS_MAX,
            last,
            f"{last} may be at most {DAYS_MAX} days after {first}; ask for several files",
        ),
    )
