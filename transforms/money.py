"""Numbers: the exact decimal type and the only place that rounds money and units.

Put here every rounding of a quantity or an amount, in its scalar and its columnar form. Keep out prices, bands and
bills. Source: DECISIONS 1, 17, 23.
"""

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
)
from enum import StrEnum

import polars as pl

SCALE = 12
DECIMAL = pl.Decimal(38, SCALE)
#: Largest magnitude that a Decimal(38, 12) holds: 26 integer digits.
LIMIT = Decimal(10) ** 26
#: Enough digits that no intermediate of two Decimal(38, 12) loses one.
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


class RoundingMode(StrEnum):
    """How a currency rounds (java.math semantics: UP and DOWN are away from and toward zero)."""

    UP = "UP"
    DOWN = "DOWN"
    CEILING = "CEILING"
    FLOOR = "FLOOR"
    HALF_UP = "HALF_UP"
    HALF_DOWN = "HALF_DOWN"
    HALF_EVEN = "HALF_EVEN"
    UNNECESSARY = "UNNECESSARY"


class Rounding(StrEnum):
    """How an aggregation rounds total / quantityPerUnit to whole units (DECISIONS 17)."""

    UP = "UP"
    DOWN = "DOWN"
    NEAREST = "NEAREST"
    NONE = "NONE"


_PYTHON_MODES = {
    RoundingMode.UP: ROUND_UP,
    RoundingMode.DOWN: ROUND_DOWN,
    RoundingMode.CEILING: ROUND_CEILING,
    RoundingMode.FLOOR: ROUND_FLOOR,
    RoundingMode.HALF_UP: ROUND_HALF_UP,
    RoundingMode.HALF_DOWN: ROUND_HALF_DOWN,
    RoundingMode.HALF_EVEN: ROUND_HALF_EVEN,
    RoundingMode.UNNECESSARY: ROUND_HALF_EVEN,
}


def exact(value: Decimal) -> Decimal:
    """The value at 12 fractional digits, ties to even (DECISIONS 1)."""
    return value.quantize(Decimal(1).scaleb(-SCALE), rounding=ROUND_HALF_EVEN, context=EXACT)


def rounded(value: Decimal, *, places: int, mode: RoundingMode) -> Decimal:
    """The amount at ``places`` decimals in the given mode (billing.md 4.4, DECISIONS 23)."""
    return value.quantize(Decimal(1).scaleb(-places), rounding=_PYTHON_MODES[mode], context=EXACT)


def _floored(expr: pl.Expr, places: int) -> pl.Expr:
    # Polars' % on decimals takes the divisor's sign, so this is the floor for negative values too.
    return expr - expr % _step(places)


def _step(places: int) -> pl.Expr:
    return pl.lit(Decimal(1).scaleb(-places)).cast(DECIMAL)


def rounded_column(expr: pl.Expr, *, places: int, mode: RoundingMode) -> pl.Expr:
    """The Decimal(38, 12) column at ``places`` decimals in the given mode; equal to :func:`rounded` on every row.

    ``UNNECESSARY`` leaves the value as it is; whether it was exact is the caller's check (:func:`is_inexact`).
    """
    if places >= SCALE or mode is RoundingMode.UNNECESSARY:
        return expr
    # Polars rounds decimals exactly, and several times faster than the arithmetic below; it has these two modes.
    if mode is RoundingMode.HALF_UP:
        return expr.round(places, mode="half_away_from_zero")
    if mode is RoundingMode.HALF_EVEN:
        return expr.round(places, mode="half_to_even")
    floor = _floored(expr, places)
    rest = expr - floor
    step = _step(places)
    half = pl.lit(Decimal(5).scaleb(-places - 1)).cast(DECIMAL)
    zero = pl.lit(Decimal(0)).cast(DECIMAL)
    negative = expr < zero
    goes_up = {
        RoundingMode.UP: (rest > zero) & ~negative,
        RoundingMode.DOWN: (rest > zero) & negative,
        RoundingMode.CEILING: rest > zero,
        RoundingMode.FLOOR: pl.lit(False),
        RoundingMode.HALF_DOWN: (rest > half) | ((rest == half) & negative),
    }[mode]
    return floor + pl.when(goes_up).then(step).otherwise(zero)


def is_inexact(expr: pl.Expr, *, places: int) -> pl.Expr:
    """True where the Decimal(38, 12) column has digits after ``places`` decimals."""
    return _floored(expr, places) != expr


def units(total: pl.Expr, *, quantity_per_unit: Decimal, rounding: Rounding) -> pl.Expr:
    """Rated units: total / quantityPerUnit, rounded once (DECISIONS 17, billing.md 1.3)."""
    per = exact(quantity_per_unit)
    divided = total if per == 1 else total / pl.lit(per).cast(DECIMAL)
    mode = {Rounding.UP: RoundingMode.UP, Rounding.DOWN: RoundingMode.DOWN, Rounding.NEAREST: RoundingMode.HALF_UP}
    return divided if rounding is Rounding.NONE else rounded_column(divided, places=0, mode=mode[rounding])


def wire_number(value: Decimal) -> int | Decimal:
    """The number as JSON carries it: no exponent, no trailing zeros, whole numbers without a point."""
    if value == value.to_integral_value():
        return int(value)
    plain = value.normalize(EXACT)
    return Decimal(format(plain, "f"))
