"""A backfill without webserver or daemon, and work recorded outside a run: both stand in the Dagster instance afterwards."""

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.execution.backfill import BulkActionStatus
from sqlalchemy.engine import make_url

from pipelines.defs import recording
from pipelines.defs.backfill import main
from pipelines.defs.instance import prepared_instance
from pipelines.storage.bill_runs import JobSummary


@pytest.fixture
def instance(home: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The instance of ``home``, which this process records in too."""
    for name in ("DAGSTER_HOME", "METERHOUSE_DAGSTER_URL", "DAGSTER_EVENT_BATCH_SIZE"):
        monkeypatch.setenv(name, home.environment[name])
    recording._instance.cache_clear()
    with dg.DagsterInstance.get() as opened:
        yield opened
    recording._instance.cache_clear()


def materialized(instance: dg.DagsterInstance, asset: str) -> set[str]:
    return set(instance.get_materialized_partitions(dg.AssetKey(asset)))


def test_the_backfill_command_bills_and_leaves_the_records_of_a_backfill(home: Any, instance: dg.DagsterInstance, small_organization_of: Any) -> None:
    org_id = small_organization_of(home.database, home.landing_root)
    done = home.run("pipelines.defs.backfill", "--from", "2013-01", "--to", "2013-02", "--organization", org_id)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert {name: answer[name] for name in ("months", "jobs", "bills", "line_items", "failures")} == {
        "months": 2,
        "jobs": 2,
        "bills": 4,
        "line_items": 4,
        "failures": 0,
    }
    assert f"organization {org_id}, periods that end on 2013-02-28: 2 bills, 2 line items, 0 failures" in done.stderr
    assert {"2013-01", "2013-02"} <= materialized(instance, "published_line_items")
    backfill = instance.get_backfill(answer["backfill_id"])
    assert backfill is not None
    assert backfill.status is BulkActionStatus.COMPLETED_SUCCESS
    run = instance.get_run_by_id(answer["run_id"])
    assert run is not None
    assert run.tags["dagster/backfill"] == answer["backfill_id"]


def test_the_backfill_command_refuses_months_in_the_wrong_order(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--from", "2013-02", "--to", "2013-01"])
    assert "--to 2013-01 is before --from 2013-02" in capsys.readouterr().err


def test_a_batch_is_recorded_under_every_event_day(instance: dg.DagsterInstance) -> None:
    days = {date(2011, 1, 1) + timedelta(days=n): {"landed": n, "accepted": n, "duplicates": 0, "rejected": 0} for n in range(365)}
    recording.recorded_ingest(days | {date(1999, 1, 1): {"landed": 1, "accepted": 1, "duplicates": 0, "rejected": 0}}, seconds=1.5)
    for asset in recording.INGESTED:
        assert {day.isoformat() for day in days} <= materialized(instance, asset)
        assert "1999-01-01" not in materialized(instance, asset)
    latest = instance.get_latest_materialization_event(dg.AssetKey("measurements"))
    assert latest is not None
    assert latest.asset_materialization is not None
    assert latest.asset_materialization.partition == "2011-12-31"
    assert latest.asset_materialization.metadata["accepted"].value == 364


def test_a_bill_job_is_recorded_under_the_months_its_periods_end_in(instance: dg.DagsterInstance) -> None:
    summary = JobSummary(
        org_id="o",
        job_id="j",
        type="CREATE",
        calculation_id="c",
        bills=3,
        line_items=9,
        failures=1,
        last_dates=(date(2011, 3, 6), date(2011, 3, 31), date(2011, 4, 3)),
        seconds=0.25,
        ingested=(),
    )
    recording.recorded_bill_job(summary)
    for asset in recording.BILLED:
        assert {"2011-03", "2011-04"} <= materialized(instance, asset)
    assert materialized(instance, "published_line_items").isdisjoint({"2011-03", "2011-04"})


def test_without_an_instance_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    recording._instance.cache_clear()
    recording.recorded_ingest({date(2011, 1, 1): {"landed": 1}}, seconds=0.1)
    assert recording._instance.cache_info().currsize == 0


def test_preparing_the_instance_again_changes_nothing(home: Any, instance: dg.DagsterInstance) -> None:
    assert instance.telemetry_enabled is False
    again = prepared_instance(home.path, home.database.url)
    assert again.items() <= home.environment.items()
    with home.database.transaction() as connection:
        tables = sa.inspect(connection).get_table_names(schema="dagster")
    assert {"runs", "event_logs", "jobs"} <= set(tables)
    assert make_url(again["METERHOUSE_DAGSTER_URL"]).drivername == "postgresql+psycopg2"


def test_the_environment_is_known_without_importing_dagster() -> None:
    code = "import sys, pipelines.defs.instance_environment; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0
