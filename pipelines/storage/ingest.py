"""Ingest: from the landing log to measurements and partial states, exactly once.

Under one advisory lock: apply what was planned, read what landed, compute a batch per organization, plan them in one
transaction, apply them, delete the segments read. A kill at any point loses nothing and doubles nothing.

Put here the loop and what others read. The steps are ingest_batch.py, the guarantees ingest_plan.py, what a changed
configuration causes ingest_rebuild.py.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage import landing_reader
from pipelines.storage.compaction import Compaction
from pipelines.storage.database import Database
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.ingest_batch import COUNTS, Prepared, prepared
from pipelines.storage.ingest_organization import IngestOrganization, complete_specs, field_types
from pipelines.storage.ingest_plan import applied, forgotten, landing_positions, planned, written_tables
from pipelines.storage.ingest_rebuild import brought_up_to_date
from pipelines.storage.ingest_tables import INGEST_CALENDARS
from pipelines.storage.lake import Lake
from pipelines.storage.landing_frames import Frame, Position
from pipelines.storage.uid_cache import UidCache
from transforms.aggregations.states import state_schema, state_specs
from transforms.aggregations.usage import MeterUsage, StateSpec
from transforms.configuration import Configuration
from transforms.datasets import DAILY_AGGREGATES, MEASUREMENTS
from transforms.entities.usage import Meter

LOCK = 0x6D68_0101
BATCH_BYTES = 64 * 1024 * 1024
_LOG = logging.getLogger("meterhouse.ingest")


@dataclass(frozen=True)
class BatchCounts:
    """What became of one batch of one organization; landed = accepted + duplicates + rejected.

    ``days`` has the same counts by event day.
    """

    batch_id: int
    org_id: str
    landed: int
    accepted: int
    duplicates: int
    rejected: int
    days: Mapping[date, Mapping[str, int]]


@dataclass(frozen=True)
class IngestResult:
    """What one read of the landing log came to.

    Attributes:
        batches: One per organization.
        has_more: True when more had landed than was read.
        seconds: How long it took.
    """

    batches: tuple[BatchCounts, ...]
    has_more: bool
    seconds: float


class _Memory:
    """What an ingesting process remembers of a lake; all of it can be forgotten at any time."""

    def __init__(self, lake: Lake) -> None:
        self.uids = UidCache(lake)
        self.compaction = Compaction(lake)
        #: Organization -> newest change of what its states and days depend on, as last brought up to date.
        self.seen: dict[str, tuple[Any, ...]] = {}


_MEMORIES: "WeakKeyDictionary[Lake, _Memory]" = WeakKeyDictionary()


def ingested(database: Database, lake: Lake, landing_root: Path, *, limit_bytes: int = BATCH_BYTES) -> IngestResult | None:
    """Take in one batch per organization of what has landed; None when nothing had.

    Safe to call from several processes: they take turns.

    Args:
        database: PostgreSQL.
        lake: Where the datasets are.
        landing_root: Folder of the landing logs.
        limit_bytes: How much to read at once.

    Raises:
        Unavailable: The database or the lake is away; calling again later continues.
    """
    with database.locked(LOCK):
        return _ingested(database, lake, landing_root, limit_bytes)


def drained(database: Database, lake: Lake, landing_root: Path) -> tuple[IngestResult, ...]:
    """Take in everything that had landed when this was called, states and event days brought up to date (DECISIONS 41)."""
    results = []
    ends = landing_reader.end_positions(landing_root)
    while True:
        with database.locked(LOCK):
            result = _ingested(database, lake, landing_root, BATCH_BYTES)
            if result is not None:
                results.append(result)
            with database.transaction() as connection:
                positions = landing_positions(connection)
        open_writers = set(landing_reader.writers(landing_root))
        if all(positions.get(writer, Position(0, 0)) >= end for writer, end in ends.items() if writer in open_writers):
            return tuple(results)


def backlog(database: Database, landing_root: Path) -> int:
    """How many bytes have landed and are in no batch yet."""
    with database.transaction() as connection:
        return landing_reader.backlog_bytes(landing_root, landing_positions(connection))


def meter_usage(database: Database, lake: Lake, configuration: Configuration, meter_ids: Iterable[str] | None = None) -> dict[str, MeterUsage]:
    """What has been accepted for the meters, not yet read.

    Args:
        database: PostgreSQL; says which states are complete.
        lake: Where the datasets are.
        configuration: The organization; the fields and states are those of its meters and aggregations.
        meter_ids: Some of its meters; all by default.
    """
    org_id = configuration.organization_id
    meters = configuration.entities(Meter)
    specs = state_specs(configuration)
    with database.transaction() as connection:
        complete = complete_specs(connection, org_id, specs, meters)
        calendar = connection.execute(sa.select(INGEST_CALENDARS.c.time_zone).where(INGEST_CALENDARS.c.org_id == org_id)).scalar()
    # Days cut in another time zone than the configuration's are of no use; ingest is about to cut them again.
    usable = complete if calendar is None or calendar == configuration.time_zone else frozenset()
    usage = {}
    for meter_id in meters if meter_ids is None else meter_ids:
        meter = meters[meter_id]
        measurements = lake.scan(MEASUREMENTS, org_id, meter_id, columns=field_types(meter))
        if calendar is not None and calendar != configuration.time_zone:
            measurements = measurements.with_columns(pl.col("ts").dt.convert_time_zone(configuration.time_zone).dt.date().alias("date"))
        found = {s: _state(lake, org_id, s, meter) for s in specs if s.meter_id == meter_id and s in usable}
        states, merged = {s: rows for s, (rows, _) in found.items()}, {s: months for s, (_, months) in found.items()}
        usage[meter_id] = MeterUsage(meter, measurements, states, merged)
    return usage


def _state(lake: Lake, org_id: str, spec: StateSpec, meter: Meter) -> tuple[pl.LazyFrame, frozenset[date]]:
    """The state's rows, and the months of which one file has them all: no file has two rows of one key."""
    parts = (spec.meter_id, spec.key)
    files = lake.files(DAILY_AGGREGATES, org_id, *parts)
    rows = lake.scan_files(DAILY_AGGREGATES, org_id, *parts, paths=[f.path for f in files], columns=state_schema(spec, meter))
    months = Counter(f.partition_values["month"] for f in files)
    return rows, frozenset(date.fromisoformat(month) for month, count in months.items() if month is not None and count == 1)


