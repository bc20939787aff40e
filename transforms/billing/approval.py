"""When a bill is approved by itself.

The grace period starts at the local midnight of the bill's date, so that a bill made early waits for it; a bill calculated
after that midnight (for the first time or again, because of late usage) gets the whole grace period from then, so that
people have it to look at what stands there now. Put here the instant; keep out the approval (pipelines/storage).
Source: billing.md 2.9.
"""

from datetime import date, datetime, timedelta

from transforms.entities.organization import OrganizationConfig, TimePeriodUnit
from transforms.periods import midnight

_UNITS = {TimePeriodUnit.MINUTES: timedelta(minutes=1), TimePeriodUnit.HOURS: timedelta(hours=1), TimePeriodUnit.DAYS: timedelta(days=1)}
#: A longer grace period is none at all: it would leave the calendar.
_LONGEST = timedelta(days=36500)


def grace_period(organization: OrganizationConfig) -> timedelta | None:
    """How long a bill waits before it is approved by itself; None where it never is: both fields are needed."""
    count, unit = organization.auto_approve_bills_grace_period, organization.auto_approve_bills_grace_period_unit
    if count is None or unit is None:
        return None
    return min(count, _LONGEST // _UNITS[unit]) * _UNITS[unit]


def approval_due(bill_date: date, zone: str, *, last_calculated_at: datetime, grace: timedelta) -> datetime:
    """The instant from which the calculation of a bill may be approved by itself.

    Args:
        bill_date: The bill's date.
        zone: The bill's time zone, a tz database name.
        last_calculated_at: When what stands on the bill was calculated.
        grace: See :func:`grace_period`.
    """
    return max(midnight(bill_date, zone), last_calculated_at) + grace
