"""Exact arithmetic on columns that can't take a whole run down: what does not fit is null on its own row.

Polars raises for the whole frame when a Decimal product or sum overflows, and a grouped sum wraps silently. These
functions look at magnitudes first; a row beyond 9e25 comes out null, which fails that row's bill alone (DECISIONS 34).
Put here arithmetic, keep out rounding (``transforms/money.py``) and meaning.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

import polars as pl

from transforms.money import DECIMAL

#: Just below the largest Decimal(38, 12), so that one rounding step more still fits.
SAFE = Decimal("9e25")
ZERO = pl.lit(Decimal(0)).cast(DECIMAL)


def literal(value: Decimal | int) -> pl.Expr:
    """The number as a Decimal(38, 12) literal."""
    return pl.lit(Decimal(value)).cast(DECIMAL)


def _magnitude(column: pl.Series) -> Decimal:
    least, most = column.min(), column.max()
    if least is None or most is None:
        return Decimal(0)
    return max(abs(Decimal(str(least))), abs(Decimal(str(most))))


def fitting(a: pl.Series) -> pl.Series:
    """The column, null where its magnitude reaches 9e25."""
    return a if _magnitude(a) < SAFE else a.to_frame("a").select(pl.when(pl.col("a").abs() < literal(SAFE)).then("a")).to_series()


def product(a: pl.Series, b: pl.Series) -> pl.Series:
    """A * b, half-even at 12 digits; null where a factor is null or the product's magnitude reaches 9e25."""
    if _magnitude(a) * _magnitude(b) >= SAFE:
        fits = (a.cast(pl.Float64) * b.cast(pl.Float64)).abs() < float(SAFE)
        a = a.to_frame("a").select(pl.when(fits).then("a")).to_series()
    return a * b


def quotient(a: pl.Series, b: pl.Series) -> pl.Series:
    """A / b, half-even at 12 digits; null where an operand is null, b is 0 or the magnitude reaches 9e25."""
    frame = pl.DataFrame({"a": a, "b": b}).with_columns(b=pl.when(pl.col("b") != ZERO).then("b"))
    least = frame["b"].abs().min()
    if least is not None and _magnitude(a) / Decimal(str(least)) >= SAFE:
        fits = (pl.col("a").cast(pl.Float64) / pl.col("b").cast(pl.Float64)).abs() < float(SAFE)
        frame = frame.with_columns(a=pl.when(fits).then("a"))
    return frame["a"] / frame["b"]


def shared(a: pl.Series, part: pl.Series, whole: pl.Series) -> pl.Series:
    """A * part / whole; where the product does not fit, a times the quotient."""
    exactly, roughly = quotient(product(a, part), whole), product(a, quotient(part, whole))
    return pl.DataFrame({"a": exactly, "b": roughly}).select(pl.coalesce("a", "b").alias(a.name)).to_series()


def total(columns: Sequence[pl.Series]) -> pl.Series:
    """The row-wise sum; null where a term is null or the magnitude reaches 9e25."""
    head, *rest = columns
    if sum(map(_magnitude, columns)) >= SAFE:
        weight = sum((c.cast(pl.Float64).abs() for c in rest), head.cast(pl.Float64).abs())
        fits = weight < float(SAFE)
        head, *rest = [c.to_frame("c").select(pl.when(fits).then("c")).to_series() for c in columns]
    for column in rest:
        head = head + column
    return head


def sums(frame: pl.DataFrame, keys: Sequence[str], value: str) -> pl.DataFrame:
    """``value`` summed by ``keys`` with the number of ``rows`` (UInt32): one row per key, no order.

    The sum is null where a term is null or the magnitudes together reach 9e25.
    """
    weights = pl.col(value).cast(pl.Float64).abs().sum().alias("_weight")
    is_small = _magnitude(frame[value]) * max(frame.height, 1) < SAFE
    grouped = frame.group_by(keys).agg(pl.col(value).sum(), *([] if is_small else [weights]), rows=pl.len(), _present=pl.col(value).count())
    is_complete = pl.col("_present") == pl.col("rows")
    fits = is_complete if is_small else is_complete & (pl.col("_weight") < float(SAFE))
    return grouped.select(*keys, "rows", pl.when(fits).then(pl.col(value)).alias(value))


def by_part(frame: pl.DataFrame, column: str, change: Callable[[pl.DataFrame, int], pl.DataFrame]) -> pl.DataFrame:
    """``change`` applied to the rows of each distinct number in ``column`` (a position in a configuration-sized tuple).

    Rows come back grouped by that number, in their given order within; the frame is not copied when there is one number.
    """
    numbers = sorted(frame[column].unique().to_list())
    if len(numbers) <= 1:
        return change(frame, numbers[0] if numbers else 0)
    return pl.concat([change(frame.filter(pl.col(column) == n), n) for n in numbers])
