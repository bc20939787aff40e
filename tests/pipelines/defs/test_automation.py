"""When schedules and sensors ask for work, and what that work does."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from pipelines.definitions import defs
from pipelines.defs import schedules, unattended
from pipelines.defs.warehouse import Storage
from pipelines.storage import bill_jobs, config_store
from pipelines.storage.bill_runs import ran_inline
from pipelines.storage.bill_schedule import unbilled_days
from pipelines.storage.bill_tables import BILL_JOBS, BILLS
from pipelines.storage.database import Database
from pipelines.storage.ingest import drained
from pipelines.storage.lake import Lake
from pipelines.storage.landing import Landing
from transforms.billing.job_requests import BillJobRequest
from transforms.entities.organization import OrganizationConfig, TimePeriodUnit

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def storage(home: Any) -> Storage:
    return Storage(home.database, Lake(str(home.path / "lake")), home.landing_root)


@pytest.fixture
def small(home: Any, small_organization_of: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small organization in ``home``, whose usage has landed, seen by runs of this process."""
    monkeypatch.setenv("METERHOUSE_HOME", str(home.path))
    monkeypatch.setenv("METERHOUSE_DATABASE_URL", home.database.url)
    return str(small_organization_of(home.database, home.landing_root))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def scheduled(database: Database, org_id: str, interval: str, offset: int | None = None, zone: str = "UTC") -> None:
    with database.transaction() as connection:
        config = config_store.singleton(connection, org_id, OrganizationConfig)
        new = {"scheduled_bill_interval": Decimal(interval), "scheduled_bill_offset": offset, "timezone": zone}
        config_store.updated(connection, org_id, config.id, config.model_copy(update=new), "test")


def test_an_organization_is_due_when_its_own_interval_says_so(storage: Storage, small: str) -> None:
    six = datetime(2026, 7, 1, 6, tzinfo=UTC)
    assert small not in schedules.due_organizations(storage, six)
    scheduled(storage.database, small, "6")
    assert small in schedules.due_organizations(storage, six)
    assert small not in schedules.due_organizations(storage, six + timedelta(hours=1))
    scheduled(storage.database, small, "24", 8, "Europe/Berlin")
    assert small in schedules.due_organizations(storage, six)
    assert small not in schedules.due_organizations(storage, six + timedelta(hours=6))


def test_the_schedule_asks_for_one_run_for_all_that_are_due(storage: Storage, small: str, instance: dg.DagsterInstance) -> None:
    scheduled(storage.database, small, "1")
    tick = datetime(2026, 7, 1, 7, tzinfo=UTC)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=tick, resources={"warehouse": storage})
    (request,) = schedules.bill_schedule(context)
    assert small in request.run_config["ops"]["scheduled_bills"]["config"]["organizations"]
    later = tick + timedelta(minutes=15)
    quiet = dg.build_schedule_context(instance=instance, scheduled_execution_time=later, resources={"warehouse": storage})
    assert small not in str([answer.run_config for answer in schedules.bill_schedule(quiet) if isinstance(answer, dg.RunRequest)])


