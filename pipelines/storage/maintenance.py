"""Upkeep of the lake: what no version needs that is recent, or that a bill was computed from, is deleted.

Put here which tables there are to look after, and which of their versions to keep. Keep out how one is cleaned
(lake_upkeep.py) and when (worker.py), and the merging
of small files, which ingest and bill jobs do for themselves.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import sqlalchemy as sa

from pipelines.storage.database import Database
from pipelines.storage.entity_tables import ORGANIZATIONS
from pipelines.storage.ingest_tables import AGGREGATE_STATES, INGEST_BATCHES
from pipelines.storage.lake import Lake
from pipelines.storage.lake_upkeep import Cleaned
from transforms.datasets import BILL_LINE_ITEMS, DAILY_AGGREGATES, MEASUREMENTS, PUBLISHED_LINE_ITEMS, REJECTED_MEASUREMENTS, UID_INDEX, Dataset

#: Advisory lock of the one process that maintains the lake.
LOCK = 0x6D68_0102

Table = tuple[Dataset, str, tuple[str, ...]]


def maintained(
    database: Database, lake: Lake, *, retention: timedelta, history: timedelta, is_over: Callable[[], bool] = lambda: False
) -> Cleaned | None:
    """Clean every table; what was deleted, None when another process is at it.

    Args:
        database: PostgreSQL.
        lake: Where the datasets are.
        retention: What bills of this age were computed from stays readable (DECISIONS 33).
        history: Every version replaced more recently stays readable; not longer than the retention.
        is_over: Asked before each table; true ends the work early.
    """
    with database.session_lock(LOCK) as is_ours:
        if not is_ours:
            return None
        done = Cleaned()
        pinned: Mapping[str, list[int]] = {}
        of = None
        for dataset, org_id, parts in _tables(database):
            if is_over():
                break
            if org_id != of:
                of, pinned = org_id, pinned_versions(database, org_id, retention)
            name = "/".join((dataset.name, *parts))
            done += lake.cleaned(dataset, org_id, *parts, pinned=pinned.get(name, ()), history=min(history, retention))
        return done


def pinned_versions(database: Database, org_id: str, retention: timedelta) -> dict[str, list[int]]:
    """Table, as provenance names it -> the versions that bills within the retention were computed from."""
    query = """
        SELECT used.key AS table_name, array_agg(DISTINCT used.value::bigint) AS versions
        FROM bill_calculations, jsonb_each_text(dataset_versions) AS used
        WHERE org_id = :org_id AND calculated_at >= clock_timestamp() - :retention
        GROUP BY used.key"""
    with database.transaction() as connection:
        rows = connection.execute(sa.text(query).bindparams(org_id=org_id, retention=retention))
        return {row.table_name: row.versions for row in rows}


def _tables(database: Database) -> Iterator[Table]:
    """Every table that may exist: known from PostgreSQL, since an object store is slow to list."""
    with database.transaction() as connection:
        batch = INGEST_BATCHES.c
        waiting = sa.select(batch.org_id).where(
            batch.status == "PLANNED", batch.planned_at < sa.func.clock_timestamp() - sa.text("interval '1 hour'")
        )
        # A batch that a crash left half done names files that no version has yet: old ones, when nobody worked for days.
        query = sa.select(ORGANIZATIONS.c.id).where(ORGANIZATIONS.c.id.not_in(waiting)).order_by(ORGANIZATIONS.c.id)
        org_ids = connection.execute(query).scalars().all()
        state = AGGREGATE_STATES.c
        rows = connection.execute(sa.select(state.org_id, state.meter_id, state.spec_key).order_by(state.org_id, state.meter_id)).all()
    states: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        states.setdefault(row.org_id, []).append((row.meter_id, row.spec_key))
    for org_id in org_ids:
        for dataset in (REJECTED_MEASUREMENTS, UID_INDEX, BILL_LINE_ITEMS, PUBLISHED_LINE_ITEMS):
            yield dataset, org_id, ()
        # Every meter with usage has a state.
        for meter_id in dict.fromkeys(meter_id for meter_id, _ in states.get(org_id, ())):
            yield MEASUREMENTS, org_id, (meter_id,)
        for meter_id, key in states.get(org_id, ()):
            yield DAILY_AGGREGATES, org_id, (meter_id, key)
