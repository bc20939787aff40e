"""From usage to quantities: every simple aggregation of every account and window, in bulk.

Put here which rows answer which aggregation: whole local months and days from states where these are complete, what cuts a
day (and CUSTOM_SQL) from measurements. Keep out methods (functions.py), segments (segments.py), windows (spans.py) and
everything about prices. Nothing is read here: the result is one lazy frame that streams.

Aggregations of one meter that read the same state with the same segments make one *reading*: one scan, one group_by, then
a small join per aggregation. Source: usage.md 4 and 5, DECISIONS 17-19 and 21, ARCHITECTURE (the way of one measurement).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from transforms.aggregations.functions import ROWS, column, final, is_out_of_range, merged, partial, parts_of, unique_count
from transforms.aggregations.segments import SEGMENT, aggregation_segments, candidates
from transforms.aggregations.spans import WINDOW_NUMBER, Span, spans
from transforms.aggregations.sql_quantities import sql_quantities
from transforms.aggregations.states import segmented, spec_of, with_value
from transforms.aggregations.usage import MeterUsage, StateSpec, field_column
from transforms.configuration import Configuration
from transforms.datasets import INSTANT
from transforms.entities.usage import Aggregation, Method
from transforms.money import DECIMAL, exact

WINDOW: dict[str, pl.DataType | type[pl.DataType]] = {
    "aggregation_id": pl.String,
    "account_number": pl.Int32,
    "window_start": INSTANT,
    "window_end": INSTANT,
}
#: What is added to the columns of the windows.
QUANTITY: dict[str, pl.DataType | type[pl.DataType]] = {SEGMENT: pl.Int32, "quantity": DECIMAL, "failure": pl.String}
_VALUE, _FAILURE = "value", "reason"


@dataclass(frozen=True)
class Reading:
    """Aggregations of one meter that one group_by answers.

    Attributes:
        usage: The meter's usage.
        states: The day states that answer them; None when only measurements do.
        months: The same by month; None where there are none.
        merged: The months in which no two of their rows have the same key.
        fields: segmentedFields in declared order; empty when unsegmented.
        segments: The segments as value tuples in that order.
        aggregations: The aggregations; a CUSTOM_SQL one is alone, UNIQUE ones are of one field.
    """

    usage: MeterUsage
    states: pl.LazyFrame | None
    months: pl.LazyFrame | None
    merged: frozenset[date]
    fields: tuple[str, ...]
    segments: tuple[tuple[str, ...], ...]
    aggregations: tuple[Aggregation, ...]

    @property
    def method(self) -> Method:
        """CUSTOM_SQL, UNIQUE, or any of the others."""
        return self.aggregations[0].aggregation

    def is_merged(self, span: Span) -> bool:
        """True when a row of the month states is all there is for a window (and segment, and value)."""
        if self.states is None or self.months is None:
            return False
        return span.single_months is not None and span.single_months <= self.merged


def _readings(aggregations: Iterable[Aggregation], usage: Mapping[str, MeterUsage]) -> list[Reading]:
    groups: dict[tuple[object, ...], list[Aggregation]] = {}
    for aggregation in aggregations:
        spec = spec_of(aggregation)
        # Where there is no state, all but UNIQUE and CUSTOM_SQL share one reading of the measurements.
        state = spec if spec in usage[aggregation.meter_id].states else None
        alone = {Method.CUSTOM_SQL: aggregation.id, Method.UNIQUE: aggregation.target_field}.get(aggregation.aggregation)
        fields = tuple(aggregation.segmented_fields or ())
        key = (aggregation.meter_id, state, alone, fields, aggregation_segments(aggregation) if fields else ())
        groups.setdefault(key, []).append(aggregation)
    readings = []
    for members in groups.values():
        first, spec = members[0], spec_of(members[0])
        of = usage[first.meter_id]
        states, months, known = (None, None, frozenset[date]()) if spec is None else _states(of, spec)
        segments = aggregation_segments(first) if first.is_segmented else ()
        readings.append(Reading(of, states, months, known, tuple(first.segmented_fields or ()), segments, tuple(members)))
    return readings


def _states(usage: MeterUsage, spec: StateSpec) -> tuple[pl.LazyFrame | None, pl.LazyFrame | None, frozenset[date]]:
    return usage.states.get(spec), usage.states.get(spec.by_month), usage.merged.get(spec.by_month, frozenset())


def _sources(reading: Reading, span: Span, measurements: pl.LazyFrame) -> tuple[list[pl.LazyFrame], pl.LazyFrame | None]:
    """States of the whole days and measurements of the rest, each with the span's key and the segment."""
    whole = [] if reading.states is None or not span.has_whole_days else span.states(reading.states, reading.months)
    rest = span.edges(measurements) if whole else span.rows(measurements)
    return whole, None if rest is None else segmented(rest, reading.fields, reading.segments)


