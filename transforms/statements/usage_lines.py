"""Which usage stands behind which lines of a bill.

Lines of one account plan, aggregation, segment, account and service period charge for one amount of usage (a commitment
may have split it, an overage may stand beside it): they make one *usage* of the statement. Put here how lines are put
together. Keep out the measuring (quantities.py). Source: billing.md 8, DECISIONS 29 and 31.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from transforms.configuration import Configuration
from transforms.entities.formulas import compound_segments
from transforms.entities.usage import Aggregation, CompoundAggregation, segment_string

#: Types of lines that charge for usage itself, and so have quantities to break down.
USAGE_TYPES = ("USAGE", "USAGE_CREDIT", "OVERAGE_USAGE")
#: What lines of one usage have in common.
KEYS = (
    "product_id",
    "account_plan_id",
    "plan_id",
    "contract_id",
    "aggregation_id",
    "compound_aggregation_id",
    "segment",
    "child_account_id",
    "service_period_start",
    "service_period_end",
)


def is_usage() -> pl.Expr:
    """True for lines whose quantity comes from measurements of the line's service period.

    Usage carried forward from a locked bill (``referenced_bill_id``) is a difference between two calculations: it has
    lines, and no measurements of its own.
    """
    has_aggregation = pl.col("aggregation_id").is_not_null() | pl.col("compound_aggregation_id").is_not_null()
    has_period = pl.col("service_period_start").is_not_null() & pl.col("service_period_end").is_not_null()
    return pl.col("line_item_type").is_in(USAGE_TYPES) & has_aggregation & has_period & pl.col("referenced_bill_id").is_null()


def is_usage_line(line: Mapping[str, Any]) -> bool:
    """:func:`is_usage` of one line."""
    has_aggregation = line["aggregation_id"] is not None or line["compound_aggregation_id"] is not None
    has_period = line["service_period_start"] is not None and line["service_period_end"] is not None
    return line["line_item_type"] in USAGE_TYPES and has_aggregation and has_period and line["referenced_bill_id"] is None


def with_usage_number(lines: pl.DataFrame) -> pl.DataFrame:
    """The lines with ``usage``, the number of their usage in the order of the bill; null for lines that are none.

    Args:
        lines: Lines of one bill, dataset BILL_LINE_ITEMS, in order.
    """
    usages = lines.filter(is_usage()).select(KEYS).unique(maintain_order=True).with_row_index("usage")
    flagged = lines.with_columns(is_usage=is_usage())
    joined = flagged.join(usages, on=KEYS, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(usage=pl.when("is_usage").then("usage")).drop("is_usage")


def usages(lines: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """One row per usage: KEYS (the period as ``service_start``, ``service_end``), whose it is, and what its lines charge.

    Args:
        lines: The result of :func:`with_usage_number`.
        configuration: That of the bill's calculation.

    Returns:
        ``usage``; ``subject_id`` (aggregation or compound) and ``is_compound``; ``segment_index`` (null without segments);
        ``account_id``: who is told to have used it, the billed account or the child; ``bill_account_id``; ``is_split``: true
        where other accounts of the family have lines of their own for the same; ``quantity``: the sum over its lines.
    """
    found = lines.filter(pl.col("usage").is_not_null())
    is_credit = pl.col("line_item_type") == "USAGE_CREDIT"
    # A credit pricing credits the usage that another line charges: its quantity counts only where it stands alone.
    charged = pl.col("quantity").filter(~is_credit)
    first = found.group_by("usage", maintain_order=True).agg(
        *(pl.col(name).first() for name in (*KEYS, "account_id", "description", "unit", "meter_id")),
        quantity=pl.when((~is_credit).any()).then(charged.sum()).otherwise(pl.col("quantity").first()),
    )
    siblings = [name for name in KEYS if name != "child_account_id"]
    owned = first.with_columns(
        is_split=pl.col("child_account_id").is_not_null().any().over(siblings),
        bill_account_id="account_id",
        account_id=pl.coalesce("child_account_id", "account_id"),
        is_compound=pl.col("compound_aggregation_id").is_not_null(),
        subject_id=pl.coalesce("compound_aggregation_id", "aggregation_id"),
    )
    placed = owned.join(_segment_indexes(owned, configuration), on=["subject_id", "segment"], how="left", nulls_equal=True, maintain_order="left")
    return placed.rename({"service_period_start": "service_start", "service_period_end": "service_end"})


def _segment_indexes(owned: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """``subject_id``, ``segment`` (as lines spell it) and its position among the segments of the aggregation."""
    by_code = {a.code: a for a in configuration.entities(Aggregation).values() if a.code is not None}
    rows: list[tuple[str, str, int]] = []
    for subject_id in owned["subject_id"].unique().sort():
        simple = configuration.entities(Aggregation).get(subject_id)
        compound = configuration.entities(CompoundAggregation).get(subject_id)
        segments = simple.segments if simple else compound_segments(compound, by_code) if compound else None
        rows += [(subject_id, segment_string(segment), n) for n, segment in enumerate(segments or [])]
    return pl.DataFrame(rows, schema={"subject_id": pl.String, "segment": pl.String, "segment_index": pl.Int32}, orient="row")
