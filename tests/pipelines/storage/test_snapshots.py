"""A configuration as of an instant stays what it was, whatever changes later."""

import json
from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from pipelines.storage.accounts_bulk import accounts_created
from pipelines.storage.database import Database
from pipelines.storage.organizations import Credentials
from pipelines.storage.snapshots import account_codes, configuration
from tests.configured import JANUARY, Configured
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, FRAMES, Configuration
from transforms.entities.plans import Plan, Pricing
from transforms.entities.usage import Meter


@pytest.fixture
def made(database: Database, organization: Credentials) -> Configured:
    return Configured(database, organization.org_id)


def snapshot(made: Configured, as_of: Configuration | None = None) -> Configuration:
    with made.database.transaction() as connection:
        return configuration(connection, made.org_id, as_of.as_of if as_of is not None else None)


def same(one: Configuration, other: Configuration) -> bool:
    return (
        one.hash == other.hash
        and one.small == other.small
        and one.accounts.equals(other.accounts)
        and one.account_plans.equals(other.account_plans)
        and one.organization == other.organization
    )


def test_a_snapshot_of_the_past_is_the_one_taken_then(made: Configured) -> None:
    taken = [snapshot(made)]
    product = made.product()
    meter = made.meter(productId=product["id"])
    plan = made.plan(made.template(product))
    pricing = made.pricing(planId=plan["id"], aggregationId=made.aggregation(meter)["id"])
    account = made.account('ä \\ "quoted"', customFields={"note": "tab\there", "rate": 2}, billEpoch="2025-01-15", daysBeforeBillDue=7)
    attached = made.attached(account, plan)
    taken.append(snapshot(made))
    made.put("meters", meter, name="Renamed")
    made.put("accounts", account, name="Renamed", purchaseOrderNumber="PO 1")
    made.put("accountplans", attached, endDate="2025-07-01T00:00:00Z")
    config = made.get("organizationconfig", made.ids("organizationconfig")[0])
    made.put("organizationconfig", config, timezone="Europe/Berlin")
    taken.append(snapshot(made))
    made.delete("accountplans", attached)
    made.delete("pricings", pricing)
    made.delete("accounts", account)
    taken.append(snapshot(made))
    assert len({one.hash for one in taken}) == len(taken)
    for one in taken:
        assert same(snapshot(made, one), one)
    assert [one.accounts.height for one in taken] == [0, 1, 1, 0]
    assert [one.account_plans.height for one in taken] == [0, 1, 1, 0]
    assert [len(one.entities(Pricing)) for one in taken] == [0, 1, 1, 0]
    assert [one.time_zone for one in taken] == ["UTC", "UTC", "Europe/Berlin", "Europe/Berlin"]
    assert taken[1].entity(Meter, meter["id"]).name == "meter"
    assert list(taken[3].entities(Plan)) == [plan["id"]]


def test_frames_have_their_declared_types_even_when_empty(made: Configured) -> None:
    empty = snapshot(made)
    assert dict(empty.accounts.schema) == ACCOUNTS_SCHEMA
    assert dict(empty.account_plans.schema) == ACCOUNT_PLANS_SCHEMA
    account = made.account(customFields={"note": "x"}, billEpoch="2025-01-15")
    made.attached(account, made.plan(made.template(made.product())), startDate="2025-01-01T12:30:00+02:00")
    full = snapshot(made)
    assert dict(full.accounts.schema) == ACCOUNTS_SCHEMA
    assert dict(full.account_plans.schema) == ACCOUNT_PLANS_SCHEMA
    assert full.accounts.row(0, named=True)["custom_fields"] == '{"note": "x"}'
    assert full.account_plans["start_date"].dt.strftime("%FT%TZ").to_list() == ["2025-01-01T10:30:00Z"]


def test_the_hash_follows_versions_only(made: Configured) -> None:
    product = made.product()
    before = snapshot(made)
    assert snapshot(made).hash == before.hash
    made.put("products", product)
    assert snapshot(made).hash != before.hash


