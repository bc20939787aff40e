"""What a compiled part of a formula is: an expression, and where its null comes from an error.

The rule: null out of an operator or a function is an error, since it comes from a null operand, a division by zero, a
result that does not fit or text that is no number. A name, the literal ``null``, a comparison, AND, OR, IN and
Lookup.exists never are. ``?:``, isnull and the lookups are where the part they took is.
"""

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from transforms.datasets import INSTANT
from transforms.expressions.nodes import Type
from transforms.money import DECIMAL

DTYPES = {
    Type.NUMBER: DECIMAL,
    Type.STRING: pl.String(),
    Type.BOOLEAN: pl.Boolean(),
    Type.INSTANT: INSTANT,
    Type.NULL: pl.Null(),
}


@dataclass(frozen=True)
class Value:
    """A compiled part: its expression and, unless it can't fail, a boolean expression true where it is null by error."""

    expr: pl.Expr
    failed: pl.Expr | None = None


def null_fails(expr: pl.Expr, _values: tuple[Value, ...]) -> pl.Expr | None:
    """Every null is an error."""
    return expr.is_null()


def never_fails(_expr: pl.Expr, _values: tuple[Value, ...]) -> pl.Expr | None:
    """There is no null, or none that is an error."""
    return None


def literal_number(value: Decimal | None) -> pl.Expr:
    """A Decimal(38, 12) literal."""
    return pl.lit(value, dtype=DECIMAL)
