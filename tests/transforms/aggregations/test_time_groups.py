"""Time groups: local hours and days on the days that clocks change, and midnights that do not exist."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from transforms.aggregations.time_groups import group_day, group_hour, midnight, next_group
from transforms.aggregations.usage_query import Frequency
from transforms.periods import midnight as one_midnight


def test_local_hours() -> None:
    # Kathmandu is 5:45 ahead: 10:20 UTC is 16:05 there. New York repeats the hour from 1 to 2 on 2 November 2025.
    frame = pl.DataFrame({"ts": [datetime(2025, 11, 2, 10, 20, tzinfo=UTC)]})
    assert frame.select(group_hour(pl.col("ts"), "Asia/Kathmandu")).item() == datetime(2025, 11, 2, 10, 15, tzinfo=UTC)
    twice = pl.DataFrame({"ts": [datetime(2025, 11, 2, hour, 59, 59, 999999, tzinfo=UTC) for hour in (4, 5, 6)]})
    hours = twice.select(group_hour(pl.col("ts"), "America/New_York"))["ts"].to_list()
    assert hours == [datetime(2025, 11, 2, hour, tzinfo=UTC) for hour in (4, 5, 6)]


@pytest.mark.parametrize(
    ("frequency", "first", "after"),
    [
        (Frequency.DAY, date(2025, 5, 18), date(2025, 5, 19)),
        (Frequency.WEEK, date(2025, 5, 12), date(2025, 5, 19)),
        (Frequency.MONTH, date(2025, 5, 1), date(2025, 6, 1)),
        (Frequency.QUARTER, date(2025, 4, 1), date(2025, 7, 1)),
    ],
)
def test_groups_of_a_sunday(frequency: Frequency, first: date, after: date) -> None:
    frame = pl.DataFrame({"day": [date(2025, 5, 18)]}).with_columns(group_day(pl.col("day"), frequency).alias("first"))
    assert frame["first"].item() == first
    assert frame.select(next_group(pl.col("first"), frequency)).item() == after


# Beirut and Havana skip midnight in spring, Havana has the hour after it twice in autumn, Apia skipped a whole day.
@pytest.mark.parametrize(
    "zone", ["UTC", "America/New_York", "Asia/Beirut", "America/Havana", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
def test_midnights_equal_the_scalar_ones(zone: str) -> None:
    days = [date(2011, 1, 1) + timedelta(days=n) for n in range(365 * 3)]
    frame = pl.DataFrame({"day": days}).select(midnight(pl.col("day"), zone))
    assert frame["day"].to_list() == [one_midnight(day, zone) for day in days]
