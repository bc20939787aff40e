"""Work that the resident worker did outside a Dagster run, recorded in the Dagster instance all the same.

Put here which assets a batch or a bill job has materialized. Keep out the work itself. Without ``DAGSTER_HOME`` there is
nothing to record in, and every function here does nothing.
"""

import os
import uuid
from collections.abc import Mapping
from datetime import date
from functools import cache

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, DagsterEventType, StepMaterializationData
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

from pipelines.partitions import billing_month, shown
from pipelines.storage.bill_runs import JobSummary

#: What a batch of measurements writes, by event day.
INGESTED = ("landed_batches", "measurements", "rejected_measurements", "daily_aggregates")
#: What a bill job writes, by the month that its billing period ends in.
BILLED = ("bill_calculations", "bill_line_items", "bills")

Metadata = Mapping[str, int | float | str]


@cache
def _instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.get()


def recorded(asset: str, *, partitions: Mapping[str, Metadata]) -> None:
    """Report that partitions of an asset were materialized outside a Dagster run.

    Args:
        asset: Asset key.
        partitions: Partition key -> what to show with it (totals, durations in seconds).
    """
    if "DAGSTER_HOME" not in os.environ:
        return
    batch = str(uuid.uuid4())
    for number, (key, metadata) in enumerate(partitions.items(), start=1):
        # As DagsterInstance.report_runless_asset_event does, in one insert instead of three transactions per partition.
        materialization = dg.AssetMaterialization(asset, partition=key, metadata=dict(metadata))
        _instance().report_dagster_event(
            DagsterEvent(
                event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
                event_specific_data=StepMaterializationData(materialization),
                job_name=RUNLESS_JOB_NAME,
            ),
            run_id=RUNLESS_RUN_ID,
            batch_metadata=DagsterEventBatchMetadata(batch, is_end=number == len(partitions)),
        )


def recorded_ingest(days: Mapping[date, Mapping[str, int]], *, seconds: float) -> None:
    """Record a batch of measurements, under every event day that it holds.

    Args:
        days: Event day -> counts, say ``{"landed": 3, "accepted": 2, "duplicates": 1, "rejected": 0}``.
        seconds: How long it took, all days together.
    """
    partitions: dict[str, Metadata] = {day.isoformat(): {**days[day], "seconds": seconds} for day in shown(days)}
    for asset in INGESTED:
        recorded(asset, partitions=partitions)


def recorded_bill_job(summary: JobSummary) -> None:
    """Record a bill job, under every month that the period of one of its bills ends in."""
    metadata: Metadata = {
        "bills": summary.bills,
        "line_items": summary.line_items,
        "failures": summary.failures,
        "seconds": summary.seconds,
        "organization": summary.org_id,
        "bill job": summary.job_id,
    }
    partitions = {billing_month(day): metadata for day in shown(summary.last_dates)}
    for asset in BILLED:
        recorded(asset, partitions=partitions)
