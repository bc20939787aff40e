"""Work that the resident worker did outside a Dagster run, recorded in the Dagster instance all the same.

Put here which assets a batch or a bill job has materialized. Keep out the work itself. Without ``DAGSTER_HOME`` there is
nothing to record in, and every function here does nothing.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache

import dagster as dg

from pipelines.partitions import billing_month, shown

#: What a batch of measurements writes, by event day.
INGESTED = ("landed_batches", "measurements", "rejected_measurements", "daily_aggregates")
#: What a bill job writes, by the month that its billing period ends in.
BILLED = ("bill_calculations", "bill_line_items", "bills")

Metadata = Mapping[str, int | float | str]


@cache
def _instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.get()


def recorded(assets: Iterable[str], *, partitions: Mapping[str, Metadata]) -> None:
    """Report that assets were materialized outside a Dagster run.

    Args:
        assets: Asset keys, all of them partitioned alike.
        partitions: Partition key -> what to show with it (totals, durations in seconds).
    """
    if "DAGSTER_HOME" not in os.environ:
        return
    for asset in assets:
        for key, metadata in partitions.items():
            _instance().report_runless_asset_event(dg.AssetMaterialization(asset, partition=key, metadata=dict(metadata)))


def recorded_ingest(days: Mapping[date, Mapping[str, int]], *, seconds: float) -> None:
    """Record batches of measurements.

    Args:
        days: Event day -> counts, say ``{"landed": 3, "accepted": 2, "duplicates": 1, "rejected": 0}``.
        seconds: How long they took, all days together.
    """
    recorded(INGESTED, partitions={day.isoformat(): {**days[day], "seconds": seconds} for day in shown(days)})


def recorded_bill_job(*, last_date: date, seconds: float, bills: int, line_items: int, failures: int) -> None:
    """Record a bill job.

    Args:
        last_date: Last day of the billing periods that it billed.
        seconds: How long it took.
        bills: Bills written.
        line_items: Line items on them.
        failures: Accounts whose bill failed.
    """
    metadata = {"bills": bills, "line_items": line_items, "failures": failures, "seconds": seconds}
    recorded(BILLED, partitions={billing_month(day): metadata for day in shown([last_date])})
