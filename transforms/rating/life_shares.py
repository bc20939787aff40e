"""How much of a line lies in the life of a fund that begins or ends within the line's service period (billing.md 5.8).

Usage counts by when it happened: the quantity within the life over the whole quantity. What is charged for time counts by
whole local days. Put here the division. Keep out whose life it is (``coverage.py``).
"""

import polars as pl

from transforms.billing.conversions import rounded_amounts
from transforms.entities.usage import CompoundAggregation
from transforms.money import DECIMAL
from transforms.rating.amounts import ZERO, shared
from transforms.rating.anchors import Role
from transforms.rating.lines import Kind
from transforms.rating.measured_usage import measured
from transforms.rating.state import Rating
from transforms.rating.windows import first_whole_day, local_day


def with_shares(lines: pl.DataFrame, rating: Rating, *, rounds: bool) -> pl.DataFrame:
    """The lines with ``share``: their converted amount times the part inside [start_at, life_end).

    Args:
        lines: See ``covered_by``, with the fund's ``start_at`` and ``life_end``.
        rating: The run.
        rounds: Round the share in the bill currency.
    """
    cut = lines.with_columns(
        inside_start=pl.max_horizontal("service_start", "start_at"),
        inside_end=pl.min_horizontal("service_end", "life_end"),
    ).with_row_index("part")
    # What is charged for no usage is charged for time.
    is_usage = (pl.col("kind") == Kind.USAGE.value) & (pl.col("quantity") != ZERO)
    parts = pl.concat([_by_quantity(cut.filter(is_usage), rating), _by_days(cut.filter(~is_usage), rating.zone)])
    parts = parts.with_columns(share=shared(parts["converted_subtotal"], parts["inside"], parts["whole"]))

    if rounds:
        parts = rounded_amounts(parts, "share", rating.exchanges, in_bill_currency=True)
    return parts.with_columns(pl.max_horizontal(pl.min_horizontal("share", "converted_subtotal"), ZERO).alias("share"))


def _by_days(lines: pl.DataFrame, zone: str) -> pl.DataFrame:
    """``inside`` and ``whole``: whole local days."""

    def days(start: str, end: str) -> pl.Expr:
        return (local_day(end, zone) - first_whole_day(start, zone)).dt.total_days().cast(DECIMAL)

    return lines.with_columns(inside=days("inside_start", "inside_end"), whole=days("service_start", "service_end"))


def _own(found: pl.DataFrame, by_account: pl.DataFrame, windows: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """The quantities, of a parent's plan that is billed to the children the parent's own."""
    billed_apart = rating.of_role(Role.CHILD)["plan_due"].unique().implode()
    split = by_account.filter(pl.col("window").is_in(windows.filter(pl.col("due").is_in(billed_apart))["window"].implode()))
    if split.is_empty():
        return found
    columns = ("window", "segment_index", "quantity")
    rest = found.filter(~pl.col("window").is_in(split["window"].unique().implode()))
    return pl.concat([rest.select(columns), split.filter(pl.col("account_number").is_null()).select(columns)])


def _by_quantity(lines: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """``inside`` and ``whole``: the line's aggregation over the part, and over all of it."""
    if lines.is_empty():
        return lines.with_columns(inside=ZERO, whole=ZERO)
    offers = pl.DataFrame(
        [(n, o.aggregation.id, isinstance(o.aggregation, CompoundAggregation), o.segment_index) for n, o in enumerate(rating.offers)],
        schema={"subject": pl.UInt32, "aggregation_id": pl.String, "is_compound": pl.Boolean, "segment": pl.Int32},
        orient="row",
    )
    anchors = rating.due.select(
        "due", "account_plan_id", "plan_id", "contract_id", "account_number", owner_id="account_id", plan_product="product_id"
    )
    windows = (
        lines.select("part", "due", "subject", window_start="inside_start", window_end="inside_end")
        .join(offers, on="subject", maintain_order="left")
        .join(anchors, on="due", maintain_order="left")
        .rename({"owner_id": "account_id", "plan_product": "product_id"})
        .with_row_index("window")
    )
    found = _own(*measured(rating, windows), windows, rating)
    segments = windows.select("window", "part", "segment")
    inside = found.with_columns(pl.col("segment_index").fill_null(-1)).join(
        segments, left_on=["window", "segment_index"], right_on=["window", "segment"]
    )
    joined = lines.join(inside.select("part", inside="quantity"), on="part", how="left", maintain_order="left")
    return joined.with_columns(pl.col("inside").fill_null(ZERO), whole="quantity")
