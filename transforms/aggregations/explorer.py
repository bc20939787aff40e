"""The Data Explorer: a usage query answered with the functions, states and windows that bills use.

Put here which rows answer a query and what its rows look like. Keep out the request's rules (usage_query.py) and accounts'
ids and codes, which the caller joins to the few rows that come back. Whole local days come from a state that has all the
fields the query needs, where there is one, of all accounts together where nothing asks for accounts; everything else from
measurements. Source: usage.md 7.1, DECISIONS 40.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from transforms.aggregations.functions import ROWS, column, final, merged, partial, parts_of, unique_count
from transforms.aggregations.spans import Span, bounded
from transforms.aggregations.states import with_value
from transforms.aggregations.time_groups import group_day, group_hour, midnight, next_group
from transforms.aggregations.usage import MeterUsage, StateKind, StateSpec, field_column
from transforms.aggregations.usage_query import GROUP_KEYS, ROW_KEYS, Frequency, QueryAggregation, UsageQuery, aggregation_keys
from transforms.datasets import INSTANT
from transforms.entities.usage import Method

ACCOUNT = "account_number"
_START, _LAST, _ALL = "startTime", "last date", "all"
#: Whole months lie in one group of these.
_MONTHS = (None, Frequency.MONTH, Frequency.QUARTER)


@dataclass(frozen=True)
class _Question:
    """Aggregations of one meter that one group_by answers.

    Attributes:
        usage: The meter's usage.
        asked: Row key and aggregation, of one state.
        spec: The state that answers them when nothing splits or filters by another field.
    """

    usage: MeterUsage
    asked: tuple[tuple[str, QueryAggregation], ...]
    spec: StateSpec

    @property
    def unique(self) -> str | None:
        """The field of a UNIQUE."""
        return self.spec.field if self.spec.kind is StateKind.UNIQUE else None


_KINDS = {Method.UNIQUE: StateKind.UNIQUE, Method.LATEST: StateKind.LATEST}


def _questions(query: UsageQuery, usage: Mapping[str, MeterUsage]) -> Iterable[_Question]:
    keys = aggregation_keys(query, {meter_id: found.meter for meter_id, found in usage.items()})
    groups: dict[StateSpec, list[tuple[str, QueryAggregation]]] = {}
    for key, one in dict(zip(keys, query.aggregations, strict=True)).items():
        kind = _KINDS.get(one.function, StateKind.NUMERIC)
        groups.setdefault(StateSpec(one.meter_id, kind, "" if kind is StateKind.NUMERIC else one.field_code), []).append((key, one))
    return [_Question(usage[spec.meter_id], tuple(asked), spec) for spec, asked in groups.items()]


def query_span(query: UsageQuery, *, time_zone: str, account_numbers: Sequence[int] | None) -> Span:
    """The query's time as a span of windows: the accounts', or one for all.

    Args:
        query: The query.
        time_zone: The organization's, a tz database name.
        account_numbers: Of the query's accounts; None for all.
    """
    accounts = [None] if account_numbers is None else list(account_numbers)
    windows = pl.DataFrame(
        {ACCOUNT: accounts, "window_start": [query.start_date] * len(accounts), "window_end": [query.end_date] * len(accounts)},
        schema={ACCOUNT: pl.Int32, "window_start": INSTANT, "window_end": INSTANT},
    )
    return Span(bounded(windows, time_zone), ACCOUNT, account_numbers is not None)


def _states(question: _Question, query: UsageQuery, span: Span, fields: Iterable[str]) -> list[pl.LazyFrame]:
    """The states that answer the question for whole days, if they have the fields.

    Pooled ones where no account is asked for, those by month where no group is shorter.
    """
    states = question.usage.states
    days = states.get(question.spec) if {*fields} <= {question.unique} else None
    if days is None or query.frequency is Frequency.HOUR or not span.has_whole_days:
        return []
    pooled = None if query.is_by_account or span.names_accounts else states.get(question.spec.pooled)
    if pooled is not None:
        return [span.whole_days(pooled)]
    return span.states(days, states.get(question.spec.by_month) if query.frequency in _MONTHS else None)


def _filtered(rows: pl.LazyFrame, query: UsageQuery, meter_id: str) -> pl.LazyFrame:
    for one in query.filters(meter_id):
        rows = rows.filter(pl.col(column(one.field_code, "value")).is_in(one.values))
    return rows


def _sources(
    question: _Question, query: UsageQuery, span: Span, fields: Sequence[str], time_zone: str
) -> tuple[list[pl.LazyFrame], list[pl.LazyFrame]]:
    """States and measurements that answer the question, with the fields as ``<code>.value`` and the time group."""
    meter_id = question.usage.meter.id
    whole = _states(question, query, span, fields)
    rest = span.edges(question.usage.measurements) if whole else span.rows(question.usage.measurements)
    for code in dict.fromkeys((*fields, *([question.unique] if question.unique is not None else []))):
        rest = None if rest is None else with_value(rest, code)
    # A group column even where nothing tells rows apart.
    added = [pl.lit(0, dtype=pl.Int8).alias(_ALL)]
    if query.frequency is Frequency.HOUR:
        added.append(group_hour(pl.col("ts"), time_zone).alias(_START))
    elif query.frequency is not None:
        added.append(group_day(pl.col("date"), query.frequency).alias(_START))

    def grouped(frames: Iterable[pl.LazyFrame]) -> list[pl.LazyFrame]:
        return [_filtered(rows, query, meter_id).with_columns(added) for rows in frames]

    return grouped(whole), grouped([] if rest is None else [rest])


def _keys(query: UsageQuery, meter_id: str) -> list[str]:
    return [
        *([ACCOUNT] if query.is_by_account else []),
        *(column(code, "value") for code in query.dimensions(meter_id)),
        *([_START] if query.frequency is not None else []),
        _ALL,
    ]


def _answer(question: _Question, query: UsageQuery, span: Span, time_zone: str) -> pl.LazyFrame:
    """One row per group with usage: the group's keys, the numbers, the last day."""
    meter_id = question.usage.meter.id
    keys = _keys(query, meter_id)
    fields = tuple(dict.fromkeys((*query.dimensions(meter_id), *(f.field_code for f in query.filters(meter_id)))))
    whole, rest = _sources(question, query, span, fields, time_zone)
    if question.unique is not None:
        value = column(question.unique, "value")
        rows = pl.concat([frame.select(*dict.fromkeys((*keys, value, "date"))) for frame in (*whole, *rest)])
        distinct = rows.group_by(*dict.fromkeys((*keys, value))).agg(pl.col("date").max().alias(_LAST))
        grouped = distinct.group_by(*keys).agg(pl.col(_LAST).max(), unique_count(question.unique))
    else:
        parts = parts_of((one.field_code, one.function) for _, one in question.asked)
        # Partials by day, so that the group's last day is known; a day is one more key of few values.
        partials = [partial(rows, [*keys, "date"], parts) for rows in rest]
        kept = [*dict.fromkeys((*keys, "date")), ROWS, *(column(code, part) for code, part in parts)]
        rows = pl.concat([frame.select(kept) for frame in (*whole, *partials)])
        grouped = merged(rows, keys, parts, also=[pl.col("date").max().alias(_LAST)])
    numbers = [final(one.field_code, Method.COUNT if one.function is Method.UNIQUE else one.function).alias(key) for key, one in question.asked]
    names = {column(code, "value"): dimension_key(code) for code in query.dimensions(meter_id)}
    return grouped.select(*(pl.col(key).alias(names.get(key, key)) for key in keys if key != _ALL), pl.col(_LAST), *numbers)


