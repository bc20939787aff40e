"""From quantity to rated units: quantityPerUnit and rounding of each offer's aggregation (DECISIONS 17, billing.md 1.3).

Put here the step from what was used to what is priced; keep out bands.
"""

from decimal import Decimal

import polars as pl

from transforms.money import DECIMAL, Rounding, exact, units
from transforms.rating.amounts import by_part, fitting, quotient
from transforms.rating.terms import Offer


def _rated(frame: pl.DataFrame, quantity_per_unit: Decimal, rounding: Rounding) -> pl.DataFrame:
    per = exact(quantity_per_unit)
    quantity = frame["quantity"]
    divided = fitting(quantity) if per == 1 else quotient(quantity, pl.repeat(per, frame.height, dtype=DECIMAL, eager=True))
    whole = units(pl.col("units"), quantity_per_unit=Decimal(1), rounding=rounding)
    return frame.with_columns(units=divided).with_columns(units=whole)


def with_units(rated: pl.DataFrame, offers: tuple[Offer, ...]) -> pl.DataFrame:
    """The rows (``offer``, ``quantity``) with ``units``; null where they don't fit 26 digits. Row order is not kept."""
    rules: dict[tuple[Decimal, Rounding], int] = {}
    rule_of = [rules.setdefault((o.aggregation.quantity_per_unit, o.aggregation.rounding), len(rules)) for o in offers]
    by_number = list(rules)
    frame = rated.with_columns(pl.Series("_rule", rule_of, dtype=pl.UInt32).gather(rated["offer"]).alias("_rule"))
    return by_part(frame, "_rule", lambda part, n: _rated(part, *by_number[n])).drop("_rule")