def test_a_scheduled_run_bills_what_ended_lately_and_again_only_after_late_usage(storage: Storage, small: str, instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    last_month_end = now.date().replace(day=1) - timedelta(days=1)
    at = datetime.combine(last_month_end, datetime.min.time(), UTC) + timedelta(days=1, hours=6)

    def waiting() -> list[date]:
        with storage.database.transaction() as connection:
            return unbilled_days(connection, small, at)

    assert waiting() == [last_month_end]
    job = defs.resolve_job_def("scheduled_bill_run")
    config = QUIET | {"ops": {"scheduled_bills": {"config": {"organizations": [small], "at": at.isoformat()}}}}
    assert job.execute_in_process(instance=instance, run_config=config).success
    with storage.database.transaction() as connection:
        assert connection.scalars(sa.select(BILLS.c.end_date).where(BILLS.c.org_id == small)).all() == [last_month_end] * 2
    assert waiting() == []


def test_landed_measurements_are_taken_in_by_dagster_only_when_nobody_does(storage: Storage, small: str, instance: dg.DagsterInstance) -> None:
    def look(cursor: str | None) -> Any:
        return unattended.landed_measurements(dg.build_sensor_context(instance=instance, cursor=cursor, resources={"warehouse": storage}))

    first = look(None)
    assert not first.run_requests
    second = look(first.cursor)
    assert len(second.run_requests) == 1
    assert defs.resolve_job_def("unattended_work").execute_in_process(instance=instance, run_config=QUIET).success
    third = look(second.cursor)
    assert not third.run_requests
    assert "nothing has landed" in third.skip_reason.skip_message


def test_a_bill_job_that_nobody_runs_is_run_by_dagster_and_its_months_are_published(
    storage: Storage, small: str, instance: dg.DagsterInstance
) -> None:
    def look(sensor: Any, cursor: str | None = None) -> Any:
        answer = sensor(dg.build_sensor_context(instance=instance, cursor=cursor, resources={"warehouse": storage}))
        return answer if isinstance(answer, dg.SensorResult) else list(answer)

    before = look(schedules.finished_bill_jobs).cursor
    with storage.database.transaction() as connection:
        request = BillJobRequest(last_date_in_billing_period=date(2013, 2, 28))
        job = bill_jobs.created(connection, small, request, created_by="client")
    assert all(isinstance(answer, dg.SkipReason) for answer in look(unattended.waiting_bill_jobs))
    with storage.database.transaction() as connection:
        ago = sa.func.now() - timedelta(minutes=2)
        connection.execute(sa.update(BILL_JOBS).where(BILL_JOBS.c.id == job.id).values(dt_created=ago))
    (asked,) = look(unattended.waiting_bill_jobs)
    assert asked.run_key == job.id
    assert defs.resolve_job_def("unattended_work").execute_in_process(instance=instance, run_config=QUIET).success
    with storage.database.transaction() as connection:
        assert bill_jobs.job(connection, small, job.id).status == "COMPLETE"
    found = look(schedules.finished_bill_jobs, before)
    (publish,) = found.run_requests
    assert publish.tags == {"dagster/asset_partition_range_start": "2013-02", "dagster/asset_partition_range_end": "2013-02"}
    assert not look(schedules.finished_bill_jobs, found.cursor).run_requests


def test_bills_whose_grace_period_is_over_are_approved_by_dagster_where_nobody_does(
    storage: Storage, small: str, instance: dg.DagsterInstance
) -> None:
    def look() -> Any:
        (answer,) = unattended.overdue_approvals(dg.build_sensor_context(instance=instance, resources={"warehouse": storage}))
        return answer

    ran_inline(storage.database, storage.lake, storage.landing_root, small, request=BillJobRequest(last_date_in_billing_period=date(2013, 2, 28)))
    assert isinstance(look(), dg.SkipReason)
    with storage.database.transaction() as connection:
        config = config_store.singleton(connection, small, OrganizationConfig)
        grace = {"auto_approve_bills_grace_period": 1, "auto_approve_bills_grace_period_unit": TimePeriodUnit.HOURS}
        config_store.updated(connection, small, config.id, config.model_copy(update=grace), "test")
        ago = sa.func.now() - timedelta(hours=2)
        connection.execute(sa.update(BILLS).where(BILLS.c.org_id == small).values(last_calculated_at=ago))
    assert isinstance(look(), dg.RunRequest)
    assert defs.resolve_job_def("unattended_work").execute_in_process(instance=instance, run_config=QUIET).success
    with storage.database.transaction() as connection:
        assert set(connection.scalars(sa.select(BILLS.c.status).where(BILLS.c.org_id == small))) == {"APPROVED"}
    assert isinstance(look(), dg.SkipReason)


def test_late_usage_makes_a_scheduled_bill_due_again(storage: Storage, small: str) -> None:
    now = datetime.now(UTC)
    last_month_end = now.date().replace(day=1) - timedelta(days=1)
    end = datetime.combine(last_month_end + timedelta(days=1), datetime.min.time(), UTC)
    with storage.database.transaction() as connection:
        request = BillJobRequest(last_date_in_billing_period=last_month_end)
        session = bill_jobs.new_session()
        claim = bill_jobs.created_claimed(connection, small, request, created_by="test", session=session)
        bill_jobs.advanced(connection, claim, status="COMPLETE")
    land(storage.landing_root, small, end + timedelta(hours=2))
    drained(storage.database, storage.lake, storage.landing_root)
    with storage.database.transaction() as connection:
        assert unbilled_days(connection, small, end + timedelta(days=1)) == [last_month_end]


def land(root: Path, org_id: str, received_at: datetime) -> None:
    """One more measurement of the day before its receipt."""
    day = (received_at - timedelta(days=1)).date()
    measurement = {"uid": "late", "meter": "meter", "account": "alpha", "ts": f"{day}T12:00:00Z", "measure": {"requests": 1}}
    with closing(Landing(root)) as landing:
        landing.append_all(org_id, [json.dumps({"measurements": [measurement]}).encode()], received_at)
