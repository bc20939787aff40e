"""Two calculations of a bill: which lines changed, and what caused it."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from pipelines.storage import bill_store, calculations, config_store
from pipelines.storage.bill_tables import BILL_CALCULATIONS
from pipelines.storage.calculation_differences import ChangedLine, Comparison, compared
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.offers import offer
from tests.pipelines.storage.test_bill_runs import JANUARY, Organization, _priced_by_region
from tests.pipelines.storage.test_rebilling import changed_price, changed_time_zone
from transforms.billing.job_requests import BillJobRequest
from transforms.datasets import BILL_LINE_ITEMS
from transforms.entities.plans import Plan
from transforms.errors import NotFound
from transforms.provenance.attribution import Cause

D = Decimal


@pytest.fixture
def org(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Organization:
    return Organization(database, lake, organization.org_id, tmp_path / "landing")


def difference(org: Organization, before: str = "", after: str = "") -> Comparison:
    """Of acme's bill; the last two calculations by default."""
    with org.database.transaction() as connection:
        bill = bill_store.bill(connection, org.org_id, org.bills()["acme"]["id"])
        every = calculations.calculations_of(connection, bill)
    chosen = [calculations.chosen(every, named) for named in (before, after)] if before else every[-2:]
    return compared(org.database, org.lake, bill, chosen[0], chosen[1])


def causes(found: Comparison) -> dict[str, tuple[Cause, ...]]:
    return {line.line["line_item_type"]: line.causes for line in found.lines}


def only(found: Comparison) -> ChangedLine:
    (line,) = found.lines
    return line


