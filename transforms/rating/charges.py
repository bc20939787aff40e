"""The lines of charges: AD_HOC and BALANCE_FEE (billing.md 6.5, DECISIONS 28).

Put here what a charge comes to. Keep out which charges are due (``due_charges.py``).
"""

import polars as pl

from transforms.billing.conversions import finished
from transforms.entities.charges import ChargeEntityType
from transforms.money import DECIMAL
from transforms.rating.amounts import product
from transforms.rating.lines import LINES, Kind
from transforms.rating.state import Progress


def charges(progress: Progress) -> pl.DataFrame:
    """One line per charge that is due: its amount, else units times unit price; either may be below zero."""
    due = progress.rating.charges.with_row_index("subject")
    amounts = pl.DataFrame({"given": due["amount"], "product": product(due["units"], due["unit_price"])})
    priced = due.drop("amount").with_columns(
        amounts.select(pl.coalesce("given", "product").alias("amount")).to_series(),
        kind=pl.when(pl.col("entity_type") == ChargeEntityType.BALANCE.value).then(Kind.BALANCE_FEE.value).otherwise(Kind.AD_HOC.value),
        service_start="service_period_start_date",
        service_end="service_period_end_date",
        units=pl.coalesce("units", pl.lit(1).cast(DECIMAL)),
    )
    lines = finished(priced, progress.rating.exchanges).with_columns(quantity="units", bands=None, child=None)
    return lines.select(pl.col(name).cast(dtype) for name, dtype in LINES.items())
