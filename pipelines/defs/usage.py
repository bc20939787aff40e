"""Assets from the landing to the partial aggregates.

Taking in a batch writes all of them at once, exactly once (``pipelines/storage/ingest.py``), usually in the resident
worker. Materializing ``landed_batches`` takes in whatever has landed by then; materializing the others counts what their
partitions hold. Put here what is shown; keep out how it is written.
"""

from datetime import date
from time import monotonic

import dagster as dg

from pipelines.defs.layers import Layer, dataset_asset
from pipelines.defs.warehouse import Storage, Warehouse
from pipelines.partitions import EVENT_DAYS, event_day
from pipelines.storage.ingest import drained
from pipelines.storage.snapshots import configuration
from pipelines.storage.totals import COUNTS, measurement_counts, rows_by_day
from transforms.datasets import DAILY_AGGREGATES, MEASUREMENTS, REJECTED_MEASUREMENTS, UID_INDEX, Dataset

Result = dg.MaterializeResult[None]


def event_days(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[date, date]:
    """First and last event day of the run."""
    return event_day(context.partition_keys[0]), event_day(context.partition_keys[-1])


def _rows(context: dg.AssetExecutionContext, warehouse: Storage, dataset: Dataset) -> Result:
    """Count the rows of every day of the run, over its organizations, as metadata of the day."""
    started = monotonic()
    first, last = event_days(context)
    totals: dict[str, int] = dict.fromkeys(context.partition_keys, 0)
    for org_id in warehouse.organizations(context):
        with warehouse.database.transaction() as connection:
            snapshot = configuration(connection, org_id)
        for day, rows in rows_by_day(warehouse.lake, dataset, snapshot, day="date", first=first, last=last).items():
            totals[day.isoformat()] += rows
    for key, rows in totals.items():
        context.add_asset_metadata({"dagster/partition_row_count": rows}, partition_key=key)
    return dg.MaterializeResult(metadata={"rows in run": sum(totals.values()), "seconds": monotonic() - started})


@dataset_asset(
    "landed_batches",
    layer=Layer.LANDING,
    partitions=EVENT_DAYS,
    detail="Takes in everything that has landed, of whatever day, and shows per event day what became of the measurements.",
)
def landed_batches(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
    """Drain the landing."""
    started = monotonic()
    drained(warehouse.database, warehouse.lake, warehouse.landing_root)
    seconds = monotonic() - started
    first, last = event_days(context)
    org_ids = warehouse.organizations(context)
    with warehouse.database.transaction() as connection:
        counts = measurement_counts(connection, org_ids, first, last)
    for row in counts.iter_rows(named=True):
        context.add_asset_metadata({name: row[name] for name in COUNTS}, partition_key=row["date"].isoformat())
    return dg.MaterializeResult(metadata={f"{name} in run": int(counts[name].sum()) for name in COUNTS} | {"seconds": seconds})


@dataset_asset(
    "uid_index",
    layer=Layer.USAGE,
    partitions=None,
    upstream=("landed_batches",),
    detail="What de-duplication looks in: a uid stands for 35 days from its receipt.",
)
def uid_index(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
    """Count the uids kept, of all organizations."""
    started = monotonic()
    rows = 0
    for org_id in warehouse.organizations(context):
        rows += warehouse.lake.scan(UID_INDEX, org_id).select("received_date").collect(engine="streaming").height
    return dg.MaterializeResult(metadata={"dagster/row_count": rows, "seconds": monotonic() - started})


@dataset_asset(
    "measurements",
    layer=Layer.USAGE,
    partitions=EVENT_DAYS,
    upstream=("landed_batches",),
    detail="Conformed, validated, de-duplicated by uid, with derived fields; the partition is the event day in the organization's time zone.",
)
def measurements(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
    """Count the accepted measurements."""
    return _rows(context, warehouse, MEASUREMENTS)


@dataset_asset(
    "rejected_measurements",
    layer=Layer.USAGE,
    partitions=EVENT_DAYS,
    upstream=("landed_batches",),
    detail="Each with its reason and as it was sent, so that it can be sent again after a fix.",
)
def rejected_measurements(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
    """Count the measurements that were not accepted."""
    return _rows(context, warehouse, REJECTED_MEASUREMENTS)


@dataset_asset(
    "daily_aggregates",
    layer=Layer.AGGREGATES,
    partitions=EVENT_DAYS,
    upstream=("measurements",),
    detail="Bills and the Data Explorer are computed from these wherever they suffice.",
)
def daily_aggregates(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
    """Count the partial states."""
    return _rows(context, warehouse, DAILY_AGGREGATES)


ASSETS = (landed_batches, uid_index, measurements, rejected_measurements, daily_aggregates)
