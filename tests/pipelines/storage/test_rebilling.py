"""Bills computed again from what they name, whatever happened since."""

import json
import os
import random
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from pipelines.storage import bill_store, config_store, rebilling
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.bill_tables import BILL_CALCULATIONS, BILLS
from pipelines.storage.database import Database
from pipelines.storage.ingest import drained
from pipelines.storage.lake import Lake
from pipelines.storage.maintenance import maintained
from pipelines.storage.organizations import Credentials
from pipelines.storage.rebilling import Rebilled
from tests.offers import landed, offer, usage_body
from tests.pipelines.storage.test_bill_runs import JANUARY, Organization
from transforms.datasets import BILL_LINE_ITEMS, DAILY_AGGREGATES, MEASUREMENTS
from transforms.entities.organization import OrganizationConfig
from transforms.entities.plans import Pricing
from transforms.entities.usage import DataField, Meter

D = Decimal


@pytest.fixture
def org(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Organization:
    return Organization(database, lake, organization.org_id, tmp_path / "landing")


def rebilled(org: Organization, *bill_ids: str) -> Rebilled:
    with org.database.transaction() as connection:
        rows = rebilling.bill_rows(connection, org.org_id, BillFilter(ids=list(bill_ids) or None))
    return rebilling.rebilled(org.database, org.lake, org.org_id, rows)


def changed_price(org: Organization, pricing_id: str, unit_price: str) -> None:
    with org.database.transaction() as connection:
        pricing = config_store.entity(connection, org.org_id, Pricing, pricing_id)
        bands = [pricing.pricing_bands[0].model_copy(update={"unit_price": D(unit_price)})]
        config_store.updated(connection, org.org_id, pricing_id, pricing.model_copy(update={"pricing_bands": bands}), "tester")


def changed_meter(org: Organization) -> None:
    """A new numeric field: every state of the meter is built anew."""
    with org.database.transaction() as connection:
        meter = config_store.entities(connection, org.org_id, Meter, code="calls")[0]
        fields = [*meter.data_fields, DataField(category="MEASURE", code="size", name="size", unit="1")]
        config_store.updated(connection, org.org_id, meter.id, meter.model_copy(update={"data_fields": fields}), "tester")


def changed_time_zone(org: Organization, zone: str) -> None:
    with org.database.transaction() as connection:
        config = config_store.singleton(connection, org.org_id, OrganizationConfig)
        config_store.updated(connection, org.org_id, config.id, config.model_copy(update={"timezone": zone}), "tester")


def test_bills_come_out_as_they_were_after_late_usage_new_prices_fields_and_time_zones(org: Organization) -> None:
    plans = offer(org.database, org.org_id, ["acme", "beta"], standing_charge="3.33")
    org.used({"acme": "7.125", "beta": "11"})
    org.billed()
    again = rebilled(org)
    assert (again.is_equal, again.bills, again.line_items) == (True, 2, 4)
    org.used({"acme": "100"}, day=11)
    changed_price(org, plans.pricing_id, "9")
    org.recalculated(org.bills()["acme"]["id"])
    assert org.totals()["acme"] > D(900)
    changed_meter(org)
    changed_time_zone(org, "Asia/Tokyo")
    org.recalculated(org.bills()["acme"]["id"])
    again = rebilled(org)
    assert again.problems == {}
    assert again.differences.is_empty(), again.differences
    assert (again.is_equal, again.bills, again.line_items) == (True, 2, 4)


def test_a_permuted_and_repeated_history_changes_nothing(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme", "beta"])
    deliveries = [({"acme": f"{n}.000000000001", "beta": str(n)}, n) for n in range(1, 21)]
    order = random.Random(7)
    order.shuffle(deliveries)
    for quantities, day in deliveries[:12]:
        org.used(quantities, day=day)
    org.billed()
    for quantities, day in deliveries[12:]:
        org.used(quantities, day=day)
    org.billed()
    before = org.content()
    order.shuffle(deliveries)
    for quantities, day in [*deliveries, *deliveries]:
        org.used(quantities, day=day)
    assert rebilled(org).is_equal
    org.billed()
    assert org.content() == before
    assert rebilled(org).is_equal


def test_locked_bills_are_computed_again_too_and_nothing_is_stored(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme"])
    org.used({"acme": "4"})
    org.billed()
    header = org.bills()["acme"]
    with org.database.transaction() as connection:
        bill_store.approved(connection, org.org_id, [header["id"]], actor="me")
        bill_store.locked(connection, org.org_id, header["id"], actor="me")
    before, rows = org.bills(), org.lake.version(BILL_LINE_ITEMS, org.org_id)
    assert rebilled(org, header["id"]).is_equal
    assert (org.bills(), org.lake.version(BILL_LINE_ITEMS, org.org_id)) == (before, rows)


def test_every_field_of_header_and_lines_is_compared(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme", "beta"])
    org.used({"acme": "4", "beta": "8"})
    org.billed()
    bill_id = org.bills()["acme"]["id"]
    lines = org.lake.scan(BILL_LINE_ITEMS, org.org_id).collect()
    is_acme = pl.col("bill_id") == bill_id
    tampered = lines.with_columns(
        description=pl.when(is_acme).then(pl.lit("other")).otherwise("description"),
        subtotal=pl.when(is_acme).then(pl.col("subtotal") + pl.lit(D("0.01"))).otherwise("subtotal"),
    )
    org.lake.replace(BILL_LINE_ITEMS, org.org_id, frame=tampered.with_columns(pl.col("subtotal").cast(lines.schema["subtotal"])))
    with org.database.transaction() as connection:
        connection.execute(BILLS.update().where(BILLS.c.id == bill_id).values(bill_total=D("1.01"), unmatched=[{"aggregationId": "x"}]))
    again = rebilled(org)
    assert again.unequal == {bill_id}
    assert {(row["field"], row["before"], row["after"]) for row in again.differences.iter_rows(named=True)} == {
        ("bill_total", "1.01", "1"),
        ("unmatched", '[{"aggregationId": "x"}]', "[]"),
        ("description", "other", "calls"),
        ("subtotal", "1.01", "1"),
    }


def test_a_configuration_that_is_not_the_named_one_is_told(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme"])
    org.used({"acme": "4"})
    org.billed()
    with org.database.transaction() as connection:
        connection.execute(BILL_CALCULATIONS.update().where(BILL_CALCULATIONS.c.org_id == org.org_id).values(configuration_hash="0" * 64))
    again = rebilled(org)
    [reason] = again.problems.values()
    assert "not 0000" in reason
    assert not again.is_equal


def test_a_bill_that_does_not_come_out_any_more_is_told(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme"])
    org.used({"acme": "4"})
    org.billed()
    bill_id = org.bills()["acme"]["id"]
    with org.database.transaction() as connection:
        connection.execute(BILLS.update().where(BILLS.c.id == bill_id).values(bill_frequency_interval=2))
    assert "does not come out again" in rebilled(org).problems[bill_id]


@pytest.mark.parametrize("gone", ["file", "log"])
def test_versions_that_are_gone_are_told(org: Organization, gone: str) -> None:
    offer(org.database, org.org_id, ["acme"])
    org.used({"acme": "4"})
    org.billed()
    bill_id = org.bills()["acme"]["id"]
    changed_meter(org)
    org.used({"acme": "4"}, day=11)
    org.recalculated(bill_id)  # the states are built anew by now
    assert rebilled(org).is_equal
    with org.database.transaction() as connection:
        first = connection.execute(BILL_CALCULATIONS.select().order_by(BILL_CALCULATIONS.c.calculated_at).where(_of(org))).mappings().first()
        assert first is not None
        connection.execute(BILLS.update().where(BILLS.c.id == bill_id).values(calculation_id=first["id"], bill_total=D(1)))
    assert rebilled(org).is_equal
    for table in Path(org.lake.root, f"org={org.org_id}", DAILY_AGGREGATES.name).glob("*/*"):
        if gone == "file":
            DeltaTable(str(table)).vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
        else:
            (table / "_delta_log" / f"{0:020}.json").unlink()
    other = Lake(org.lake.root, {})  # a process that has the old versions open already could still list them
    org.lake = other
    assert "no longer in the lake" in rebilled(org).problems[bill_id]


def _of(org: Organization) -> Any:
    return BILL_CALCULATIONS.c.org_id == org.org_id


def test_the_states_that_a_calculation_names_are_those_that_it_read(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme"])
    org.used({"acme": "4"})
    org.billed()
    versions = org.bills()["acme"]["dataset_versions"]
    assert {name.split("/")[0] for name in versions} == {MEASUREMENTS.name, DAILY_AGGREGATES.name}
    org.billed(JANUARY)
    assert org.bills()["acme"]["dataset_versions"] == versions


def _aged(lake: Lake, org_id: str, *, days: int) -> None:
    """Make every commit of the organization's tables look that old, with a checkpoint of the newest version as busy tables have."""
    past = days * 86_400
    for log in Path(lake.root, f"org={org_id}").rglob("_delta_log"):
        for commit in log.glob("*.json"):
            lines = [json.loads(text) for text in commit.read_text().splitlines()]
            for action in (value for entry in lines for value in entry.values()):
                for name in ("timestamp", "modificationTime", "deletionTimestamp"):
                    if name in action:
                        action[name] -= past * 1000
            commit.write_text("\n".join(map(json.dumps, lines)))
        DeltaTable(str(log.parent)).create_checkpoint()
        for path in log.parent.rglob("*.*"):
            at = path.stat().st_mtime - past
            os.utime(path, (at, at))


@pytest.mark.parametrize("is_expired", [False, True])
def test_maintenance_keeps_what_an_unexpired_bill_needs(org: Organization, is_expired: bool) -> None:
    plans = offer(org.database, org.org_id, ["acme", "beta"], standing_charge="3")
    for day in range(1, 6):
        org.used({"acme": "7.125", "beta": "11"}, day=day)
        org.billed()
    bill_id = org.bills()["beta"]["id"]
    # Whatever replaces rows: states built anew, compaction of many small batches, days cut in another time zone, prices.
    changed_meter(org)
    changed_price(org, plans.pricing_id, "9")
    org.recalculated(org.bills()["acme"]["id"])
    for day in range(6, 26):
        landed(org.landing, org.org_id, usage_body({"acme": "1"}, day=day).replace(b'"qty":1', b'"qty":1,"size":1'))
        drained(org.database, org.lake, org.landing)
    changed_time_zone(org, "Asia/Tokyo")
    org.recalculated(org.bills()["acme"]["id"])
    _aged(org.lake, org.org_id, days=60)
    if is_expired:
        with org.database.transaction() as connection:
            first = BILL_CALCULATIONS.c.id == org.bills()["beta"]["calculation_id"]
            at = BILL_CALCULATIONS.c.calculated_at
            connection.execute(BILL_CALCULATIONS.update().where(first).values(calculated_at=at - timedelta(days=401)))
    cleaned = maintained(org.database, org.lake, retention=timedelta(days=400), history=timedelta(days=30))
    assert cleaned is not None
    assert cleaned.data_files > 0
    assert cleaned.log_files > 0
    org.lake = Lake(org.lake.root, {})
    again = rebilled(org)
    assert again.unequal == ({bill_id} if is_expired else set()), again.problems
    assert org.totals()["beta"] == D("16.75")


def test_lines_carried_forward_and_lines_of_people_are_no_differences(org: Organization) -> None:
    offer(org.database, org.org_id, ["acme", "beta"])
    org.used({"acme": "4", "beta": "8"})
    org.billed()
    bill_id = org.bills()["acme"]["id"]
    lines = org.lake.scan(BILL_LINE_ITEMS, org.org_id).collect()
    carried = lines.filter(pl.col("bill_id") == bill_id).with_columns(line_item_id=pl.lit("carried"), referenced_bill_id=pl.lit("locked"))
    org.lake.replace(BILL_LINE_ITEMS, org.org_id, frame=pl.concat([lines, carried]))
    with org.database.transaction() as connection:
        of_memos = {"memo_count": 2, "memo_total": D(5)}
        connection.execute(BILLS.update().where(BILLS.c.id == bill_id).values(bill_total=D(7), line_count=4, **of_memos))
    again = rebilled(org)
    assert again.is_equal, again.differences
    assert (again.line_items, again.carried) == (3, 1)
    with org.database.transaction() as connection:
        connection.execute(BILLS.update().where(BILLS.c.id == bill_id).values(bill_total=D(8)))
    assert {row["field"] for row in rebilled(org).differences.iter_rows(named=True)} == {"bill_total"}
