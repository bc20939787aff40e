"""Asset checks, all of them blocking: what a dataset must be for the next layer to be made from it.

Schemas, generated for every dataset from its declaration; the balances (landed = accepted + duplicates + rejected, lines
sum to bills); and the expectations of the two published boundaries. Put here what is compared with what; keep out rules
about single rows (expectations.py).
"""

import warnings
from collections.abc import Callable, Iterator

import dagster as dg
import polars as pl

from pipelines.defs.billing import run_days
from pipelines.defs.expectations import LINE_ITEM_RULES, MEASUREMENT_RULES, validated, violations
from pipelines.defs.usage import event_days
from pipelines.defs.warehouse import Storage, Warehouse
from pipelines.partitions import BILLING_MONTHS, EVENT_DAYS
from pipelines.storage import ledger
from pipelines.storage.snapshots import configuration
from pipelines.storage.table_schemas import bill_problems, lake_problems
from pipelines.storage.totals import COUNTS, bill_headers, current_lines, measurement_balances, parts_of
from transforms.configuration import Configuration
from transforms.datasets import BILL_LINE_ITEMS, BILLS, DAILY_AGGREGATES, DATASETS, MEASUREMENTS, PUBLISHED_LINE_ITEMS, REJECTED_MEASUREMENTS, Dataset

#: How the asset of each dataset is cut; the checks of an asset are cut as it is.
PARTITIONS = {
    MEASUREMENTS.name: EVENT_DAYS,
    REJECTED_MEASUREMENTS.name: EVENT_DAYS,
    DAILY_AGGREGATES.name: EVENT_DAYS,
    BILL_LINE_ITEMS.name: BILLING_MONTHS,
    BILLS.name: BILLING_MONTHS,
    PUBLISHED_LINE_ITEMS.name: BILLING_MONTHS,
}
#: At most this many offenders are named in a result.
SHOWN = 5

Verdict = Callable[[dg.AssetCheckExecutionContext, Storage], dg.AssetCheckResult]


def blocking_check(dataset: str, name: str, description: str) -> Callable[[Verdict], dg.AssetChecksDefinition]:
    """Decorator: a blocking check of the dataset's asset, with the asset's partitions."""

    def decorated(verdict: Verdict) -> dg.AssetChecksDefinition:
        with warnings.catch_warnings():
            # Checks with partitions are a preview in Dagster; without, a check of a partitioned asset does not know what to look at.
            warnings.simplefilter("ignore", dg.PreviewWarning)
            declared = dg.asset_check(asset=dataset, name=name, description=description, blocking=True, partitions_def=PARTITIONS.get(dataset))
            return declared(verdict)

    return decorated


def _snapshots(context: dg.AssetCheckExecutionContext, warehouse: Storage) -> Iterator[Configuration]:
    for org_id in warehouse.organizations(context):
        with warehouse.database.transaction() as connection:
            snapshot = configuration(connection, org_id)
        yield snapshot


