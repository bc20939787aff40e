"""Which lines a fund may cover, and how much of each: by type, product, contract and the time that the fund lives.

Put here eligibility. Keep out what is left in a fund (``availability.py``) and who comes first (``draw_downs.py``). Source:
billing.md 5.2, 5.8.
"""

import polars as pl

from transforms.rating.amounts import ZERO
from transforms.rating.funds import COMMITMENT
from transforms.rating.life_shares import with_shares
from transforms.rating.lines import Kind, Subject
from transforms.rating.state import Progress, Rating

#: Kinds of lines that a commitment may cover, by line item type; a balance may cover AD_HOC too.
_COVERED = (
    Kind.USAGE,
    Kind.STANDING_CHARGE,
    Kind.PRICING_MINIMUM_SPEND,
    Kind.PLAN_MINIMUM_SPEND,
    Kind.GROUP_MINIMUM_SPEND,
    Kind.COUNTER_RUNNING_TOTAL_CHARGE,
    Kind.COUNTER_ADJUSTMENT_DEBIT,
    Kind.AD_HOC,
)


#: What is needed of a line; not its bands, which are most of it.
_LINE = ("step", "due", "exchange", "subject", "kind", "service_start", "service_end", "quantity", "converted_subtotal")


def coverable(progress: Progress) -> pl.DataFrame:
    """The lines that funds may cover: with ``line`` (position in ``progress.lines``), ``bill``, type, product and contract.

    Only charges above zero on wanted bills of accounts with funds; sorted in the order of a bill's lines, in which they are covered, and
    numbered in it by ``place``.
    """
    rating = progress.rating
    kinds = [kind.value for kind in _COVERED]
    lines = progress.lines.select(_LINE).with_row_index("line").filter(pl.col("kind").is_in(kinds) & (pl.col("converted_subtotal") > ZERO))
    joined = lines.join(holding_anchors(rating, rating.funds), on="due", maintain_order="left")
    types = {kind.value: kind.line_item_type for kind in _COVERED}
    is_charge = pl.col("kind").is_in([k.value for k in _COVERED if k.subject is Subject.CHARGE])
    joined = joined.with_columns(charge=pl.when(is_charge).then("subject")).join(_charges(rating), on="charge", how="left", maintain_order="left")
    lines = joined.with_columns(
        line_item_type=pl.col("kind").replace_strict(types, return_dtype=pl.String),
        product_id=pl.when(is_charge).then("charge_product").otherwise("product_id"),
        contract_id=pl.when(is_charge).then("charge_contract").otherwise("contract_id"),
    ).drop("charge", "charge_product", "charge_contract")
    return lines.sort("step", "due", "kind", "subject", "service_start").with_row_index("place")


def holding_anchors(rating: Rating, funds: pl.DataFrame) -> pl.DataFrame:
    """``due``, ``bill``, ``product_id`` and ``contract_id`` of the anchors on wanted bills of the funds' accounts."""
    bills = rating.headers.filter("is_wanted").join(funds, on="account_id", how="semi").select("bill")
    return rating.due.select("due", "bill", "product_id", "contract_id").join(bills, on="bill", how="semi")


def _charges(rating: Rating) -> pl.DataFrame:
    return rating.charges.with_row_index("charge").select("charge", charge_product="accounting_product_id", charge_contract="contract_id")


def covered_by(lines: pl.DataFrame, funds: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """The lines with the fund of their account that may cover them, and ``share``, what of its converted amount lies in the fund's life.

    Args:
        lines: See :func:`coverable`.
        funds: At most one fund per bill, with ``fund`` and ``bill``.
        rating: The run.
    """
    mine = funds.select(
        "fund",
        "bill",
        "start_at",
        life_end=pl.coalesce("rollover_end_at", "end_at"),
        fund_contract="contract_id",
        is_commitment=pl.col("fund_kind") == COMMITMENT,
        any_type=pl.col("line_item_types").list.len() == 0,
        any_product=pl.col("product_ids").list.len() == 0,
    )
    joined = lines.join(mine, on="bill", maintain_order="left")
    # Commitments never pay for ad hoc charges.
    is_type = ~pl.col("is_commitment") | (pl.col("kind") != Kind.AD_HOC.value)
    is_contract = pl.col("fund_contract").is_null() | (pl.col("fund_contract") == pl.col("contract_id")).fill_null(False)
    # A charge without duration lies at its instant.
    in_life = (pl.col("service_start") < pl.col("life_end")) & (
        (pl.col("service_end") > pl.col("start_at"))
        | ((pl.col("service_end") == pl.col("service_start")) & (pl.col("service_start") >= pl.col("start_at")))
    )
    eligible = joined.filter(is_type & is_contract & in_life)
    for any_one, one, named in (("any_type", "line_item_type", "line_item_types"), ("any_product", "product_id", "product_ids")):
        eligible = _named(eligible, funds, any_one, one, named)
    is_whole = (pl.col("service_start") >= pl.col("start_at")) & (pl.col("service_end") <= pl.col("life_end"))
    whole, partly = eligible.filter(is_whole).with_columns(share=pl.col("converted_subtotal")), eligible.filter(~is_whole)
    if partly.is_empty():
        return whole
    # What is granted is a quantity, which no currency rounds.
    rounds = "is_grant" not in lines.columns
    return pl.concat([whole, with_shares(partly, rating, rounds=rounds).select(whole.columns)]).sort("place")


def _named(lines: pl.DataFrame, funds: pl.DataFrame, any_one: str, one: str, named: str) -> pl.DataFrame:
    """The lines whose fund covers whatever it is, or whose own one is among those that the fund names."""
    limited = lines.filter(~pl.col(any_one))
    if limited.is_empty():
        return lines
    # By pairs: to carry the fund's list along with every line costs more than all the rest.
    pairs = funds.select("fund", pl.col(named).alias(one)).explode(one).drop_nulls().unique()
    return pl.concat([lines.filter(any_one), limited.join(pairs, on=["fund", one], how="semi")]).sort("place")