def _numeric(reading: Reading, whole: Sequence[pl.LazyFrame], rest: pl.LazyFrame | None, keys: Sequence[str], *, is_merged: bool) -> pl.LazyFrame:
    parts = parts_of((a.target_field, a.aggregation) for a in reading.aggregations)
    kept = [*keys, ROWS, *(column(code, part) for code, part in parts)]
    partials = [] if rest is None else [partial(rest, keys, parts)]
    frames = [frame.select(kept) for frame in (*whole, *partials)]
    return frames[0] if is_merged or not whole else merged(pl.concat(frames), keys, parts)


def _unique(reading: Reading, whole: Sequence[pl.LazyFrame], rest: pl.LazyFrame | None, keys: Sequence[str], *, is_merged: bool) -> pl.LazyFrame:
    code = reading.aggregations[0].target_field
    if is_merged:
        return whole[0].group_by(*keys).agg(pl.len().cast(pl.Int64).alias(ROWS), unique_count(code, of="count"))
    value = column(code, "value")
    values = [frame.select(*keys, value) for frame in (*whole, *([] if rest is None else [with_value(rest, code)]))]
    distinct = pl.concat(values).group_by(*keys, value).agg()
    return distinct.group_by(*keys).agg(pl.len().cast(pl.Int64).alias(ROWS), unique_count(code))


def _grouped(reading: Reading, span: Span) -> pl.LazyFrame:
    """One row per window key (and segment) with usage: what the final step of the reading's aggregations needs."""
    keys = (span.key, SEGMENT) if reading.fields else (span.key,)
    columns = [field_column(code) for code in reading.fields]
    whole, rest = _sources(reading, span, candidates(reading.usage.measurements, columns=columns, segments=reading.segments))
    if reading.fields:
        whole = [frame.filter(pl.col(SEGMENT).is_not_null()) for frame in whole]
        rest = None if rest is None else rest.filter(pl.col(SEGMENT).is_not_null())
    if reading.method is Method.CUSTOM_SQL:
        assert rest is not None, "CUSTOM_SQL reads measurements only"
        return sql_quantities(rest, keys, aggregation=reading.aggregations[0], meter=reading.usage.meter)
    answer = _unique if reading.method is Method.UNIQUE else _numeric
    return answer(reading, whole, rest, keys, is_merged=reading.is_merged(span))


def _final(aggregation: Aggregation) -> tuple[pl.Expr, pl.Expr]:
    """The aggregation's number and the reason why there is none, over a row of :func:`_grouped`."""
    label = aggregation.code or aggregation.name
    if aggregation.aggregation is Method.CUSTOM_SQL:
        default = None if aggregation.default_value is None else exact(aggregation.default_value)
        is_given = pl.col("quantity").is_not_null() | pl.col("failure").is_not_null()
        return pl.when(is_given).then(pl.col("quantity")).otherwise(pl.lit(default, dtype=DECIMAL)), pl.col("failure")
    if aggregation.aggregation is Method.UNIQUE:
        return final(aggregation.target_field, Method.COUNT), pl.lit(None, dtype=pl.String)
    reason = f"aggregation {label}: the total of {aggregation.target_field} has more than 26 digits before the point"
    too_large = is_out_of_range(aggregation.target_field, aggregation.aggregation)
    return final(aggregation.target_field, aggregation.aggregation), pl.when(too_large).then(pl.lit(reason))


def _answered(
    aggregation: Aggregation, reading: Reading, mine: pl.LazyFrame, found: pl.LazyFrame, *, key: str, columns: Sequence[str]
) -> pl.LazyFrame:
    """The quantities of one aggregation in its windows of one span, whose rows ``found`` are grouped by ``key``."""
    value, failure = _final(aggregation)
    keys = [key, SEGMENT] if reading.fields else [key]
    found = found.select(*keys, ROWS, value.alias(_VALUE), failure.alias(_FAILURE))
    if not reading.fields:
        joined = mine.join(found, on=keys, how="left").with_columns(pl.lit(None, dtype=pl.Int32).alias(SEGMENT))
    elif aggregation.default_value is None:
        joined = mine.join(found, on=key)
    else:
        every = pl.LazyFrame({SEGMENT: pl.Series(range(len(reading.segments)), dtype=pl.Int32)})
        joined = mine.join(every, how="cross").join(found, on=keys, how="left")
    default = None if aggregation.default_value is None else exact(aggregation.default_value)
    quantity = pl.when(pl.col(ROWS).is_null()).then(pl.lit(default, dtype=DECIMAL)).otherwise(pl.col(_VALUE))
    return joined.select(*columns, SEGMENT, quantity.alias("quantity"), pl.col(_FAILURE).alias("failure"))


