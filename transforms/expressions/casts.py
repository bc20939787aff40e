"""Casts between the types of the language: number(x), string(x), boolean(x) and the strings that ``+`` joins.

Source: DECISIONS 5, 9.
"""

from decimal import Decimal

import polars as pl

from transforms.expressions.nodes import Type
from transforms.expressions.times import TS_FMT, formatted
from transforms.expressions.values import literal_number
from transforms.money import DECIMAL

_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"


def as_number(expr: pl.Expr, type_: Type) -> pl.Expr:
    """The expression as Decimal(38, 12); null where a string holds no number that fits."""
    match type_:
        case Type.STRING:
            trimmed = expr.str.strip_chars()
            return trimmed.str.extract(f"({_NUMBER})").cast(DECIMAL, strict=False)
        case Type.BOOLEAN:
            return expr.cast(pl.Int8).cast(DECIMAL)
        case _:
            return expr.cast(DECIMAL)


def as_string(expr: pl.Expr, type_: Type, time_zone: str) -> pl.Expr:
    """The expression as text: numbers without trailing zeros, instants in TS_FMT."""
    match type_:
        case Type.NUMBER:
            # A Decimal(38, 12) is written with all 12 digits, so the zeros at the end are behind the point.
            return expr.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
        case Type.INSTANT:
            return formatted(expr, TS_FMT, time_zone)
        case _:
            return expr.cast(pl.String)


def as_boolean(expr: pl.Expr, type_: Type) -> pl.Expr:
    """The expression as true or false; null where a string is neither."""
    match type_:
        case Type.STRING:
            words = {"true": True, "false": False}
            return expr.str.strip_chars().str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
        case Type.NUMBER:
            return expr != literal_number(Decimal(0))
        case _:
            return expr.cast(pl.Boolean)
