"""Lookup tables in formulas: what a formula asks of them and how their values come to the rows.

A compiled formula reads each lookup from a column; :func:`with_lookups` joins those columns before the formula runs.
Put here the join. Keep out how tables and revisions are stored. Source: usage.md 3.3, 3.4, 7.6.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from transforms.expressions.casts import as_string
from transforms.expressions.nodes import Type
from transforms.expressions.scope import Scope
from transforms.expressions.values import DTYPES
from transforms.money import DECIMAL


@dataclass(frozen=True)
class Lookup:
    """One lookup of a formula.

    Attributes:
        table: Code of the lookup table.
        field: The field wanted; None: whether there is a row.
        type: NUMBER, STRING, or BOOLEAN for whether there is a row.
        keys: Names whose values are the keys, in the order of the revision's keys.
    """

    table: str
    field: str | None
    type: Type
    keys: tuple[str, ...]

    @property
    def column(self) -> str:
        """The column that holds its result; null where there is no row."""
        return f"lookup {self.table}.{self.field or ''} {self.type} ({', '.join(self.keys)})"


@dataclass(frozen=True)
class LookupTable:
    """The published revision of a lookup table.

    Attributes:
        keys: Its key columns, in the order in which formulas give them.
        rows: One row per combination of keys; fields are Decimal(38, 12) or String columns.
    """

    keys: tuple[str, ...]
    rows: pl.LazyFrame


def with_lookups(frame: pl.LazyFrame, lookups: Iterable[Lookup], *, scope: Scope, tables: Mapping[str, LookupTable]) -> pl.LazyFrame:
    """The frame with one column per lookup.

    Args:
        frame: Rows that the scope's names are about; their order is kept.
        lookups: Of one or more formulas; equal ones share a column.
        scope: The formulas' scope.
        tables: Code -> published revision. A table that is not here, a field or number of keys that the revision does
            not have, and a value of another type give null, which a formula replaces by its default.

    Returns:
        The same rows with the columns ``Lookup.column``.

    Source: usage.md 3.6 rows 78 to 83.
    """
    for lookup in dict.fromkeys(lookups):
        table = tables.get(lookup.table)
        schema = table.rows.collect_schema() if table is not None else pl.Schema()
        if table is None or len(table.keys) != len(lookup.keys) or (lookup.field is not None and schema.get(lookup.field) != DTYPES[lookup.type]):
            frame = frame.with_columns(pl.lit(None, dtype=DTYPES[lookup.type]).alias(lookup.column))
            continue
        wanted = pl.lit(True) if lookup.field is None else pl.col(lookup.field)
        keys = [f"{lookup.column} key {i}" for i in range(len(lookup.keys))]
        right = table.rows.select(
            wanted.alias(lookup.column),
            *(_key(pl.col(key), schema[key]).alias(alias) for key, alias in zip(table.keys, keys, strict=True)),
        ).unique(keys, keep="first", maintain_order=True)
        left = [
            as_string(scope.names[name].expr, scope.names[name].type, scope.time_zone).alias(alias)
            for name, alias in zip(lookup.keys, keys, strict=True)
        ]
        frame = frame.with_columns(left).join(right, on=keys, how="left", maintain_order="left").drop(keys)
    return frame


def _key(key: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A key column as text, numbers as formulas write them, so that 5 finds 5.0."""
    return as_string(key, Type.NUMBER, "UTC") if dtype == DECIMAL else key.cast(pl.String)
