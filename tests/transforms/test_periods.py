from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, strategies as st

from transforms.entities.resource import BillingFrequency
from transforms.periods import DAY, REGULAR, Schedule, anchored, bill_dates, midnight, whole_days
from transforms.rating import windows

F = BillingFrequency
ZONES = ("UTC", "America/New_York", "America/Sao_Paulo", "Pacific/Apia", "America/Havana", "Asia/Kathmandu", "Etc/GMT-1", "Europe/Berlin")
days = st.dates(date(1990, 1, 1), date(2060, 12, 31))
schedules = st.builds(Schedule, st.sampled_from(REGULAR), st.integers(1, 13), days)

BILL_DATES = [
    ("D01", Schedule(F.MONTHLY, 1, date(2022, 2, 15)), date(2022, 1, 1), ["2022-02-15", "2022-03-15", "2022-04-15"]),
    ("D02", Schedule(F.MONTHLY, 1, date(2022, 1, 15)), date(2022, 1, 1), ["2022-01-15", "2022-02-15", "2022-03-15"]),
    ("D03", Schedule(F.WEEKLY, 1, date(2022, 1, 15)), date(2022, 1, 1), ["2022-01-15", "2022-01-22", "2022-01-29"]),
    ("D04", Schedule(F.DAILY, 1, date(2022, 1, 2)), date(2022, 1, 1), ["2022-01-02", "2022-01-03", "2022-01-04"]),
    ("D05", Schedule(F.ANNUALLY, 1, date(2023, 1, 1)), date(2022, 1, 1), ["2023-01-01", "2024-01-01", "2025-01-01"]),
    ("D06", Schedule(F.MONTHLY, 1, date(2022, 1, 14)), date(2022, 1, 1), ["2022-01-14", "2022-02-14", "2022-03-14"]),
    ("D07", Schedule(F.MONTHLY, 3, date(2022, 4, 1)), date(2022, 1, 1), ["2022-04-01", "2022-07-01", "2022-10-01"]),
    ("month ends clip", Schedule(F.MONTHLY, 1, date(2024, 1, 31)), date(2024, 1, 31), ["2024-02-29", "2024-03-31", "2024-04-30"]),
    ("leap day", Schedule(F.ANNUALLY, 1, date(2024, 2, 29)), date(2024, 2, 29), ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
]


@pytest.mark.parametrize(("schedule", "start", "wanted"), [row[1:] for row in BILL_DATES], ids=[row[0] for row in BILL_DATES])
def test_first_bill_dates(schedule: Schedule, start: date, wanted: list[str]) -> None:
    assert [d.isoformat() for d in islice(bill_dates(schedule, start, None), len(wanted))] == wanted


def test_the_last_bill_is_the_first_boundary_at_or_after_the_end() -> None:
    schedule = Schedule(F.MONTHLY, 1, date(2022, 1, 1))
    assert list(bill_dates(schedule, date(2022, 1, 10), date(2022, 2, 10))) == [date(2022, 2, 1), date(2022, 3, 1)]
    assert list(bill_dates(schedule, date(2022, 1, 10), date(2022, 2, 1))) == [date(2022, 2, 1)]


@given(st.builds(Schedule, st.sampled_from(REGULAR), st.integers(1, 365), st.dates(date(2022, 1, 1), date(2022, 1, 28))), days)
def test_an_anchored_epoch_gives_the_same_boundaries_from_1900_on(schedule: Schedule, day: date) -> None:
    early = Schedule(schedule.frequency, schedule.interval, anchored(schedule))
    assert early.epoch <= date(1900, 1, 1)
    assert early.boundaries(day, day) == schedule.boundaries(day, day)
    assert early.index(day) >= 0


@given(schedules, days)
def test_every_day_lies_in_exactly_one_period(schedule: Schedule, day: date) -> None:
    k = schedule.index(day)
    assert schedule.boundary(k) <= day < schedule.boundary(k + 1)
    assert schedule.index_of_boundary(schedule.boundary(k)) == k
    assert (schedule.index_of_boundary(day) is None) == (schedule.boundary(k) != day)


@given(schedules, st.lists(days, min_size=3, max_size=3))
def test_factors_add_up_and_a_whole_period_is_one(schedule: Schedule, three: list[date]) -> None:
    a, b, c = sorted(three)
    assert schedule.factor(a, b) + schedule.factor(b, c) == schedule.factor(a, c)
    assert schedule.factor(c, a) == 0
    boundaries = schedule.boundaries(a, b)
    assert all(schedule.factor(x, y) == 1 for x, y in pairwise(boundaries))
    assert boundaries[0] <= a
    assert b < boundaries[-1]


def test_a_factor_is_days_over_days() -> None:
    monthly = Schedule(F.MONTHLY, 1, date(2022, 1, 1))
    assert monthly.factor(date(2024, 1, 15), date(2024, 2, 1)) == Fraction(17, 31)
    assert monthly.factor(date(2024, 2, 1), date(2024, 2, 11)) == Fraction(10, 29)
    assert Schedule(F.ANNUALLY, 1, date(2022, 1, 1)).factor(date(2023, 7, 1), date(2024, 1, 1)) == Fraction(184, 365)
    # A long first period of 45 days up to an epoch on the 15th: 17 of 31 days, then one whole period.
    assert Schedule(F.MONTHLY, 1, date(2022, 2, 15)).factor(date(2022, 1, 1), date(2022, 2, 15)) == 1 + Fraction(14, 31)


@given(days, st.sampled_from(ZONES))
def test_midnight_is_the_first_instant_of_its_day(day: date, zone: str) -> None:
    at = midnight(day, zone)
    tz = ZoneInfo(zone)
    assert (at - timedelta(microseconds=1)).astimezone(tz).date() < day <= at.astimezone(tz).date()


@given(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)), st.integers(0, 90 * 24 * 60), st.sampled_from(ZONES))  # noqa: DTZ001 hypothesis adds the zone
def test_whole_days_lie_inside_the_interval(start: datetime, minutes: int, zone: str) -> None:
    end = start + timedelta(minutes=minutes)
    first, last = whole_days(start, end, zone)
    if first < last:
        assert start <= midnight(first, zone)
        assert midnight(last, zone) <= end
    # One day more on either side would not fit.
    assert midnight(last + DAY, zone) > end
    assert midnight(first - DAY, zone) < start or first - DAY == date(2011, 12, 30)
    columns = pl.DataFrame({"start": [start], "end": [end]}).select(
        windows.first_whole_day("start", zone), pl.col("end").dt.convert_time_zone(zone).dt.date()
    )
    assert columns.row(0) == (first, last)


@given(st.lists(st.tuples(schedules, days, days), min_size=1, max_size=30))
def test_columns_agree_with_single_dates(rows: list[tuple[Schedule, date, date]]) -> None:
    frame = pl.DataFrame(
        [
            (
                s.epoch,
                {F.DAILY: 1, F.WEEKLY: 7}.get(s.frequency, 0) * s.interval,
                {F.MONTHLY: 1, F.ANNUALLY: 12}.get(s.frequency, 0) * s.interval,
                a,
                b,
            )
            for s, a, b in rows
        ],
        schema={"epoch": pl.Date, "step_days": pl.Int32, "step_months": pl.Int32, "first": pl.Date, "end": pl.Date},
        orient="row",
    )
    found = windows.with_factor(frame.with_columns(k=windows.index("first")).with_columns(at=windows.boundary("k")), "first", "end")
    assert found["k"].to_list() == [s.index(a) for s, a, _ in rows]
    assert found["at"].to_list() == [s.boundary(s.index(a)) for s, a, _ in rows]
    factors = [Fraction(over, under) for over, under in found.select("factor_over", "factor_under").rows()]
    assert factors == [s.factor(a, b) for s, a, b in rows]
