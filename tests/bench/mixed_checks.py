"""What must hold of the mixed run, whatever its speed: bills add up, and nothing is drawn that is not there."""

import polars as pl

from transforms.configuration import Configuration
from transforms.datasets import INSTANT
from transforms.money import DECIMAL
from transforms.rating.run import LEDGER

_CONSUMED = ("COMMITMENT_CONSUMED", "BALANCE_CONSUMED")
_ZERO = pl.lit(0).cast(DECIMAL)


def problems(configuration: Configuration, ledger: pl.DataFrame, bills: pl.DataFrame, lines: pl.DataFrame, draws: pl.DataFrame) -> list[str]:
    """What is wrong with a run over one period from an empty month (nothing, when the list is empty).

    Args:
        configuration: The organization's.
        ledger: See LEDGER.
        bills: ``bill_id``, ``bill_total``.
        lines: ``bill_id``, ``line_item_type``, ``commitment_id``, ``balance_id``, ``subtotal``, ``converted_subtotal``.
        draws: See DRAWS.
    """
    assert ledger.schema == LEDGER, ledger.schema
    summed = lines.group_by("bill_id").agg(pl.col("converted_subtotal").sum())
    totals = bills.join(summed, on="bill_id", how="full", coalesce=True).filter(
        pl.col("bill_total").is_null() | (pl.col("bill_total") != pl.col("converted_subtotal").fill_null(_ZERO))
    )
    missing = [kind for kind in KINDS if kind not in set(lines["line_item_type"])]
    counts = {
        "bills whose lines do not sum to their total": totals.height,
        "funds drawn beyond what is in them": _overdrawn(configuration, ledger, draws).height,
        "draws that differ from their line": _unlike(lines, draws, configuration).height,
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count] + [f"no line of type {kind}" for kind in missing]


#: Every type that the mixed terms give rise to; a run without one of them measures less than it says.
KINDS = (
    "USAGE",
    "STANDING_CHARGE",
    "MINIMUM_SPEND",
    "COUNTER_RUNNING_TOTAL_CHARGE",
    "COUNTER_ADJUSTMENT_DEBIT",
    "COUNTER_ADJUSTMENT_CREDIT",
    "AD_HOC",
    "BALANCE_FEE",
    "COMMITMENT_FEE",
    *_CONSUMED,
    "OVERAGE_USAGE",
    "OVERAGE_SURCHARGE",
)


def _overdrawn(configuration: Configuration, ledger: pl.DataFrame, draws: pl.DataFrame) -> pl.DataFrame:
    """Funds of which the bills draw more than was put in before the period's end and not drawn before."""
    commitments = configuration.frame("Commitment").select(fund_id="commitment_id", amount="amount", may_overdraw=pl.lit(False))
    balances = configuration.frame("Balance").select(fund_id="balance_id", amount=_ZERO, may_overdraw=pl.col("allow_overdraft").fill_null(False))
    until = pl.lit(draws["applied_at"].max(), dtype=INSTANT)
    entered = ledger.filter(pl.col("applied_at") < until).group_by("fund_id").agg(pl.col("amount").sum().alias("entered"))
    drawn = draws.group_by("fund_id").agg(pl.col("amount").sum().alias("drawn"))
    funds = pl.concat([commitments, balances]).join(entered, on="fund_id", how="left").join(drawn, on="fund_id", how="right")
    there = pl.col("amount") + pl.col("entered").fill_null(_ZERO)
    return funds.filter(~pl.col("may_overdraw").fill_null(False) & (pl.col("drawn") > there.fill_null(_ZERO)))


def _unlike(lines: pl.DataFrame, draws: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """Draws of money that no line states with the same amount, and such lines without a draw."""
    stated = lines.filter(pl.col("line_item_type").is_in(_CONSUMED)).select(
        "bill_id", fund_id=pl.coalesce("commitment_id", "balance_id"), stated=-pl.col("subtotal")
    )
    grants = configuration.frame("Balance").filter(pl.col("currency") == "calls").select(fund_id="balance_id")
    money = draws.join(grants, on="fund_id", how="anti")
    both = money.join(stated, on=["bill_id", "fund_id"], how="full", coalesce=True)
    return both.filter(pl.col("amount").ne_missing(pl.col("stated")))
