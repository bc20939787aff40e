"""Partial states per account and event day: which are kept, how they are computed, how they merge.

Put here the rows of ``daily_aggregates``. Keep out the methods themselves (functions.py) and storage.

Two kinds. *Numeric*: one wide row per account, day and combination of the dimensions, with count, sum, min, max and
latest of every numeric field and the count of every string field. *Unique*: one row per distinct value of one string
field (a null value is a row too: it tells usage without a value from no usage).

Columns: the declared ones of the dataset, then ``rows``, then ``<code>.value`` for each dimension and for the unique
field, then (numeric) ``<code>.<part>`` and the three columns of the latest values' order key. Declared names and ``rows``
have no dot, columns of fields have one that no code can hold, so nothing collides whatever a field is called.
"""

import polars as pl

from transforms.aggregations.functions import LATEST_KEY, PARTS, ROWS, column, dtype, merged, partial
from transforms.aggregations.usage import StateSpec, field_column
from transforms.configuration import Configuration
from transforms.datasets import DAILY_AGGREGATES
from transforms.entities.usage import Aggregation, Meter, Method

_KEYS = tuple(DAILY_AGGREGATES.columns)


def spec_of(aggregation: Aggregation) -> StateSpec | None:
    """The state that answers the aggregation; None for CUSTOM_SQL, which always reads measurements."""
    dimensions = tuple(sorted(aggregation.segmented_fields or ()))
    match aggregation.aggregation:
        case Method.CUSTOM_SQL:
            return None
        case Method.UNIQUE:
            return StateSpec(aggregation.meter_id, dimensions, aggregation.target_field)
        case _:
            return StateSpec(aggregation.meter_id, dimensions)


def state_specs(configuration: Configuration) -> tuple[StateSpec, ...]:
    """Every state that the organization's meters and aggregations call for, sorted.

    The unsegmented numeric state of every meter is kept in any case: the Data Explorer reads it.
    """
    meters = configuration.entities(Meter)
    wanted = {StateSpec(meter_id) for meter_id in meters}
    for aggregation in configuration.entities(Aggregation).values():
        spec = spec_of(aggregation)
        if spec is not None and spec.meter_id in meters:
            wanted.add(spec)
    return tuple(sorted(wanted, key=lambda spec: (spec.meter_id, spec.key)))


def dimension_columns(spec: StateSpec) -> tuple[str, ...]:
    """The columns of a state that hold field values, in order."""
    values = spec.dimensions if spec.unique is None else dict.fromkeys((*spec.dimensions, spec.unique))
    return tuple(column(code, "value") for code in values)


def state_parts(spec: StateSpec, meter: Meter) -> tuple[tuple[str, str], ...]:
    """The (field, part) pairs that a state keeps."""
    if spec.unique is not None:
        return ()
    numeric = [(code, part) for code in meter.numeric_fields for part in PARTS]
    return (*numeric, *((code, "count") for code in meter.string_fields))


def state_schema(spec: StateSpec, meter: Meter) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Columns of a state beyond the declared ones, in order, with their types."""
    parts = state_parts(spec, meter)
    return {
        ROWS: pl.Int64,
        **dict.fromkeys(dimension_columns(spec), pl.String),
        **{column(code, part): dtype(part) for code, part in parts},
        **({name: kind for name, (_, kind) in LATEST_KEY.items()} if any(part == "latest" for _, part in parts) else {}),
    }


def with_dimensions(spec: StateSpec, measurements: pl.LazyFrame) -> pl.LazyFrame:
    """Measurements with the state's columns of field values."""
    codes = dict.fromkeys((*spec.dimensions, *((spec.unique,) if spec.unique is not None else ())))
    return measurements.with_columns(pl.col(field_column(code)).alias(column(code, "value")) for code in codes)


def daily_states(spec: StateSpec, meter: Meter, measurements: pl.LazyFrame) -> pl.LazyFrame:
    """Partial states of measurements.

    Args:
        spec: The state.
        meter: Its meter; every field is a column of ``measurements``.
        measurements: Dataset ``measurements``, any part of it: states of parts merge into the state of the whole.

    Returns:
        Dataset ``daily_aggregates`` with the columns of :func:`state_schema`; ``rows`` adds up to the measurements.
    """
    rows = with_dimensions(spec, measurements).with_columns(pl.col("date").dt.month_start().alias("month"))
    keys = (*_KEYS, *dimension_columns(spec))
    return partial(rows, keys, state_parts(spec, meter)).select(*_KEYS, *state_schema(spec, meter))


def merged_states(spec: StateSpec, meter: Meter, states: pl.LazyFrame) -> pl.LazyFrame:
    """States of one kind with the rows of a key merged (into one, or one per pattern of fields without a value)."""
    keys = (*_KEYS, *dimension_columns(spec))
    return merged(states, keys, state_parts(spec, meter), final=False).select(*_KEYS, *state_schema(spec, meter))
