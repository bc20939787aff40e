"""Which bills must be calculated again because others draw differently than when they were calculated (DECISIONS 29).

Bills of an account draw from its funds in the order of bill date and id, so a bill depends on the draws of those before it.
Put here how the ledger changes while bills are calculated, and whose ground has moved. Keep out what a bill may draw
(``availability.py``) and running it again (pipelines).
"""

from collections.abc import Collection, Sequence

import polars as pl

from transforms.configuration import Configuration
from transforms.rating.run import LEDGER

#: One row per bill of an account that has funds.
PLACED: dict[str, pl.DataType | type[pl.DataType]] = {"bill_id": pl.String, "bill_date": pl.Date, "account_id": pl.String}
#: Which account a fund belongs to.
OWNERS: dict[str, pl.DataType | type[pl.DataType]] = {"fund_id": pl.String, "account_id": pl.String}


def owners(configuration: Configuration) -> pl.DataFrame:
    """The funds of the configuration's accounts, see OWNERS."""
    kinds = (("Commitment", "commitment_id"), ("Balance", "balance_id"))
    return pl.concat([configuration.frame(kind).select(fund_id=key, account_id="account_id") for kind, key in kinds])


def with_draws(ledger: pl.DataFrame, bill_ids: Collection[str], draws: pl.DataFrame) -> pl.DataFrame:
    """The ledger after these bills were calculated: what they drew before is given back, what they draw now stands.

    Args:
        ledger: See LEDGER.
        bill_ids: The bills.
        draws: Their draws, see DRAWS.
    """
    kept = ledger.filter(pl.col("bill_id").is_null() | ~pl.col("bill_id").is_in(list(bill_ids)))
    new = draws.select("fund_id", "applied_at", amount=-pl.col("amount"), bill_id="bill_id", bill_date="bill_date", is_locked=pl.lit(False))
    return pl.concat([kept, new.select(pl.col(name).cast(dtype) for name, dtype in LEDGER.items())])


def with_locked(ledger: pl.DataFrame, bill_ids: Collection[str]) -> pl.DataFrame:
    """The ledger with the draws of these bills as if they were locked: they can't be calculated again, so nobody may draw what they drew."""
    return ledger.with_columns(is_locked=pl.col("is_locked") | pl.col("bill_id").is_in(list(bill_ids)).fill_null(False))


def moved_bills(funds: pl.DataFrame, bases: Sequence[tuple[pl.DataFrame, pl.DataFrame]], ledger: pl.DataFrame) -> list[str]:
    """The first bill of each account whose ground has moved, in the order of their ids.

    That is: open bills before it draw another amount from one of its account's funds than when it was calculated.

    Args:
        funds: See OWNERS.
        bases: Bills (see PLACED) and the ledger as it stood after they were calculated.
        ledger: As it stands now.
    """
    moved = []
    for bills, basis in bases:
        if basis is ledger:
            continue
        before, now = (_taken(bills, funds, one).rename({"amount": name}) for one, name in ((basis, "before"), (ledger, "now")))
        both = before.join(now, on=["bill_id", "fund_id"], how="full", coalesce=True).fill_null(0)
        ids = both.filter(pl.col("before") != pl.col("now"))["bill_id"].unique()
        moved.append(bills.filter(pl.col("bill_id").is_in(ids.implode())))
    ordered = pl.concat([pl.DataFrame(schema=PLACED), *moved]).sort("account_id", "bill_date", "bill_id")
    return sorted(ordered.unique("account_id", keep="first", maintain_order=True)["bill_id"])


def _taken(bills: pl.DataFrame, funds: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """What open bills before each bill draw: bill_id, fund_id, amount."""
    draws = ledger.filter(pl.col("bill_id").is_not_null() & ~pl.col("is_locked")).rename({"bill_id": "drawn_by", "bill_date": "drawn_on"})
    date, drawn_on = pl.col("bill_date"), pl.col("drawn_on")
    is_earlier = (drawn_on < date) | ((drawn_on == date) & (pl.col("drawn_by") < pl.col("bill_id")))
    pairs = bills.join(funds, on="account_id").join(draws.select("fund_id", "amount", "drawn_by", "drawn_on"), on="fund_id")
    return pairs.filter(is_earlier).group_by("bill_id", "fund_id").agg(pl.col("amount").sum()).sort("bill_id", "fund_id")
