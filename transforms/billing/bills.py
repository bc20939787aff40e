"""Bill headers: one bill per account, bill date and grouping, and (unless consolidated) frequency and interval.

Put here a bill's dates, currency, total and id. Keep out its lines and the state that people give it. Source: billing.md
2.9, DECISIONS 27, 32 and 34.
"""

from typing import TYPE_CHECKING

import polars as pl

from transforms.billing.conversions import TOO_LARGE
from transforms.billing.ids import uuids
from transforms.configuration import Configuration
from transforms.datasets import BILLS
from transforms.entities.organization import InvoiceDate
from transforms.entities.resource import BillingFrequency
from transforms.periods import DAY
from transforms.rating.amounts import ZERO, sums
from transforms.rating.run import FAILURES_SCHEMA, BillRun

if TYPE_CHECKING:
    from transforms.rating.state import Rating


def bill_headers(due: pl.DataFrame, configuration: Configuration, run: BillRun) -> pl.DataFrame:
    """What the anchors of a run say of its bills: one row per bill, in bill order, with ``bill_id`` but without amounts."""
    organization = configuration.organization
    is_long = pl.col("period_start_day") != pl.col("previous_day")
    # A consolidated bill is of the cadence of its plans, or MIXED when they have several (billing.md 2.8).
    is_mixed = pl.struct("frequency", "interval").n_unique() > 1
    cadence = {
        "billing_frequency": pl.when(is_mixed).then(pl.lit(str(BillingFrequency.MIXED))).otherwise(pl.col("frequency").first()),
        "bill_frequency_interval": pl.when(is_mixed).then(1).otherwise(pl.col("interval").first()).cast(pl.Int32),
    }
    consolidates = organization.consolidate_bills
    headers = (
        due.with_columns(period_start_at=pl.when(is_long).then("start_at").otherwise("previous_at"))
        .group_by("bill", maintain_order=True)
        .agg(
            pl.col("bill_date", "grouping", "purchase_order_number", "days_before_bill_due").first(),
            account_id=pl.col("billed_id").first(),
            account_code=pl.col("billed_code").first(),
            **(
                cadence if consolidates else {"billing_frequency": pl.col("frequency").first(), "bill_frequency_interval": pl.col("interval").first()}
            ),
            currency=pl.col("bill_currency").first(),
            start_date=pl.col("period_start_day").min(),
            start_at=pl.col("period_start_at").min(),
            end_day=pl.col("period_end_day").max(),
            end_at=pl.col("period_end_at").max(),
            has_arrears=pl.col("has_arrears").any(),
        )
        .sort("bill")
    )
    days = pl.coalesce("days_before_bill_due", pl.lit(organization.days_before_bill_due))
    invoice_day = pl.col("end_day") - DAY if organization.external_invoice_date is InvoiceDate.LAST_DAY_OF_ARREARS else pl.col("end_day")
    kept = ["account_id", "bill_date", "grouping"]
    key = [*kept, pl.lit(""), pl.lit("")] if consolidates else [*kept, "billing_frequency", "bill_frequency_interval"]
    name = pl.format(f"bill/{configuration.organization_id}/{{}}/{{}}/{{}}/{{}}/{{}}", *key)
    return headers.with_columns(
        end_date=pl.col("end_day") - DAY,
        due_date=pl.lit(run.due_date) if run.due_date else pl.col("bill_date") + pl.duration(days=days),
        external_invoice_date=pl.lit(run.external_invoice_date) if run.external_invoice_date else invoice_day,
        bill_id=uuids(headers.select(name).to_series()),
    )


def _failures(lines: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """``bill`` and ``reason`` for every bill that can't be made."""
    broken = lines.select("bill", "failure").filter(pl.col("failure").is_not_null())
    too_large = totals.filter(pl.col("bill_total").is_null() & ~pl.col("bill").is_in(broken["bill"].unique().implode()))
    reasons = pl.concat([broken, too_large.select("bill", failure=pl.lit(f"the bill's total: {TOO_LARGE}"))])
    return reasons.group_by("bill").agg(reason=pl.col("failure").unique().sort().str.join("; "))


def bills(rating: "Rating", lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The bills of the run and the failures.

    Args:
        rating: The run.
        lines: All lines, with ``bill``.

    Returns:
        Every bill in bill order with the columns of BILLS, ``bill`` and ``is_made`` (false: it failed, was not asked for,
        or it has no lines and is not wanted empty); then the failures, see FAILURES_SCHEMA, sorted by account.
    """
    totals = sums(lines, ["bill"], "converted_subtotal").rename({"converted_subtotal": "bill_total", "rows": "line_count"})
    reasons = _failures(lines, totals)
    headers = rating.headers
    for more in (totals, reasons):
        headers = headers.join(more, on="bill", how="left", maintain_order="left")
    has_lines = pl.col("line_count").is_not_null()
    wanted = has_lines if rating.configuration.organization.suppressed_empty_bills else has_lines | pl.col("has_arrears")
    failures = headers.filter(pl.col("reason").is_not_null() & pl.col("is_wanted")).select(*FAILURES_SCHEMA).unique().sort(*FAILURES_SCHEMA)
    made = headers.with_columns(
        is_made=pl.col("reason").is_null() & wanted & pl.col("is_wanted"),
        bill_total=pl.when(has_lines).then("bill_total").otherwise(ZERO),
        line_count=pl.col("line_count").fill_null(0).cast(pl.Int32),
    )
    return made.select("bill", "is_made", *BILLS.columns), failures