def dimension_key(code: str) -> str:
    """The row key of a string field that rows are told apart by."""
    return f"{code}.value" if code in GROUP_KEYS else code


def explored(query: UsageQuery, *, time_zone: str, usage: Mapping[str, MeterUsage], account_numbers: Sequence[int] | None) -> pl.LazyFrame:
    """The rows of a query with aggregations, most recent first.

    Args:
        query: Checked, with aggregations.
        time_zone: The organization's, a tz database name.
        usage: By meter id, for the query's meters.
        account_numbers: Of the query's accounts; None for all.

    Returns:
        At most ``limit + 1`` rows (one more than asked for tells that there are more): ``account_number`` when grouped by
        account, the fields' codes, ``startTime`` and ``endTime`` (UTC), and a column per aggregation; null where a group
        has no number.
    """
    span = query_span(query, time_zone=time_zone, account_numbers=account_numbers)
    answers = [_answer(question, query, span, time_zone) for question in _questions(query, usage)]
    groups = list(
        dict.fromkeys(
            [
                *([_START] if query.frequency is not None else []),
                *([ACCOUNT] if query.is_by_account else []),
                *(dimension_key(g.field_code) for g in query.groups if g.field_code is not None),
            ]
        )
    )
    numbers = list(dict.fromkeys(aggregation_keys(query, {meter_id: found.meter for meter_id, found in usage.items()})))
    rows = answers[0]
    if len(answers) > 1:
        together = pl.concat(answers, how="diagonal").with_columns(pl.lit(0, dtype=pl.Int8).alias(_ALL))
        rows = together.group_by(*groups, _ALL).agg(pl.col(_LAST).max(), *(pl.col(key).max() for key in numbers))
    recent = [_START, _LAST] if query.frequency is not None else [_LAST]
    others = [key for key in groups if key != _START]
    ordered = rows.sort(*recent, *others, descending=[True] * len(recent) + [False] * len(others), nulls_last=True).head(query.limit + 1)
    if query.frequency is Frequency.HOUR:
        ordered = ordered.with_columns((pl.col(_START) + pl.duration(hours=1)).alias("endTime"))
    elif query.frequency is not None:
        end = midnight(next_group(pl.col(_START), query.frequency), time_zone)
        ordered = ordered.with_columns(midnight(pl.col(_START), time_zone).alias(_START), end.alias("endTime"))
    shown = [*others, *([_START, "endTime"] if query.frequency is not None else []), *numbers]
    return ordered.select(shown)