def test_late_usage_is_data_with_the_number_of_measurements(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme", "beta"], standing_charge="10")
    org.used({"acme": "100", "beta": "1"})
    org.billed()
    org.used({"acme": "7", "beta": "2"}, day=11)
    org.used({"acme": "1", "beta": "2"}, day=12)
    org.billed()
    found = difference(org)
    line = only(found)
    assert (line.line["change"], line.causes) == ("CHANGED", (Cause.DATA,))
    assert (line.line["quantity_before"], line.line["quantity_after"], line.line["subtotal_before"], line.line["subtotal_after"]) == (
        D(100),
        D(108),
        D(25),
        D(27),
    )
    assert (line.measurements_added, line.measurements_removed, line.entities) == (2, 0, ())
    assert found.problems == ()
    back = only(difference(org, "2", "1"))
    assert (back.causes, back.measurements_added, back.measurements_removed) == ((Cause.DATA,), 0, 2)


def test_a_new_price_is_configuration_and_named(org: Organization) -> None:
    plans = offer(org.database, org.org_id, ["acme"], standing_charge="10")
    org.used({"acme": "100"})
    org.billed()
    changed_price(org, plans.pricing_id, "0.5")
    org.billed()
    line = only(difference(org))
    assert (line.causes, line.measurements_added) == ((Cause.CONFIGURATION,), None)
    assert [(e.kind, e.id, e.version_before, e.version_after) for e in line.entities] == [("Pricing", plans.pricing_id, 1, 2)]


def test_each_line_has_its_own_causes(org: Organization) -> None:
    plans = offer(org.database, org.org_id, ["acme"], standing_charge="10")
    org.used({"acme": "100"})
    org.billed()
    with org.database.transaction() as connection:
        plan = config_store.entity(connection, org.org_id, Plan, plans.plan_id)
        config_store.updated(connection, org.org_id, plan.id, plan.model_copy(update={"standing_charge": D(11)}), "tester")
    org.used({"acme": "10"}, day=11)
    org.billed()
    found = difference(org)
    assert causes(found) == {"USAGE": (Cause.DATA,), "STANDING_CHARGE": (Cause.CONFIGURATION,)}
    standing = next(line for line in found.lines if line.line["line_item_type"] == "STANDING_CHARGE")
    assert [(e.kind, e.version_before, e.version_after) for e in standing.entities] == [("Plan", 1, 2)]
    changed_price(org, plans.pricing_id, "0.5")
    org.used({"acme": "10"}, day=12)
    org.billed()
    usage = only(difference(org))
    assert usage.causes == (Cause.CONFIGURATION, Cause.DATA)
    assert {effect["cause"]: effect["subtotal"] for effect in usage.line["effects"]} == {"CONFIGURATION": D("27.5"), "DATA": D(5)}
    assert causes(difference(org, "1", "3")) == {"USAGE": (Cause.CONFIGURATION, Cause.DATA), "STANDING_CHARGE": (Cause.CONFIGURATION,)}


def test_a_new_pricing_makes_new_lines_and_time_zones_move_usage(org: Organization) -> None:
    plans = offer(org.database, org.org_id, ["acme"])
    org.used({"acme": "100"})
    org.billed()
    aggregation_id = _priced_by_region(org, plans.plan_id)
    for region, day in (("eu", 11), ("us", 12), ("eu", 13)):
        org.used({"acme": "4"}, day=day, region=region)
    org.billed()
    found = difference(org)
    by_aggregation = {line.line["description"]: line for line in found.lines}
    new = by_aggregation["by region (eu)"]
    assert (new.line["change"], new.causes, new.measurements_added) == ("ADDED", (Cause.DATA,), 2)
    assert (by_aggregation["calls"].causes, by_aggregation["calls"].measurements_added) == ((Cause.DATA,), 3)
    assert aggregation_id
    changed_time_zone(org, "Asia/Tokyo")
    org.billed()
    moved = only(difference(org)) if len(difference(org).lines) == 1 else difference(org).lines[0]
    assert moved.causes == (Cause.CONFIGURATION,)
    assert [e.kind for e in moved.entities] == ["OrganizationConfig"]


def test_overrides_of_the_job_are_configuration(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme"], currency="EUR")
    rate = {"from": "EUR", "to": "USD", "multiplier": "1.12"}
    other = {"from": "EUR", "to": "USD", "multiplier": "1.5"}
    org.used({"acme": "4"})
    for one in (rate, other):
        org.billed(BillJobRequest.model_validate(JANUARY.model_dump() | {"currency_conversions": [one]}))
    line = only(difference(org))
    assert (line.causes, line.overrides, line.entities) == ((Cause.CONFIGURATION,), ("currencyConversions",), ())
    org.used({"acme": "4"}, day=11)
    org.recalculated(org.bills()["acme"]["id"])  # which repeats the overrides of the calculation before it
    line = only(difference(org))
    assert (line.causes, line.overrides) == ((Cause.DATA,), ())
    org.billed(BillJobRequest.model_validate(JANUARY.model_dump() | {"currency_conversions": [rate]}))
    assert only(difference(org, "3", "4")).causes == (Cause.CONFIGURATION,)


def test_lines_that_other_software_made_differ_by_software(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme"])
    org.used({"acme": "4"})
    org.billed()
    org.used({"acme": "4"}, day=11)
    org.billed()
    with org.database.transaction() as connection:
        first = (
            connection.execute(BILL_CALCULATIONS.select().where(BILL_CALCULATIONS.c.org_id == org.org_id).order_by(BILL_CALCULATIONS.c.calculated_at))
            .mappings()
            .first()
        )
        assert first is not None
        connection.execute(BILL_CALCULATIONS.update().where(BILL_CALCULATIONS.c.id == first["id"]).values(software_version="0.0.1"))
    lines = org.lake.scan(BILL_LINE_ITEMS, org.org_id).collect()
    as_it_was = pl.when(pl.col("calculation_id") == first["id"]).then(pl.lit("as it was called")).otherwise("description")
    org.lake.replace(BILL_LINE_ITEMS, org.org_id, frame=lines.with_columns(description=as_it_was))
    found = difference(org)
    assert only(found).causes == (Cause.SOFTWARE, Cause.DATA)
    assert found.before.software_version == "0.0.1"


def test_calculations_are_numbered_and_named_and_those_of_other_bills_are_not_among_them(org: Organization) -> None:
    plans = offer(org.database, org.org_id, ["acme", "beta"])
    org.used({"acme": "4", "beta": "4"})
    org.billed()
    org.billed(BillJobRequest.model_validate(JANUARY.model_dump() | {"account_ids": [plans.account_ids["beta"]]}))
    org.billed(BillJobRequest.model_validate(JANUARY.model_dump() | {"last_date_in_billing_period": date(2025, 2, 28)}))
    january = org.content()[0]
    assert len(january) == 2
    with org.database.transaction() as connection:
        bills = {
            h["account_code"]: h
            for h in bill_store.listed(connection, org.org_id, bill_store.BillFilter(end_date=date(2025, 1, 31)), before=None, limit=9)
        }
        found = {code: calculations.calculations_of(connection, bill) for code, bill in bills.items()}
    assert [one.number for one in found["acme"]] == [1]
    assert [one.number for one in found["beta"]] == [1, 2]
    assert found["beta"][0].id == found["acme"][0].id == bills["acme"]["calculation_id"]
    assert calculations.chosen(found["beta"], "2") == calculations.chosen(found["beta"], bills["beta"]["calculation_id"])
    with pytest.raises(NotFound, match="1 to 2"):
        calculations.chosen(found["beta"], "3")
