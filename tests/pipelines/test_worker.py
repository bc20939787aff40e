"""The resident worker as a process: fast jobs, kill -9 in the middle, a database that goes away, a clean end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.storage import bill_jobs, bill_store, config_store, organizations
from pipelines.storage.bill_jobs import BillJob
from pipelines.storage.bill_lines import lines_by_bill
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.bill_writes import WRITES
from pipelines.storage.database import Database, connected, migrated
from pipelines.storage.lake import Lake
from pipelines.storage.settings import Settings, settings_of
from tests.offers import landed, offer, usage_body
from tests.waiting import eventually
from transforms.billing.job_requests import BillJobRequest
from transforms.entities.organization import OrganizationConfig, TimePeriodUnit

D = Decimal
JANUARY = BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=date(2025, 1, 31))


@dataclass
class Site:
    """A home with a database of its own, so that its worker meets no jobs of other tests."""

    settings: Settings
    database: Database
    lake: Lake
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.settings.home / "worker.log"

    def worker(self) -> "subprocess.Popen[bytes]":
        environment = os.environ | {"METERHOUSE_HOME": str(self.settings.home), "METERHOUSE_DATABASE_URL": self.database.url}
        with self.log.open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "pipelines.worker"], stderr=log, stdout=log, stdin=subprocess.DEVNULL, env=environment)
        self.workers.append(process)
        return process

    def new_org(self) -> str:
        with self.database.transaction() as connection:
            return organizations.created(connection, "Site").org_id

    def used(self, org_id: str, quantities: dict[str, str], **options: Any) -> None:
        landed(self.settings.landing_root, org_id, usage_body(quantities, **options))

    def posted(self, org_id: str, request: BillJobRequest = JANUARY) -> str:
        with self.database.transaction() as connection:
            return bill_jobs.created(connection, org_id, request, created_by="tester").id

    def job(self, org_id: str, job_id: str) -> BillJob:
        with self.database.transaction() as connection:
            return bill_jobs.job(connection, org_id, job_id)

    def completed(self, org_id: str, job_id: str, *, seconds: float = 60) -> BillJob:
        eventually(
            lambda: self.job(org_id, job_id).status == "COMPLETE",
            seconds=seconds,
            why=lambda: f"{self.job(org_id, job_id)}; {self.log.read_text()[-4000:]}",
        )
        return self.job(org_id, job_id)

    def bills(self, org_id: str) -> dict[str, tuple[Decimal, list[Decimal]]]:
        """Account code -> total and line amounts."""
        with self.database.transaction() as connection:
            headers = bill_store.listed(connection, org_id, BillFilter(), before=None, limit=1000)
        lines = lines_by_bill(self.lake, org_id, headers)
        found = {h["account_code"]: (h["bill_total"], [line["subtotal"] for line in lines[h["id"]]]) for h in headers}
        assert len(found) == len(headers), "one bill per account"
        return found


@pytest.fixture(scope="module")
def home_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = settings_of(tmp_path_factory.mktemp("site"))
    database = connected(settings)
    migrated(database)
    settings.landing_root.mkdir(parents=True, exist_ok=True)
    yield Site(settings, database, Lake(settings.lake_root, {}))
    database.close()


@pytest.fixture
def site(home_site: Site) -> Iterator[Site]:
    yield home_site
    for process in home_site.workers:
        if process.poll() is None:
            process.kill()
        process.wait(30)
    home_site.workers.clear()


def test_a_job_of_one_account_is_complete_within_two_seconds(site: Site) -> None:
    org_id = site.new_org()
    plans = offer(site.database, org_id, ["acme", "beta"])
    site.worker()
    site.used(org_id, {"acme": "100", "beta": "4"})
    site.completed(org_id, site.posted(org_id))
    request = BillJobRequest.model_validate(JANUARY.model_dump() | {"account_ids": [plans.account_ids["acme"]]})
    times = []
    for day in (11, 12, 13):
        site.used(org_id, {"acme": "4"}, day=day)
        begun = time.monotonic()
        site.completed(org_id, site.posted(org_id, request))
        times.append(time.monotonic() - begun)
    assert min(times) < 2, f"{times}; {site.log.read_text()[-4000:]}"
    assert site.bills(org_id) == {"acme": (D(28), [D(28)]), "beta": (D(1), [D(1)])}


def test_ten_jobs_at_once_of_two_organizations(site: Site) -> None:
    org_ids = [site.new_org(), site.new_org()]
    site.worker()
    for org_id in org_ids:
        offer(site.database, org_id, ["acme"])
        site.used(org_id, {"acme": "4"})
    jobs = [(org_id, site.posted(org_id)) for _ in range(10) for org_id in org_ids]
    for org_id, job_id in jobs:
        job = site.completed(org_id, job_id)
        assert (job.attempts, len(job.bill_ids)) == (1, 1)
    assert [site.bills(org_id) for org_id in org_ids] == [{"acme": (D(1), [D(1)])}] * 2


def test_a_worker_killed_before_it_could_store_leaves_the_bills_whole_and_the_next_completes_the_job(site: Site) -> None:
    org_id = site.new_org()
    codes = [f"account-{n}" for n in range(5)]
    offer(site.database, org_id, codes, standing_charge="1")
    worker = site.worker()
    site.used(org_id, dict.fromkeys(codes, "4"))
    site.completed(org_id, site.posted(org_id))
    before = dict.fromkeys(codes, (D(2), [D(1), D(1)]))
    assert site.bills(org_id) == before
    site.used(org_id, dict.fromkeys(codes, "4"), day=11)
    with site.database.transaction() as connection:
        # Its line items are written; the transaction that writes the headers has to wait.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(org_id, WRITES))))
        job_id = site.posted(org_id)
        # That very lock: the job waits for others' too, for that of ingest at least.
        waiting = sa.text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND (classid::bigint << 32 | objid::bigint) = hashtextextended(:org_id, :seed)"
        )
        own = {"org_id": org_id, "seed": WRITES}
        eventually(lambda: connection.scalar(waiting, own) == 1, why=lambda: site.log.read_text()[-4000:])
        assert site.job(org_id, job_id).status == "RUNNING"
        worker.kill()
        worker.wait(30)
    assert site.bills(org_id) == before
    begun = time.monotonic()
    site.worker()
    job = site.completed(org_id, job_id)
    assert (job.attempts, len(job.bill_ids), job.failures) == (2, 5, ())
    assert time.monotonic() - begun < 30
    # Twice the usage; the standing charge as it was: nothing is doubled.
    assert site.bills(org_id) == dict.fromkeys(codes, (D(3), [D(2), D(1)]))


def test_a_job_whose_worker_is_killed_is_taken_over_by_another_at_once(site: Site) -> None:
    org_id = site.new_org()
    offer(site.database, org_id, ["acme"])
    site.used(org_id, {"acme": "4"})
    first = site.worker()
    with site.database.transaction() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(org_id, WRITES))))
        job_id = site.posted(org_id)
        eventually(lambda: site.job(org_id, job_id).status == "RUNNING", why=lambda: site.log.read_text()[-4000:])
        second = site.worker()
        eventually(lambda: site.log.read_text().count(f"pid={second.pid} ") == 1)
        assert site.job(org_id, job_id).attempts == 1
        first.kill()
        first.wait(30)
        eventually(lambda: site.job(org_id, job_id).attempts == 2, seconds=10, why=lambda: site.log.read_text()[-4000:])
    site.completed(org_id, job_id)
    assert site.bills(org_id) == {"acme": (D(1), [D(1)])}


def test_a_worker_survives_lost_connections_and_says_so(site: Site) -> None:
    org_id = site.new_org()
    offer(site.database, org_id, ["acme"])
    worker = site.worker()
    site.used(org_id, {"acme": "4"})
    site.completed(org_id, site.posted(org_id))
    with site.database.transaction() as connection:
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
        )
    eventually(lambda: " WARNING worker: waiting thread=jobs-" in site.log.read_text(), why=lambda: site.log.read_text()[-4000:])
    site.used(org_id, {"acme": "4"}, day=11)
    site.completed(org_id, site.posted(org_id), seconds=20)
    assert site.bills(org_id) == {"acme": (D(2), [D(2)])}
    assert worker.poll() is None


def test_a_worker_waits_for_a_database_that_is_not_there_and_ends_when_told(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = os.environ | {"METERHOUSE_HOME": str(tmp_path), "METERHOUSE_DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/none"}
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "pipelines.worker"], stderr=output, env=environment)
    eventually(lambda: log.read_text().count("waiting reason=") > 1, why=log.read_text)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert "secret" not in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_cleanly_when_asked(site: Site, number: signal.Signals) -> None:
    worker = site.worker()
    eventually(lambda: f"started pid={worker.pid} " in site.log.read_text(), why=site.log.read_text)
    worker.send_signal(number)
    assert worker.wait(20) == 0
    assert site.log.read_text().rstrip().endswith("stopped unfinished=none")


def test_acknowledged_usage_shows_within_seconds(site: Site) -> None:
    org_id = site.new_org()
    offer(site.database, org_id, ["acme"])
    site.worker()
    counted = sa.text("SELECT coalesce(sum(accepted), 0) FROM measurement_counts WHERE org_id = :org_id")
    waits = []
    for day in (10, 11, 12):
        site.used(org_id, {"acme": "4"}, day=day)
        begun = time.monotonic()

        def is_in(expected: int = day - 9) -> bool:
            with site.database.transaction() as connection:
                return bool(connection.scalar(counted, {"org_id": org_id}) == expected)

        eventually(is_in, why=lambda: site.log.read_text()[-4000:])
        waits.append(time.monotonic() - begun)
    assert min(waits[1:]) < 3, waits


def test_a_job_that_kills_its_workers_is_given_up(site: Site) -> None:
    org_id = site.new_org()
    offer(site.database, org_id, ["acme"])
    job_id = site.posted(org_id)
    with site.database.transaction() as connection:
        connection.execute(
            sa.text("UPDATE bill_jobs SET status = 'RUNNING', claimed_by = 1, attempts = :attempts WHERE id = :id"),
            {"attempts": bill_jobs.ATTEMPTS_MAX, "id": job_id},
        )
    site.worker()
    eventually(lambda: site.job(org_id, job_id).status == "CANCELLED", why=lambda: site.log.read_text()[-4000:])
    assert "died 3 times" in str(site.job(org_id, job_id).failures[0]["reason"])


def test_a_worker_approves_bills_whose_grace_period_is_over(site: Site) -> None:
    org_id = site.new_org()
    offer(site.database, org_id, ["acme"], standing_charge="1")
    with site.database.transaction() as connection:
        config = config_store.singleton(connection, org_id, OrganizationConfig)
        grace = {"auto_approve_bills_grace_period": 2, "auto_approve_bills_grace_period_unit": TimePeriodUnit.HOURS}
        config_store.updated(connection, org_id, config.id, config.model_copy(update=grace), "tester")
    site.worker()
    [bill_id] = site.completed(org_id, site.posted(org_id)).bill_ids

    def status() -> tuple[str, str | None]:
        with site.database.transaction() as connection:
            header = bill_store.bill(connection, org_id, bill_id)
        return header["status"], header["approved_by"]

    assert status() == ("PENDING", None)
    with site.database.transaction() as connection:
        connection.execute(sa.text("UPDATE bills SET last_calculated_at = now() - interval '3 hours' WHERE id = :id"), {"id": bill_id})
    eventually(lambda: status() == ("APPROVED", "AUTO_APPROVAL"), why=lambda: site.log.read_text()[-4000:])
