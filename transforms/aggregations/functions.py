"""The aggregation methods in three parts: partial (from measurements), merge (of partials), final (the number).

Put here what a method is; keep out which rows it sees (aggregate.py, explorer.py) and where partials are kept (states.py).
Partials of any split of the rows, merged in any order, give the same final number. Every value is an exact decimal; the
only floats here bound a total's magnitude.

Columns of a partial: ``rows`` (measurements), and per field ``<code>.count`` (values that are not null), ``<code>.sum``,
``<code>.min``, ``<code>.max``, ``<code>.latest``. The order key of the latest values (``LATEST_KEY``) is shared by the
fields of a row: partials are split by which fields are null, so that within one all its values come from the same
measurement. A field code never has a dot, so nothing collides. Source: usage.md 4.2, DECISIONS 18.
"""

from collections.abc import Iterable, Sequence

import polars as pl

from transforms.aggregations.usage import field_column
from transforms.datasets import INSTANT
from transforms.entities.usage import Method
from transforms.money import DECIMAL, LIMIT

ROWS = "rows"
#: What "latest" compares, in this order: event instant, receipt, uid (DECISIONS 18). Column -> (source column, type).
LATEST_KEY: dict[str, tuple[str, pl.DataType | type[pl.DataType]]] = {
    "latest_ts": ("ts", INSTANT),
    "latest_received_at": ("received_at", INSTANT),
    "latest_uid": ("uid", pl.String),
}
#: Parts of a numeric field's partial, in column order.
PARTS = ("count", "sum", "min", "max", "latest")
#: The parts that each method reads.
PARTS_OF: dict[Method, tuple[str, ...]] = {
    Method.SUM: ("count", "sum", "min", "max"),
    Method.MEAN: ("count", "sum", "min", "max"),
    Method.MIN: ("min",),
    Method.MAX: ("max",),
    Method.COUNT: ("count",),
    Method.LATEST: ("count", "latest"),
}
_NULLS = "nulls"
#: A total is exact in 128 bits as long as count * largest magnitude stays below this.
_BOUND = float(LIMIT) * 0.999


def column(code: str, part: str) -> str:
    """Name of a partial's column."""
    return f"{code}.{part}"


def dtype(part: str) -> pl.DataType | type[pl.DataType]:
    """Type of a part's column."""
    return pl.Int64 if part == "count" else DECIMAL


def parts_of(needed: Iterable[tuple[str, Method]]) -> tuple[tuple[str, str], ...]:
    """The (field, part) pairs that these (field, method) pairs read, each once, in a fixed order."""
    pairs = {(code, part) for code, method in needed for part in PARTS_OF[method]}
    return tuple(sorted(pairs, key=lambda pair: (pair[0], PARTS.index(pair[1]))))


def _is_bounded(counts: pl.Expr, least: pl.Expr, greatest: pl.Expr) -> pl.Expr:
    magnitude = pl.max_horizontal(least.cast(pl.Float64).abs(), greatest.cast(pl.Float64).abs())
    return counts.cast(pl.Float64) * magnitude < _BOUND


def _sum_where(is_exact: pl.Expr, value: pl.Expr) -> pl.Expr:
    """The sum, null where it may not be exact or there is none.

    A decimal sum beyond 38 digits fails the whole frame in one engine and wraps without a word in the other; a sum of the
    128-bit integers behind the decimals always wraps, and is right wherever ``is_exact`` holds.
    """
    return pl.when(is_exact).then(value.to_physical().sum()).reinterpret(dtype=DECIMAL)


def _partial(code: str, part: str) -> pl.Expr:
    value = pl.col(field_column(code))
    match part:
        case "count":
            expr = value.count().cast(pl.Int64)
        case "sum":
            is_exact = (value.count() > 0) & _is_bounded(value.count(), value.min(), value.max())
            expr = _sum_where(is_exact, value)
        case "min":
            expr = value.min()
        case "max":
            expr = value.max()
        case "latest":
            expr = value.max_by(_key(source for source, _ in LATEST_KEY.values()))
        case _:
            raise AssertionError(part)
    return expr.alias(column(code, part))


