"""Upkeep of the lake: every table is cleaned, nothing young or in use is touched."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipelines.storage import bill_runs
from pipelines.storage.bill_tables import BILL_CALCULATIONS
from pipelines.storage.database import Database
from pipelines.storage.ingest_tables import INGEST_BATCHES
from pipelines.storage.lake import Lake
from pipelines.storage.lake_tables import folder_name
from pipelines.storage.lake_upkeep import Cleaned
from pipelines.storage.maintenance import LOCK, maintained, pinned_versions
from pipelines.storage.organizations import Credentials
from tests.offers import landed, offer, usage_body
from tests.pipelines.storage.test_bill_runs import JANUARY
from transforms.datasets import BILL_LINE_ITEMS, DAILY_AGGREGATES, MEASUREMENTS, REJECTED_MEASUREMENTS, UID_INDEX

UNKNOWN_METER = b'{"measurements": [{"uid": "x", "meter": "none", "account": "acme", "ts": "2025-01-10T12:00:00Z", "measure": {"qty": 1}}]}'
RETENTION = timedelta(days=400)
HISTORY = timedelta(days=30)
NOTHING = Cleaned()


def _left(folder: Path, *, days: int) -> Path:
    """A data file that no version refers to, as a writer that died leaves it, of that age."""
    path = folder / f"left-{days}.parquet"
    path.write_bytes(b"left")
    at = time.time() - days * 86_400
    os.utime(path, (at, at))
    return path


def test_old_files_of_every_table_go_and_bills_are_computed_as_before(
    database: Database, lake: Lake, organization: Credentials, tmp_path: Path
) -> None:
    org_id, landing = organization.org_id, tmp_path / "landing"
    offer(database, org_id, ["acme"])
    landed(landing, org_id, usage_body({"acme": "4"}), usage_body({"acme": "4"}, uid="again", day=11), UNKNOWN_METER)

    def billed() -> Any:
        return bill_runs.ran_inline(database, lake, landing, org_id, request=JANUARY).line_items

    assert billed() == 1
    tables = sorted(path.parent for path in Path(lake.root, f"org={org_id}").rglob("_delta_log"))
    names = {table.relative_to(Path(lake.root, f"org={org_id}")).parts[0] for table in tables}
    assert names == {d.name for d in (MEASUREMENTS, DAILY_AGGREGATES, REJECTED_MEASUREMENTS, UID_INDEX, BILL_LINE_ITEMS)}
    current = {path for table in tables for path in table.rglob("*.parquet")}
    for path in current:  # what is in use is kept at any age
        os.utime(path, (0, 0))
    old, young = [_left(table, days=31) for table in tables], [_left(table, days=29) for table in tables]
    assert (maintained(database, lake, retention=RETENTION, history=HISTORY) or NOTHING).data_files >= len(tables)
    assert [path for path in old if path.exists()] == []
    assert [path for path in (*young, *current) if not path.exists()] == []
    assert maintained(database, lake, retention=RETENTION, history=HISTORY) == NOTHING
    assert billed() == 1


def test_one_process_at_a_time_and_none_that_is_to_stop(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> None:
    with database.session_lock(LOCK) as is_ours:
        assert is_ours
        assert maintained(database, lake, retention=RETENTION, history=HISTORY) is None
    landing = tmp_path / "landing"
    offer(database, organization.org_id, ["acme"])
    landed(landing, organization.org_id, usage_body({"acme": "4"}))
    bill_runs.ran_inline(database, lake, landing, organization.org_id, request=JANUARY)
    left = _left(Path(lake.root, f"org={organization.org_id}", folder_name(UID_INDEX.name)), days=31)
    assert maintained(database, lake, retention=RETENTION, history=HISTORY, is_over=lambda: True) == NOTHING
    assert left.exists()


def test_what_bills_were_computed_from_is_pinned_for_as_long_as_the_retention(
    database: Database, lake: Lake, organization: Credentials, tmp_path: Path
) -> None:
    org_id, landing = organization.org_id, tmp_path / "landing"
    offer(database, org_id, ["acme"])
    landed(landing, org_id, usage_body({"acme": "4"}))
    bill_runs.ran_inline(database, lake, landing, org_id, request=JANUARY)
    landed(landing, org_id, usage_body({"acme": "4"}, uid="again", day=11))
    bill_runs.ran_inline(database, lake, landing, org_id, request=JANUARY)
    with database.transaction() as connection:
        used = connection.execute(sa.select(BILL_CALCULATIONS.c.dataset_versions).where(BILL_CALCULATIONS.c.org_id == org_id)).scalars().all()
    assert len(used) == 2
    expected = {name: sorted({versions[name] for versions in used}) for name in used[0]}
    assert any(len(versions) == 2 for versions in expected.values())
    assert pinned_versions(database, org_id, RETENTION) == expected
    assert pinned_versions(database, org_id, timedelta(0)) == {}


def test_files_of_a_batch_that_was_left_half_done_are_kept(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> None:
    org_id, landing = organization.org_id, tmp_path / "landing"
    offer(database, org_id, ["acme"])
    landed(landing, org_id, usage_body({"acme": "4"}))
    bill_runs.ran_inline(database, lake, landing, org_id, request=JANUARY)
    named = _left(Path(lake.root, f"org={org_id}", folder_name(UID_INDEX.name)), days=60)
    with database.transaction() as connection:
        batch = {"org_id": org_id, "status": "PLANNED", "kind": "LANDED", "manifest": {"tables": []}}
        planned = connection.execute(sa.insert(INGEST_BATCHES).values(**batch).returning(INGEST_BATCHES.c.batch_id)).scalar_one()
        this = INGEST_BATCHES.c.batch_id == planned
        connection.execute(sa.update(INGEST_BATCHES).where(this).values(planned_at=sa.text("now() - interval '61 days'")))
    maintained(database, lake, retention=RETENTION, history=HISTORY)
    assert named.exists()
    with database.transaction() as connection:
        connection.execute(sa.delete(INGEST_BATCHES).where(this))
    maintained(database, lake, retention=RETENTION, history=HISTORY)
    assert not named.exists()
