"""A billed organization for tests of statements and printed bills, and statement jobs run without a worker."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from pipelines.storage import bill_runs, bill_store, statement_jobs, statement_runs
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.statement_tables import STATEMENT_JOBS
from tests.offers import Offer, landed, offer, usage_body
from transforms.billing.job_requests import BillJobRequest

JANUARY = BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=date(2025, 1, 31))


@dataclass
class Billed:
    """An organization whose accounts acme and beta are billed for January 2025: 3 x 100.5 and 3 x 4 calls at 0.25, and 5 standing."""

    database: Database
    lake: Lake
    org_id: str
    landing: Path
    plans: Offer

    def used(self, quantities: dict[str, str], *, day: int) -> None:
        landed(self.landing, self.org_id, usage_body(quantities, day=day))

    def bill(self) -> dict[str, str]:
        """Bill January; account code -> bill id."""
        bill_runs.ran_inline(self.database, self.lake, self.landing, self.org_id, request=JANUARY)
        with self.database.transaction() as connection:
            headers = bill_store.listed(connection, self.org_id, BillFilter(), before=None, limit=100)
        return {header["account_code"]: header["id"] for header in headers}

    def run(self, *job_ids: str) -> None:
        """Run the jobs as a worker does."""
        for job_id in job_ids:
            with self.database.transaction() as connection:
                claim = sa.update(STATEMENT_JOBS).where(STATEMENT_JOBS.c.id == job_id, STATEMENT_JOBS.c.status == "PENDING")
                connection.execute(claim.values(status="RUNNING", claimed_by=1, attempts=1))
                job = statement_jobs.job(connection, self.org_id, job_id)
            statement_runs.ran(self.database, self.lake, job)


def billed(database: Database, lake: Lake, org_id: str, landing: Path) -> Billed:
    """The organization, with its usage, not billed yet."""
    plans = offer(database, org_id, ["acme", "beta"], standing_charge="5")
    found = Billed(database, lake, org_id, landing, plans)
    for day in (3, 10, 17):
        found.used({"acme": "100.5", "beta": "4"}, day=day)
    return found
