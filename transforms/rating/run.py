"""What a bill run is asked for and what it gives back: the interface of ``transforms/rating/pipeline.py``.

Put here the two value objects that pipelines and the API exchange with rating. Keep out how anything is computed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import polars as pl

from transforms.datasets import INSTANT
from transforms.entities.organization import CurrencyConversion
from transforms.entities.resource import BillingFrequency
from transforms.money import DECIMAL

#: One row per bill that can't be computed: whose it is and why (DECISIONS 34).
FAILURES_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "account_id": pl.String,
    "account_code": pl.String,
    "reason": pl.String,
}

#: One row per bill and aggregation with usage that none of its segments matches, so that nobody is charged for it (DECISIONS 19).
UNMATCHED_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "bill_id": pl.String,
    "aggregation_id": pl.String,
    "aggregation_code": pl.String,
    "measurements": pl.Int64,
}

#: One row per standing entry of a fund (a commitment or balance): what was put in and what bills drew (DECISIONS 29). A commitment
#: has draws only; what it holds is its amount.
LEDGER: dict[str, pl.DataType | type[pl.DataType]] = {
    "fund_id": pl.String,
    "applied_at": INSTANT,
    # Signed, in the fund's currency (of a grant, its quantity): draws are negative.
    "amount": DECIMAL,
    # The bill that drew it, its date and whether it is locked; null for all other entries.
    "bill_id": pl.String,
    "bill_date": pl.Date,
    "is_locked": pl.Boolean,
}

#: One row per bill and fund that it draws from.
DRAWS: dict[str, pl.DataType | type[pl.DataType]] = {
    "bill_id": pl.String,
    "bill_date": pl.Date,
    "account_id": pl.String,
    # COMMITMENT or BALANCE.
    "fund_kind": pl.String,
    "fund_id": pl.String,
    # Above zero, in the fund's currency (of a grant, the quantity).
    "amount": DECIMAL,
    # The end of the bill's period.
    "applied_at": INSTANT,
}


@dataclass(frozen=True, kw_only=True)
class BillRun:
    """One request to bill: which periods, which accounts, and what overrides the organization's settings for it.

    The period's exclusive end is ``last_date_in_billing_period`` + 1 day when that is given, else each schedule's last
    boundary on or before ``bill_date`` (or ``today``). Source: billing.md 2.2, 3.1.

    Attributes:
        today: The day of the calculation in the organization's time zone; the only clock that rating sees.
        last_date_in_billing_period: Last day of the period to bill, inclusive.
        bill_date: The bill's date; the day after the period when None.
        billing_frequency: Only plans of this frequency; None is every frequency.
        bill_frequency_interval: Only plans of this interval; None is every interval.
        account_ids: Only bills of these accounts; None is all of them.
        bill_ids: Only these bills; None is all that come out.
        due_date: Overrides bill date + daysBeforeBillDue.
        external_invoice_date: Overrides the organization's rule.
        target_currency: Bill in this currency; None is the account's, else the organization's.
        currency_conversions: Looked up before the organization's conversions.
        timezone: Overrides the organization's time zone.
        day_epoch: Overrides the organization's dayEpoch; the other three likewise.
    """

    today: date
    last_date_in_billing_period: date | None = None
    bill_date: date | None = None
    billing_frequency: BillingFrequency | None = None
    bill_frequency_interval: int | None = None
    account_ids: tuple[str, ...] | None = None
    bill_ids: tuple[str, ...] | None = None
    due_date: date | None = None
    external_invoice_date: date | None = None
    target_currency: str | None = None
    currency_conversions: tuple[CurrencyConversion, ...] = ()
    timezone: str | None = None
    day_epoch: date | None = None
    week_epoch: date | None = None
    month_epoch: date | None = None
    year_epoch: date | None = None


@dataclass(frozen=True)
class BillRunResult:
    """What one bill run computed; nothing of it is stored yet.

    Attributes:
        bills: Dataset BILLS, sorted by account_id, billing_frequency, bill_frequency_interval.
        line_items: Dataset BILL_LINE_ITEMS without ``calculation_id``, sorted by bill as in ``bills`` and then by
            sequence_number. The converted subtotals of a bill's lines sum to its bill_total.
        failures: See FAILURES_SCHEMA; a bill that is here is neither in ``bills`` nor in ``line_items``.
        unmatched: See UNMATCHED_SCHEMA, sorted by bill as in ``bills`` and then by aggregation_code and aggregation_id.
        draws: See DRAWS, sorted by bill_id and fund_id; of the bills in ``bills`` only.
    """

    bills: pl.DataFrame
    line_items: pl.DataFrame
    failures: pl.DataFrame
    unmatched: pl.DataFrame
    draws: pl.DataFrame

    def without(self, bill_ids: Collection[str]) -> "BillRunResult":
        """The result as if those bills had not come out."""
        return self._of(~pl.col("bill_id").is_in(list(bill_ids)))

    def of(self, bill_ids: Collection[str]) -> "BillRunResult":
        """Those bills alone."""
        return self._of(pl.col("bill_id").is_in(list(bill_ids)))

    def _of(self, wanted: pl.Expr) -> "BillRunResult":
        bills, line_items, unmatched, draws = (frame.filter(wanted) for frame in (self.bills, self.line_items, self.unmatched, self.draws))
        return BillRunResult(bills, line_items, self.failures, unmatched, draws)
