"""Derived fields: computed once, when a measurement is taken in (usage.md 3, DECISIONS 7, 8).

Put here how formulas are applied to accepted rows. What a formula means is transforms/expressions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from transforms.aggregations.usage import field_column
from transforms.entities.organization import CustomFields
from transforms.entities.usage import DerivedField, Meter, Product
from transforms.errors import ExpressionError
from transforms.expressions import Compiled, LookupTable, compiled_derived_fields, custom_field_columns, derived_field_scope, with_lookups
from transforms.measurements.landed import SEQUENCE
from transforms.money import DECIMAL


@dataclass(frozen=True)
class Formulas:
    """The derived fields of one meter, ready to be computed.

    Attributes:
        meter: The meter.
        fields: Derived field and its compiled formula, in order; empty when a formula can't be compiled any more.
        problem: Why it can't, null otherwise: every derived field of every row is then a CalculationError.
        custom_fields: The organization's.
        product: The meter's product.
        time_zone: The organization's.
    """

    meter: Meter
    fields: tuple[tuple[DerivedField, Compiled], ...]
    problem: str | None
    custom_fields: CustomFields
    product: Product | None
    time_zone: str

    @property
    def references(self) -> frozenset[str]:
        """All names that the formulas use."""
        return frozenset().union(*(formula.references for _, formula in self.fields))


def formulas(meter: Meter, custom_fields: CustomFields, *, product: Product | None, time_zone: str) -> Formulas:
    """The meter's formulas."""
    try:
        compiled = compiled_derived_fields(meter, custom_fields, product=product, time_zone=time_zone)
    except ExpressionError as error:
        # It was right when it was saved; a custom field that it uses is gone.
        return Formulas(meter, (), str(error), custom_fields, product, time_zone)
    return Formulas(meter, compiled, None, custom_fields, product, time_zone)


def with_derived_fields(rows: pl.LazyFrame, given: Formulas, accounts: pl.LazyFrame, tables: Mapping[str, LookupTable]) -> pl.LazyFrame:
    """The rows with one column per derived field; null where it can't be computed.

    Args:
        rows: Accepted rows: account_code, ts, ets, received_at, the data fields.
        given: The meter's formulas.
        accounts: account_code, custom_fields (JSON text).
        tables: Published lookup tables by code.
    """
    if given.problem is not None:
        return rows.with_columns(
            pl.lit(None, dtype=DECIMAL if f.category.is_numeric else pl.String).alias(field_column(f.code)) for f in given.meter.derived_fields
        )
    columns = custom_field_columns(pl.col("custom_fields"), "account", given.references, given.custom_fields)
    if columns:
        rows = rows.join(accounts.select("account_code", "custom_fields"), on="account_code", how="left", maintain_order="left")
        rows = rows.with_columns(columns).drop("custom_fields")
    for position, (field, formula) in enumerate(given.fields):
        if formula.lookups:
            scope = derived_field_scope(given.meter, given.custom_fields, product=given.product, derived_before=position, time_zone=given.time_zone)
            rows = with_lookups(rows, formula.lookups, scope=scope, tables=tables)
        value = formula.expr.cast(DECIMAL if field.category.is_numeric else pl.String)
        rows = rows.with_columns(value.alias(field_column(field.code)))
    return rows


def calculation_errors(derived: pl.DataFrame, given: Formulas) -> pl.DataFrame:
    """The CalculationErrors: one row per formula and measurement that it failed on.

    Args:
        derived: The result of :func:`with_derived_fields`, with the column date.
        given: The same formulas.

    Returns:
        field_code, message, date, uid, SEQUENCE; formulas in declared order, measurements in order of arrival.
    """
    ordered = derived.sort(SEQUENCE)
    failed: list[tuple[DerivedField, str, pl.DataFrame]] = []
    if given.problem is not None:
        failed = [(f, given.problem, ordered) for f in given.meter.derived_fields]
    for field, formula in given.fields:
        message = f"{field.code} = {field.calculation} could not be computed: a null operand, a division by zero, a wrong type or an overflow"
        failed.append((field, message, ordered.filter(pl.col(field_column(field.code)).is_null()).filter(formula.failed)))
    none = (
        derived.select("date", "uid", SEQUENCE).clear().select(pl.lit("").alias("field_code"), pl.lit("").alias("message"), "date", "uid", SEQUENCE)
    )
    return pl.concat(
        [none, *(rows.select(pl.lit(f.code).alias("field_code"), pl.lit(text).alias("message"), "date", "uid", SEQUENCE) for f, text, rows in failed)]
    )