def test_accounts_created_in_bulk_are_accounts_like_others(made: Configured, database: Database) -> None:
    known = made.account("known")
    with database.transaction() as connection:
        accounts = accounts_created(connection, made.org_id, ["new 1", "known", "new\\2"], "INGEST")
    assert accounts.select("account_code", "account_number", "is_new").rows() == [("known", 0, False), ("new 1", 1, True), ("new\\2", 2, True)]
    made_by_ingest = made.get("accounts", accounts["account_id"][1])
    assert made_by_ingest["name"] == "new 1-autocreated"
    assert made_by_ingest["emailAddress"].endswith("-autocreated@example.com")
    renamed = made.put("accounts", made_by_ingest, name="A real customer")
    assert (renamed["version"], renamed["createdBy"]) == (2, "INGEST")
    with database.transaction() as connection:
        again = accounts_created(connection, made.org_id, ["new 1", "new\\2"], "INGEST")
        codes = account_codes(connection, made.org_id)
    assert not again["is_new"].any()
    assert codes.select("account_code", "account_number").rows() == [("known", 0), ("new 1", 1), ("new\\2", 2)]
    assert codes.schema["account_number"] == pl.Int32
    assert known["id"] == codes["account_id"][0]
    one = snapshot(made)
    assert same(snapshot(made, one), one)


def test_many_accounts_come_in_the_order_of_their_numbers(made: Configured, database: Database) -> None:
    with database.transaction() as connection:
        accounts_created(connection, made.org_id, [f"account {n}" for n in range(20_000)], "INGEST")
    one = snapshot(made)
    assert one.accounts["account_number"].to_list() == list(range(20_000))
    assert one.accounts["account_code"][12_345] == "account 12345"


def test_what_belongs_to_accounts_comes_as_frames(made: Configured) -> None:
    account, product = made.account(), made.product()
    contract = made.post("contracts", accountId=account["id"], name="c", startDate="2025-01-01", endDate="2026-01-01")
    fee = {"servicePeriodStartDate": JANUARY, "servicePeriodEndDate": "2025-02-01T00:00:00Z"}
    commitment = made.post(
        "commitments",
        accountId=account["id"],
        startDate="2025-01-01",
        endDate="2026-01-01",
        currency="USD",
        amount="12345678901234567890.123456789012",
        overageSurchargePercent="-7.5",
        feeDates=[{"date": "2025-02-01", "amount": 10, **fee}],
        productIds=[product["id"]],
        contractId=contract["id"],
    )
    balance = made.post(
        "balances",
        accountId=account["id"],
        code="b",
        name="b",
        currency="USD",
        startDate=JANUARY,
        endDate="2026-01-01T00:00:00Z",
        allowOverdraft=True,
    )
    charge = made.post(
        "charges", accountId=account["id"], code="c", name="c", currency="USD", amount=1, entityType="AD_HOC", lineItemType="AD_HOC", **fee
    )
    counter = made.post("counters", name="Seats", unit="seat")
    adjusted = made.post("counteradjustments", accountId=account["id"], counterId=counter["id"], date="2025-01-10", value=3)
    taken = snapshot(made)
    assert {kind: frame.schema for kind, frame in taken.frames.items()} == FRAMES
    row = taken.frame("Commitment").row(0, named=True)
    assert (row["commitment_id"], row["amount"], row["overage_surcharge_percent"], row["start_date"]) == (
        commitment["id"],
        Decimal("12345678901234567890.123456789012"),
        Decimal("-7.5"),
        date(2025, 1, 1),
    )
    assert json.loads(row["fee_dates"])[0]["date"] == "2025-02-01"
    assert (row["product_ids"], row["created_at"]) == (json.dumps([product["id"]]), commitment["dtCreated"])
    assert taken.frame("Balance").row(0, named=True)["allow_overdraft"] is True
    assert taken.frame("Charge").row(0, named=True)["amount"] == 1
    assert taken.frame("CounterAdjustment").row(0, named=True)["value"] == 3
    made.put("commitments", commitment, amount=5, feeDates=[])
    made.put("balances", balance, allowOverdraft=False)
    made.delete("charges", charge)
    made.put("counteradjustments", adjusted, value=4)
    made.put("contracts", contract, name="d")
    now = snapshot(made)
    assert now.hash != taken.hash
    again = snapshot(made, taken)
    assert again.hash == taken.hash
    for kind in FRAMES:
        assert again.frame(kind).equals(taken.frame(kind)), kind
        assert not now.frame(kind).equals(taken.frame(kind)), kind
        assert snapshot(made, now).frame(kind).equals(now.frame(kind)), kind
