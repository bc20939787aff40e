"""Upkeep of the lake: files that no version within the retention refers to are deleted.

Put here which tables there are to look after. Keep out how one is cleaned (lake.py) and when (worker.py), and the merging
of small files, which ingest and bill jobs do for themselves.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta

import sqlalchemy as sa

from pipelines.storage.database import Database
from pipelines.storage.entity_tables import ORGANIZATIONS
from pipelines.storage.ingest_tables import AGGREGATE_STATES
from pipelines.storage.lake import Lake
from transforms.datasets import BILL_LINE_ITEMS, DAILY_AGGREGATES, MEASUREMENTS, PUBLISHED_LINE_ITEMS, REJECTED_MEASUREMENTS, UID_INDEX, Dataset

#: Advisory lock of the one process that maintains the lake.
LOCK = 0x6D68_0102

Table = tuple[Dataset, str, tuple[str, ...]]


def maintained(database: Database, lake: Lake, *, retention: timedelta, is_over: Callable[[], bool] = lambda: False) -> int | None:
    """Clean every table; the number of files deleted, None when another process is at it.

    Args:
        database: PostgreSQL.
        lake: Where the datasets are.
        retention: Versions replaced longer ago can't be read any more.
        is_over: Asked before each table; true ends the work early.
    """
    with database.session_lock(LOCK) as is_ours:
        if not is_ours:
            return None
        deleted = 0
        for dataset, org_id, parts in _tables(database):
            if is_over():
                break
            deleted += len(lake.vacuum(dataset, org_id, *parts, retention=retention))
        return deleted


def _tables(database: Database) -> Iterator[Table]:
    """Every table that may exist: known from PostgreSQL, since an object store is slow to list."""
    with database.transaction() as connection:
        org_ids = connection.execute(sa.select(ORGANIZATIONS.c.id).order_by(ORGANIZATIONS.c.id)).scalars().all()
        state = AGGREGATE_STATES.c
        states = connection.execute(sa.select(state.org_id, state.meter_id, state.spec_key).order_by(state.org_id, state.meter_id)).all()
    for org_id in org_ids:
        for dataset in (REJECTED_MEASUREMENTS, UID_INDEX, BILL_LINE_ITEMS, PUBLISHED_LINE_ITEMS):
            yield dataset, org_id, ()
    # Every meter with usage has a state.
    for org_id, meter_id in dict.fromkeys((row.org_id, row.meter_id) for row in states):
        yield MEASUREMENTS, org_id, (meter_id,)
    for org_id, meter_id, key in states:
        yield DAILY_AGGREGATES, org_id, (meter_id, key)
