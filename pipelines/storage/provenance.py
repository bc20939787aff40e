"""What a calculation of bills was computed from: dataset versions, software, and the counts that balance.

Put here what DECISIONS 33 and 16 ask a bill to state. Keep out how it is stored (bill_writes.py).
"""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage.ingest_tables import MEASUREMENT_COUNTS
from pipelines.storage.lake import Lake
from transforms.aggregations.states import state_specs
from transforms.aggregations.usage import MeterUsage
from transforms.configuration import Configuration
from transforms.datasets import DAILY_AGGREGATES, MEASUREMENTS
from transforms.entities.usage import Meter


@cache
def software_version() -> str:
    """The installed version of Meterhouse; of a tree that was never installed, 0+unknown."""
    try:
        return version("meterhouse")
    except PackageNotFoundError:
        return "0+unknown"


def dataset_versions(lake: Lake, configuration: Configuration) -> dict[str, int]:
    """Table (``measurements/<meter id>``, ``daily_aggregates/<meter id>/<state>``) -> its newest version, of the tables that exist."""
    org_id = configuration.organization_id
    found = {f"{MEASUREMENTS.name}/{meter_id}": lake.version(MEASUREMENTS, org_id, meter_id) for meter_id in configuration.entities(Meter)}
    for spec in state_specs(configuration):
        found[f"{DAILY_AGGREGATES.name}/{spec.meter_id}/{spec.key}"] = lake.version(DAILY_AGGREGATES, org_id, spec.meter_id, spec.key)
    return {name: number for name, number in sorted(found.items()) if number is not None}


def read_versions(versions: Mapping[str, int], usage: Mapping[str, MeterUsage]) -> dict[str, int]:
    """Those of the versions that the usage reads: all measurements, and the states that were complete."""
    states = {f"{DAILY_AGGREGATES.name}/{spec.meter_id}/{spec.key}" for one in usage.values() for spec in one.states}
    return {name: number for name, number in versions.items() if name in states or not name.startswith(f"{DAILY_AGGREGATES.name}/")}


def certificates(connection: Connection, org_id: str, periods: Iterable[tuple[date, date]]) -> list[dict[str, Any]]:
    """Per billing period (first and last day, inclusive) how many measurements landed, and what became of them (DECISIONS 16)."""
    counts = MEASUREMENT_COUNTS.c
    names = ("landed", "accepted", "duplicates", "rejected")
    stated = []
    for start, end in sorted(set(periods)):
        query = sa.select(*(sa.func.coalesce(sa.func.sum(counts[name]), 0).cast(sa.BigInteger).label(name) for name in names))
        row = connection.execute(query.where(counts.org_id == org_id, counts.date.between(start, end))).mappings().one()
        stated.append({"startDate": start.isoformat(), "endDate": end.isoformat(), **row})
    return stated
