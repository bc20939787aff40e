"""Commitments and balances of the accounts that a run bills, as one table: the *funds* that bills draw from.

Put here what a fund covers and in which order funds are drawn. Keep out the drawing itself (``draw_downs.py``) and what is left
in them (``availability.py``). Source: billing.md 5, DECISIONS 29.
"""

import json
from collections.abc import Iterable, Sequence

import polars as pl

from transforms.billing.conversions import Exchange
from transforms.configuration import Configuration
from transforms.datasets import INSTANT
from transforms.entities.organization import BillCreditType
from transforms.entities.usage import Aggregation, CompoundAggregation, Product
from transforms.money import DECIMAL
from transforms.rating.anchors import Role
from transforms.rating.windows import midnights

COMMITMENT, BALANCE = "COMMITMENT", "BALANCE"

#: One row per fund of a billed account, in the order in which they are drawn (those of an account together).
FUNDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "account_id": pl.String,
    # COMMITMENT or BALANCE.
    "fund_kind": pl.String,
    "fund_id": pl.String,
    "currency": pl.String,
    "bill_currency": pl.String,
    # What a commitment holds from the first day; null for a balance, whose ledger says it.
    "amount": DECIMAL,
    "start_at": INSTANT,
    "end_at": INSTANT,
    "rollover_amount": DECIMAL,
    "rollover_end_at": INSTANT,
    "overage_surcharge_percent": DECIMAL,
    "separate_overage_usage": pl.Boolean,
    # Empty lists: all products, all types that such a fund may cover.
    "product_ids": pl.List(pl.String),
    "line_item_types": pl.List(pl.String),
    "contract_id": pl.String,
    "allow_overdraft": pl.Boolean,
    "consumed_description": pl.String,
    "fee_description": pl.String,
    "overage_description": pl.String,
    "consumed_accounting_product_id": pl.String,
    "fee_accounting_product_id": pl.String,
    "created_at": INSTANT,
}


def due_funds(configuration: Configuration, due: pl.DataFrame, zone: str) -> pl.DataFrame:
    """The funds of the accounts that the run bills; see FUNDS, with ``draw_rank`` (UInt32), their order within the account.

    A fund of a kind that the account's creditApplicationOrder leaves out is there for its fees, but has no ``draw_rank``.
    """
    billed = due.filter(pl.col("role") == Role.ACCOUNT.value).select(account_id="billed_id", bill_currency="bill_currency").unique("account_id")
    funds = pl.concat([_commitments(configuration, zone), _balances(configuration)])
    ranked = funds.drop("bill_currency").join(billed, on="account_id").join(_kinds(configuration, billed), on=["account_id", "fund_kind"], how="left")
    ordered = ranked.sort("account_id", "kind_rank", *_order(), nulls_last=True)
    rank = pl.when(pl.col("kind_rank").is_not_null()).then(pl.int_range(pl.len(), dtype=pl.UInt32).over("account_id"))
    return ordered.with_columns(draw_rank=rank).select(*FUNDS, "draw_rank")


def _kinds(configuration: Configuration, billed: pl.DataFrame) -> pl.DataFrame:
    """``account_id``, ``fund_kind`` and ``kind_rank``: the order of kinds of the account, else of the organization (billing.md 5.4).

    In a hierarchy the order can't be set: prepayments come before balances.
    """
    general = json.dumps([str(kind) for kind in configuration.organization.credit_application_order])
    accounts = configuration.accounts.join(billed.select("account_id"), on="account_id", how="semi")
    parents = configuration.accounts["parent_account_id"].drop_nulls().unique()
    in_family = pl.col("parent_account_id").is_not_null() | pl.col("account_id").is_in(parents.implode())
    fixed = json.dumps([str(BillCreditType.PREPAYMENT), str(BillCreditType.BALANCE)])
    order = pl.when(in_family).then(pl.lit(fixed)).otherwise(pl.coalesce("credit_application_order", pl.lit(general)))
    kinds = {str(BillCreditType.PREPAYMENT): COMMITMENT, str(BillCreditType.BALANCE): BALANCE}
    long = accounts.select("account_id", kinds=order.str.json_decode(pl.List(pl.String))).explode("kinds").drop_nulls()
    ranked = long.with_columns(kind_rank=pl.int_range(pl.len(), dtype=pl.UInt32).over("account_id"))
    return ranked.select("account_id", "kind_rank", fund_kind=pl.col("kinds").replace_strict(kinds, return_dtype=pl.String))


