"""What a balance's transactions come to: put in, taken out, drawn, expired.

Put here the sums that a client is shown. Keep out what a bill may draw (``rating/availability.py``). Source: billing.md 5.7, 5.8.
"""

from datetime import datetime
from decimal import Decimal

import polars as pl

from transforms.datasets import INSTANT
from transforms.entities.balances import Balance
from transforms.entities.resource import ValueObject
from transforms.money import DECIMAL


class BalanceTransactionsSummary(ValueObject):
    """The sums, all of them zero or more.

    Attributes:
        total_credit_amount: All that was put in.
        total_debit_amount: All that was taken out, by bills too.
        initial_credit_amount: What was put in first.
        expired_balance_amount: What was left at the end less what rolled over; 0 until the end.
        rollover_consumed: What bills of periods that begin at the balance's end or later drew.
        balance_consumed: What the other bills drew.
    """

    total_credit_amount: Decimal
    total_debit_amount: Decimal
    initial_credit_amount: Decimal
    expired_balance_amount: Decimal
    rollover_consumed: Decimal
    balance_consumed: Decimal


#: One row per standing entry of a balance, in the order of their writing.
ENTRIES: dict[str, pl.DataType | type[pl.DataType]] = {
    "amount": DECIMAL,
    "applied_at": INSTANT,
    # Start of the billing period of the bill that drew it; null for what is no draw.
    "period_start": INSTANT,
}


def summary(entries: pl.DataFrame, balance: Balance, now: datetime) -> BalanceTransactionsSummary:
    """The sums of a balance's standing entries.

    Args:
        entries: See ENTRIES.
        balance: The balance.
        now: Whether it has ended yet.
    """
    amount, period_start = pl.col("amount"), pl.col("period_start")
    is_draw = period_start.is_not_null()
    is_in_life = pl.coalesce(period_start, "applied_at") < pl.lit(balance.end_date)
    put_in = entries.filter(amount > 0)
    left = _total(entries.filter(is_in_life))
    return BalanceTransactionsSummary(
        total_credit_amount=_total(put_in),
        total_debit_amount=-_total(entries.filter(amount < 0)),
        initial_credit_amount=_total(put_in.head(1)),
        expired_balance_amount=max(Decimal(0), left) - rolled_over(left, balance) if now >= balance.end_date else Decimal(0),
        rollover_consumed=-_total(entries.filter(is_draw & ~is_in_life)),
        balance_consumed=-_total(entries.filter(is_draw & is_in_life)),
    )


def rolled_over(left: Decimal, balance: Balance) -> Decimal:
    """What of an amount that is left at the end can still be drawn after it: nothing, all, or at most ``rollover_amount``."""
    if balance.rollover_end_date is None or left <= 0:
        return Decimal(0)
    return left if balance.rollover_amount is None else min(left, balance.rollover_amount)


def _total(entries: pl.DataFrame) -> Decimal:
    return sum(entries["amount"], Decimal(0))
