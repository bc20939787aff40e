"""Who has used what a line charges for: the account, a family as one block, or several children each by itself.

Put here how hierarchies show in statements; it follows how rating shares usage among the accounts of a family. Keep out the
measuring (quantities.py). Source: billing.md 7, DECISIONS 31.
"""

import polars as pl

from transforms.configuration import Configuration
from transforms.entities.accounts import ChildBillingMode
from transforms.rating.attachments import attached_plans

_NAMED = ("account_id", "account_number", "is_pooled", "is_covered")


def users(usages: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """One row per usage and account that is measured for it; their quantities sum to the usage's.

    Args:
        usages: See ``usage_lines.usages``.
        configuration: That of the bill's calculation.

    Returns:
        ``usage``, ``account_plan_id``, ``account_id``, ``account_number``, ``is_pooled``: true where the usage of children that the
        account plan covers is added to the account's before anything is computed of it; and ``is_covered``: true for a child by itself
        whose usage its parent's account plan covers.
    """
    accounts = configuration.accounts.select("account_id", "account_number", "parent_account_id")
    plans = configuration.account_plans.select("account_plan_id", "child_billing_mode", owner_id="account_id")
    parents = accounts.select(owner_id="account_id", owner_parent_id="parent_account_id")
    placed = usages.join(plans, on="account_plan_id", how="left", maintain_order="left").join(
        parents, on="owner_id", how="left", maintain_order="left"
    )
    is_owner = pl.col("owner_id").eq_missing(pl.col("bill_account_id"))
    # Children's own plans, added up on the parent's bill (PARENT_SUMMARY).
    is_summary = ~is_owner & pl.col("child_account_id").is_null() & pl.col("owner_parent_id").eq_missing(pl.col("bill_account_id"))
    summed = _summarized(placed.filter(is_summary), configuration)
    is_billed_to_children = pl.col("child_billing_mode").eq_missing(pl.lit(ChildBillingMode.CHILD.value)) & ~pl.col("is_compound")
    is_block = is_owner & pl.col("child_account_id").is_null() & ~pl.col("is_split") & ~is_billed_to_children
    others = placed.filter(~is_summary).with_columns(is_pooled=is_block, is_covered=(pl.col("owner_id") != pl.col("account_id")).fill_null(False))
    others = others.select("usage", "account_plan_id", "account_id", "is_pooled", "is_covered")
    named = pl.concat([others, summed]).join(accounts.select("account_id", "account_number"), on="account_id")
    return named.select("usage", "account_plan_id", *_NAMED).sort("usage", "account_number")


def _summarized(usages: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """The children whose account plans of the same plan and dates a summary adds up: each is rated by itself."""
    plans = attached_plans(configuration).filter(pl.col("child_billing_mode") == ChildBillingMode.PARENT_SUMMARY.value)
    children = configuration.accounts.select("account_id", bill_account_id="parent_account_id")
    theirs = plans.join(children, on="account_id").select("plan_id", "bill_account_id", "account_id", "account_plan_id", "start_date", "end_date")
    joined = usages.select("usage", "plan_id", "bill_account_id", "service_start", "service_end").join(theirs, on=["plan_id", "bill_account_id"])
    covers = (pl.col("start_date") <= pl.col("service_start")) & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col("service_end")))
    return (
        joined.filter(covers)
        .with_columns(is_pooled=pl.lit(False), is_covered=pl.lit(False))
        .select("usage", "account_plan_id", "account_id", "is_pooled", "is_covered")
    )
