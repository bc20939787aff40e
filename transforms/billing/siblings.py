"""Lines of families on the bills that they belong on: children's own plans on the parent's, a parent's plan on the children's.

Put here which bill a family's line is on and how siblings are summarised. Keep out how a block's charge is split
(``breakdown.py``). Source: billing.md 7, DECISIONS 31.
"""

from typing import TYPE_CHECKING

import polars as pl

from transforms.billing.breakdown import allocated, broken_down
from transforms.billing.conversions import TOO_LARGE, Exchange, finished
from transforms.datasets import BAND
from transforms.entities.accounts import ChildBillingMode
from transforms.money import DECIMAL
from transforms.rating.amounts import SAFE, by_part, product
from transforms.rating.anchors import Role

if TYPE_CHECKING:
    from transforms.rating.state import Rating

_AMOUNTS = ("quantity", "units", "subtotal", "converted_subtotal")
_BAND_SUMS = ("band_quantity", "band_units", "unit_subtotal", "band_subtotal", "converted_band_subtotal")


def billed_to_children(
    lines: pl.DataFrame, shares: pl.DataFrame, due: pl.DataFrame, rates: tuple[Exchange, ...]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rated lines, those of parents' plans in mode CHILD split and moved to the children's bills; and the shares left to split later.

    Args:
        lines: The rated usage.
        shares: See ``rated_usage``.
        due: The anchors.
        rates: The exchanges of the run.
    """
    children = due.filter(pl.col("role") == Role.CHILD.value)
    if children.is_empty() or shares.is_empty():
        return lines, shares
    parents = children.select(due="plan_due").unique()
    mine = shares.join(parents, on="due", how="semi")
    is_parents = lines["due"].is_in(parents["due"].implode())
    others, lines = lines.filter(~is_parents), lines.filter(is_parents)
    split = pl.concat([broken_down(lines, mine, rates), _broken(lines, mine)])
    places = children.select("plan_due", "account_number", child_due="due", child_exchange="exchange")
    joined = split.join(places, left_on=["due", "child"], right_on=["plan_due", "account_number"], how="left", maintain_order="left")
    is_moved = pl.col("child_due").is_not_null()
    moved = joined.filter(is_moved).with_columns(due="child_due", child=pl.lit(None, dtype=pl.Int32))
    is_same = (pl.col("exchange") == pl.col("child_exchange")) | pl.col("failure").is_not_null()
    same, other = moved.filter(is_same), _reconverted(moved.filter(~is_same), rates)
    rest = shares.join(parents, on="due", how="anti")
    kept = joined.filter(~is_moved)
    return pl.concat([frame.select(lines.columns) for frame in (others, kept, same, other)]), rest


def _broken(lines: pl.DataFrame, shares: pl.DataFrame) -> pl.DataFrame:
    """The lines that fail, once for every child that a part of them would be billed to: its bill fails as well."""
    of_children = shares.filter(pl.col("account_number").is_not_null()).select("due", "subject", "service_start", child="account_number")
    broken = lines.filter(pl.col("failure").is_not_null()).drop("child")
    return broken.join(of_children, on=["due", "subject", "service_start"]).select(lines.columns)


def _reconverted(lines: pl.DataFrame, rates: tuple[Exchange, ...]) -> pl.DataFrame:
    """The lines (``child_exchange``) of children that are billed in another currency than their parent, converted at their own rate."""

    def with_bands(part: pl.DataFrame, number: int) -> pl.DataFrame:
        rate = rates[number].rate
        if part.is_empty() or rate is None:
            return part
        numbered = part.with_row_index("line")
        long = numbered.select("line", "bands", target="converted_subtotal").explode("bands").unnest("bands")
        shares = product(long["band_subtotal"], pl.repeat(rate, long.height, dtype=DECIMAL, eager=True))
        long = long.with_columns(converted_band_subtotal=allocated(shares, long["line"], long["target"], rates[number].bill))
        nested = long.group_by("line", maintain_order=True).agg(bands=pl.struct(list(BAND.to_schema())))
        return numbered.drop("bands").join(nested, on="line", how="left", maintain_order="left").drop("line")

    amounts = lines.rename({"subtotal": "amount"}).drop("converted_subtotal", "failure").with_columns(exchange="child_exchange")
    return by_part(finished(amounts, rates), "exchange", with_bands)


def billed_to_parents(lines: pl.DataFrame, rating: "Rating") -> pl.DataFrame:
    """The lines with the child named on those of its own plan on the parent's bill; siblings whose mode is PARENT_SUMMARY are added up.

    Args:
        lines: All lines of the run, with ``step``.
        rating: The run.
    """
    due = rating.due
    of_child = (pl.col("role") == Role.PLAN.value) & (pl.col("account_number") != pl.col("billed_number"))
    names = due.select(
        owner=pl.when(of_child).then("account_number"), is_summary=pl.col("child_billing_mode") == ChildBillingMode.PARENT_SUMMARY.value
    )
    if names["owner"].null_count() == names.height:
        return lines
    placed = names[lines["due"]].with_columns(lines["child"])
    is_summed = placed.select(pl.col("owner").is_not_null() & pl.col("is_summary").fill_null(False)).to_series()
    single = lines.with_columns(placed.select(child=pl.coalesce("child", "owner"))["child"])
    if not is_summed.any():
        return single
    summed = lines.filter(is_summed)
    summed = pl.concat([summed, due.select("bill", "plan_number")[summed["due"]]], how="horizontal")
    return pl.concat([single.filter(~is_summed), _summed(summed).select(lines.columns)])


def _summed(lines: pl.DataFrame) -> pl.DataFrame:
    """One line for what siblings are charged for by one pricing (or by their plan) for one service period."""
    if lines.is_empty():
        return lines
    keys = ["bill", "step", "kind", "plan_number", "subject", "exchange", "service_start", "service_end"]
    numbered = lines.with_columns(line=pl.struct(keys).rank("dense"))
    fits = pl.all_horizontal(pl.col(name).cast(pl.Float64).abs().sum() < float(SAFE) for name in _AMOUNTS)
    sums = numbered.group_by("line", maintain_order=True).agg(
        pl.col(*keys, "child").first(),
        pl.col("due").min(),
        pl.col("failure").drop_nulls().first(),
        *(pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()).alias(name) for name in _AMOUNTS),
        fits=fits,
    )
    too_large = pl.when(~pl.col("fits")).then(pl.lit(TOO_LARGE))
    sums = sums.with_columns(
        *(pl.when("fits").then(pl.col(name)).alias(name) for name in _AMOUNTS),
        child=pl.lit(None, dtype=pl.Int32),
        failure=pl.coalesce("failure", too_large),
    )
    long = numbered.select("line", "bands").filter(pl.col("bands").is_not_null()).explode("bands").unnest("bands")
    fields = list(BAND.to_schema())
    kept = [name for name in fields if name not in _BAND_SUMS and name != "pricing_band_id"]
    bands = long.group_by("line", "pricing_band_id", maintain_order=True).agg(pl.col(kept).first(), pl.col(_BAND_SUMS).sum())
    nested = bands.sort("line", "lower_limit").group_by("line", maintain_order=True).agg(bands=pl.struct(fields))
    return sums.join(nested, on="line", how="left", maintain_order="left")
