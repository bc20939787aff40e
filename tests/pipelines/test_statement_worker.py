"""Statement jobs in a real worker: made soon after they are ordered, taken over from a worker that was killed, and given up in the end."""

import json
from pathlib import Path

import sqlalchemy as sa

from pipelines.storage import bill_runs, bill_store, statement_jobs
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.job_claims import ATTEMPTS_MAX
from pipelines.storage.statement_files import StatementFile, content
from pipelines.storage.statement_jobs import StatementJob
from pipelines.storage.statement_tables import STATEMENT_JOBS
from tests.offers import offer
from tests.pipelines.test_worker import JANUARY, Site, home_site, site
from tests.waiting import eventually

__all__ = ["home_site", "site"]


def billed(site: Site) -> tuple[str, str]:
    """An organization and its bill of January."""
    org_id = site.new_org()
    offer(site.database, org_id, ["acme"])
    site.used(org_id, {"acme": "100"})
    bill_runs.ran_inline(site.database, site.lake, site.settings.landing_root, org_id, request=JANUARY)
    with site.database.transaction() as connection:
        (header,) = bill_store.listed(connection, org_id, BillFilter(), before=None, limit=2)
    return org_id, header["id"]


def ordered(site: Site, org_id: str, bill_id: str) -> str:
    with site.database.transaction() as connection:
        (job,) = statement_jobs.created(connection, org_id, [bill_id], include_csv_format=True, meter_ids=None, created_by="tester")
    return job.id


def job_of(site: Site, org_id: str, job_id: str) -> StatementJob:
    with site.database.transaction() as connection:
        return statement_jobs.job(connection, org_id, job_id)


def ended(site: Site, org_id: str, job_id: str) -> StatementJob:
    eventually(lambda: job_of(site, org_id, job_id).status not in statement_jobs.UNFINISHED, why=lambda: site.log.read_text()[-4000:])
    return job_of(site, org_id, job_id)


def quantity(site: Site, job: StatementJob) -> object:
    document = json.loads(content(site.lake, StatementFile(job.org_id, job.bill_id, job.id, "json")))
    return document["usage"][0]["quantity"]


def test_a_statement_is_made_and_a_worker_that_died_before_is_followed_by_another(site: Site) -> None:
    worker = site.worker()
    org_id, bill_id = billed(site)
    first = ended(site, org_id, ordered(site, org_id, bill_id))
    assert (first.status, first.attempts, quantity(site, first)) == ("COMPLETE", 1, 100)
    with site.database.transaction() as connection:
        # Its documents are there; the transaction that completes it has to wait for the bill.
        connection.execute(sa.text("SELECT FROM bills WHERE org_id = :org_id AND id = :id FOR UPDATE"), {"org_id": org_id, "id": bill_id})
        job_id = ordered(site, org_id, bill_id)
        waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE bills%'")
        eventually(lambda: site_scalar(site, waiting) == 1, why=lambda: site.log.read_text()[-4000:])
        worker.kill()
        worker.wait(30)
    assert job_of(site, org_id, job_id).status == "RUNNING"
    site.worker()
    second = ended(site, org_id, job_id)
    assert (second.status, second.attempts, quantity(site, second)) == ("COMPLETE", 2, 100)
    folder = Path(site.lake.root) / f"org={org_id}" / "statements" / bill_id
    assert {path.name for path in folder.iterdir()} == {f"{job.id}.{kind}" for job in (first, second) for kind in ("json", "csv")}


def site_scalar(site: Site, query: sa.TextClause) -> object:
    with site.database.transaction() as connection:
        return connection.scalar(query)


def test_a_statement_of_a_bill_that_was_deleted_fails_and_says_why(site: Site) -> None:
    org_id, bill_id = billed(site)
    job_id = ordered(site, org_id, bill_id)
    with site.database.transaction() as connection:
        bill_store.deleted(connection, org_id, bill_id)
    site.worker()
    failed = ended(site, org_id, job_id)
    assert (failed.status, failed.reason) == ("FAILED", f"Bill {bill_id} does not exist in this organization")


def test_a_statement_that_kills_its_workers_is_given_up(site: Site) -> None:
    org_id, bill_id = billed(site)
    job_id = ordered(site, org_id, bill_id)
    with site.database.transaction() as connection:
        connection.execute(
            sa.update(STATEMENT_JOBS).where(STATEMENT_JOBS.c.id == job_id).values(status="RUNNING", claimed_by=1, attempts=ATTEMPTS_MAX)
        )
    site.worker()
    failed = ended(site, org_id, job_id)
    assert failed.status == "FAILED"
    assert "died 3 times" in str(failed.reason)