def newest_days(
    query: UsageQuery, *, time_zone: str, usage: Mapping[str, MeterUsage], account_numbers: Sequence[int] | None
) -> dict[str, pl.LazyFrame]:
    """Per meter the day from which on there are surely as many measurements as the query asks for.

    Args:
        query: Checked, without aggregations.
        time_zone: The organization's, a tz database name.
        usage: By meter id, for the query's meters.
        account_numbers: Of the query's accounts; None for all.

    Returns:
        By meter id one row at most, ``date``; no row, or no entry, where all days have to be read.
    """
    span = query_span(query, time_zone=time_zone, account_numbers=account_numbers)
    found = {}
    for meter_id, one in usage.items():
        by_account = one.states.get(StateSpec(meter_id))
        states = by_account if span.names_accounts else one.states.get(StateSpec(meter_id).pooled, by_account)
        if states is not None and span.has_whole_days and not query.filters(meter_id):
            counts = span.whole_days(states).group_by("date").agg(pl.col(ROWS).sum()).sort("date", descending=True)
            found[meter_id] = counts.filter(pl.col(ROWS).cum_sum() > query.limit).select("date").head(1)
    return found


def raw_measurements(
    query: UsageQuery, *, time_zone: str, usage: Mapping[str, MeterUsage], account_numbers: Sequence[int] | None, since: Mapping[str, date]
) -> dict[str, pl.LazyFrame]:
    """The measurements that a query without aggregations asks for, per meter, newest first.

    Args:
        query: Checked, without aggregations.
        time_zone: The organization's, a tz database name.
        usage: By meter id, for the query's meters.
        account_numbers: Of the query's accounts; None for all.
        since: By meter id the day before which nothing has to be read, see :func:`newest_days`.

    Returns:
        By meter id, at most ``limit + 1`` rows each: account_number, ts, ets, uid, receivedAt and the fields by code.
    """
    span = query_span(query, time_zone=time_zone, account_numbers=account_numbers)
    found = {}
    for meter_id, one in usage.items():
        fields = tuple(dict.fromkeys(f.field_code for f in query.filters(meter_id)))
        measurements = one.measurements.filter(pl.col("date") >= since[meter_id]) if meter_id in since else one.measurements
        rows = span.rows(measurements)
        for code in fields:
            rows = with_value(rows, code)
        rows = _filtered(rows, query, meter_id)
        columns = [pl.col(field_column(f.code)).alias(f"{f.code}.value" if f.code in ROW_KEYS else f.code) for f in one.meter.fields]
        newest = rows.select(ACCOUNT, "ts", "ets", "uid", pl.col("received_at").alias("receivedAt"), *columns)
        found[meter_id] = newest.sort("ts", "receivedAt", "uid", descending=True).head(query.limit + 1)
    return found
