"""The lines of bills while they are being computed: narrow, with positions instead of ids and texts.

Put here the columns that every step returns. ``billing/line_items.py`` turns them into the dataset.
"""

from enum import IntEnum

import polars as pl

from transforms.datasets import BAND, INSTANT
from transforms.money import DECIMAL


class Kind(IntEnum):
    """What a line charges for. The number is the order of kinds within one step of the bill."""

    USAGE = 0
    STANDING_CHARGE = 1
    PRICING_MINIMUM_SPEND = 2
    PRICING_MINIMUM_SPEND_REFUND = 3
    PLAN_MINIMUM_SPEND = 4
    PLAN_MINIMUM_SPEND_REFUND = 5
    USAGE_CREDIT = 6

    @property
    def line_item_type(self) -> str:
        """As the public API spells it."""
        return self.name.removeprefix("PRICING_").removeprefix("PLAN_")


#: One row per line; every amount finished (rounded in both currencies).
LINES: dict[str, pl.DataType | type[pl.DataType]] = {
    # Position of the account plan among the due ones, of the exchange, and of the offer (null for what a plan charges).
    "due": pl.UInt32,
    "exchange": pl.UInt32,
    "offer": pl.UInt32,
    # Account number of the child whose part of a family's line it is; null for all other lines.
    "child": pl.Int32,
    "kind": pl.UInt8,
    "service_start": INSTANT,
    "service_end": INSTANT,
    "quantity": DECIMAL,
    "units": DECIMAL,
    "subtotal": DECIMAL,
    "converted_subtotal": DECIMAL,
    "bands": pl.List(BAND),
    # Why the line can't stand on a bill; null for all but the lines of a bill that fails.
    "failure": pl.String,
}


def no_lines() -> pl.DataFrame:
    """The lines of no bills."""
    return pl.DataFrame(schema=LINES)


def charges(finished: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Finished amounts as lines of one unit each, without those of zero (DECISIONS 28).

    Args:
        finished: ``due``, ``exchange``, ``service_start``, ``service_end``, ``subtotal``, ``converted_subtotal``,
            ``failure`` and, for what a pricing charges, ``offer``.
        kind: What they charge for.
    """
    one = pl.lit(1).cast(DECIMAL)
    offer = pl.col("offer") if "offer" in finished.columns else pl.lit(None, dtype=pl.UInt32).alias("offer")
    kept = finished.filter((pl.col("subtotal") != pl.lit(0).cast(DECIMAL)) | pl.col("failure").is_not_null()).rechunk()
    columns = {
        "kind": pl.lit(kind.value, dtype=pl.UInt8),
        "quantity": one,
        "units": one,
        "bands": pl.lit(None, dtype=LINES["bands"]),
        "child": pl.lit(None),
    }
    return kept.with_columns(offer, **columns).select(pl.col(name).cast(dtype) for name, dtype in LINES.items())
