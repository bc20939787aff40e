"""Late usage of locked bills, carried by the next open bill of the account and never twice (DECISIONS 32)."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from pipelines.storage import bill_jobs, bill_locks, bill_store, calculations, config_store, memo_store, rebilling
from pipelines.storage.bill_jobs import BillJob
from pipelines.storage.bill_lines import lines_by_bill
from pipelines.storage.bill_runs import previewed, ran_inline
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.calculation_differences import compared
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.landing import Landing
from pipelines.storage.organizations import Credentials
from tests.offers import Offer, offer
from transforms.billing.job_requests import BillJobRequest
from transforms.billing.memo_lines import CreditLineItem
from transforms.entities.accounts import Account
from transforms.entities.bill_config import BillConfig
from transforms.entities.organization import Currency, CurrencyConversion, LateUsage, OrganizationConfig
from transforms.entities.plans import Pricing
from transforms.entities.usage import Product

D = Decimal


class Site:
    """An organization whose accounts pay 0.25 a call, monthly from January 2025 on."""

    def __init__(self, database: Database, lake: Lake, org_id: str, landing: Path) -> None:
        self.database, self.lake, self.org_id, self.landing = database, lake, org_id, landing
        self.offer: Offer = offer(database, org_id, ["acme", "beta"])
        self._uid = 0

    def used(self, quantity: str, day: str, account: str = "acme", *, hour: int = 12) -> None:
        self._uid += 1
        measurement = {"uid": str(self._uid), "meter": "calls", "account": account, "ts": f"2025-{day}T{hour:02}:00:00Z"}
        body = {"measurements": [measurement | {"measure": {"qty": D(quantity)}}]}
        landing = Landing(self.landing)
        landing.append_all(self.org_id, [msgspec.json.Encoder(decimal_format="number").encode(body)], datetime.now(UTC))
        landing.close()

    def billed(self, month: int, **options: Any) -> BillJob:
        last = date(2025 + month // 12, month % 12 + 1, 1).toordinal() - 1
        request = BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=date.fromordinal(last), **options)
        summary = ran_inline(self.database, self.lake, self.landing, self.org_id, request=request, created_by="tester")
        with self.database.transaction() as connection:
            return bill_jobs.job(connection, self.org_id, summary.job_id)

    def bill(self, month: int, account: str = "acme") -> dict[str, Any]:
        with self.database.transaction() as connection:
            found = bill_store.listed(connection, self.org_id, BillFilter(account_ids=[self.offer.account_ids[account]]), before=None, limit=100)
        return next(header for header in found if header["start_date"] == date(2025, month, 1))

    def locked(self, month: int, account: str = "acme") -> str:
        bill_id = str(self.bill(month, account)["id"])
        with self.database.transaction() as connection:
            bill_store.approved(connection, self.org_id, [bill_id], actor="me")
            bill_store.locked(connection, self.org_id, bill_id, actor="me")
        return bill_id

    def lines(self, month: int, account: str = "acme") -> list[dict[str, Any]]:
        """The bill's lines, after it was checked that they are what its header says."""
        header = self.bill(month, account)
        lines = lines_by_bill(self.lake, self.org_id, [header])[header["id"]]
        assert sum((line["converted_subtotal"] for line in lines), D(0)) == header["bill_total"]
        assert [line["sequence_number"] for line in lines] == list(range(1, header["line_count"] + 1))
        return lines

    def carried(self, month: int, account: str = "acme") -> dict[str, tuple[str, Decimal, Decimal]]:
        """Referenced bill -> type, quantity and amount of the line that carries its late usage."""
        lines = [line for line in self.lines(month, account) if line["referenced_bill_id"] is not None]
        found = {line["referenced_bill_id"]: (line["line_item_type"], line["quantity"], line["subtotal"]) for line in lines}
        assert len(found) == len(lines)
        assert sorted(self.bill(month, account)["carried_from"]) == sorted(found)
        return found

    def configured(self, **fields: Any) -> None:
        with self.database.transaction() as connection:
            config = config_store.singleton(connection, self.org_id, OrganizationConfig)
            config_store.updated(connection, self.org_id, config.id, config.model_copy(update=fields), "tester")

    def lock_date(self, day: date | None) -> None:
        with self.database.transaction() as connection:
            stored = config_store.singleton(connection, self.org_id, BillConfig)
            bill_locks.lock_date_set(connection, self.org_id, BillConfig(version=stored.version, bill_lock_date=day), "me")


