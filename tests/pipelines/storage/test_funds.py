"""Bills draw from commitments and balances: once, in their order, and again when what was before them changes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
import sqlalchemy as sa

from pipelines.storage import balance_transactions, bill_locks, bill_runs, bill_store, config_store, ledger, rebilling
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from pipelines.storage.snapshots import configuration
from tests.offers import Offer, landed, offer
from tests.pipelines.storage.test_bill_runs import Organization
from tests.waiting import eventually
from transforms.billing.job_requests import BillJobRequest
from transforms.entities.accounts import AccountPlan
from transforms.entities.balances import Balance, BalanceTransaction
from transforms.entities.charges import Charge
from transforms.entities.commitments import Commitment
from transforms.entities.documents import validated
from transforms.entities.plans import PlanTemplate
from transforms.entities.resource import BillingFrequency, Entity
from transforms.errors import Refused

D = Decimal
MONTHS = {1: date(2025, 1, 31), 2: date(2025, 2, 28), 3: date(2025, 3, 31)}


class Site(Organization):
    """An organization whose accounts pay 1 per call and have something to draw from."""

    def __init__(self, database: Database, lake: Lake, org_id: str, landing: Path, codes: tuple[str, ...] = ("acme",)) -> None:
        super().__init__(database, lake, org_id, landing)
        self.offer: Offer = offer(database, org_id, codes, unit_price="1")
        self.uids = 0

    def new(self, kind: type[Entity], **body: Any) -> Any:
        with self.database.transaction() as connection:
            return config_store.created(connection, self.org_id, validated(kind, body), "tester")

    def commitment(self, amount: str, account: str = "acme", **fields: Any) -> str:
        body = {"accountId": self.offer.account_ids[account], "startDate": "2025-01-01", "endDate": "2026-01-01", "currency": "USD"}
        return str(self.new(Commitment, **body | {"amount": D(amount), "amountPrePaid": D(amount)} | fields).id)

    def balance(self, amount: str, account: str = "acme", **fields: Any) -> str:
        body = {"accountId": self.offer.account_ids[account], "name": "b", "code": "b", "currency": "USD"}
        life = {"startDate": "2025-01-01", "endDate": "2026-01-01"}
        balance_id = str(self.new(Balance, **body | life | fields).id)
        self.put_in(balance_id, amount)
        return balance_id

    def put_in(self, balance_id: str, amount: str) -> None:
        with self.database.transaction() as connection:
            new = validated(BalanceTransaction, {"amount": D(amount), "appliedDate": "2025-01-01"})
            balance_transactions.created(connection, self.org_id, balance_id, new, "tester")

    def calls(self, month: int, quantity: str, code: str = "acme", day: int = 10) -> None:
        self.uids += 1
        one = {"uid": str(self.uids), "meter": "calls", "account": code, "ts": f"2025-{month:02}-{day:02}T12:00:00Z", "measure": {"qty": D(quantity)}}
        landed(self.landing, self.org_id, msgspec.json.Encoder(decimal_format="number").encode({"measurements": [one]}))

    def month(self, month: int) -> str:
        """Bill a month; the job's id."""
        return self.billed(BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=MONTHS[month])).job_id

    def drawn(self) -> dict[int, Decimal]:
        """Month of the bill date -> what its bill draws, all funds together."""
        with self.database.transaction() as connection:
            assert ledger.problems(connection, self.org_id) == []
            entries = ledger.standing(connection, self.org_id).filter(pl.col("bill_id").is_not_null())
        return {row["bill_date"].month: -row["amount"] for row in entries.group_by("bill_date").agg(pl.col("amount").sum()).iter_rows(named=True)}

    def months(self) -> dict[int, dict[str, Any]]:
        with self.database.transaction() as connection:
            found = bill_store.listed(connection, self.org_id, BillFilter(), before=None, limit=1000)
        return {header["bill_date"].month: header for header in found}

    def owed(self) -> dict[int, Decimal]:
        return {month: header["bill_total"] for month, header in self.months().items()}

    def entity(self, kind: type[Entity], entity_id: str) -> Any:
        with self.database.transaction() as connection:
            return config_store.entity(connection, self.org_id, kind, entity_id)

    def entries(self) -> int:
        with self.database.transaction() as connection:
            return ledger.last_sequence(connection, self.org_id)

    def locked(self, month: int) -> None:
        with self.database.transaction() as connection:
            bill_store.with_status(connection, self.org_id, self.months()[month]["id"], "APPROVED", actor="me")
            bill_store.locked(connection, self.org_id, self.months()[month]["id"], actor="me")