def _ingested(database: Database, lake: Lake, landing_root: Path, limit_bytes: int) -> IngestResult | None:
    began = time.monotonic()
    memory = _MEMORIES.setdefault(lake, _Memory(lake))
    applied(database, lake)
    with database.transaction() as connection:
        positions = landing_positions(connection)
        changes = _changes(connection)
    read = landing_reader.read(landing_root, positions, limit_bytes)
    for writer, segment, offset, size in read.torn:
        _LOG.warning(
            "landing log %s, segment %d: skipped %d damaged bytes at offset %d, which were never acknowledged", writer, segment, size, offset
        )
    by_organization: dict[str, list[Frame]] = {}
    for frame in read.frames:
        by_organization.setdefault(frame.org_id, []).append(frame)
    organizations: dict[str, IngestOrganization] = {}
    for org_id in by_organization.keys() | {o for o, change in changes.items() if memory.seen.get(o) != change}:
        organization = brought_up_to_date(database, lake, org_id)
        if organization is not None:
            organizations[org_id] = organization
            memory.seen[org_id] = changes.get(org_id, ())
    if not read.positions:
        return None
    batches: list[tuple[Prepared, list[dict[str, Any]], str]] = []
    for org_id, frames in by_organization.items():
        if org_id not in organizations:
            _LOG.error("%d landed bodies name organization %s, which does not exist; they are skipped", len(frames), org_id)
            continue
        batch = prepared(database, memory.uids, organizations[org_id], frames)
        batches.append((batch, written_tables(lake, batch), organizations[org_id].configuration.time_zone))
    with database.transaction() as connection:
        ids = planned(connection, batches, read.positions)
    for org_id, tables in applied(database, lake):
        memory.compaction.note(org_id, tables)
    gone = landing_reader.forget(landing_root, {**positions, **read.positions})
    with database.transaction() as connection:
        forgotten(connection, gone)
    memory.compaction.run(organizations)
    return IngestResult(
        batches=tuple(_batch_counts(batch_id, batch) for batch_id, (batch, _, _) in zip(ids, batches, strict=True)),
        has_more=any(read.positions.get(w, Position(0, 0)) < end for w, end in landing_reader.end_positions(landing_root).items()),
        seconds=time.monotonic() - began,
    )


def _batch_counts(batch_id: int, batch: Prepared) -> BatchCounts:
    totals = {name: int(batch.days[name].sum()) for name in COUNTS[:4]}
    days = {row["date"]: {name: row[name] for name in COUNTS[:4]} for row in batch.days.iter_rows(named=True)}
    return BatchCounts(batch_id=batch_id, org_id=batch.org_id, **totals, days=days)


def _changes(connection: Connection) -> dict[str, tuple[Any, ...]]:
    """Organization -> number and newest change of each kind that states and days depend on."""
    found: dict[str, tuple[Any, ...]] = {}
    for kind in ("Meter", "Aggregation", "OrganizationConfig"):
        table = TABLES[kind].c
        query = sa.select(table.org_id, sa.func.count(), sa.func.max(table.dt_last_modified)).group_by(table.org_id)
        for org_id, count, newest in connection.execute(query):
            found[org_id] = (*found.get(org_id, ()), kind, count, newest)
    return found