@pytest.fixture
def site(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Site:
    return Site(database, lake, organization.org_id, tmp_path / "landing")


def test_late_usage_stands_on_the_next_bill_with_its_own_service_period(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    site.used("40", "01-20")
    site.used("8", "02-10")
    site.billed(2)
    [own, late] = site.lines(2)
    assert (own["subtotal"], own["referenced_bill_id"]) == (D(2), None)
    assert (late["line_item_type"], late["quantity"], late["units"], late["subtotal"], late["converted_subtotal"]) == ("USAGE", 40, 40, 10, 10)
    assert (late["service_period_start"], late["service_period_end"]) == (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC))
    assert late["referenced_bill_id"] == january
    [original] = site.lines(1)
    assert late["referenced_line_item_id"] == original["line_item_id"]
    assert (late["pricing_id"], late["description"], late["average_unit_price"]) == (original["pricing_id"], original["description"], D("0.25"))
    assert (late["bill_date"], late["account_id"], late["bill_id"]) == (own["bill_date"], own["account_id"], own["bill_id"])
    assert site.bill(1)["bill_total"] == D(25)


def test_running_again_carries_nothing_twice(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    site.used("40", "01-20")
    site.billed(2)
    first = site.lines(2)
    site.billed(2)
    again = site.lines(2)
    assert [{**line, "calculation_id": None} for line in again] == [{**line, "calculation_id": None} for line in first]
    site.locked(2)
    site.used("4", "01-21")
    site.billed(3)
    assert site.carried(2) == {january: ("USAGE", D(40), D(10))}
    assert site.carried(3) == {january: ("USAGE", D(4), D(1))}
    site.billed(3)
    assert site.carried(3) == {january: ("USAGE", D(4), D(1))}


def test_corrections_below_zero_are_credited(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    site.used("-40", "01-20")
    site.billed(2)
    assert site.carried(2) == {january: ("USAGE_CREDIT", D(-40), D(-10))}
    assert site.bill(2)["bill_total"] == D(-10)


def test_usage_of_a_bill_that_had_none_is_carried_without_a_line_to_refer_to(site: Site) -> None:
    site.used("1", "01-10", account="beta")
    site.billed(1)
    january = site.locked(1)
    assert site.lines(1) == []
    site.used("40", "01-20")
    site.billed(2)
    assert site.carried(2) == {january: ("USAGE", D(40), D(10))}
    assert site.lines(2)[0]["referenced_line_item_id"] is None


def test_only_accounts_with_late_usage_are_concerned(site: Site) -> None:
    for account in ("acme", "beta"):
        site.used("100", "01-10", account=account)
    site.billed(1)
    january = {account: site.locked(1, account) for account in ("acme", "beta")}
    site.used("40", "01-20", account="beta")
    site.billed(2)
    assert site.carried(2) == {}
    assert site.carried(2, "beta") == {january["beta"]: ("USAGE", D(40), D(10))}


def test_a_later_price_changes_nothing_of_a_locked_bill(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    with site.database.transaction() as connection:
        pricing = config_store.entity(connection, site.org_id, Pricing, site.offer.pricing_id)
        bands = [pricing.pricing_bands[0].model_copy(update={"unit_price": D(2)})]
        config_store.updated(connection, site.org_id, pricing.id, pricing.model_copy(update={"pricing_bands": bands}), "tester")
    site.used("40", "01-20")
    site.used("8", "02-10")
    site.billed(2)
    assert site.carried(2) == {january: ("USAGE", D(40), D(10))}
    assert site.lines(2)[0]["subtotal"] == D(16)


def test_the_lock_date_locks_and_unlocking_takes_back_what_was_carried(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    with site.database.transaction() as connection:
        bill_store.approved(connection, site.org_id, [site.bill(1)["id"], site.bill(1, "beta")["id"]], actor="me")
    site.lock_date(date(2025, 1, 31))
    january = site.bill(1)["id"]
    site.used("40", "01-20")
    site.billed(2)
    assert site.carried(2) == {january: ("USAGE", D(40), D(10))}
    site.locked(2)
    site.lock_date(None)
    site.billed(1)  # January is open again and has all of its usage itself
    assert site.bill(1)["bill_total"] == D(35)
    site.billed(3)
    assert site.carried(3) == {january: ("USAGE_CREDIT", D(-40), D(-10))}
    total = sum(site.bill(month)["bill_total"] for month in (1, 2, 3))
    assert total == D(35)
    site.billed(3)
    assert site.carried(3) == {january: ("USAGE_CREDIT", D(-40), D(-10))}


def test_the_next_open_bill_carries_also_when_another_is_billed_first(site: Site) -> None:
    site.used("100", "01-10")
    for month in (1, 2):
        site.billed(month)
    january = site.locked(1)
    site.used("40", "01-20")
    site.billed(3)
    assert site.carried(3) == {}  # February is open and will carry it
    site.billed(2)
    assert site.carried(2) == {january: ("USAGE", D(40), D(10))}
    site.billed(3)
    assert site.carried(3) == {}


def test_what_a_bill_carries_stays_there_though_an_earlier_one_is_made(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    site.used("40", "01-20")
    site.billed(3)
    assert site.carried(3) == {january: ("USAGE", D(40), D(10))}
    site.billed(2)
    assert site.carried(2) == {}
    site.used("4", "01-21")
    site.billed(2)
    assert site.carried(2) == {january: ("USAGE", D(4), D(1))}
    site.billed(3)
    assert site.carried(3) == {january: ("USAGE", D(40), D(10))}


def test_a_deleted_bill_gives_back_what_it_carried(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    site.used("40", "01-20")
    site.billed(2)
    with site.database.transaction() as connection:
        bill_store.deleted(connection, site.org_id, site.bill(2)["id"])
    site.billed(3)
    assert site.carried(3) == {january: ("USAGE", D(40), D(10))}


def test_ignored_late_usage_is_only_reported(site: Site) -> None:
    site.configured(late_usage=LateUsage.IGNORE)
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    site.used("40", "01-20")
    job = site.billed(2)
    assert site.lines(2) == []
    [entry] = [failure for failure in job.failures if failure.get("billId") == january]
    assert "lateUsage is IGNORE: 10 USD" in str(entry["reason"])


def test_a_carried_line_is_converted_into_the_currency_of_its_bill(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    with site.database.transaction() as connection:
        account = config_store.entity(connection, site.org_id, Account, site.offer.account_ids["acme"])
        config_store.created(connection, site.org_id, Currency(name="Euro", code="EUR"), "tester")
        config_store.updated(connection, site.org_id, account.id, account.model_copy(update={"currency": "EUR"}), "tester")
    site.used("41", "01-20")
    job = site.billed(2)
    assert "no currency conversion from USD to EUR" in " ".join(str(failure["reason"]) for failure in job.failures)
    rates = [CurrencyConversion.model_validate({"from": "USD", "to": "EUR", "multiplier": "0.9"})]
    site.configured(currency_conversions=rates)
    site.billed(2)
    [line] = site.lines(2)
    assert (line["referenced_bill_id"], line["subtotal"], line["currency"]) == (january, D("10.25"), "USD")
    assert (line["conversion_rate"], line["converted_subtotal"]) == (D("0.9"), D("9.23"))
    assert site.bill(2)["currency_conversions"] == [{"from": "USD", "to": "EUR", "multiplier": "0.900000000000"}]


def test_all_that_was_used_is_billed_once_whatever_comes_late_and_is_locked(site: Site) -> None:
    for late_by_month in ({}, {1: "7"}, {1: "1", 2: "30"}, {1: "2", 3: "5"}):
        for month, quantity in late_by_month.items():
            site.used(quantity, f"{month:02}-15")
        month = 1 if not late_by_month else max(late_by_month) + 1
        site.used("100", f"{month:02}-10")
        site.billed(month)
        site.locked(month)
    site.billed(5)
    with site.database.transaction() as connection:
        bills = bill_store.listed(connection, site.org_id, BillFilter(account_ids=[site.offer.account_ids["acme"]]), before=None, limit=100)
    assert sum(bill["bill_total"] for bill in bills) == D("0.25") * (400 + 7 + 31 + 7)
    lines = lines_by_bill(site.lake, site.org_id, bills)
    ids = [line["line_item_id"] for own in lines.values() for line in own]
    assert len(ids) == len(set(ids))
    assert pl.Series(ids).null_count() == 0


def test_a_bill_that_carries_is_computed_again_from_what_it_names(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    site.used("8", "02-10")
    site.billed(2)
    site.used("40", "01-20")
    site.billed(2)
    header = site.bill(2)
    with site.database.transaction() as connection:
        rows = rebilling.bill_rows(connection, site.org_id, BillFilter())
        every = calculations.calculations_of(connection, header)
    again = rebilling.rebilled(site.database, site.lake, site.org_id, rows)
    assert again.problems == {}
    assert again.differences.rows() == []
    [change] = compared(site.database, site.lake, header, *every).lines
    assert (change.line["change"], [str(cause) for cause in change.causes]) == ("ADDED", ["DATA"])
    assert site.carried(2) == {january: ("USAGE", D(40), D(10))}


def test_what_people_put_on_a_bill_stays_beside_what_it_carries(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    site.used("8", "02-10")
    site.billed(2)
    with site.database.transaction() as connection:
        product = config_store.entities(connection, site.org_id, Product)[0]
        period = {"service_period_start_date": datetime(2025, 2, 1, tzinfo=UTC), "service_period_end_date": datetime(2025, 3, 1, tzinfo=UTC)}
        memo = CreditLineItem(amount=D(1), description="memo", product_id=product.id, referenced_bill_id=january, **period)
        memo_store.created(connection, site.org_id, site.bill(2)["id"], memo, line_ids=None, actor="me")
    site.used("40", "01-20")
    site.billed(2)
    assert [line["subtotal"] for line in site.lines(2)] == [D(2), D(10), D(-1)]
    site.billed(2)
    assert site.bill(2)["bill_total"] == D(11)


def test_a_preview_shows_what_the_bill_would_carry(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1)
    january = site.locked(1)
    site.used("40", "01-20")
    site.used("8", "02-10")
    request = BillJobRequest(billing_frequency="MONTHLY", last_date_in_billing_period=date(2025, 2, 28), account_ids=[site.offer.account_ids["acme"]])
    header, lines = previewed(site.database, site.lake, site.landing, site.org_id, request=request)
    assert (header["bill_total"], header["line_count"]) == (D(12), 2)
    assert [(line["subtotal"], line["referenced_bill_id"]) for line in lines] == [(D(2), None), (D(10), january)]


def test_periods_in_another_time_zone_than_usage_is_kept_by(site: Site) -> None:
    site.used("100", "01-10")
    site.billed(1, timezone="Pacific/Auckland")
    january = site.locked(1)
    # Noon of the 31st in Greenwich is February in Auckland; the last hour of December there is January.
    site.used("40", "01-31", hour=12)
    site.used("4", "01-01", hour=0)
    site.billed(2, timezone="Pacific/Auckland")
    assert site.carried(2) == {january: ("USAGE", D(4), D(1))}
