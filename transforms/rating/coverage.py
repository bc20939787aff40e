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


def coverable(progress: Progress) -> pl.DataFrame:
    """The lines that funds may cover: with ``line`` (position in ``progress.lines``), ``bill``, ``account_id``, type, product and contract.

    Only charges above zero on wanted bills of accounts with funds; sorted in the order of a bill's lines, in which they are covered, and
    numbered in it by ``place``.
    """
    rating = progress.rating
    holders = rating.funds["account_id"].unique()
    wanted = rating.headers.filter(pl.col("is_wanted") & pl.col("account_id").is_in(holders.implode())).select("bill")
    anchors = rating.due.select("due", "bill", "product_id", "contract_id", account_id="billed_id").join(wanted, on="bill", how="semi")
    kinds = [kind.value for kind in _COVERED]
    lines = progress.lines.with_row_index("line").filter(pl.col("kind").is_in(kinds) & (pl.col("converted_subtotal") > ZERO))
    joined = lines.join(anchors, on="due", maintain_order="left")
    types = {kind.value: kind.line_item_type for kind in _COVERED}
    joined = joined.join(_charges(rating), on="subject", how="left", maintain_order="left")
    is_charge = pl.col("kind").is_in([k.value for k in _COVERED if k.subject is Subject.CHARGE])
    lines = joined.with_columns(
        line_item_type=pl.col("kind").replace_strict(types, return_dtype=pl.String),
        product_id=pl.when(is_charge).then("charge_product").otherwise("product_id"),
        contract_id=pl.when(is_charge).then("charge_contract").otherwise("contract_id"),
    ).drop("charge_product", "charge_contract")
    return lines.sort("step", "due", "kind", "subject", "service_start").with_row_index("place")


def _charges(rating: Rating) -> pl.DataFrame:
    return rating.charges.with_row_index("subject").select("subject", charge_product="accounting_product_id", charge_contract="contract_id")


def covered_by(lines: pl.DataFrame, funds: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """The lines with the fund of their account that may cover them, and ``share``, what of its converted amount lies in the fund's life.

    Args:
        lines: See :func:`coverable`.
        funds: At most one fund per account, with ``fund``.
        rating: The run.
    """
    columns = ("fund", "account_id", "fund_kind", "product_ids", "line_item_types", "start_at", "rollover_end_at", "end_at")
    mine = funds.select(*columns, fund_contract="contract_id").with_columns(life_end=pl.coalesce("rollover_end_at", "end_at"))
    joined = lines.join(mine, on="account_id", maintain_order="left")
    is_type = pl.col("line_item_type").is_in(pl.col("line_item_types")) | (pl.col("line_item_types").list.len() == 0)
    # Commitments never pay for ad hoc charges.
    is_type &= (pl.col("fund_kind") != COMMITMENT) | (pl.col("line_item_type") != Kind.AD_HOC.line_item_type)
    is_product = pl.col("product_id").is_in(pl.col("product_ids")).fill_null(False) | (pl.col("product_ids").list.len() == 0)
    is_contract = pl.col("fund_contract").is_null() | (pl.col("fund_contract") == pl.col("contract_id")).fill_null(False)
    # A charge without duration lies at its instant.
    in_life = (pl.col("service_start") < pl.col("life_end")) & (
        (pl.col("service_end") > pl.col("start_at"))
        | ((pl.col("service_end") == pl.col("service_start")) & (pl.col("service_start") >= pl.col("start_at")))
    )
    eligible = joined.filter(is_type & is_product & is_contract & in_life)
    is_whole = (pl.col("service_start") >= pl.col("start_at")) & (pl.col("service_end") <= pl.col("life_end"))
    whole, partly = eligible.filter(is_whole).with_columns(share=pl.col("converted_subtotal")), eligible.filter(~is_whole)
    if partly.is_empty():
        return whole
    # What is granted is a quantity, which no currency rounds.
    rounds = "is_grant" not in lines.columns
    return pl.concat([whole, with_shares(partly, rating, rounds=rounds).select(whole.columns)]).sort("place")
