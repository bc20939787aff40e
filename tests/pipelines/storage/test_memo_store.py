"""Memo lines where bills are stored, published and summed: other currencies, several at once, races with calculations."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from pipelines.storage import bill_jobs, bill_locks, bill_store, config_store, memo_store
from pipelines.storage.bill_lines import lines_by_bill
from pipelines.storage.bill_schedule import changed_days
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from pipelines.storage.publishing import published
from pipelines.storage.totals import bill_headers, current_lines
from tests.bills import account_of, calculation_of, claim_of, frames, put
from tests.together import together
from transforms.billing.memo_lines import CreditLineItem, DebitLineItem, MemoLine
from transforms.datasets import PUBLISHED_LINE_ITEMS
from transforms.entities.bill_config import BillConfig
from transforms.entities.organization import Currency, CurrencyConversion, OrganizationConfig
from transforms.entities.usage import Product

D = Decimal
JANUARY = (date(2025, 1, 1), date(2025, 1, 31))


class Site:
    def __init__(self, database: Database, lake: Lake, org_id: str) -> None:
        self.database, self.lake, self.org_id = database, lake, org_id
        self.account = account_of(database, org_id, "acme")
        with database.transaction() as connection:
            self.product = config_store.created(connection, org_id, Product(name="Calls", code="calls"), "tester").id
        self.bill_id = self.calculated(["10"])

    def calculated(self, amounts: list[str], *, currency: str = "USD", **options: Any) -> str:
        bills, lines = frames(self.account, amounts, product_id=self.product)
        named = {"currency": pl.lit(currency)}
        written = put(self.database, self.lake, self.org_id, [(bills.with_columns(**named), lines.with_columns(**named))], **options)
        return written[0] if written else ""

    def memo(self, kind: type[MemoLine], amount: str) -> MemoLine:
        new = kind(
            amount=D(amount),
            description="memo",
            product_id=self.product,
            service_period_start_date=datetime(2025, 1, 1, tzinfo=UTC),
            service_period_end_date=datetime(2025, 2, 1, tzinfo=UTC),
        )
        with self.database.transaction() as connection:
            return memo_store.created(connection, self.org_id, self.bill_id, new, line_ids=None, actor="tester")

    def rate(self, multiplier: str) -> None:
        with self.database.transaction() as connection:
            config = config_store.singleton(connection, self.org_id, OrganizationConfig)
            rates = [CurrencyConversion.model_validate({"from": "USD", "to": "EUR", "multiplier": multiplier})]
            config_store.updated(connection, self.org_id, config.id, config.model_copy(update={"currency_conversions": rates}), "tester")

    def bill(self) -> dict[str, Any]:
        with self.database.transaction() as connection:
            return bill_store.bill(connection, self.org_id, self.bill_id)

    def amounts(self) -> list[Decimal]:
        header = self.bill()
        lines = lines_by_bill(self.lake, self.org_id, [header])[self.bill_id]
        assert sum((line["converted_subtotal"] for line in lines), D(0)) == header["bill_total"]
        assert [line["sequence_number"] for line in lines] == list(range(1, header["line_count"] + 1))
        return [line["converted_subtotal"] for line in lines]


@pytest.fixture
def site(database: Database, lake: Lake, organization: Credentials) -> Site:
    return Site(database, lake, organization.org_id)


def test_published_lines_and_sums_have_the_memo_lines(site: Site) -> None:
    site.memo(CreditLineItem, "2.5")
    site.memo(DebitLineItem, "1")
    other = account_of(site.database, site.org_id, "beta")
    put(site.database, site.lake, site.org_id, [frames(other, ["4"])])
    with site.database.transaction() as connection:
        headers = bill_headers(connection, [site.org_id], *JANUARY)
    sums = current_lines(site.lake, site.org_id, headers).group_by("bill_id").agg(pl.len(), pl.col("converted_subtotal").sum()).collect()
    assert dict(zip(sums["bill_id"], sums["len"], strict=True))[site.bill_id] == 3
    assert published(site.lake, site.org_id, "2025-01", headers) == 4
    lines = site.lake.scan(PUBLISHED_LINE_ITEMS, site.org_id).collect().filter(pl.col("bill_id") == site.bill_id).sort("sequence_number")
    assert lines["line_item_type"].to_list() == ["USAGE", "CREDIT_MEMO", "DEBIT_MEMO"]
    assert lines["converted_subtotal"].to_list() == [D(10), D("-2.5"), D(1)]
    assert lines["calculation_id"].n_unique() == 1


def test_a_bill_that_changes_its_currency_converts_its_memo_lines(site: Site) -> None:
    site.memo(CreditLineItem, "2.5")
    with site.database.transaction() as connection:
        config_store.created(connection, site.org_id, Currency(name="Euro", code="EUR"), "tester")
    before = site.bill()
    claim = claim_of(site.database, site.org_id)
    site.calculated(["20"], currency="EUR", claim=claim)
    with site.database.transaction() as connection:
        [failure] = bill_jobs.job(connection, site.org_id, claim.id).failures
    assert "no currency conversion from USD to EUR" in str(failure["reason"])
    assert site.bill() == before
    site.rate("0.9")
    site.calculated(["20"], currency="EUR")
    assert site.amounts() == [D(20), D("-2.25")]
    site.calculated(["30"])
    assert site.amounts() == [D(30), D("-2.5")]


def test_a_bill_that_the_lock_date_locks_keeps_its_memo_lines_in_its_currency(site: Site) -> None:
    site.memo(CreditLineItem, "2.5")
    site.rate("0.9")
    with site.database.transaction() as connection:
        bill_store.approved(connection, site.org_id, [site.bill_id], actor="me")
        stored = config_store.singleton(connection, site.org_id, BillConfig)
        bill_locks.lock_date_set(connection, site.org_id, BillConfig(version=stored.version, bill_lock_date=JANUARY[1]), "me")
    before, amounts = site.bill(), site.amounts()
    site.calculated(["20"], currency="EUR")
    assert (site.bill(), site.amounts()) == (before, amounts)


def test_an_older_calculation_changes_no_memo_line(site: Site) -> None:
    site.rate("0.5")
    early = calculation_of(site.database, site.org_id)
    site.calculated(["20"])
    site.memo(CreditLineItem, "2")
    site.calculated(["9"], currency="EUR", calculation=early)
    assert site.amounts() == [D(20), D(-2)]
    assert site.bill()["currency"] == "USD"


def test_memo_lines_and_calculations_at_once_lose_nothing(site: Site) -> None:
    for amount in ("11", "12"):
        adding = [lambda: site.memo(DebitLineItem, "1"), lambda: site.memo(CreditLineItem, "3")]
        together(*adding, lambda amount=amount: site.calculated([amount, "1"]), *adding)
    site.amounts()
    header = site.bill()
    assert (header["memo_count"], header["memo_total"], header["bill_total"]) == (8, D(-8), D(5))


def test_invoice_numbers_have_no_gap_and_no_twin_under_concurrency(site: Site) -> None:
    with site.database.transaction() as connection:
        config = config_store.singleton(connection, site.org_id, OrganizationConfig)
        changed = config.model_copy(update={"bill_prefix": "I-", "sequence_start_number": 7})
        config_store.updated(connection, site.org_id, config.id, changed, "tester")
    accounts = [account_of(site.database, site.org_id, f"account-{n}") for n in range(12)]

    def failing() -> None:
        """A calculation that is rolled back after it took its numbers."""
        claim = claim_of(site.database, site.org_id)
        with site.database.transaction() as connection:
            bill_jobs.cancelled(connection, site.org_id, claim.id, cancelled_by="me")
        with pytest.raises(bill_jobs.JobLost):
            put(site.database, site.lake, site.org_id, [frames(one, ["1"], bill_date=date(2024, 6, 1)) for one in accounts], claim=claim)

    calls = [lambda n=n: put(site.database, site.lake, site.org_id, [frames(one, ["1"]) for one in accounts[n : n + 6]]) for n in (0, 3, 6)]
    together(*calls, failing, calls[0])
    with site.database.transaction() as connection:
        found = bill_store.listed(connection, site.org_id, bill_store.BillFilter(), before=None, limit=100)
    numbers = sorted(header["sequential_invoice_number"] for header in found if header["sequential_invoice_number"])
    assert numbers == sorted(f"I-{n}" for n in range(8, 20))


def test_the_number_of_a_deleted_bill_is_not_given_again(site: Site) -> None:
    with site.database.transaction() as connection:
        config = config_store.singleton(connection, site.org_id, OrganizationConfig)
        config_store.updated(
            connection, site.org_id, config.id, config.model_copy(update={"bill_prefix": "I-", "sequence_start_number": 0}), "tester"
        )
    march = date(2025, 3, 1)
    [newest] = put(site.database, site.lake, site.org_id, [frames(site.account, ["1"], bill_date=march)])
    with site.database.transaction() as connection:
        assert bill_store.deleted(connection, site.org_id, newest)["sequential_invoice_number"] == "I-1"
    assert put(site.database, site.lake, site.org_id, [frames(site.account, ["1"], bill_date=march)]) == [newest]
    with site.database.transaction() as connection:
        assert bill_store.bill(connection, site.org_id, newest)["sequential_invoice_number"] == "I-2"


def test_a_month_is_published_anew_when_a_line_comes_or_goes(site: Site) -> None:
    def looked(since: datetime | None) -> tuple[datetime, list[date]]:
        with site.database.transaction() as connection:
            return changed_days(connection, since, other_than="nobody")

    before, _ = looked(None)
    memo = site.memo(CreditLineItem, "1")
    came, days = looked(before)
    assert date(2025, 1, 31) in days
    assert came > before
    with site.database.transaction() as connection:
        memo_store.deleted(connection, site.org_id, site.bill_id, memo.id, CreditLineItem, actor="tester")
    assert date(2025, 1, 31) in looked(came)[1]
    assert looked(looked(came)[0])[1] == []
