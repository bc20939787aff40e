"""Partial states per account and event day or month, or day of all accounts: which are kept, how they are computed, how they merge.

Put here the rows of ``daily_aggregates``. Keep out the methods themselves (functions.py) and storage.

Columns: the declared ones of the dataset, then ``rows``, then ``segment_index`` where the state is split by segment (null:
no segment matches), then for UNIQUE ``<code>.value`` (a null value is a row too: it tells usage without a value from no
usage), then ``<code>.<part>``. In a state by month ``date`` is the last event day of the row, in a pooled one
``account_number`` is null. Declared names, ``rows`` and ``segment_index`` have no dot, columns of fields have one that no
code can hold, so nothing collides whatever a field is called.
"""

from dataclasses import replace

import polars as pl

from transforms.aggregations.functions import LATEST, ROWS, TOTALS, column, dtype, merged, partial
from transforms.aggregations.segments import SEGMENT, aggregation_segments, with_segment
from transforms.aggregations.usage import Grain, StateKind, StateSpec, field_column
from transforms.configuration import Configuration
from transforms.datasets import DAILY_AGGREGATES
from transforms.entities.usage import Aggregation, Meter, Method

_COLUMNS = tuple(DAILY_AGGREGATES.columns)


def spec_of(aggregation: Aggregation) -> StateSpec | None:
    """The day state that answers the aggregation; None for CUSTOM_SQL, which always reads measurements."""
    fields = tuple(aggregation.segmented_fields or ())
    segments = aggregation_segments(aggregation) if fields else ()
    match aggregation.aggregation:
        case Method.CUSTOM_SQL:
            return None
        case Method.UNIQUE:
            return StateSpec(aggregation.meter_id, StateKind.UNIQUE, aggregation.target_field, fields, segments)
        case Method.LATEST:
            return StateSpec(aggregation.meter_id, StateKind.LATEST, aggregation.target_field, fields, segments)
        case _ if fields:
            return StateSpec(aggregation.meter_id, StateKind.TOTALS, aggregation.target_field, fields, segments)
        case _:
            return StateSpec(aggregation.meter_id)


def state_specs(configuration: Configuration) -> tuple[StateSpec, ...]:
    """Every state that the organization's meters and aggregations call for, by day and by month, sorted.

    The numeric state of every meter is kept in any case, and pooled as well: the Data Explorer reads it.
    """
    meters = configuration.entities(Meter)
    wanted = {StateSpec(meter_id) for meter_id in meters}
    for aggregation in configuration.entities(Aggregation).values():
        spec = spec_of(aggregation)
        if spec is not None and spec.meter_id in meters:
            wanted.add(spec)
    pooled = (StateSpec(meter_id).pooled for meter_id in meters)
    return tuple(sorted((*wanted, *(spec.by_month for spec in wanted), *pooled), key=lambda spec: (spec.meter_id, spec.key)))


def state_parts(spec: StateSpec, meter: Meter) -> tuple[tuple[str, str], ...]:
    """The (field, part) pairs that a state keeps; of string fields only the count.

    Distinct values of a month keep one to be counted by where that is all there is to do, without being read.
    """
    numeric = meter.numeric_fields
    match spec.kind:
        case StateKind.NUMERIC:
            return (*((code, part) for code in numeric for part in TOTALS), *((code, "count") for code in meter.string_fields))
        case StateKind.TOTALS:
            return tuple((spec.field, part) for part in (TOTALS if spec.field in numeric else ("count",)))
        case StateKind.LATEST:
            return tuple((spec.field, part) for part in LATEST)
        case StateKind.UNIQUE:
            return ((spec.field, "count"),) if spec.grain is Grain.MONTH else ()


def state_keys(spec: StateSpec) -> tuple[str, ...]:
    """The columns beside account and day or month that tell the rows of a state apart."""
    split = (SEGMENT,) if spec.fields else ()
    return (*split, column(spec.field, "value")) if spec.kind is StateKind.UNIQUE else split


def state_order(spec: StateSpec) -> tuple[str, ...]:
    """The columns that a state's rows are stored by: those of a month are together by account, so that few accounts are found fast."""
    left_out = {Grain.DAY: "", Grain.MONTH: "date", Grain.POOLED: "account_number"}[spec.grain]
    return tuple(name for name in _COLUMNS if name != left_out)


def state_schema(spec: StateSpec, meter: Meter) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Columns of a state beyond the declared ones, in order, with their types."""
    return {
        ROWS: pl.Int64,
        **{name: pl.Int32 if name == SEGMENT else pl.String for name in state_keys(spec)},
        **{column(code, part): dtype(part) for code, part in state_parts(spec, meter)},
    }


def segmented(rows: pl.LazyFrame, fields: tuple[str, ...], segments: tuple[tuple[str, ...], ...]) -> pl.LazyFrame:
    """Measurements with their segment; as they are when there are no segmentedFields."""
    return with_segment(rows, columns=[field_column(code) for code in fields], segments=segments) if fields else rows


def with_value(rows: pl.LazyFrame, code: str) -> pl.LazyFrame:
    """Measurements with a string field in the column that states have it in."""
    return rows.with_columns(pl.col(field_column(code)).alias(column(code, "value")))


def _grouping(spec: StateSpec) -> tuple[tuple[str, ...], tuple[pl.Expr, ...]]:
    """The columns that tell a state's rows apart, and what becomes of the day or the account where it is none of them."""
    also = {Grain.DAY: (), Grain.MONTH: (pl.col("date").max(),), Grain.POOLED: (pl.lit(None, dtype=pl.Int32).alias("account_number"),)}
    return (*state_order(spec), *state_keys(spec)), also[spec.grain]


def daily_states(spec: StateSpec, meter: Meter, measurements: pl.LazyFrame) -> pl.LazyFrame:
    """Partial states of measurements.

    Args:
        spec: The state.
        meter: Its meter; every field is a column of ``measurements``.
        measurements: Dataset ``measurements``, any part of it: states of parts merge into the state of the whole.

    Returns:
        Dataset ``daily_aggregates`` with the columns of :func:`state_schema`; ``rows`` adds up to the measurements.
    """
    if spec.grain is Grain.POOLED:
        # By way of the accounts: whether a total can be given must not depend on which states an answer is made from.
        return merged_states(spec, meter, daily_states(replace(spec, grain=Grain.DAY), meter, measurements))
    rows = segmented(measurements, spec.fields, spec.segments).with_columns(pl.col("date").dt.month_start().alias("month"))
    if spec.kind is StateKind.UNIQUE:
        rows = with_value(rows, spec.field)
    keys, also = _grouping(spec)
    return partial(rows, keys, state_parts(spec, meter), also=also).select(*_COLUMNS, *state_schema(spec, meter))


def merged_states(spec: StateSpec, meter: Meter, states: pl.LazyFrame) -> pl.LazyFrame:
    """States of one kind, with the rows of a key merged into one."""
    keys, also = _grouping(spec)
    return merged(states, keys, state_parts(spec, meter), also=also).select(*_COLUMNS, *state_schema(spec, meter))
