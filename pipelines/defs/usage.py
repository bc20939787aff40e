"""Assets from the landing to the partial aggregates.

Taking in a batch writes all of them at once, exactly once (``pipelines/storage/ingest.py``), usually in the resident
worker. Materializing ``landed_batches`` takes in whatever has landed by then; materializing the others counts what their
partitions hold. Put here what is shown; keep out how it is written.
"""

from datetime import date
from time import monotonic

import dagster as dg

from pipelines.defs.layers import Layer, dataset_asset, note_rows
from pipelines.defs.warehouse import Warehouse
from pipelines.partitions import EVENT_DAYS, event_day
from pipelines.storage.ingest import drained
from pipelines.storage.snapshots import configuration
from pipelines.storage.totals import COUNTS, measurement_counts, rows_by_day
from transforms.datasets import DAILY_AGGREGATES, MEASUREMENTS, REJECTED_MEASUREMENTS, UID_INDEX, Dataset

Result = dg.MaterializeResult[None]


def event_days(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[date, date]:
    """First and last event day of the run."""
    return event_day(context.partition_keys[0]), event_day(context.partition_keys[-1])


def _counted(dataset: Dataset, *, layer: Layer, upstream: str, detail: str) -> dg.AssetsDefinition:
    """The asset of a dataset by event day, which ingest writes: materializing it counts the rows of every day of the run."""

    @dataset_asset(dataset.name, layer=layer, partitions=EVENT_DAYS, upstream=(upstream,), detail=detail)
    def counted(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Result:
        started = monotonic()
        first, last = event_days(context)
        totals: dict[str, int] = dict.fromkeys(context.partition_keys, 0)
        for org_id in warehouse.organizations(context):
            with warehouse.database.transaction() as connection:
                snapshot = configuration(connection, org_id)
            for day, rows in rows_by_day(warehouse.lake, dataset, snapshot, day="date", first=first, last=last).items():
                totals[day.isoformat()] += rows
        note_rows(context, totals)
        return dg.MaterializeResult(metadata={"rows in run": sum(totals.values()), "seconds": monotonic() - started})

    return counted


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


measurements = _counted(
    MEASUREMENTS,
    layer=Layer.USAGE,
    upstream="landed_batches",
    detail="Conformed, validated, de-duplicated by uid, with derived fields; the partition is the event day in the organization's time zone.",
)
rejected_measurements = _counted(
    REJECTED_MEASUREMENTS,
    layer=Layer.USAGE,
    upstream="landed_batches",
    detail="Each with its reason and as it was sent, so that it can be sent again after a fix.",
)
daily_aggregates = _counted(
    DAILY_AGGREGATES,
    layer=Layer.AGGREGATES,
    upstream="measurements",
    detail="Bills and the Data Explorer are computed from these wherever they suffice.",
)

ASSETS = (landed_batches, uid_index, measurements, rejected_measurements, daily_aggregates)
