"""``^`` and Math.pow on Decimal(38, 12) columns; a row without a real result that fits is null.

Whole exponents are exact and rounded half-even at the 12th digit once. Fractional exponents go through a 64-bit float
(DECISIONS 1).
"""

from decimal import Decimal

import polars as pl

from transforms.expressions.arithmetic import LARGEST, products, repeated, where
from transforms.money import DECIMAL, EXACT, exact

#: Beyond this an exponent gives 0 or overflows unless the base is 0, 1 or -1: only its parity matters.
_ENOUGH = 2**50
#: The same for whole bases.
_ENOUGH_FOR_WHOLE = 2**7
#: (fractional digits of the base, largest exponent): products of so few digits fit 12 and are not rounded before the last.
_UNROUNDED = ((2, 6), (4, 3), (12, 2))


def powers(bases: pl.Series, exponents: pl.Series) -> pl.Series:
    """The powers; null on overflow, for 0 to a negative and for a negative to a fraction."""
    whole = (exponents % repeated(Decimal(1), exponents) == 0).fill_null(True)
    if whole.all():
        return _whole_powers(bases, exponents)
    fractional = _fractional_powers(where(~whole, bases), exponents)
    return _whole_powers(where(whole, bases), where(whole, exponents)).zip_with(whole, fractional)


def _fractional_powers(bases: pl.Series, exponents: pl.Series) -> pl.Series:
    result = bases.cast(pl.Float64).pow(exponents.cast(pl.Float64))
    fits = (result.is_finite() & (result.abs() < 1e26)).fill_null(False)
    return result.zip_with(fits, pl.Series([None], dtype=pl.Float64).new_from_index(0, len(result))).cast(DECIMAL)


def _whole_powers(bases: pl.Series, exponents: pl.Series) -> pl.Series:
    """The exact powers: by repeated products where those are exact, else once per distinct base and exponent."""
    unrounded = bases % repeated(Decimal(1), bases) == 0
    for digits, largest in _UNROUNDED:
        unrounded |= (bases % repeated(Decimal(1).scaleb(-digits), bases) == 0) & (exponents <= largest)
    unrounded = (unrounded & (exponents >= 0)).fill_null(False)
    result = _multiplied(where(unrounded, bases), _bounded(where(unrounded, exponents), _ENOUGH_FOR_WHOLE))
    if unrounded.all():
        return result
    return _once_per_pair(where(~unrounded, bases), _bounded(exponents, _ENOUGH)).zip_with(~unrounded, result)


def _bounded(exponents: pl.Series, enough: int) -> pl.Series:
    """The exponents as integers with magnitudes of at most enough + 1, their parity kept."""
    odd = exponents.abs() % repeated(Decimal(2), exponents)
    bound = odd + repeated(Decimal(enough), odd)
    bounded = exponents.zip_with((exponents <= bound).fill_null(True), bound)
    return bounded.zip_with((bounded >= -bound).fill_null(True), -bound).cast(pl.Int64)


def _multiplied(bases: pl.Series, counts: pl.Series) -> pl.Series:
    """The powers of natural exponents by squaring; a square that overflows spoils only the rows that need it."""
    result, square = where(bases.is_not_null() & counts.is_not_null(), repeated(Decimal(1), bases)), bases
    while (counts > 0).any():
        odd = (counts % 2 == 1).fill_null(False)
        result = products(result, square).zip_with(odd, result)
        counts = counts // 2
        square = products(where(counts > 0, square), square)
    return result


def _once_per_pair(bases: pl.Series, counts: pl.Series) -> pl.Series:
    """Powers whose digits no column type holds: in 80 digits, over the distinct pairs of base and count only."""
    pairs = pl.DataFrame({"base": bases, "count": counts})
    estimate = bases.abs().cast(pl.Float64).pow(counts.cast(pl.Float64))
    known = pairs.filter(estimate < 1.1e26).unique()
    values = [exact(EXACT.power(base, count)) for base, count in known.iter_rows()]
    powers_of_pairs = known.with_columns(power=pl.Series([v if v.copy_abs() <= LARGEST else None for v in values], dtype=DECIMAL))
    return pairs.join(powers_of_pairs, on=["base", "count"], how="left", maintain_order="left")["power"]
