"""The measures and dimensions of a statement definition: what an account used, by the code of the Data Explorer.

Put here how a definition becomes usage queries. Keep out which usage a bill charges for (quantities.py). Source: billing.md
8, DECISIONS 40.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from transforms.aggregations.explorer import ACCOUNT, dimension_key, explored
from transforms.aggregations.usage import MeterUsage
from transforms.aggregations.usage_query import FUNCTIONS, DimensionFilter, FieldType, Frequency, Group, GroupType, QueryAggregation, UsageQuery
from transforms.entities.statements import AggregationFrequency, Dimension, Measure, StatementDefinition
from transforms.entities.usage import Aggregation, Meter, Method
from transforms.statements.periods import statement_periods

#: A statement is complete, however long.
_UNLIMITED = 10**9
_ANY = "*"

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class MeterBreakdown:
    """What was used of one meter.

    Attributes:
        meter: The meter.
        dimensions: Columns of ``rows`` that hold values of string fields.
        numbers: Columns of ``rows`` that hold measures, ``<field code>.<FUNCTION>``.
        rows: ``account_number``, ``period_start``, ``period_end``, the dimensions and the numbers; one row per account,
            period and values with usage, in that order.
        notes: What the definition asks for and this meter does not have.
    """

    meter: Meter
    dimensions: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: pl.DataFrame
    notes: tuple[str, ...]


def _of_meter(entries: Iterable[Any], meter_id: str) -> list[Any]:
    return [one for one in entries if one.meter_id in (None, meter_id)]


def _measures(measures: Sequence[Measure], meter: Meter) -> tuple[list[QueryAggregation], list[str]]:
    """The aggregations that the measures ask of the meter, and what of it can't be given."""
    found: dict[QueryAggregation, None] = {}
    notes = []
    for measure in measures:
        for code in (measure.name,) if measure.name else (*meter.numeric_fields, *meter.string_fields):
            kind = FieldType.DIMENSION if code in meter.string_fields else FieldType.MEASURE
            if code not in (*meter.string_fields, *meter.numeric_fields):
                notes.append(f"meter {meter.code} has no field {code}")
                continue
            # All fields: what of each is a number, and of strings how many there are.
            wanted = FUNCTIONS[kind] if measure.name or kind is FieldType.MEASURE else (Method.UNIQUE,)
            for function in measure.aggregations or [Method.UNIQUE if measure.name and kind is FieldType.DIMENSION else Method.SUM]:
                if function in wanted:
                    found[QueryAggregation(meter_id=meter.id, field_code=code, field_type=kind, function=function)] = None
                elif measure.name or function is Method.CUSTOM_SQL:
                    notes.append(f"{function} can't be taken of the {kind} {code} of meter {meter.code}")
    return list(found), notes


def _default_measures(aggregations: Iterable[Aggregation], meter: Meter) -> list[Measure]:
    """The measures where a definition names only dimensions: those that the bill's aggregations take."""
    wanted = (a for a in aggregations if a.meter_id == meter.id and a.aggregation is not Method.CUSTOM_SQL)
    return [Measure(meter_id=meter.id, name=a.target_field, aggregations=[a.aggregation]) for a in wanted]


def _dimensions(dimensions: Sequence[Dimension], meter: Meter) -> tuple[list[Dimension], list[str]]:
    known = [d for d in dimensions if d.name in meter.string_fields]
    return known, [f"meter {meter.code} has no dimension {d.name}" for d in dimensions if d.name not in meter.string_fields]


def _query(
    meter: Meter, aggregations: list[QueryAggregation], dimensions: Sequence[Dimension], span: Span, frequency: Frequency | None
) -> UsageQuery:
    groups = [Group(group_type=GroupType.ACCOUNT)]
    groups += [Group(group_type=GroupType.DIMENSION, meter_id=meter.id, field_code=d.name) for d in dimensions]
    groups += [Group(group_type=GroupType.TIME, frequency=frequency)] if frequency else []
    filters = [DimensionFilter(meter_id=meter.id, field_code=d.name, values=d.filter) for d in dimensions if _ANY not in d.filter]
    query = UsageQuery(
        start_date=span[0], end_date=span[1], meter_ids=[meter.id], aggregations=aggregations, dimension_filters=filters, groups=groups
    )
    return query.model_copy(update={"limit": _UNLIMITED})


