"""Periods of statements: whatever the span, the time zone and the length, they are the span."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, strategies as st

from transforms.entities.statements import AggregationFrequency
from transforms.statements.periods import statement_periods

INSTANT = pl.Datetime("us", "UTC")
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia")


def cut(start: datetime, end: datetime, frequency: AggregationFrequency, zone: str) -> list[tuple[datetime, datetime]]:
    spans = pl.DataFrame({"service_start": [start], "service_end": [end]}, schema={"service_start": INSTANT, "service_end": INSTANT})
    return statement_periods(spans, frequency, time_zone=zone).select("period_start", "period_end").rows()


@given(
    start=st.datetimes(datetime.fromisoformat("2010-01-01"), datetime.fromisoformat("2026-01-01"), timezones=st.just(UTC)),
    length=st.timedeltas(timedelta(seconds=1), timedelta(days=800)),
    frequency=st.sampled_from(AggregationFrequency),
    zone=st.sampled_from(ZONES),
)
def test_periods_are_the_span_without_gap_or_overlap(start: datetime, length: timedelta, frequency: AggregationFrequency, zone: str) -> None:
    found = cut(start, start + length, frequency, zone)
    assert (found[0][0], found[-1][1]) == (start, start + length)
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert all(first < last for first, last in found)


@pytest.mark.parametrize(
    ("frequency", "starts"),
    [
        ("WEEK", ["2025-01-15", "2025-01-20", "2025-01-27"]),
        ("MONTH", ["2025-01-15", "2025-02-01"]),
        ("QUARTER", ["2025-01-15"]),
        ("YEAR", ["2025-01-15"]),
        ("WHOLE_PERIOD", ["2025-01-15"]),
    ],
)
def test_periods_begin_where_the_calendar_does(frequency: str, starts: list[str]) -> None:
    zone = ZoneInfo("America/New_York")
    found = cut(datetime(2025, 1, 15, tzinfo=zone), datetime(2025, 2, 2, tzinfo=zone), AggregationFrequency(frequency), zone.key)
    assert [start.astimezone(zone).date().isoformat() for start, _ in found] == starts


def test_the_day_that_is_23_hours_long() -> None:
    zone = ZoneInfo("Europe/Berlin")
    found = cut(datetime(2025, 3, 30, tzinfo=zone), datetime(2025, 4, 1, tzinfo=zone), AggregationFrequency.DAY, zone.key)
    assert [end - start for start, end in found] == [timedelta(hours=23), timedelta(hours=24)]


def test_the_day_that_a_time_zone_skipped() -> None:
    """Samoa went from 29 to 31 December 2011."""
    zone = ZoneInfo("Pacific/Apia")
    found = cut(datetime(2011, 12, 29, tzinfo=zone), datetime(2012, 1, 1, tzinfo=zone), AggregationFrequency.DAY, zone.key)
    assert [start.astimezone(zone).day for start, _ in found] == [29, 31]
    assert found[0][1] == found[1][0]