def with_grants(funds: pl.DataFrame, configuration: Configuration, rates: Sequence[Exchange]) -> pl.DataFrame:
    """The funds (``exchange``) with ``is_grant``: balances that hold a quantity instead of money (billing.md 5.8).

    A grant's currency is the unit of an aggregation, and nobody says what it is worth in the bill's currency.
    """
    simple, compound = configuration.entities(Aggregation).values(), configuration.entities(CompoundAggregation).values()
    units = {a.unit for a in simple} | {a.unit for a in compound}
    worthless = [number for number, exchange in enumerate(rates) if exchange.rate is None]
    is_grant = (pl.col("fund_kind") == BALANCE) & pl.col("currency").is_in(list(units)) & pl.col("exchange").is_in(worthless)
    return funds.with_columns(is_grant=is_grant)


def _order() -> list[pl.Expr]:
    """Of a kind: product-specific before account-wide, then earliest end, start, creation (DECISIONS 29)."""
    is_wide = pl.col("product_ids").list.len() == 0
    ends = pl.coalesce("rollover_end_at", "end_at")
    return [is_wide, ends, pl.col("start_at"), pl.col("created_at"), pl.col("fund_id")]


def _listed(column: str) -> pl.Expr:
    return pl.col(column).fill_null("[]").str.json_decode(pl.List(pl.String))


def _named(text: str, names: pl.Expr) -> pl.Expr:
    """The text with the fund's products in parentheses, account-wide when it has none (billing.md 4.6)."""
    return pl.when(names.list.len() > 0).then(pl.format(text + " ({})", names.list.join(", "))).otherwise(pl.lit(f"{text} (account-wide)"))


def _with_products(frame: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    names = {product.id: product.name for product in configuration.entities(Product).values()}
    listed = frame.with_columns(_listed("product_ids"), _listed("line_item_types"))
    return listed.with_columns(product_names=pl.col("product_ids").list.eval(pl.element().replace(names)))


def _instants(days: Iterable[object], zone: str) -> pl.DataFrame:
    return midnights([d for d in days if d is not None], zone)  # type: ignore[misc]


def _commitments(configuration: Configuration, zone: str) -> pl.DataFrame:
    frame = _with_products(configuration.frame("Commitment"), configuration)
    days = _instants([*frame["start_date"], *frame["end_date"]], zone)
    for day, at in (("start_date", "start_at"), ("end_date", "end_at")):
        frame = frame.join(days.rename({"day": day, "at": at}), on=day, how="left", maintain_order="left")
    names = pl.col("product_names")
    null = pl.lit(None)
    chosen = frame.with_columns(
        fund_kind=pl.lit(COMMITMENT),
        fund_id="commitment_id",
        bill_currency=null.cast(pl.String),
        rollover_amount=null.cast(DECIMAL),
        rollover_end_at=null.cast(INSTANT),
        separate_overage_usage=pl.col("separate_overage_usage").fill_null(False),
        allow_overdraft=pl.lit(False),
        consumed_description=pl.coalesce("commitment_usage_description", _named("Commitment Consumed", names)),
        fee_description=pl.coalesce("commitment_fee_description", _named("Commitment Fee", names)),
        overage_description=pl.coalesce("overage_description", _named("Overage Surcharge", names)),
        consumed_accounting_product_id=pl.coalesce("drawdowns_accounting_product_id", "accounting_product_id"),
        fee_accounting_product_id=pl.coalesce("fees_accounting_product_id", "accounting_product_id"),
    )
    return chosen.select(pl.col(name).cast(dtype) for name, dtype in FUNDS.items())


def _balances(configuration: Configuration) -> pl.DataFrame:
    frame = _with_products(configuration.frame("Balance"), configuration)
    negative = configuration.organization.allow_negative_balances
    null = pl.lit(None)
    chosen = frame.with_columns(
        fund_kind=pl.lit(BALANCE),
        fund_id="balance_id",
        bill_currency=null.cast(pl.String),
        amount=null.cast(DECIMAL),
        start_at="start_date",
        end_at="end_date",
        rollover_end_at="rollover_end_date",
        separate_overage_usage=pl.lit(True),
        allow_overdraft=pl.col("allow_overdraft").fill_null(False) | pl.lit(bool(negative)),
        consumed_description=pl.coalesce("balance_draw_down_description", "name"),
        fee_description=null.cast(pl.String),
        overage_description=pl.coalesce("overage_description", _named("Overage Surcharge", pl.col("product_names"))),
        consumed_accounting_product_id="consumptions_accounting_product_id",
        fee_accounting_product_id="fees_accounting_product_id",
    )
    return chosen.select(pl.col(name).cast(dtype) for name, dtype in FUNDS.items())