def _rows(query: UsageQuery, *, usage: MeterUsage, time_zone: str, account_numbers: Sequence[int]) -> pl.DataFrame:
    frame = explored(query, time_zone=time_zone, usage={usage.meter.id: usage}, account_numbers=account_numbers).collect(engine="streaming")
    start, end = (pl.lit(day, dtype=pl.Datetime("us", "UTC")) for day in (query.start_date, query.end_date))
    if query.frequency is None:
        return frame.with_columns(period_start=start, period_end=end)
    # A week that a bill begins in is shown from the bill's first day on.
    return frame.with_columns(period_start=pl.max_horizontal("startTime", start), period_end=pl.min_horizontal("endTime", end)).drop(
        "startTime", "endTime"
    )


def broken_down(
    definition: StatementDefinition,
    usage: MeterUsage,
    *,
    span: Span,
    time_zone: str,
    account_numbers: Sequence[int],
    aggregations: Iterable[Aggregation],
) -> MeterBreakdown | None:
    """What the accounts used of a meter, as the definition asks; None when it asks nothing of this meter.

    Args:
        definition: Its measures, dimensions and frequency.
        usage: The meter's.
        span: Start and end, half-open.
        time_zone: Where days are cut, a tz database name.
        account_numbers: Whose usage.
        aggregations: The simple aggregations of the bill, for a definition with dimensions only.
    """
    meter = usage.meter
    asked = _of_meter(definition.measures, meter.id)
    split = _of_meter(definition.dimensions, meter.id)
    if not asked and not split:
        return None
    measures, measure_notes = _measures(asked or _default_measures(aggregations, meter), meter)
    dimensions, dimension_notes = _dimensions(split, meter)
    keys = tuple(dict.fromkeys(dimension_key(d.name) for d in dimensions))
    notes = tuple(dict.fromkeys((*measure_notes, *dimension_notes)))
    if not measures:
        return MeterBreakdown(meter, keys, (), pl.DataFrame(), notes)
    rows = pl.concat(
        _rows(query, usage=usage, time_zone=time_zone, account_numbers=account_numbers)
        for query in _queries(meter, measures, dimensions, span=span, frequency=definition.aggregation_frequency, time_zone=time_zone)
    )
    numbers = tuple(dict.fromkeys(f"{one.field_code}.{one.function}" for one in measures))
    ordered = rows.sort(ACCOUNT, "period_start", *keys, nulls_last=True)
    return MeterBreakdown(meter, keys, numbers, ordered.select(ACCOUNT, "period_start", "period_end", *keys, *numbers), notes)


def _queries(
    meter: Meter, measures: list[QueryAggregation], dimensions: Sequence[Dimension], *, span: Span, frequency: AggregationFrequency, time_zone: str
) -> list[UsageQuery]:
    """One query; of the lengths that the Data Explorer has no groups for, one per period."""
    named: Mapping[AggregationFrequency, Frequency] = {AggregationFrequency(f): f for f in Frequency if f in AggregationFrequency.__members__}
    if frequency in named:
        return [_query(meter, measures, dimensions, span, named[frequency])]
    whole = pl.DataFrame(
        {"service_start": [span[0]], "service_end": [span[1]]}, schema=dict.fromkeys(("service_start", "service_end"), pl.Datetime("us", "UTC"))
    )
    periods = statement_periods(whole, frequency, time_zone=time_zone)
    return [_query(meter, measures, dimensions, one, None) for one in periods.select("period_start", "period_end").iter_rows()]
