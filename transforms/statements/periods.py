"""The periods that a statement's rows are about: service periods cut at the ends of local days, weeks, months, quarters, years.

Put here the cutting. Keep out what was used in a period (quantities.py). Weeks begin on Monday, as in the Data Explorer.
Source: billing.md 8, DECISIONS 40.
"""

import polars as pl

from transforms.aggregations.time_groups import midnight
from transforms.entities.statements import AggregationFrequency

STEPS = {
    AggregationFrequency.DAY: "1d",
    AggregationFrequency.WEEK: "1w",
    AggregationFrequency.MONTH: "1mo",
    AggregationFrequency.QUARTER: "1q",
    AggregationFrequency.YEAR: "1y",
}


def statement_periods(spans: pl.DataFrame, frequency: AggregationFrequency, *, time_zone: str) -> pl.DataFrame:
    """One row per span and period that it touches, in order: the span's columns, ``period_start`` and ``period_end``.

    Args:
        spans: ``service_start`` and ``service_end``, instants, half-open and not empty, and any more columns; distinct rows.
        frequency: How long a period is.
        time_zone: Where days are cut, a tz database name.

    Returns:
        Half-open periods that together are the span: the first and the last are shorter where the span cuts them.
    """
    start, end = pl.col("service_start"), pl.col("service_end")
    if frequency is AggregationFrequency.WHOLE_PERIOD:
        return spans.with_columns(period_start=start, period_end=end)
    step = STEPS[frequency]
    first = start.dt.convert_time_zone(time_zone).dt.date()
    last = (end - pl.duration(microseconds=1)).dt.convert_time_zone(time_zone).dt.date()
    days = spans.with_columns(day=pl.date_ranges(first.dt.truncate(step), last.dt.truncate(step), interval=step)).explode("day")
    cut = days.with_columns(
        period_start=pl.max_horizontal(start, midnight(pl.col("day"), time_zone)),
        period_end=pl.min_horizontal(end, midnight(pl.col("day").dt.offset_by(step), time_zone)),
    )
    # A day that a time zone skips has no instant.
    return cut.filter(pl.col("period_start") < pl.col("period_end")).drop("day")