def _numbered(windows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Aggregation id -> its windows, each row once, with a number that tells account, start and end."""
    bounds = ["window_start", "window_end"]
    periods = windows.select(bounds).unique().with_row_index("period")
    # Joined only where there are several: most often a bill run has one period.
    period = windows.join(periods, on=bounds, maintain_order="left")["period"].cast(pl.Int64) if periods.height > 1 else pl.lit(0, dtype=pl.Int64)
    number = period * (1 << 32) + pl.col("account_number").cast(pl.Int64)
    by_aggregation = windows.with_columns(number.alias(WINDOW_NUMBER)).partition_by("aggregation_id", as_dict=True)
    return {str(key[0]): frame if frame[WINDOW_NUMBER].n_unique() == frame.height else frame.unique() for key, frame in by_aggregation.items()}


def _spans_by_reading(
    windows: pl.DataFrame, configuration: Configuration, usage: Mapping[str, MeterUsage]
) -> Iterable[tuple[Reading, dict[str, pl.DataFrame], tuple[Span, ...]]]:
    by_aggregation = _numbered(windows)
    for reading in _readings((configuration.entity(Aggregation, aggregation_id) for aggregation_id in sorted(by_aggregation)), usage):
        mine = {a.id: by_aggregation[a.id] for a in reading.aggregations}
        distinct = pl.concat(mine.values()).select(WINDOW_NUMBER, "account_number", "window_start", "window_end").unique(WINDOW_NUMBER)
        yield reading, mine, spans(distinct, time_zone=configuration.time_zone, accounts=configuration.accounts.height)


def quantities(windows: pl.DataFrame, *, configuration: Configuration, usage: Mapping[str, MeterUsage]) -> pl.LazyFrame:
    """The quantity of every window, before quantityPerUnit and rounding.

    Args:
        windows: One row per simple aggregation, account and window: the columns of WINDOW, and any more, which are passed
            through. Windows are half-open and need not be whole days; equal rows count once.
        configuration: The organization's.
        usage: By meter id, for every meter of the aggregations.

    Returns:
        The windows' columns with those of QUANTITY. Unsegmented: one row per window, segment_index null. Segmented: one
        row per window and segment that has usage, or per every segment when a defaultValue is set. ``quantity`` is null
        where there is no value; ``failure`` says why one that should be there can't be given (DECISIONS 34).
    """
    columns = windows.columns
    frames = []
    for reading, mine, parts in _spans_by_reading(windows, configuration, usage):
        for span in parts:
            found = _grouped(reading, span)
            for aggregation in reading.aggregations:
                own = mine[aggregation.id].lazy()
                if len(parts) > 1:
                    own = own.join(span.windows.lazy().select(WINDOW_NUMBER), on=WINDOW_NUMBER, how="semi")
                frames.append(_answered(aggregation, reading, own, found, key=span.key, columns=columns))
    return pl.concat(frames) if frames else pl.LazyFrame(schema={**windows.schema, **QUANTITY})


def unmatched(windows: pl.DataFrame, *, configuration: Configuration, usage: Mapping[str, MeterUsage]) -> pl.LazyFrame:
    """Usage that no segment of its aggregation matches, for the bill's certificate (DECISIONS 19).

    Args:
        windows: As for :func:`quantities`.
        configuration: The organization's.
        usage: By meter id, for every meter of the aggregations.

    Returns:
        The windows' columns and ``measurements`` (a count above 0): only windows of segmented aggregations that have any.
    """
    frames = []
    for reading, mine, parts in _spans_by_reading(windows, configuration, usage):
        for span in parts if reading.fields else ():
            whole, rest = _sources(reading, span, reading.usage.measurements)
            counted = [] if rest is None else [rest.with_columns(pl.lit(1, dtype=pl.Int64).alias(ROWS))]
            kept = [f.filter(pl.col(SEGMENT).is_null()).select(span.key, ROWS) for f in (*whole, *counted)]
            counts = pl.concat(kept).group_by(span.key).agg(pl.col(ROWS).sum().alias("measurements"))
            in_span = span.windows.lazy().select(WINDOW_NUMBER)
            frames += [
                frame.lazy().join(in_span, on=WINDOW_NUMBER, how="semi").join(counts, on=span.key).select(*windows.columns, "measurements")
                for frame in mine.values()
            ]
    return pl.concat(frames) if frames else pl.LazyFrame(schema={**windows.schema, "measurements": pl.Int64})
