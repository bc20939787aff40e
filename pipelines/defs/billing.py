"""Assets from rating to publishing, by the month that billing periods end in.

Materializing ``bill_calculations`` runs the bill jobs of the month; each of them rates, stores line items and writes
bills. The other assets count what then stands, and ``published_line_items`` puts the current lines where any tool can
read them. Put here what is shown; keep out how bills are computed.
"""

from collections import Counter
from datetime import date
from time import monotonic

import dagster as dg
import polars as pl

from pipelines.defs.bill_runs import bill_jobs_ran
from pipelines.defs.layers import Layer, dataset_asset, note_rows
from pipelines.defs.warehouse import Storage, Warehouse
from pipelines.partitions import BILLING_MONTHS, billing_month, month_days
from pipelines.storage.publishing import published
from pipelines.storage.totals import bill_headers, bill_totals

Result = dg.MaterializeResult[None]


def run_days(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[date, date]:
    """First day of the first and last day of the last month of the run."""
    return month_days(context.partition_keys[0])[0], month_days(context.partition_keys[-1])[1]


def _headers(context: dg.AssetExecutionContext, warehouse: Storage) -> pl.DataFrame:
    org_ids = warehouse.organizations(context)
    with warehouse.database.transaction() as connection:
        return bill_headers(connection, org_ids, *run_days(context))


@dataset_asset(
    "bill_calculations",
    layer=Layer.RATING,
    partitions=BILLING_MONTHS,
    upstream=("daily_aggregates", "measurements"),
    detail="Bills every billing period, of whatever frequency, that ends in the month and is over: one bill job per organization and last day. "
    "The tags meterhouse/organization and meterhouse/accounts restrict it.",
)
def bill_calculations(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
    """Run the bill jobs of the months."""
    started = monotonic()
    totals: dict[str, Counter[str]] = {key: Counter(jobs=0, bills=0, line_items=0, failures=0) for key in context.partition_keys}
    seconds = dict.fromkeys(context.partition_keys, 0.0)
    for org_id in warehouse.organizations(context):
        for last_day, summary in bill_jobs_ran(warehouse, org_id, *run_days(context), account_codes=warehouse.accounts(context)):
            key = billing_month(last_day)
            totals[key].update(jobs=1, bills=summary.bills, line_items=summary.line_items, failures=summary.failures)
            seconds[key] += summary.seconds
            counted = (summary.bills, summary.line_items, summary.failures, summary.seconds)
            context.log.info("organization %s, periods that end on %s: %d bills, %d line items, %d failures in %.2f s", org_id, last_day, *counted)
    for key, counts in totals.items():
        context.add_asset_metadata({**counts, "seconds": seconds[key]}, partition_key=key)
    return dg.MaterializeResult(metadata={"seconds of run": monotonic() - started})


@dataset_asset(
    "bill_line_items",
    layer=Layer.RATING,
    partitions=BILLING_MONTHS,
    upstream=("bill_calculations",),
    detail="The partition is the month that the bill's period ends in.",
)
def bill_line_items(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
    """Count the current line items."""
    note_rows(context, _by_month(_headers(context, warehouse), "line_items"))
    return dg.MaterializeResult()


@dataset_asset(
    "bills",
    layer=Layer.BILLING,
    partitions=BILLING_MONTHS,
    upstream=("bill_line_items",),
    detail="PENDING, APPROVED or locked; the total is the sum of its line items in the bill's currency.",
)
def bills(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
    """Total the bills per currency."""
    headers = _headers(context, warehouse)
    note_rows(context, _by_month(headers, "bills"))
    for row in bill_totals(headers).iter_rows(named=True):
        context.add_asset_metadata({f"total {row['currency']}": f"{row['bill_total'].normalize():f}"}, partition_key=row["month"])
    return dg.MaterializeResult()


@dataset_asset(
    "published_line_items",
    layer=Layer.PUBLISHING,
    partitions=BILLING_MONTHS,
    upstream=("bills", "bill_line_items"),
    detail="A Delta table per organization, one month replaced at a time.",
)
def published_line_items(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
    """Replace the months with the lines that stand now."""
    started = monotonic()
    headers = _headers(context, warehouse)
    org_ids = warehouse.organizations(context)
    for key in context.partition_keys:
        of_month = headers.filter(pl.col("end_date").is_between(*month_days(key)))
        note_rows(context, {key: sum(published(warehouse.lake, org_id, key, of_month) for org_id in org_ids)})
    return dg.MaterializeResult(metadata={"seconds of run": monotonic() - started})


def _by_month(headers: pl.DataFrame, counted: str) -> dict[str, int]:
    """Month -> its bills, or their line items, of all currencies."""
    return dict(bill_totals(headers).group_by("month").agg(pl.col(counted).sum()).sort("month").iter_rows())


ASSETS = (bill_calculations, bill_line_items, bills, published_line_items)
