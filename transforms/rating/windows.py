"""Calendar arithmetic of bills on columns: the same rules as ``transforms/periods.py``, for many account plans at once.

A frame that is given here has the schedule of each row in the columns ``epoch`` (Date), ``step_days`` and
``step_months`` (Int32, one of them 0). Put here day and instant arithmetic; keep out which window means what.
"""

from collections.abc import Iterable
from datetime import date

import polars as pl

from transforms.datasets import INSTANT
from transforms.periods import midnight


def local_day(at: str, zone: str) -> pl.Expr:
    """The local calendar day that the instant lies in."""
    return pl.col(at).dt.convert_time_zone(zone).dt.date()


def first_whole_day(at: str, zone: str) -> pl.Expr:
    """The first local calendar day that begins at or after the instant."""
    return (pl.col(at) - pl.duration(microseconds=1)).dt.convert_time_zone(zone).dt.date() + pl.duration(days=1)


def midnights(days: Iterable[date], zone: str) -> pl.DataFrame:
    """One row per distinct day: ``day`` and the instant ``at`` of its local midnight."""
    distinct = sorted(set(days))
    return pl.DataFrame({"day": distinct, "at": [midnight(d, zone) for d in distinct]}, schema={"day": pl.Date, "at": INSTANT})


def _months(day: pl.Expr) -> pl.Expr:
    return day.dt.year().cast(pl.Int32) * 12 + day.dt.month().cast(pl.Int32)


def index(day: str) -> pl.Expr:
    """The k with B(k) <= day < B(k + 1), Int32."""
    epoch, start = pl.col("epoch"), pl.col(day)
    days = (start - epoch).dt.total_days().cast(pl.Int32)
    months = _months(start) - _months(epoch)
    anchor = pl.min_horizontal(epoch.dt.day(), start.dt.month_end().dt.day())
    step = pl.col("step_months")
    by_month = months.floordiv(step) - ((months % step == 0) & (start.dt.day() < anchor)).cast(pl.Int32)
    return pl.when(step > 0).then(by_month).otherwise(days.floordiv(pl.col("step_days")))


def boundary(k: str) -> pl.Expr:
    """B(k), with month ends clipped and the epoch's day of the month remembered."""
    by_day = pl.col("epoch") + pl.duration(days=pl.col(k).cast(pl.Int64) * pl.col("step_days"))
    by_month = pl.col("epoch").dt.offset_by(pl.format("{}mo", pl.col(k).cast(pl.Int64) * pl.col("step_months")))
    return pl.when(pl.col("step_months") > 0).then(by_month).otherwise(by_day)


def with_factor(frame: pl.DataFrame, first: str, end: str) -> pl.DataFrame:
    """The frame with the proration factor of the days [first, end) as exact Int64 ``factor_over`` / ``factor_under``.

    The sum, over the periods the days touch, of days active / days of the period: at most 1 inside one period, above 1 in
    a long first period, 0 for no days (DECISIONS 24).
    """
    # Most rows share a schedule and whole periods, so each distinct row is computed once.
    keys = ["epoch", "step_days", "step_months", first, end]
    distinct = _factors(frame.select(keys).unique(), first, end)
    return frame.join(distinct, on=keys, how="left", nulls_equal=True, maintain_order="left")


def _factors(frame: pl.DataFrame, first: str, end: str) -> pl.DataFrame:
    frame = frame.with_columns(_s=index(first), _e=index(end)).with_columns(_s1=pl.col("_s") + 1, _e1=pl.col("_e") + 1)
    frame = frame.with_columns(_bs=boundary("_s"), _be=boundary("_e"), _ns=boundary("_s1"), _ne=boundary("_e1"))

    def days(a: str, b: str) -> pl.Expr:
        return (pl.col(b) - pl.col(a)).dt.total_days()

    frame = frame.with_columns(_as=days("_bs", first), _ae=days("_be", end), _us=days("_bs", "_ns"), _ue=days("_be", "_ne"))
    whole = (pl.col("_e") - pl.col("_s")).cast(pl.Int64)
    start_over, start_under, end_over, end_under = (pl.col(c) for c in ("_as", "_us", "_ae", "_ue"))
    # A term that is 0 has no denominator of its own; equal denominators need no common multiple.
    same = (start_over == 0) | (end_over == 0) | (start_under == end_under)
    under = pl.when(end_over == 0).then(start_under).otherwise(end_under)
    plain = whole * under + end_over - start_over
    mixed = whole * start_under * end_under + end_over * start_under - start_over * end_under
    over = pl.when(same).then(plain).otherwise(mixed)
    return frame.with_columns(
        factor_over=pl.when(pl.col(first) < pl.col(end)).then(over).otherwise(0),
        factor_under=pl.when(same).then(under).otherwise(start_under * end_under),
    ).drop("_s", "_e", "_s1", "_e1", "_bs", "_be", "_ns", "_ne", "_as", "_ae", "_us", "_ue")
