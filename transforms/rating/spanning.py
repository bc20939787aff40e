"""Units of an account plan's earlier periods, for pricings whose tiers span the plan (billing.md 1.6).

With ``tiersSpanPlan`` usage keeps adding up from the account plan's start, whatever the pricing's own dates, so that the
band position carries over between periods. Each earlier period is aggregated and rounded to units by itself, as it was
on its own bill. Put here which earlier windows count; keep out how bands use them (``bands.py``).
"""

from collections.abc import Iterator

import polars as pl

from transforms.datasets import INSTANT
from transforms.entities.resource import BillingFrequency
from transforms.periods import Schedule, local_day, midnight
from transforms.rating.amounts import ZERO, sums, total

_SCHEDULE = ("frequency", "interval", "epoch", "k")


def _periods(schedules: pl.DataFrame, zone: str) -> Iterator[tuple[object, ...]]:
    """The periods before B(k) of every schedule that end after the earliest start: schedule, is_open (from the plan's start on), from, until."""
    for frequency, interval, epoch, k, start in schedules.rows():
        schedule = Schedule(BillingFrequency(frequency), interval, epoch)
        for n in range(schedule.first_index(local_day(start, zone)), k):
            yield frequency, interval, epoch, k, n == 0, midnight(schedule.boundary(n - 1), zone), midnight(schedule.boundary(n), zone)


def earlier_windows(windows: pl.DataFrame, due: pl.DataFrame, zone: str) -> pl.DataFrame:
    """The windows of all earlier periods of the account plans in ``windows``.

    Args:
        windows: Rated windows whose pricings span the plan.
        due: The due account plans.
        zone: Time zone that days are cut in.

    Returns:
        The columns of ``windows``, with ``line_window``, the window of the line that they lead up to; ``window`` is null.
    """
    known = windows.join(due.select("due", "start_at", *_SCHEDULE), on="due")
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        **{name: due.schema[name] for name in _SCHEDULE},
        "is_open": pl.Boolean,
        "from_at": INSTANT,
        "until_at": INSTANT,
    }
    schedules = known.group_by(_SCHEDULE).agg(pl.col("start_at").min()).sort(_SCHEDULE)
    periods = pl.DataFrame(list(_periods(schedules, zone)), schema=schema, orient="row")
    return (
        known.join(periods, on=list(_SCHEDULE))
        .with_columns(
            line_window="window",
            window=pl.lit(None, dtype=pl.UInt32),
            window_start=pl.when("is_open").then("start_at").otherwise(pl.max_horizontal("start_at", "from_at")),
            window_end="until_at",
        )
        .filter(pl.col("window_start") < pl.col("window_end"))
        .select(*windows.columns, "line_window")
    )


def with_earlier_units(lines: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """The lines with ``units_before`` and ``is_begun``; units are null where the two together do not fit.

    Args:
        lines: ``line_window``, ``offer``, ``units`` and any more columns.
        earlier: The same of the earlier periods.
    """
    keys = ["line_window", "offer"]
    before = sums(earlier, keys, "units").rename({"units": "units_before"})
    joined = lines.join(before, on=keys, how="left", maintain_order="left").with_columns(is_begun=pl.col("rows").is_not_null()).drop("rows")
    joined = joined.with_columns(pl.when("is_begun").then("units_before").otherwise(ZERO).alias("units_before"))
    fits = total([joined["units"], joined["units_before"]]).is_not_null()
    return joined.with_columns(pl.when(fits).then("units").alias("units"))