def _merge(code: str, part: str) -> pl.Expr:
    name = column(code, part)
    count, own = pl.col(column(code, "count")), pl.col(name)
    match part:
        case "count":
            expr = own.sum()
        case "sum":
            least, greatest = pl.col(column(code, "min")), pl.col(column(code, "max"))
            is_lost = ((count > 0) & own.is_null()).any()
            is_exact = (count.sum() > 0) & ~is_lost & _is_bounded(count.sum(), least.min(), greatest.max())
            expr = _sum_where(is_exact, own)
        case "min":
            expr = own.min()
        case "max":
            expr = own.max()
        case "latest":
            # The event instant is masked where the partial has no value of the field; a masked one sorts before all others.
            first, *others = LATEST_KEY
            expr = own.max_by(pl.struct(pl.when(count > 0).then(pl.col(first)).alias(first), *others))
        case _:
            raise AssertionError(part)
    return expr.alias(name)


def _key(columns: Iterable[str]) -> pl.Expr:
    return pl.struct(*columns)


def _has_latest(parts: Sequence[tuple[str, str]]) -> bool:
    return any(part == "latest" for _, part in parts)


def _null_pattern(is_null: Iterable[pl.Expr]) -> pl.Expr:
    bits = [expr.cast(pl.Int32) * (1 << n) for n, expr in enumerate(is_null)]
    return pl.sum_horizontal(bits).alias(_NULLS)


def _fields_with_latest(parts: Sequence[tuple[str, str]]) -> list[str]:
    return [code for code, part in parts if part == "latest"]


def partial(rows: pl.LazyFrame, keys: Sequence[str], parts: Sequence[tuple[str, str]]) -> pl.LazyFrame:
    """Partials of measurements.

    Args:
        rows: Measurements with the key columns.
        keys: Columns to group by; at least one.
        parts: (field, part) pairs wanted; ``sum`` and ``latest`` with the parts that PARTS_OF names beside them.

    Returns:
        One or more rows per key (they merge exactly): keys, ``rows``, the parts, and LATEST_KEY when a latest is asked for.
    """
    aggregates = [pl.len().cast(pl.Int64).alias(ROWS), *(_partial(code, part) for code, part in parts)]
    latest = _fields_with_latest(parts)
    if not latest:
        return rows.group_by(*keys).agg(*aggregates)
    key = _key(source for source, _ in LATEST_KEY.values())
    aggregates += [pl.col(source).max_by(key).alias(name) for name, (source, _) in LATEST_KEY.items()]
    pattern = _null_pattern(pl.col(field_column(code)).is_null() for code in latest)
    return rows.group_by(*keys, pattern).agg(*aggregates).drop(_NULLS)


def merged(
    partials: pl.LazyFrame, keys: Sequence[str], parts: Sequence[tuple[str, str]], *, final: bool = True, also: Sequence[pl.Expr] = ()
) -> pl.LazyFrame:
    """Partials of the same parts, merged.

    Args:
        partials: Rows as :func:`partial` gives them.
        keys: Columns to group by.
        parts: The parts to keep; a ``sum`` needs ``count``, ``min`` and ``max`` beside it, a ``latest`` needs ``count``.
        final: True for one row per key, whose LATEST_KEY is gone; False for rows that can be merged again.
        also: Further aggregates over the partials' other columns.
    """
    aggregates = [pl.col(ROWS).sum(), *(_merge(code, part) for code, part in parts), *also]
    latest = _fields_with_latest(parts)
    if final or not latest:
        return partials.group_by(*keys).agg(*aggregates)
    key = _key(LATEST_KEY)
    aggregates += [pl.col(name).max_by(key) for name in LATEST_KEY]
    pattern = _null_pattern(pl.col(column(code, "count")) == 0 for code in latest)
    return partials.group_by(*keys, pattern).agg(*aggregates).drop(_NULLS)


def final(code: str, method: Method) -> pl.Expr:
    """The method's number from a merged partial: Decimal(38, 12); null when all values are null (COUNT gives 0), or beyond range."""
    match method:
        case Method.COUNT:
            return pl.col(column(code, "count")).cast(DECIMAL)
        case Method.MEAN:
            count = pl.col(column(code, "count"))
            return pl.col(column(code, "sum")) / pl.when(count > 0).then(count).cast(DECIMAL)
        case _:
            return pl.col(column(code, method.value.lower()))


def is_out_of_range(code: str, method: Method) -> pl.Expr:
    """True where the total has more than 26 integer digits, so that SUM and MEAN can't be given."""
    if "sum" not in PARTS_OF[method]:
        return pl.lit(False)
    return (pl.col(column(code, "count")) > 0) & pl.col(column(code, "sum")).is_null()


def unique_count(code: str) -> pl.Expr:
    """UNIQUE over distinct values: the number of those that are not null."""
    return pl.col(column(code, "value")).is_not_null().sum().cast(pl.Int64).alias(column(code, "count"))
