"""Usage of child accounts that a parent's plan covers: added to the parent's and rated as one block (billing.md 7).

While a child has an account plan of the same product it is rated alone, so no usage is billed twice and none is lost.
Put here whose usage counts for which account plan. Keep out how the block's charge is split among the accounts
(``billing/breakdown.py``).
"""

from collections.abc import Sequence

import polars as pl

from transforms.configuration import Configuration
from transforms.entities.plans import Plan, PlanTemplate
from transforms.money import DECIMAL
from transforms.rating.attachments import attached_plans


def _own_plans(configuration: Configuration) -> pl.DataFrame:
    """One row per account plan of a child: ``child_id``, ``product_id``, ``own_start``, ``own_end``."""
    templates = configuration.entities(PlanTemplate)
    products = {plan.id: templates[plan.plan_template_id].product_id for plan in configuration.entities(Plan).values()}
    children = configuration.accounts.filter(pl.col("parent_account_id").is_not_null()).select("account_id")
    return (
        attached_plans(configuration)
        .join(children, on="account_id", how="semi")
        .select(
            child_id="account_id",
            product_id=pl.col("plan_id").replace_strict(products, return_dtype=pl.String),
            own_start="start_date",
            own_end="end_date",
        )
    )


def with_children(windows: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """The windows with a row more for every child whose usage the account plan covers, or several around account plans of its own.

    Args:
        windows: ``account_id``, ``account_number``, ``product_id``, ``window_start``, ``window_end`` and any more columns.
        configuration: The organization's.

    Returns:
        The windows with ``payer_number``, the account number of the plan's account, and ``payer_start`` and ``payer_end``, its window;
        ``account_number`` is whose usage it is, and ``window_start`` and ``window_end`` when.
    """
    own = windows.with_columns(payer_number="account_number", payer_start="window_start", payer_end="window_end")
    children = configuration.accounts.filter(pl.col("parent_account_id").is_not_null()).select(
        account_id="parent_account_id", child_id="account_id", child_number="account_number"
    )
    if children.is_empty():
        return own
    added = own.join(children, on="account_id").with_columns(account_number="child_number").drop("child_number")
    return pl.concat([own, without_own_plans(added, configuration).select(own.columns)])


def without_own_plans(windows: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """The windows (``child_id``, ``product_id``) of children cut to when the child has no account plan of the product of its own."""
    numbered = windows.with_row_index("row")
    in_window = (pl.col("own_start") < pl.col("window_end")) & (pl.col("own_end").is_null() | (pl.col("own_end") > pl.col("window_start")))
    alone = numbered.join(_own_plans(configuration), on=["child_id", "product_id"]).filter(in_window).sort("row", "own_start")
    whole = numbered.join(alone, on="row", how="anti", maintain_order="left")
    return pl.concat([frame.select(windows.columns) for frame in (whole, _between(alone))])


def _between(alone: pl.DataFrame) -> pl.DataFrame:
    """The rows (``row``, once per own account plan, by its start) cut to what lies before, between and after the own plans."""
    until = pl.col("own_end").fill_null(pl.col("window_end")).cum_max().over("row")
    known = alone.with_columns(until=until)
    before = known.with_columns(
        window_start=pl.max_horizontal("window_start", pl.col("until").shift(1).over("row")),
        window_end=pl.min_horizontal("window_end", "own_start"),
    )
    after = known.unique("row", keep="last", maintain_order=True).with_columns(window_start=pl.max_horizontal("window_start", "until"))
    return pl.concat([before, after]).filter(pl.col("window_start") < pl.col("window_end"))


def pooled(values: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The quantities of a parent and its children as one: the sum of those that have a value; a failure of any fails it.

    Args:
        values: The result of ``quantities`` with ``payer_number`` and, from ``with_children``, the payer's window.
        keys: Columns that tell apart what is pooled, beside the payer and the segment.
    """
    shared = values.filter(pl.col("payer_number") != pl.col("account_number"))["payer_number"].unique()
    if shared.is_empty():
        return values
    is_shared = pl.col("payer_number").is_in(shared.implode())
    alone = values.filter(~is_shared)
    values = values.filter(is_shared)
    if "payer_start" in values.columns:
        values = values.with_columns(window_start="payer_start", window_end="payer_end")
    # Twelve digits and a few thousand children: the sum is checked by rating, which refuses 9e25 and more.
    quantity = pl.when(pl.col("quantity").count() > 0).then(pl.col("quantity").sum())
    weight = pl.col("quantity").cast(pl.Float64).abs().sum()
    too_large = pl.lit("the usage of the account and its children has more than 26 digits before the point")
    grouped = values.group_by("payer_number", *keys, "segment_index", maintain_order=True).agg(
        quantity=quantity.cast(DECIMAL), failure=pl.col("failure").drop_nulls().sort().first(), weight=weight
    )
    is_large = pl.col("weight") >= 9e25
    pooled = grouped.select(
        *keys,
        "segment_index",
        account_number="payer_number",
        quantity=pl.when(~is_large).then("quantity"),
        failure=pl.coalesce("failure", pl.when(is_large).then(too_large)),
    )
    return pl.concat([alone.select(pooled.columns), pooled])
