"""Exact arithmetic that never raises: + - * / % on Decimal(38, 12) columns.

Polars raises for a whole frame where one row overflows or divides by zero, and evaluates both branches of a when/then.
These functions give null for such a row instead. They look at the extremes of a batch first: where no row can fail, which
is nearly always, they are the plain operators. Whether a row fails depends on that row alone, so any split of the
rows gives the same values.

Put here what works on whole columns for the language's operators. Keep out powers (power.py) and rounding
to a scale (rounding.py). Source: DECISIONS 1, 3, 4.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

import polars as pl

from transforms.money import DECIMAL, EXACT, LIMIT

#: The largest Decimal(38, 12). Python's own operators on Decimals, the sign and abs() included, keep 28 digits only.
LARGEST = EXACT.subtract(LIMIT, Decimal("1e-12"))
_UNIT = 10**12
#: A dividend below this fits whatever the divisor, which is at least 10^-12.
_SMALL = LIMIT / _UNIT
#: Splits an unscaled value of up to 38 digits in two words.
_WORD = 10**13


def elementwise(function: Callable[..., pl.Series], *operands: pl.Expr, dtype: pl.DataType = DECIMAL) -> pl.Expr:
    """The expression of a function of whole columns whose rows don't depend on one another.

    Each operand enters the expression once, so that a formula's expression is as long as the formula. The result is as
    long as the operands; Polars' own when/then and coalesce give a single row where a literal decides every row, and
    compared with another literal that row does not fit its frame.
    """

    def applied(columns: Sequence[pl.Series]) -> pl.Series:
        return function(*aligned(columns))

    return pl.map_batches(list(operands), applied, return_dtype=dtype, is_elementwise=True)


def aligned(columns: Sequence[pl.Series]) -> list[pl.Series]:
    """The columns with literals, which come as one row, repeated to the length of the others."""
    lengths = {len(column) for column in columns}
    if len(lengths) == 1:
        return list(columns)
    (length,) = lengths - {1}
    return [column if len(column) == length else column.new_from_index(0, length) for column in columns]


def peak(column: pl.Series) -> Decimal:
    """The largest magnitude in a numeric column, 0 where there is none."""
    low, high = column.min(), column.max()
    if not isinstance(low, Decimal) or not isinstance(high, Decimal):
        return Decimal(0)
    return max(low.copy_abs(), high.copy_abs())


def repeated(value: Decimal | None, column: pl.Series) -> pl.Series:
    """A Decimal(38, 12) column of one value, as long as the given one."""
    return pl.Series([value], dtype=DECIMAL).new_from_index(0, len(column))


def where(mask: pl.Series, column: pl.Series, otherwise: Decimal | None = None) -> pl.Series:
    """The column where the mask is true, else the value (where the mask is null too)."""
    return column.zip_with(mask.fill_null(False), repeated(otherwise, column))


def _int128(value: int) -> pl.Series:
    return pl.Series([value], dtype=pl.Int128)


def sums(left: pl.Series, right: pl.Series) -> pl.Series:
    """The sum; null where it does not fit."""
    if EXACT.add(peak(left), peak(right)) <= LARGEST:
        return left + right
    # LARGEST - right can't overflow where right is positive, nor -LARGEST - right where it is negative.
    below = left <= repeated(LARGEST, right) - where(right > 0, right, Decimal(0))
    above = left >= repeated(LARGEST.copy_negate(), right) - where(right < 0, right, Decimal(0))
    return where(below & above, left) + right


def differences(left: pl.Series, right: pl.Series) -> pl.Series:
    """The difference; null where it does not fit."""
    return sums(left, -right)


def products(left: pl.Series, right: pl.Series) -> pl.Series:
    """The product, half-even at the 12th digit; null where it does not fit."""
    if EXACT.multiply(peak(left), peak(right)) <= LARGEST:
        return left * right
    return where(_product_fits(left.abs(), right.abs()), left) * right


def _product_fits(left: pl.Series, right: pl.Series) -> pl.Series:
    """True where the rounded product of two magnitudes is below 10^26.

    A float tells except within 1e-14 of the limit; there the product of the unscaled integers is compared digit by digit,
    in words of 13 digits: it fits when it is below (10^38 - 1/2) * 10^12.
    """
    estimate = left.cast(pl.Float64) * right.cast(pl.Float64)
    near = (estimate >= 1e26 * (1 - 1e-14)) & (estimate <= 1e26 * (1 + 1e-14))
    clear = estimate < 1e26
    if not near.any():
        return clear
    word = _int128(_WORD)
    a = where(near, left, Decimal(0)).to_physical()
    b = where(near, right, Decimal(0)).to_physical()
    a_high, a_low, b_high, b_low = a // word, a % word, b // word, b % word
    low = a_low * b_low
    middle = a_high * b_low + a_low * b_high + low // word
    high = a_high * b_high + middle // word
    middle, low = middle % word, low % word
    at_limit = (high == 10**24 - 1) & (middle == 10**13 - 1) & (low >= 95 * 10**11)
    return clear.zip_with(~near, (high < 10**24) & ~at_limit)


def quotients(left: pl.Series, right: pl.Series) -> pl.Series:
    """The quotient, half-even at the 12th digit; null where the divisor is zero or the quotient does not fit."""
    divisor = _divisors(right)
    if peak(left) < _SMALL or not (divisor.abs() < 1).any():
        return left / divisor
    # The quotient of unscaled integers a, b is a / b * 10^12, and |a| < 10^38: only |b| < 10^12 can overflow.
    bound = divisor.abs().to_physical().clip(upper_bound=_UNIT) * _int128(int(LIMIT))
    return where(left.abs().to_physical() < bound, left) / divisor


def _divisors(column: pl.Series) -> pl.Series:
    """The column with null for zero."""
    return where(column != 0, column) if (column == 0).any() else column


def remainders(left: pl.Series, right: pl.Series) -> pl.Series:
    """The remainder of left / right with the sign of left; null where the divisor is zero."""
    divisor = _divisors(right)
    # On magnitudes Polars' remainder, which takes the divisor's sign, is the one wanted.
    rest = left.abs() % divisor.abs()
    return rest.zip_with((left >= 0).fill_null(True), -rest)


def known(column: pl.Series, otherwise: pl.Series) -> pl.Series:
    """The column, with the other where it is null."""
    return column.zip_with(column.is_not_null(), otherwise)


def first_chosen(*conditions_and_values: pl.Series) -> pl.Series:
    """Of n conditions without nulls and then n + 1 values: each row's value of the first condition that is true, else the last."""
    count = len(conditions_and_values) // 2
    conditions, (*values, result) = conditions_and_values[:count], conditions_and_values[count:]
    for condition, value in zip(reversed(conditions), reversed(values), strict=True):
        result = value.zip_with(condition, result)
    return result


def largest(*columns: pl.Series) -> pl.Series:
    """The greatest value of each row; null where any is."""
    return _folded(columns, lambda left, right: left >= right)


def smallest(*columns: pl.Series) -> pl.Series:
    """The least value of each row; null where any is."""
    return _folded(columns, lambda left, right: left <= right)


def _folded(columns: tuple[pl.Series, ...], keeps_left: Callable[[pl.Series, pl.Series], pl.Series]) -> pl.Series:
    kept = columns[0]
    for column in columns[1:]:
        # Null on either side makes the choice null, which takes the right side; that is null, or made so.
        kept = kept.zip_with(keeps_left(kept, column).fill_null(False), where(kept.is_not_null(), column))
    return kept