@pytest.fixture
def site(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Site:
    return Site(database, lake, organization.org_id, tmp_path / "landing")


def test_bills_draw_in_their_order_and_a_recalculation_draws_the_same(site: Site) -> None:
    commitment = site.commitment("100")
    for month, quantity in ((1, "60"), (2, "70"), (3, "10")):
        site.calls(month, quantity)
        site.month(month)
    assert site.drawn() == {2: D(60), 3: D(40)}
    assert site.owed() == {2: D(0), 3: D(30), 4: D(10)}
    spent = site.entity(Commitment, commitment)
    assert (spent.amount_spent, spent.version) == (100, 1)
    before, entries = site.content(), site.entries()
    for month in (1, 3, 2, 1):
        site.month(month)
    assert (site.content(), site.entries()) == (before, entries)
    site.recalculated(*(header["id"] for header in site.months().values()))
    assert (site.content(), site.entries()) == (before, entries)
    with pytest.raises(Refused, match=r"it is used by Bill .* \(draws from it\)"), site.database.transaction() as connection:
        config_store.deleted(connection, site.org_id, Commitment, commitment, "tester")


def test_later_bills_follow_when_an_earlier_one_draws_otherwise(site: Site) -> None:
    balance = site.balance("100")
    site.calls(1, "30")
    site.calls(2, "50")
    site.calls(3, "50")
    for month in (1, 2, 3):
        site.month(month)
    assert (site.drawn(), site.owed()) == ({2: D(30), 3: D(50), 4: D(20)}, {2: D(0), 3: D(0), 4: D(30)})
    site.calls(1, "40", day=11)
    job = site.job(site.month(1))
    assert (site.drawn(), site.owed()) == ({2: D(70), 3: D(30)}, {2: D(0), 3: D(20), 4: D(50)})
    assert (set(job.bill_ids), job.failures) == ({header["id"] for header in site.months().values()}, ())
    assert site.entity(Balance, balance).amount == 0
    # More money for everybody; it is drawn when bills are calculated again, one alone is enough.
    site.put_in(balance, "25")
    site.recalculated(site.months()[3]["id"])
    assert (site.drawn(), site.owed()) == ({2: D(70), 3: D(50), 4: D(5)}, {2: D(0), 3: D(0), 4: D(45)})


def test_bills_that_come_late_draw_before_those_that_are_there(site: Site) -> None:
    site.commitment("100")
    site.calls(1, "80")
    site.calls(3, "80")
    site.month(3)
    assert site.drawn() == {4: D(80)}
    site.month(1)
    assert (site.drawn(), site.owed()) == ({2: D(80), 4: D(20)}, {2: D(0), 4: D(60)})


def test_only_bills_whose_ground_moved_follow(site: Site) -> None:
    site.commitment("1000")
    for month in (1, 2, 3):
        site.calls(month, "10")
        site.month(month)
    versions = {month: header["version"] for month, header in site.months().items()}
    site.month(1)
    assert {month: header["version"] for month, header in site.months().items()} == versions | {2: versions[2] + 1}


def test_a_locked_bill_keeps_its_draws(site: Site) -> None:
    site.commitment("100")
    for month in (1, 2):
        site.calls(month, "50")
        site.month(month)
    site.locked(3)
    before = site.months()[3]
    site.calls(1, "30", day=11)
    site.month(1)
    assert (site.drawn(), site.owed()) == ({2: D(50), 3: D(50)}, {2: D(30), 3: D(0)})
    assert site.months()[3] == before


def test_a_deleted_bill_gives_back_what_it_drew(site: Site) -> None:
    balance = site.balance("100")
    for month in (1, 2):
        site.calls(month, "70")
        site.month(month)
    with site.database.transaction() as connection:
        bill_store.deleted(connection, site.org_id, site.months()[2]["id"], actor="me")
    assert (site.drawn(), site.entity(Balance, balance).amount) == ({3: D(30)}, D(70))
    site.month(2)
    assert (site.drawn(), site.owed()) == ({3: D(70)}, {3: D(0)})
    with site.database.transaction() as connection:
        shown = balance_transactions.listed(connection, site.org_id, balance, {"entityType": "BILL"})
    assert [(one.amount, one.entity_id) for one in shown.data] == [(D(-70), site.months()[3]["id"])]


def test_a_bill_that_does_not_come_out_again_keeps_what_it_drew(site: Site) -> None:
    site.commitment("100")
    for month in (1, 2):
        site.calls(month, "60")
        site.month(month)
    assert site.drawn() == {2: D(60), 3: D(40)}
    plan = site.entity(AccountPlan, site.offer.account_plan_ids["acme"])
    ended = plan.model_copy(update={"end_date": plan.start_date.replace(month=2)})
    with site.database.transaction() as connection:
        config_store.updated(connection, site.org_id, plan.id, ended, "tester")
    site.calls(1, "30", day=11)
    job = site.job(site.month(1))
    assert (site.drawn(), site.owed()[2]) == ({2: D(60), 3: D(40)}, D(30))
    assert [failure["billId"] for failure in job.failures] == [site.months()[3]["id"]]


def test_charges_know_their_bill(site: Site) -> None:
    period = {"servicePeriodStartDate": "2025-01-01", "servicePeriodEndDate": "2025-02-01", "billDate": "2025-02-01"}
    body = {"accountId": site.offer.account_ids["acme"], "name": "c", "code": "c", "currency": "USD", "amount": 5}
    charge = site.new(Charge, **body | period | {"entityType": "AD_HOC", "lineItemType": "AD_HOC"}).id
    site.billed(BillJobRequest(bill_date=date(2025, 2, 1), last_date_in_billing_period=MONTHS[1]))
    bill_id = site.entity(Charge, charge).bill_id
    with site.database.transaction() as connection:
        assert bill_id in {header["id"] for header in bill_store.listed(connection, site.org_id, BillFilter(), before=None, limit=10)}
        bill_store.deleted(connection, site.org_id, bill_id, actor="me")
    assert site.entity(Charge, charge).bill_id is None


def test_bills_of_several_dates_in_one_job_wait_for_those_between_them(site: Site) -> None:
    """A job of all frequencies bills the year and the day that ended last; a stored day lies between their dates."""
    with site.database.transaction() as connection:
        today = configuration(connection, site.org_id).as_of.date()
    year_end = (today - timedelta(days=100)).replace(day=1)
    site.commitment("100", startDate="2020-01-01", endDate="2100-01-01")
    daily = offer(site.database, site.org_id, [], currency="EUR")
    plan = site.entity(AccountPlan, site.offer.account_plan_ids["acme"])
    start = datetime(year_end.year - 1, year_end.month, 1, tzinfo=UTC)
    with site.database.transaction() as connection:
        for template_id, frequency, charge in (
            (site.offer.template_id, BillingFrequency.ANNUALLY, D(50)),
            (daily.template_id, BillingFrequency.DAILY, D(30)),
        ):
            template = config_store.entity(connection, site.org_id, PlanTemplate, template_id)
            changed = template.model_copy(update={"bill_frequency": frequency, "currency": "USD", "standing_charge": charge})
            config_store.updated(connection, site.org_id, template_id, changed, "tester")
        epoch = plan.model_copy(update={"bill_epoch": year_end, "start_date": start})
        config_store.updated(connection, site.org_id, plan.id, epoch, "tester")
    since = (today - timedelta(days=60)).isoformat()
    site.new(AccountPlan, accountId=site.offer.account_ids["acme"], planId=daily.plan_id, startDate=since)
    between = today - timedelta(days=50)
    site.billed(BillJobRequest(billing_frequency="DAILY", last_date_in_billing_period=between - timedelta(days=1)))
    site.billed(BillJobRequest())
    with site.database.transaction() as connection:
        entries = ledger.standing(connection, site.org_id).sort("bill_date")
    assert list(entries.select("bill_date", "amount").iter_rows()) == [(year_end, D(-50)), (between, D(-30)), (today, D(-20))]


def test_a_job_computes_again_when_the_ledger_moved_under_it(site: Site) -> None:
    balance = site.balance("10")
    site.calls(1, "50")
    with ThreadPoolExecutor(1) as pool:
        with site.database.transaction() as connection:
            bill_locks.held(connection, site.org_id, shared=False)
            waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            job = pool.submit(site.month, 1)
            eventually(lambda: connection.scalar(waiting) == 1, seconds=30, why=lambda: str(job))
            new = validated(BalanceTransaction, {"amount": 15, "appliedDate": "2025-01-01"})
            balance_transactions.created(connection, site.org_id, balance, new, "tester")
        job_id = job.result(60)
    assert site.job(job_id).status == "COMPLETE"
    assert (site.drawn(), site.owed()) == ({2: D(25)}, {2: D(25)})


def test_two_jobs_of_the_same_accounts_draw_once(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> None:
    codes = tuple(f"a{n}" for n in range(4))
    site = Site(database, lake, organization.org_id, tmp_path / "landing", codes)
    for code in codes:
        site.commitment("100", code)
        for month in (1, 2):
            site.calls(month, "70", code)
    begin = threading.Barrier(4)

    def billed(months: tuple[int, ...]) -> None:
        begin.wait(30)
        for month in months:
            site.month(month)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(billed, months) for months in ((1, 2), (2, 1), (1, 1), (2, 2))]:
            done.result(120)
    assert site.drawn() == {2: D(280), 3: D(120)}
    with database.transaction() as connection:
        headers = bill_store.listed(connection, site.org_id, BillFilter(), before=None, limit=1000)
    assert sorted((h["bill_date"].month, h["bill_total"]) for h in headers) == [(2, D(0))] * 4 + [(3, D(40))] * 4


def test_the_books_are_checked(site: Site) -> None:
    balance = site.balance("100")
    site.calls(1, "30")
    site.month(1)
    with site.database.transaction() as connection:
        assert ledger.problems(connection, site.org_id) == []
        connection.execute(sa.text("UPDATE ledger_totals SET amount = amount + 1 WHERE fund_id = :id"), {"id": balance})
        [problem] = ledger.problems(connection, site.org_id)
        assert balance in problem
        connection.execute(sa.text("UPDATE ledger_totals SET amount = amount - 1 WHERE fund_id = :id"), {"id": balance})
        connection.execute(sa.text("DELETE FROM bills WHERE org_id = :id"), {"id": site.org_id})
        assert "there is no such bill" in ledger.problems(connection, site.org_id)[0]
        connection.rollback()


def test_the_ledger_is_read_as_it_was(site: Site) -> None:
    site.balance("100")
    site.calls(1, "30")
    site.month(1)
    with site.database.transaction() as connection:
        then, sequence = ledger.standing(connection, site.org_id), ledger.last_sequence(connection, site.org_id)
    site.calls(1, "40", day=11)
    site.month(1)
    with site.database.transaction() as connection:
        assert ledger.standing(connection, site.org_id, as_of_sequence=sequence).equals(then)
        assert ledger.standing(connection, site.org_id)["amount"].to_list() == [D(100), D(-70)]
        assert ledger.standing(connection, site.org_id, ["someone else"]).is_empty()


def test_a_preview_draws_nothing(site: Site) -> None:
    site.commitment("100")
    site.calls(1, "30")
    request = BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=MONTHS[1], account_ids=[site.offer.account_ids["acme"]])
    header, lines = bill_runs.previewed(site.database, site.lake, site.landing, site.org_id, request=request)
    assert (header["bill_total"], {line["line_item_type"] for line in lines}) == (0, {"USAGE", "COMMITMENT_CONSUMED"})
    assert site.entries() == 0


def test_a_bill_comes_out_again_from_the_ledger_that_it_was_computed_from(site: Site) -> None:
    balance = site.balance("100")
    for month in (1, 2):
        site.calls(month, "70")
        site.month(month)
    # What came afterwards changes nothing about bills that were calculated before.
    site.put_in(balance, "500")
    with site.database.transaction() as connection:
        rows = rebilling.bill_rows(connection, site.org_id, BillFilter())
    assert rebilling.rebilled(site.database, site.lake, site.org_id, rows).is_equal
    site.calls(1, "20", day=11)
    site.month(1)
    with site.database.transaction() as connection:
        rows = rebilling.bill_rows(connection, site.org_id, BillFilter())
    assert rebilling.rebilled(site.database, site.lake, site.org_id, rows).is_equal
