"""The exactly-once part of ingest: a batch is planned in one transaction and then applied, again if need be.

The plan's transaction is the point of no return: before it nothing has happened, after it the manifest says which files
to commit, and committing them twice changes nothing. Put here plan, application and recovery.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from pipelines.storage.database import Database
from pipelines.storage.ingest_batch import COUNTS, Prepared
from pipelines.storage.ingest_tables import INGEST_BATCHES, INGEST_CALENDARS, INGEST_FAILURES, LANDING_POSITIONS, MEASUREMENT_COUNTS
from pipelines.storage.lake import Lake
from pipelines.storage.lake_files import AddFile
from pipelines.storage.landing_frames import Position
from transforms.datasets import DAILY_AGGREGATES, DATASETS, MEASUREMENTS, REJECTED_MEASUREMENTS, UID_INDEX, Dataset

APP_ID = "ingest"
_BY_NAME = {d.name: d for d in DATASETS}


def written_tables(lake: Lake, batch: Prepared) -> list[dict[str, Any]]:
    """The batch's files, on disk and not visible, as the manifest lists them."""
    org_id = batch.org_id
    tables: list[tuple[Dataset, tuple[str, ...], pl.DataFrame]] = [(MEASUREMENTS, (meter_id,), frame) for meter_id, frame in batch.accepted.items()]
    tables += [(DAILY_AGGREGATES, (spec.meter_id, spec.key), frame) for spec, frame in batch.states.items()]
    tables += [(REJECTED_MEASUREMENTS, (), batch.rejected), (UID_INDEX, (), batch.uids)]
    return [
        {"dataset": dataset.name, "parts": list(parts), "files": [f.as_json() for f in lake.written(dataset, org_id, *parts, frame=frame)]}
        for dataset, parts, frame in tables
        if not frame.is_empty()
    ]


def planned(connection: Connection, batches: Sequence[tuple[Prepared, list[dict[str, Any]], str]], positions: Mapping[str, Position]) -> list[int]:
    """Record the batches and move the positions, in one transaction; the batch ids.

    Args:
        connection: An open transaction.
        batches: Batch, its manifest, and the time zone that its days were cut in.
        positions: Writer -> everything before is in these batches (or earlier ones).
    """
    ids = []
    for batch, tables, time_zone in batches:
        totals = {name: int(batch.days[name].sum()) for name in COUNTS[:4]}
        received = dict(zip(("received_from", "received_until"), batch.received, strict=True)) if batch.received else {}
        query = sa.insert(INGEST_BATCHES).values(
            org_id=batch.org_id, status="PLANNED", kind="LANDED", manifest={"tables": tables}, **totals, **received
        )
        batch_id, planned_at = connection.execute(query.returning(INGEST_BATCHES.c.batch_id, INGEST_BATCHES.c.planned_at)).one()
        ids.append(batch_id)
        _count(connection, batch, planned_at)
        connection.execute(insert(INGEST_CALENDARS).values(org_id=batch.org_id, time_zone=time_zone).on_conflict_do_nothing())
        if batch.failures:
            rows = [{"org_id": batch.org_id, "batch_id": batch_id, **asdict(f), "sample": _storable(f.sample)} for f in batch.failures]
            connection.execute(sa.insert(INGEST_FAILURES), rows)
    for writer, position in positions.items():
        values = {"segment": position.segment, "position": position.offset}
        query = insert(LANDING_POSITIONS).values(writer=writer, **values)
        connection.execute(query.on_conflict_do_update(index_elements=["writer"], set_=values))
    return ids


def _storable(sample: list[dict[str, str]]) -> list[dict[str, str]]:
    """PostgreSQL's JSON can't hold the character NUL, which a uid may."""
    return [{key: text.replace("\x00", "\\u0000") for key, text in one.items()} for one in sample]


def _count(connection: Connection, batch: Prepared, planned_at: datetime) -> None:
    # Who receives has a clock of its own, which may be slow: bill jobs compare with the clock of the database.
    latest = max(batch.received[1], planned_at) if batch.received else None
    rows = [{"org_id": batch.org_id, **row, "last_received_at": latest if row["accepted"] else None} for row in batch.days.iter_rows(named=True)]
    if rows:
        query = insert(MEASUREMENT_COUNTS)
        counts = MEASUREMENT_COUNTS.c
        added: dict[str, Any] = {name: counts[name] + query.excluded[name] for name in COUNTS}
        added["last_received_at"] = sa.func.greatest(counts.last_received_at, query.excluded.last_received_at)
        connection.execute(query.on_conflict_do_update(index_elements=["org_id", "date"], set_=added), rows)


def applied(database: Database, lake: Lake) -> list[tuple[str, list[dict[str, Any]]]]:
    """Commit every planned batch to the lake, in order; organization and tables of each.

    Only one process may do this at a time.
    """
    done = []
    with database.transaction() as connection:
        query = sa.select(INGEST_BATCHES.c.batch_id, INGEST_BATCHES.c.org_id, INGEST_BATCHES.c.manifest)
        plans = connection.execute(query.where(INGEST_BATCHES.c.status == "PLANNED").order_by(INGEST_BATCHES.c.batch_id)).all()
    for batch_id, org_id, manifest in plans:
        commit(lake, org_id, batch_id, manifest["tables"])
        with database.transaction() as connection:
            connection.execute(
                sa.update(INGEST_BATCHES)
                .where(INGEST_BATCHES.c.batch_id == batch_id)
                .values(status="APPLIED", manifest={}, applied_at=sa.func.clock_timestamp())
            )
        done.append((org_id, manifest["tables"]))
    return done


def commit(lake: Lake, org_id: str, batch_id: int, tables: Sequence[Mapping[str, Any]]) -> None:
    """Make the manifest's files visible."""

    def one(table: Mapping[str, Any]) -> None:
        files = [AddFile(**f) for f in table["files"]]
        lake.commit(_BY_NAME[table["dataset"]], org_id, *table["parts"], files=files, app_id=APP_ID, app_version=batch_id)

    # The uid index last: whoever sees a uid as taken may rely on its measurement being there.
    ordered = sorted(tables, key=lambda t: t["dataset"] == UID_INDEX.name)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, [t for t in ordered if t["dataset"] != UID_INDEX.name]))
    for table in ordered:
        if table["dataset"] == UID_INDEX.name:
            one(table)


def landing_positions(connection: Connection) -> dict[str, Position]:
    """Writer -> everything before is in a batch."""
    return {row.writer: Position(row.segment, row.position) for row in connection.execute(sa.select(LANDING_POSITIONS))}


def forgotten(connection: Connection, writers: Sequence[str]) -> None:
    """Drop the positions of writers whose logs are gone."""
    if writers:
        connection.execute(sa.delete(LANDING_POSITIONS).where(LANDING_POSITIONS.c.writer.in_(list(writers))))
