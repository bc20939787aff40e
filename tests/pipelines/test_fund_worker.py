"""Draws and schedules in a real worker: whatever step it is killed in, every bill is whole and no draw is lost or taken twice."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage import balance_transactions, bill_jobs, bill_locks, config_store, ledger
from tests.offers import offer
from tests.pipelines.test_worker import Site, home_site, site
from tests.waiting import eventually
from transforms.entities.balances import Balance, BalanceChargeSchedule, BalanceTransaction, BalanceTransactionSchedule
from transforms.entities.charges import Charge
from transforms.entities.documents import validated
from transforms.entities.picklists import TransactionType
from transforms.entities.resource import Entity

__all__ = ["home_site", "site"]

D = Decimal
CODES = [f"account-{n}" for n in range(5)]


def new(site: Site, org_id: str, kind: type[Entity], **body: Any) -> str:
    with site.database.transaction() as connection:
        return config_store.created(connection, org_id, validated(kind, body), "tester").id


def balances_of(site: Site, org_id: str, account_ids: dict[str, str], amount: int) -> dict[str, str]:
    """Account code -> its balance, with so much on it."""
    life = {"startDate": "2025-01-01", "endDate": "2026-01-01"}
    made = {}
    for code, account_id in account_ids.items():
        made[code] = new(site, org_id, Balance, accountId=account_id, name="b", code="b", currency="USD", **life)
        with site.database.transaction() as connection:
            top_up = validated(BalanceTransaction, {"amount": amount, "appliedDate": "2025-01-01"})
            balance_transactions.created(connection, org_id, made[code], top_up, "tester")
    return made


def draws(site: Site, org_id: str) -> list[Decimal]:
    """What every bill draws; the books must add up."""
    with site.database.transaction() as connection:
        assert ledger.problems(connection, org_id) == []
        return sorted(ledger.standing(connection, org_id).filter(pl.col("bill_id").is_not_null())["amount"])


def run_held(connection: Connection, org_id: str) -> None:
    """No job of the organization may begin."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(org_id, bill_jobs.RUNS))))


def headers_held(connection: Connection, org_id: str) -> None:
    """The line items can be written, the headers can't."""
    bill_locks.held(connection, org_id, shared=False)


def totals_held(connection: Connection, org_id: str) -> None:
    """Headers and entries of the ledger are written within the transaction, which can't end."""
    connection.execute(sa.text("SELECT FROM ledger_totals WHERE org_id = :org_id FOR UPDATE"), {"org_id": org_id})


STEPS: tuple[tuple[Callable[[Connection, str], None], str], ...] = (
    (run_held, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"),
    (headers_held, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"),
    (totals_held, "SELECT count(*) FROM pg_locks WHERE locktype IN ('transactionid', 'tuple') AND NOT granted"),
)


@pytest.mark.parametrize(("hold", "waiting"), STEPS, ids=["before it begins", "before it writes headers", "while it writes draws"])
def test_a_worker_killed_in_any_step_draws_once(site: Site, hold: Callable[[Connection, str], None], waiting: str) -> None:
    org_id = site.new_org()
    accounts = offer(site.database, org_id, CODES, unit_price="1").account_ids
    balances_of(site, org_id, accounts, 10)
    site.used(org_id, dict.fromkeys(CODES, "4"))
    worker = site.worker()
    site.completed(org_id, site.posted(org_id))
    before = site.bills(org_id)
    assert draws(site, org_id) == [D(-4)] * 5
    site.used(org_id, dict.fromkeys(CODES, "8"), day=11)
    with site.database.transaction() as connection:
        hold(connection, org_id)
        job_id = site.posted(org_id)
        if hold is run_held:
            # The job of a busy organization waits unclaimed.
            other = site.new_org()
            offer(site.database, other, ["acme"])
            site.completed(other, site.posted(other))
            assert site.job(org_id, job_id).status == "PENDING"
        else:
            eventually(lambda: connection.scalar(sa.text(waiting)) == 1, why=lambda: site.log.read_text()[-4000:])
        worker.kill()
        worker.wait(30)
    assert (site.bills(org_id), draws(site, org_id)) == (before, [D(-4)] * 5)
    site.worker()
    job = site.completed(org_id, job_id)
    assert (len(job.bill_ids), job.failures) == (5, ())
    assert draws(site, org_id) == [D(-10)] * 5
    assert {total for total, _ in site.bills(org_id).values()} == {D(2)}


def test_jobs_of_one_organization_run_one_after_the_other(site: Site) -> None:
    org_id = site.new_org()
    accounts = offer(site.database, org_id, CODES, unit_price="1").account_ids
    balances_of(site, org_id, accounts, 10)
    site.used(org_id, dict.fromkeys(CODES, "12"))
    for _ in range(2):
        site.worker()
    for job_id in [site.posted(org_id) for _ in range(8)]:
        assert site.completed(org_id, job_id).attempts == 1
    assert draws(site, org_id) == [D(-10)] * 5


def test_schedules_run_when_they_are_due(site: Site) -> None:
    org_id = site.new_org()
    accounts = offer(site.database, org_id, ["acme"]).account_ids
    balance = balances_of(site, org_id, accounts, 10)["acme"]
    kind = new(site, org_id, TransactionType, name="Credit", code="credit")
    body = {"balanceId": balance, "name": "s", "code": "s", "amount": 5}
    months = {"startDate": "2025-01-01", "endDate": "2025-04-01", "frequency": "MONTHLY", "frequencyInterval": 1}
    new(site, org_id, BalanceTransactionSchedule, **body, **months, transactionDescription="top-up", transactionTypeId=kind)
    period = {"servicePeriodStartDate": "2025-01-01", "servicePeriodEndDate": "2025-04-01", "billFrequency": "MONTHLY", "billFrequencyInterval": 1}
    fee = new(site, org_id, BalanceChargeSchedule, **body, **period, currency="USD", chargeDescription="fee", billInAdvance=False)

    def made() -> tuple[Decimal | None, int]:
        with site.database.transaction() as connection:
            return config_store.entity(connection, org_id, Balance, balance).amount, config_store.count(connection, org_id, Charge, schedule_id=fee)

    assert made() == (10, 0)
    for _ in range(2):
        site.worker()
    eventually(lambda: made() == (25, 3), why=lambda: f"{made()} {site.log.read_text()[-4000:]}")
    # A bill job runs what is due itself; what has run stays as it is.
    site.completed(org_id, site.posted(org_id))
    assert made() == (25, 3)
    with site.database.transaction() as connection:
        assert ledger.problems(connection, org_id) == []
