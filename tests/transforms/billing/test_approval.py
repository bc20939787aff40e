"""When bills approve themselves."""

from datetime import UTC, date, datetime, timedelta

import pytest

from transforms.billing.approval import approval_due, grace_period
from transforms.entities.organization import OrganizationConfig, TimePeriodUnit

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("zone", "calculated", "due"),
    [
        ("UTC", "2024-04-01T00:00", "2024-04-01T02:00"),  # D15: made at midnight
        ("UTC", "2024-03-28T10:00", "2024-04-01T02:00"),  # made early: the grace period starts with the bill's date
        ("UTC", "2024-04-01T05:30", "2024-04-01T07:30"),  # calculated again: the whole grace period from then
        ("America/New_York", "2024-04-01T00:00", "2024-04-01T06:00"),  # midnight is the bill's own
        ("Europe/Berlin", "2024-03-28T10:00", "2024-04-01T00:00"),
    ],
)
def test_the_grace_period_starts_at_midnight_or_at_the_calculation(zone: str, calculated: str, due: str) -> None:
    at = datetime.fromisoformat(calculated).replace(tzinfo=UTC)
    expected = datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert approval_due(date(2024, 4, 1), zone, last_calculated_at=at, grace=2 * HOUR) == expected


@pytest.mark.parametrize(
    ("count", "unit", "grace"),
    [
        (90, TimePeriodUnit.MINUTES, 1.5 * HOUR),
        (2, TimePeriodUnit.HOURS, 2 * HOUR),
        (3, TimePeriodUnit.DAYS, 72 * HOUR),
        (2**31 - 1, TimePeriodUnit.DAYS, timedelta(days=36500)),
        (None, None, None),
    ],
)
def test_grace_periods(count: int | None, unit: TimePeriodUnit | None, grace: timedelta | None) -> None:
    given = OrganizationConfig(auto_approve_bills_grace_period=count, auto_approve_bills_grace_period_unit=unit)
    assert grace_period(given) == grace
