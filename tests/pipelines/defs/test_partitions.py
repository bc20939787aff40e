"""Partition keys and dates."""

from datetime import UTC, date, datetime

from dagster._core.definitions.partitions.context import partition_loading_context
from hypothesis import given, strategies as st

from pipelines.partitions import BILLING_MONTHS, EVENT_DAYS, billing_month, event_day, month_days, months_between, shown

DAYS = st.dates(date(2010, 1, 1), date(2026, 10, 31))


@given(day=DAYS)
def test_every_day_has_a_partition_and_lies_in_its_month(day: date) -> None:
    assert EVENT_DAYS.has_partition_key(day.isoformat())
    assert event_day(day.isoformat()) == day
    first, last = month_days(billing_month(day))
    assert first <= day <= last
    assert first.day == 1
    assert BILLING_MONTHS.has_partition_key(billing_month(day))


def test_months_between_includes_both_ends() -> None:
    assert months_between("2012-11", "2013-02") == ("2012-11", "2012-12", "2013-01", "2013-02")
    assert months_between("2013-01", "2013-01") == ("2013-01",)
    assert months_between("2013-02", "2013-01") == ()


def test_month_days_know_leap_years() -> None:
    assert month_days("2012-02") == (date(2012, 2, 1), date(2012, 2, 29))
    assert month_days("2013-12") == (date(2013, 12, 1), date(2013, 12, 31))


def test_the_day_that_has_begun_somewhere_has_a_partition_and_so_has_the_current_month() -> None:
    now = datetime(2026, 5, 30, 12, tzinfo=UTC)
    with partition_loading_context(effective_dt=now):
        assert EVENT_DAYS.get_last_partition_key() == "2026-05-31"
        assert BILLING_MONTHS.get_last_partition_key() == "2026-05"


def test_days_without_a_partition_are_not_shown() -> None:
    assert shown([date(2013, 2, 1), date(1999, 1, 1), date(2013, 1, 1), date(2013, 2, 1)]) == [date(2013, 1, 1), date(2013, 2, 1)]
