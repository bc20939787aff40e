"""Math.floor, Math.ceil and Math.round on Decimal(38, 12) columns; a row whose result does not fit is null.

Put here rounding that a formula asks for. Keep out the rounding of money and units (transforms/money.py).
Source: DECISIONS 3, usage.md 3.3.
"""

from decimal import Decimal
from enum import Enum

import polars as pl

from transforms.expressions.arithmetic import repeated, sums, where
from transforms.money import LIMIT, SCALE

#: At this scale every value is below half a step.
_COARSEST = -27


class Direction(Enum):
    """Where a value between two steps goes; HALF_UP sends the middle toward plus infinity."""

    FLOOR = "floor"
    CEILING = "ceil"
    HALF_UP = "round"


def rounded_to(values: pl.Series, scales: pl.Series, *, direction: Direction) -> pl.Series:
    """The values at ``scales`` decimals (negative: powers of ten); null where the scale is not a whole number."""
    result = repeated(None, values)
    for scale in scales.unique().drop_nulls().to_list():
        if scale == scale.to_integral_value():
            result = _at(values, max(_COARSEST, min(SCALE, int(scale))), direction).zip_with((scales == scale).fill_null(False), result)
    return result


def _at(values: pl.Series, scale: int, direction: Direction) -> pl.Series:
    if scale >= SCALE:
        return values
    if -scale >= 26:
        return _at_huge_step(values, scale, direction)
    step = Decimal(1).scaleb(-scale)
    # Polars' remainder takes the step's sign: it is the distance from the step below, for negative values too.
    above_floor = values % repeated(step, values)
    to_floor = -above_floor
    to_ceiling = where(above_floor > 0, repeated(step, values) - above_floor, Decimal(0))
    match direction:
        case Direction.FLOOR:
            return sums(values, to_floor)
        case Direction.CEILING:
            return sums(values, to_ceiling)
        case Direction.HALF_UP:
            return sums(values, to_ceiling.zip_with((above_floor >= repeated(step / 2, values)).fill_null(True), to_floor))


def _at_huge_step(values: pl.Series, scale: int, direction: Direction) -> pl.Series:
    """Steps of 10^26 and more, which do not fit: the result is 0 or, where the step itself is due, null."""
    zero = repeated(Decimal(0), values)
    match direction:
        case Direction.FLOOR:
            return where(values >= 0, zero)
        case Direction.CEILING:
            return where(values <= 0, zero)
        case Direction.HALF_UP if scale == -26:
            return where((values < repeated(LIMIT / 2, values)) & (values >= repeated(LIMIT / -2, values)), zero)
        case Direction.HALF_UP:
            return where(values.is_not_null(), zero)
