"""Time groups of usage: which hour, day, week, month or quarter an instant or a day lies in, in a time zone.

Put here the cutting of time for the Data Explorer. Keep out billing periods (transforms/periods.py).
"""

import polars as pl

from transforms.aggregations.usage_query import Frequency

_STEPS = {Frequency.DAY: "1d", Frequency.WEEK: "1w", Frequency.MONTH: "1mo", Frequency.QUARTER: "1q"}


def group_day(day: pl.Expr, frequency: Frequency) -> pl.Expr:
    """First day of the group that a day lies in; weeks begin on Monday. Not for hours."""
    return day.dt.truncate(_STEPS[frequency])


def group_hour(instant: pl.Expr, time_zone: str) -> pl.Expr:
    """First instant of the local clock hour that an instant lies in; the hour that autumn repeats is two groups."""
    local = instant.dt.convert_time_zone(time_zone)
    passed = pl.duration(minutes=local.dt.minute(), seconds=local.dt.second(), microseconds=local.dt.microsecond())
    return instant - passed


def next_group(day: pl.Expr, frequency: Frequency) -> pl.Expr:
    """First day of the group after the one that begins on a day."""
    return day.dt.offset_by(_STEPS[frequency])


def midnight(day: pl.Expr, time_zone: str) -> pl.Expr:
    """First instant (UTC) of a local day; where the clock skips midnight, that of the change."""
    local = day.cast(pl.Datetime("us"))
    usual = local.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    noon_before = local.dt.offset_by("-12h").dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    return pl.coalesce(usual, noon_before + pl.duration(hours=12)).dt.convert_time_zone("UTC")