def schema_check(dataset: Dataset) -> dg.AssetChecksDefinition:
    """The check that every stored table of the dataset has the declared columns and types."""

    @blocking_check(dataset.name, "schema", "Every stored table has the columns and types that transforms/datasets.py declares.")
    def verdict(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
        tables, problems = 0, list[str]()
        if dataset is BILLS:
            with warehouse.database.transaction() as connection:
                problems = bill_problems(connection)
            tables = 1
        else:
            for snapshot in _snapshots(context, warehouse):
                found, wrong = lake_problems(warehouse.lake, dataset, snapshot)
                tables += found
                problems += wrong
        return dg.AssetCheckResult(
            passed=not problems,
            description="; ".join(problems[:SHOWN]) or f"{tables} tables as declared",
            metadata={"tables": tables, "problems": len(problems)},
        )

    return verdict


@blocking_check(
    "measurements",
    "landed_is_accepted_duplicates_and_rejected",
    "Per organization and event day: landed = accepted + duplicates + rejected, and the stored rows are as many as were counted (DECISIONS 16).",
)
def balance(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Compare the counts with each other and with the rows in the lake."""
    first, last = event_days(context)
    balances = [measurement_balances(warehouse.database, warehouse.lake, snapshot, first, last) for snapshot in _snapshots(context, warehouse)]
    days = pl.concat(balances) if balances else pl.DataFrame()
    if days.is_empty():
        return dg.AssetCheckResult(passed=True, description="nothing landed on these days", metadata={"days": 0})
    stated = pl.col("landed") == pl.sum_horizontal("accepted", "duplicates", "rejected")
    stored = (pl.col("accepted") == pl.col("measurements")) & (pl.col("duplicates") + pl.col("rejected") == pl.col("rejected_measurements"))
    wrong = days.filter(~(stated & stored))
    shown = [", ".join(f"{name} {value}" for name, value in row.items()) for row in wrong.head(SHOWN).iter_rows(named=True)]
    return dg.AssetCheckResult(
        passed=wrong.is_empty(),
        description="; ".join(shown) or "every day balances",
        metadata={"days": days.height, "days that do not balance": wrong.height, **{name: int(days[name].sum()) for name in COUNTS}},
    )


@blocking_check(
    "bills", "lines_sum_to_bills", "Of every bill: its line items are as many as it says, and their converted subtotals sum to its total."
)
def line_sums(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Compare headers in PostgreSQL with lines in the lake."""
    org_ids = warehouse.organizations(context)
    with warehouse.database.transaction() as connection:
        headers = bill_headers(connection, org_ids, *run_days(context))
    lines = [current_lines(warehouse.lake, org_id, headers) for org_id in org_ids]
    sums = (
        (pl.concat(lines) if lines else pl.LazyFrame(schema=BILL_LINE_ITEMS.schema))
        .group_by("bill_id")
        .agg(lines=pl.len(), lines_total=pl.col("converted_subtotal").sum())
    )
    compared = (
        headers.lazy().join(sums, on="bill_id", how="left").with_columns(pl.col("lines", "lines_total").fill_null(0)).collect(engine="streaming")
    )
    wrong = compared.filter((pl.col("lines") != pl.col("line_count")) | (pl.col("lines_total") != pl.col("bill_total"))).sort("bill_id")
    shown = [
        f"bill {row['bill_id']}: {row['lines']} lines sum to {row['lines_total']:f}, the bill says {row['line_count']} and {row['bill_total']:f}"
        for row in wrong.head(SHOWN).iter_rows(named=True)
    ]
    return dg.AssetCheckResult(
        passed=wrong.is_empty(),
        description="; ".join(shown) or f"{headers.height} bills are the sum of their lines",
        metadata={"bills": headers.height, "bills that are not": wrong.height},
    )


@blocking_check(
    "bills",
    "ledger_adds_up",
    "Of every commitment and balance: what is stated of it is the fold of its ledger, and every draw is of one bill that exists (DECISIONS 29).",
)
def ledger_sums(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Fold the ledger of every organization and compare."""
    wrong = []
    for org_id in warehouse.organizations(context):
        with warehouse.database.transaction() as connection:
            wrong += ledger.problems(connection, org_id)
    return dg.AssetCheckResult(
        passed=not wrong,
        description="; ".join(wrong[:SHOWN]) or "every commitment and balance is the sum of its entries",
        metadata={"problems": len(wrong)},
    )


@blocking_check("measurements", "expectations", "Great Expectations: no accepted measurement lacks its key or contradicts itself.")
def measurement_expectations(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Judge the measurements of the run's days."""
    days = pl.col("date").is_between(*event_days(context))
    summaries = [
        violations(warehouse.lake.scan(MEASUREMENTS, snapshot.organization_id, *parts).filter(days), MEASUREMENT_RULES)
        for snapshot in _snapshots(context, warehouse)
        for parts in parts_of(MEASUREMENTS, snapshot)
    ]
    empty = violations(pl.LazyFrame(schema=MEASUREMENTS.schema), MEASUREMENT_RULES)
    return validated(pl.concat([empty, *summaries]).sum(), suite="accepted_measurements")


@blocking_check(
    "published_line_items", "expectations", "Great Expectations: every published line says what it charges, for which bill, in which currency."
)
def line_item_expectations(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Judge the published lines of the run's months."""
    months = pl.col("month").is_between(pl.lit(context.partition_keys[0]), pl.lit(context.partition_keys[-1]))
    summaries = [
        violations(warehouse.lake.scan(PUBLISHED_LINE_ITEMS, org_id).filter(months), LINE_ITEM_RULES) for org_id in warehouse.organizations(context)
    ]
    empty = violations(pl.LazyFrame(schema=PUBLISHED_LINE_ITEMS.schema), LINE_ITEM_RULES)
    return validated(pl.concat([empty, *summaries]).sum(), suite="published_line_items")


CHECKS = (*(schema_check(dataset) for dataset in DATASETS), balance, line_sums, ledger_sums, measurement_expectations, line_item_expectations)
