"""The lines of bills while they are being computed: narrow, with positions instead of ids and texts.

Put here the columns that every step returns. ``billing/line_items.py`` turns them into the dataset.
"""

from enum import Enum, IntEnum

import polars as pl

from transforms.datasets import BAND, INSTANT
from transforms.money import DECIMAL


class Subject(Enum):
    """The table that a line's ``subject`` is a position in: what the line charges for."""

    #: An offer of ``Rating.offers``: a pricing of a plan for a segment.
    OFFER = "offer"
    #: A counter pricing of a plan, of ``Rating.counter_offers``.
    COUNTER = "counter"
    #: A row of ``Rating.charges``.
    CHARGE = "charge"
    #: A row of ``Rating.funds``: a commitment or balance.
    FUND = "fund"
    #: The line's anchor itself: its plan or plan group; ``subject`` is null.
    ANCHOR = "anchor"


class Kind(IntEnum):
    """What a line charges for. The number is the order of kinds within one step of the bill."""

    USAGE = 0
    STANDING_CHARGE = 1
    PRICING_MINIMUM_SPEND = 2
    PRICING_MINIMUM_SPEND_REFUND = 3
    PLAN_MINIMUM_SPEND = 4
    PLAN_MINIMUM_SPEND_REFUND = 5
    GROUP_MINIMUM_SPEND = 6
    GROUP_MINIMUM_SPEND_REFUND = 7
    USAGE_CREDIT = 8
    COUNTER_RUNNING_TOTAL_CHARGE = 9
    COUNTER_ADJUSTMENT_DEBIT = 10
    COUNTER_ADJUSTMENT_CREDIT = 11
    AD_HOC = 12
    BALANCE_FEE = 13
    COMMITMENT_FEE = 14
    COMMITMENT_CONSUMED = 15
    BALANCE_CONSUMED = 16
    OVERAGE_USAGE = 17
    COMMITMENT_OVERAGE_SURCHARGE = 18
    BALANCE_OVERAGE_SURCHARGE = 19

    @property
    def line_item_type(self) -> str:
        """As the public API spells it."""
        if self in (Kind.COMMITMENT_OVERAGE_SURCHARGE, Kind.BALANCE_OVERAGE_SURCHARGE):
            return "OVERAGE_SURCHARGE"
        return self.name.removeprefix("PRICING_").removeprefix("PLAN_").removeprefix("GROUP_")

    @property
    def subject(self) -> Subject:
        """What ``subject`` is a position in."""
        return _SUBJECTS.get(self, Subject.ANCHOR)


_SUBJECTS = {
    Kind.USAGE: Subject.OFFER,
    Kind.PRICING_MINIMUM_SPEND: Subject.OFFER,
    Kind.PRICING_MINIMUM_SPEND_REFUND: Subject.OFFER,
    Kind.USAGE_CREDIT: Subject.OFFER,
    Kind.OVERAGE_USAGE: Subject.OFFER,
    Kind.COUNTER_RUNNING_TOTAL_CHARGE: Subject.COUNTER,
    Kind.COUNTER_ADJUSTMENT_DEBIT: Subject.COUNTER,
    Kind.COUNTER_ADJUSTMENT_CREDIT: Subject.COUNTER,
    Kind.AD_HOC: Subject.CHARGE,
    Kind.BALANCE_FEE: Subject.CHARGE,
    Kind.COMMITMENT_FEE: Subject.FUND,
    Kind.COMMITMENT_CONSUMED: Subject.FUND,
    Kind.BALANCE_CONSUMED: Subject.FUND,
    Kind.COMMITMENT_OVERAGE_SURCHARGE: Subject.FUND,
    Kind.BALANCE_OVERAGE_SURCHARGE: Subject.FUND,
}


#: One row per line; every amount finished (rounded in both currencies).
LINES: dict[str, pl.DataType | type[pl.DataType]] = {
    # Position of the line's anchor among the due ones (see ``due_anchors``), of its exchange, and of what it charges for in the
    # table of its kind's Subject (null for what the anchor itself charges).
    "due": pl.UInt32,
    "exchange": pl.UInt32,
    "subject": pl.UInt32,
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

#: The lines so far of a run: with the position of the step that made them.
STEPPED_LINES = {**LINES, "step": pl.UInt8}


def no_lines() -> pl.DataFrame:
    """The lines of no bills."""
    return pl.DataFrame(schema=LINES)


def charges(finished: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Finished amounts as lines of one unit each, without those of zero (DECISIONS 28).

    Args:
        finished: ``due``, ``exchange``, ``service_start``, ``service_end``, ``subtotal``, ``converted_subtotal``,
            ``failure`` and, for what is no plan's or group's own charge, ``subject``.
        kind: What they charge for.
    """
    one = pl.lit(1).cast(DECIMAL)
    subject = pl.col("subject") if "subject" in finished.columns else pl.lit(None, dtype=pl.UInt32).alias("subject")
    kept = finished.filter((pl.col("subtotal") != pl.lit(0).cast(DECIMAL)) | pl.col("failure").is_not_null()).rechunk()
    columns = {
        "kind": pl.lit(kind.value, dtype=pl.UInt8),
        "quantity": one,
        "units": one,
        "bands": pl.lit(None, dtype=LINES["bands"]),
        "child": pl.lit(None),
    }
    return kept.with_columns(subject, **columns).select(pl.col(name).cast(dtype) for name, dtype in LINES.items())
