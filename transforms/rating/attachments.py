"""Account plans as rating sees them: whose plan it is, which plan, and which account its charges are billed to.

A plan group attaches every plan of the group. A child's own plan is billed to the parent unless its childBillingMode is CHILD
(billing.md 7: PARENT_BREAKDOWN is the default). A contract may limit the dates and set the bill apart. Put here what follows
from how plans are attached. Keep out periods and prices. Source: billing.md 6.1, 6.2, 7, DECISIONS 31 and 32.
"""

import polars as pl

from transforms.configuration import Configuration
from transforms.entities.accounts import ChildBillingMode
from transforms.entities.picklists import BillGroupingKey
from transforms.entities.plan_groups import PlanGroupLink
from transforms.rating import windows

_LINKS: dict[str, pl.DataType | type[pl.DataType]] = {"plan_group_id": pl.String, "plan_id": pl.String}
#: What is billed with everything else of the account.
UNGROUPED = ""


def attached_plans(configuration: Configuration) -> pl.DataFrame:
    """The account plans with a row per plan: those of a plan group stand for each plan of the group.

    Returns:
        The columns of ACCOUNT_PLANS_SCHEMA; ``plan_id`` is never null, ``plan_group_id`` is the group that attached the plan.
    """
    attached = configuration.account_plans
    own = attached.filter(pl.col("plan_id").is_not_null())
    if own.height == attached.height:
        return own
    links = [(link.plan_group_id, link.plan_id) for link in configuration.entities(PlanGroupLink).values()]
    grouped = attached.filter(pl.col("plan_id").is_null()).drop("plan_id")
    return pl.concat([own, grouped.join(pl.DataFrame(links, schema=_LINKS, orient="row"), on="plan_group_id").select(own.columns)])


def groupings(configuration: Configuration) -> pl.DataFrame:
    """``contract_id`` and ``grouping``: what sets the bills of a contract apart, equal for contracts that share a bill.

    A contract with an exclusive key has bills of its own; those that share another key have one bill together (billing.md 6.2).
    """
    keys = configuration.entities(BillGroupingKey)
    exclusive = [key.id for key in keys.values() if key.exclusive]
    of_key = pl.col("bill_grouping_key_id")
    apart = pl.when(of_key.is_in(exclusive)).then(pl.format("contract/{}", "contract_id")).otherwise(pl.format("key/{}", of_key))
    return configuration.frame("Contract").select("contract_id", grouping=pl.when(of_key.is_null()).then(pl.lit(UNGROUPED)).otherwise(apart))


def with_grouping(frame: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """The rows (``contract_id``) with ``grouping``."""
    if frame["contract_id"].null_count() == frame.height:
        return frame.with_columns(grouping=pl.lit(UNGROUPED))
    joined = frame.join(groupings(configuration), on="contract_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("grouping").fill_null(UNGROUPED))


def within_contracts(attached: pl.DataFrame, configuration: Configuration, zone: str) -> pl.DataFrame:
    """The rows (``contract_id``, ``start_at``, ``end_at``) cut to their contract where it limits what is billed, without the empty ones."""
    contracts = configuration.frame("Contract").filter("apply_contract_period_limits")
    if contracts.is_empty() or attached["contract_id"].null_count() == attached.height:
        return attached
    days = windows.midnights([*contracts["start_date"], *contracts["end_date"].drop_nulls()], zone)
    limits = (
        contracts.select("contract_id", "start_date", "end_date")
        .join(days.rename({"day": "start_date", "at": "contract_start"}), on="start_date", how="left")
        .join(days.rename({"day": "end_date", "at": "contract_end"}), on="end_date", how="left")
        .select("contract_id", "contract_start", "contract_end")
    )
    joined = attached.join(limits, on="contract_id", how="left", maintain_order="left")
    cut = joined.with_columns(
        start_at=pl.max_horizontal("start_at", "contract_start"),
        end_at=pl.min_horizontal("end_at", "contract_end"),
    )
    return cut.filter(pl.col("end_at").is_null() | (pl.col("start_at") < pl.col("end_at"))).drop("contract_start", "contract_end")


def with_billed_account(attached: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """The rows (``account_id``, ``child_billing_mode``) with what a bill takes from the account that it is sent to.

    That is ``billed_id``, ``billed_number``, ``billed_code``, ``billed_currency``, ``days_before_bill_due`` and
    ``purchase_order_number``; beside them the account's own ``account_number``, ``account_code`` and ``account_epoch``.
    """
    accounts = configuration.accounts
    own = accounts.select("account_id", "account_number", "account_code", "parent_account_id", account_epoch="bill_epoch")
    joined = attached.join(own, on="account_id", maintain_order="left")
    is_parents = pl.col("parent_account_id").is_not_null() & (pl.col("child_billing_mode").fill_null("") != ChildBillingMode.CHILD.value)
    joined = joined.with_columns(billed_id=pl.when(is_parents).then("parent_account_id").otherwise("account_id"))
    return joined.join(billed_accounts(configuration), on="billed_id", maintain_order="left")


def billed_accounts(configuration: Configuration) -> pl.DataFrame:
    """One row per account, as bills know it; see :func:`with_billed_account`."""
    return configuration.accounts.select(
        "days_before_bill_due",
        "purchase_order_number",
        billed_id="account_id",
        billed_number="account_number",
        billed_code="account_code",
        billed_currency="currency",
    )
