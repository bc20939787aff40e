"""The aggregation methods in three parts: partial (from measurements), merge (of partials), final (the number).

Put here what a method is; keep out which rows it sees (aggregate.py, explorer.py) and where partials are kept (states.py).
Partials of any split of the rows, merged in any order, give the same final number. Every value is an exact decimal; the
only floats here bound a total's magnitude.

Columns of a partial: ``rows`` (measurements), and per field ``<code>.count`` (values that are not null), ``<code>.sum``,
``<code>.min``, ``<code>.max``, and for the latest value ``<code>.latest`` with its order key ``<code>.latest_ts``,
``<code>.latest_received_at``, ``<code>.latest_uid``. A field code never has a dot, so nothing collides. Source: usage.md
4.2, DECISIONS 18.
"""

from collections.abc import Iterable, Sequence

import polars as pl

from transforms.aggregations.usage import field_column
from transforms.datasets import INSTANT
from transforms.entities.usage import Method
from transforms.money import DECIMAL, LIMIT

ROWS = "rows"
#: What "latest" compares, in this order: event instant, receipt, uid (DECISIONS 18). Part -> (source column, type).
LATEST_KEY: dict[str, tuple[str, pl.DataType | type[pl.DataType]]] = {
    "latest_ts": ("ts", INSTANT),
    "latest_received_at": ("received_at", INSTANT),
    "latest_uid": ("uid", pl.String),
}
TOTALS = ("count", "sum", "min", "max")
LATEST = ("latest", *LATEST_KEY)
_PARTS = (*TOTALS, *LATEST)
#: The parts that each method reads.
PARTS_OF: dict[Method, tuple[str, ...]] = {
    Method.SUM: ("count", "sum"),
    Method.MEAN: ("count", "sum"),
    Method.MIN: ("min",),
    Method.MAX: ("max",),
    Method.COUNT: ("count",),
    Method.LATEST: LATEST,
}
#: A total is exact in 128 bits as long as the magnitudes of what is added stay below this together.
_BOUND = float(LIMIT) * 0.999


def column(code: str, part: str) -> str:
    """Name of a partial's column."""
    return f"{code}.{part}"


def dtype(part: str) -> pl.DataType | type[pl.DataType]:
    """Type of a part's column."""
    if part in LATEST_KEY:
        return LATEST_KEY[part][1]
    return pl.Int64 if part == "count" else DECIMAL


def parts_of(needed: Iterable[tuple[str, Method]]) -> tuple[tuple[str, str], ...]:
    """The (field, part) pairs that these (field, method) pairs read, each once, in a fixed order."""
    pairs = {(code, part) for code, method in needed for part in PARTS_OF[method]}
    return tuple(sorted(pairs, key=lambda pair: (pair[0], _PARTS.index(pair[1]))))


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
        case _:
            # The instant is masked where there is no value; masked ones sort before all others.
            ts, *others = (source for source, _ in LATEST_KEY.values())
            key = pl.struct(pl.when(value.is_not_null()).then(pl.col(ts)).alias(ts), *others)
            expr = (value if part == "latest" else pl.col(LATEST_KEY[part][0])).max_by(key)
    return expr.alias(column(code, part))


def _merge(code: str, part: str) -> pl.Expr:
    name = column(code, part)
    count, own = pl.col(column(code, "count")), pl.col(name)
    match part:
        case "count":
            expr = own.sum()
        case "sum":
            is_lost = ((count > 0) & own.is_null()).any()
            is_exact = (count.sum() > 0) & ~is_lost & (own.cast(pl.Float64).abs().sum() < _BOUND)
            expr = _sum_where(is_exact, own)
        case "min":
            expr = own.min()
        case "max":
            expr = own.max()
        case _:
            ts, *others = (column(code, name) for name in LATEST_KEY)
            key = pl.struct(pl.when(pl.col(column(code, "latest")).is_not_null()).then(pl.col(ts)).alias(ts), *others)
            expr = own.max_by(key)
    return expr.alias(name)


def partial(rows: pl.LazyFrame, keys: Sequence[str], parts: Sequence[tuple[str, str]], *, also: Sequence[pl.Expr] = ()) -> pl.LazyFrame:
    """Partials of measurements: one row per combination of the keys, with ``rows`` and the parts.

    Args:
        rows: Measurements with the key columns.
        keys: Columns to group by; at least one.
        parts: (field, part) pairs wanted.
        also: Further aggregates over the measurements.
    """
    return rows.group_by(*keys).agg(pl.len().cast(pl.Int64).alias(ROWS), *(_partial(code, part) for code, part in parts), *also)


def merged(partials: pl.LazyFrame, keys: Sequence[str], parts: Sequence[tuple[str, str]], *, also: Sequence[pl.Expr] = ()) -> pl.LazyFrame:
    """Partials of the same parts merged into one row per combination of the keys, which can be merged again.

    Args:
        partials: Rows as :func:`partial` gives them.
        keys: Columns to group by.
        parts: The parts to keep: of a method, all that PARTS_OF names.
        also: Further aggregates over the partials' other columns.
    """
    return partials.group_by(*keys).agg(pl.col(ROWS).sum(), *(_merge(code, part) for code, part in parts), *also)


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


def unique_count(code: str, *, of: str = "value") -> pl.Expr:
    """UNIQUE over distinct values: the number of those that are not null.

    Args:
        code: The field.
        of: ``value``, or ``count`` where the rows are known to have distinct values: the count of a null value is 0.
    """
    is_value = pl.col(column(code, "value")).is_not_null() if of == "value" else pl.col(column(code, of)) > 0
    return is_value.sum().cast(pl.Int64).alias(column(code, "count"))
