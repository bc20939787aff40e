"""What happens to bills, funds and statements while a job is at work: each ends as if one had come after the other."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage import bill_locks, bill_store, config_store, ledger, memo_store, schedule_runs, statement_jobs, statement_runs
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.landing import Landing
from pipelines.storage.organizations import Credentials
from tests.pipelines.storage.test_funds import Site
from tests.waiting import eventually
from transforms.billing.memo_lines import CreditLineItem
from transforms.entities.accounts import Account, AccountPlan
from transforms.entities.balances import Balance, BalanceTransactionSchedule
from transforms.entities.commitments import Commitment
from transforms.entities.organization import OrganizationConfig, StatementAutoGenerateMode
from transforms.entities.picklists import TransactionType
from transforms.entities.usage import Product
from transforms.errors import Refused

D = Decimal
_WAITING = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")


@pytest.fixture
def site(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Site:
    return Site(database, lake, organization.org_id, tmp_path / "landing")


@contextmanager
def before_it_writes(site: Site, call: Callable[[], Any]) -> Iterator[tuple[Connection, Future[Any]]]:
    """The call has got so far that it waits for the lock under which headers are written, which this transaction holds until the block ends."""
    with ThreadPoolExecutor(1) as pool, site.database.transaction() as connection:
        bill_locks.held(connection, site.org_id, shared=False)
        done = pool.submit(call)
        eventually(lambda: done.done() or connection.scalar(_WAITING) == 1, seconds=60)
        assert not done.done(), done.exception()
        yield connection, done


def test_an_account_deleted_while_a_job_computes_fails_alone(site: Site) -> None:
    gone = site.new(Account, name="gone", code="gone", emailAddress="a@example.com").id
    account_plan = site.new(AccountPlan, accountId=gone, planId=site.offer.plan_id, startDate="2025-01-01").id
    site.calls(1, "5")
    with before_it_writes(site, lambda: site.month(1)) as (_, done), site.database.transaction() as connection:
        config_store.deleted(connection, site.org_id, AccountPlan, account_plan, "me")
        config_store.deleted(connection, site.org_id, Account, gone, "me")
    job = site.job(done.result(60))
    assert job.status == "COMPLETE"
    assert site.totals() == {"acme": D(5)}


def test_a_commitment_deleted_while_a_job_computes_is_not_drawn_from(site: Site) -> None:
    commitment = site.commitment("100")
    site.calls(1, "5")
    refused = False
    with ThreadPoolExecutor(1) as pool:
        with before_it_writes(site, lambda: site.month(1)) as (_, done):

            def delete() -> None:
                with site.database.transaction() as connection:
                    config_store.deleted(connection, site.org_id, Commitment, commitment, "me")

            deletion = pool.submit(delete)
            eventually(lambda: deletion.done() or waiting(site) == 2)
        done.result(60)
        try:
            deletion.result(60)
        except Refused:
            refused = True
    assert site.totals()["acme"] == (D(0) if refused else D(5))
    assert site.drawn() == ({2: D(5)} if refused else {})


def waiting(site: Site) -> int:
    with site.database.transaction() as connection:
        return int(connection.scalar(_WAITING) or 0)


def test_a_bill_deleted_while_it_is_calculated_again_stays_deleted(site: Site) -> None:
    site.calls(1, "5")
    site.month(1)
    bill_id = site.bills()["acme"]["id"]
    with before_it_writes(site, lambda: site.recalculated(bill_id)) as (connection, done):
        bill_store.deleted(connection, site.org_id, bill_id, actor="me")
    job = done.result(60)
    assert "acme" not in site.bills()
    assert [failure["reason"] for failure in job.failures] == [f"bill {bill_id} was deleted"]


def test_a_later_bill_deleted_while_it_follows_stays_deleted(site: Site) -> None:
    site.commitment("100")
    site.calls(1, "100")
    site.calls(2, "50")
    for month in (1, 2):
        site.month(month)
    assert site.drawn() == {2: D(100)}
    february = site.months()[3]["id"]
    site.calls(1, "-80", day=11)
    with before_it_writes(site, lambda: site.month(1)) as (connection, done):
        bill_store.deleted(connection, site.org_id, february, actor="me")
    done.result(60)
    assert (site.drawn(), set(site.owed())) == ({2: D(20)}, {2})


def test_bills_of_a_filter_are_approved_though_one_is_deleted_meanwhile(site: Site) -> None:
    for month in (1, 2):
        site.calls(month, "5")
        site.month(month)

    def approve() -> int:
        with site.database.transaction() as connection:
            return bill_store.approved_where(connection, site.org_id, BillFilter(), actor="me")

    with before_it_writes(site, approve) as (connection, done):
        bill_store.deleted(connection, site.org_id, site.bills()["acme"]["id"], actor="me")
    assert done.result(60) == 1


def memo(site: Site, bill_id: str, amount: str) -> None:
    with site.database.transaction() as connection:
        product = config_store.entities(connection, site.org_id, Product)[0].id
        new = CreditLineItem(
            amount=D(amount),
            description="memo",
            product_id=product,
            service_period_start_date=datetime(2025, 1, 1, tzinfo=UTC),
            service_period_end_date=datetime(2025, 2, 1, tzinfo=UTC),
        )
        memo_store.created(connection, site.org_id, bill_id, new, line_ids=None, actor="me")


def statement_ordered(site: Site, bill_id: str) -> statement_jobs.StatementJob:
    with site.database.transaction() as connection:
        ordered = statement_jobs.created(connection, site.org_id, [bill_id], include_csv_format=False, meter_ids=None, created_by="me", session=1)
    return ordered[0]


def test_a_statement_is_stale_when_a_memo_came_while_it_was_made(site: Site) -> None:
    site.calls(1, "5")
    site.month(1)
    bill_id = site.bills()["acme"]["id"]
    claim = statement_ordered(site, bill_id)
    header, _ = statement_runs.made(site.database, site.lake, site.org_id, bill_id)
    memo(site, bill_id, "1")
    with site.database.transaction() as connection:
        statement_jobs.completed(connection, claim, header)
    assert (site.bills()["acme"]["json_statement_generated"], site.bills()["acme"]["statement_stale"]) == (True, True)


def test_a_statement_is_stale_when_only_the_text_of_a_memo_changed(site: Site) -> None:
    site.calls(1, "5")
    site.month(1)
    bill_id = site.bills()["acme"]["id"]
    memo(site, bill_id, "1")
    claim = statement_ordered(site, bill_id)
    statement_runs.ran(site.database, site.lake, claim)
    assert document_status(site, claim) == "LATEST"
    with site.database.transaction() as connection:
        [(_, stored)] = memo_store.listed(connection, site.org_id, bill_id, CreditLineItem, before=None, limit=9)
        other = stored.model_copy(update={"description": "another text"})
        memo_store.updated(connection, site.org_id, bill_id, stored.id, other, line_ids=None, actor="me")
    assert document_status(site, claim) == "STALE"


def document_status(site: Site, claim: statement_jobs.StatementJob) -> str:
    with site.database.transaction() as connection:
        job = statement_jobs.job(connection, site.org_id, claim.id)
        return statement_jobs.document_statuses(connection, site.org_id, [job])[claim.id][0]


def automatic(site: Site, mode: StatementAutoGenerateMode) -> None:
    with site.database.transaction() as connection:
        config = config_store.singleton(connection, site.org_id, OrganizationConfig)
        config_store.updated(connection, site.org_id, config.id, config.model_copy(update={"auto_generate_statement_mode": mode}), "me")


def approve(site: Site, bill_id: str, status: str = "APPROVED") -> int:
    """How many statement jobs the bill has afterwards."""
    with site.database.transaction() as connection:
        bill_store.with_status(connection, site.org_id, bill_id, status, actor="me")
        return len(statement_jobs.listed(connection, site.org_id, statuses=None, bill_id=bill_id, before=None, limit=99))


def test_a_bill_whose_statement_is_stale_gets_another_on_approval(site: Site) -> None:
    automatic(site, StatementAutoGenerateMode.JSON)
    site.calls(1, "5")
    site.month(1)
    bill_id = site.bills()["acme"]["id"]
    statement_runs.ran(site.database, site.lake, statement_ordered(site, bill_id))
    assert approve(site, bill_id) == 1
    approve(site, bill_id, "PENDING")
    memo(site, bill_id, "1")
    assert approve(site, bill_id) == 2


def test_a_statement_that_an_approval_counted_on_is_made_again_when_it_turns_out_old(site: Site) -> None:
    automatic(site, StatementAutoGenerateMode.JSON)
    site.calls(1, "5")
    site.month(1)
    bill_id = site.bills()["acme"]["id"]
    claim = statement_ordered(site, bill_id)
    header, _ = statement_runs.made(site.database, site.lake, site.org_id, bill_id)
    site.calls(1, "5", day=11)
    site.month(1)
    assert approve(site, bill_id) == 1
    with site.database.transaction() as connection:
        statement_jobs.completed(connection, claim, header)
        ordered = statement_jobs.listed(connection, site.org_id, statuses=["PENDING"], bill_id=bill_id, before=None, limit=9)
    assert (len(ordered), site.bills()["acme"]["statement_stale"]) == (1, True)


def test_late_usage_counts_though_the_clock_of_who_received_it_was_slow(site: Site) -> None:
    site.calls(1, "5")
    site.month(1)
    site.locked(2)
    assert site.owed() == {2: D(5)}
    body = {"uid": "late", "meter": "calls", "account": "acme", "ts": "2025-01-20T12:00:00Z", "measure": {"qty": 7}}
    landing = Landing(site.landing)
    landing.append_all(site.org_id, [msgspec.json.encode({"measurements": [body]})], datetime.now(UTC) - timedelta(seconds=90))
    landing.close()
    site.month(2)
    assert site.owed()[3] == D(7)


def test_a_job_comes_to_its_end_though_money_comes_in_all_the_time(site: Site) -> None:
    balance = site.balance("1")
    site.calls(1, "5")
    stop = threading.Event()

    def pay() -> None:
        while not stop.is_set():
            site.put_in(balance, "0.01")

    with ThreadPoolExecutor(2) as pool:
        payments = pool.submit(pay)
        done = pool.submit(site.month, 1)
        try:
            done.result(60)
        finally:
            stop.set()
        payments.result(60)
    with site.database.transaction() as connection:
        assert ledger.problems(connection, site.org_id) == []


def test_others_get_their_turn_while_many_schedules_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_runs, "SCHEDULES_AT_ONCE", 2)
    balance = site.balance("1")
    kind = site.new(TransactionType, name="Credit", code="credit").id
    body = {"balanceId": balance, "amount": 5, "startDate": "2025-01-01", "endDate": "2025-03-01", "transactionTypeId": kind}
    for n in range(5):
        monthly = {"frequency": "MONTHLY", "frequencyInterval": 1, "transactionDescription": "top-up"}
        site.new(BalanceTransactionSchedule, name="s", code=f"s{n}", **body, **monthly)
    with ThreadPoolExecutor(1) as pool:
        with before_it_writes(site, lambda: schedule_runs.ran_due(site.database, site.org_id)) as (_, done):
            seen = pool.submit(amount_under_lock, site, balance)
            eventually(lambda: waiting(site) == 2)
        # It waited behind the first two schedules, not behind all of them.
        assert (seen.result(60), done.result(60)) == (D(21), 10)
    assert site.entity(Balance, balance).amount == 51


def amount_under_lock(site: Site, balance_id: str) -> Decimal | None:
    with site.database.transaction() as connection:
        bill_locks.held(connection, site.org_id, shared=False)
        return config_store.entity(connection, site.org_id, Balance, balance_id).amount
