"""Lines explained from what their calculation read, of every shape of usage and charge."""

import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.storage import rebilling
from pipelines.storage.bill_lines import lines_by_bill
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.landing import Landing
from pipelines.storage.line_explanations import explained, measurement_count, measurements, written_csv
from pipelines.storage.organizations import Credentials
from tests.configured import Configured
from tests.pipelines.storage.test_bill_runs import JANUARY, Organization
from transforms.datasets import BILL_LINE_ITEMS
from transforms.errors import NotFound
from transforms.provenance.calculation_steps import Explanation

D = Decimal
METHODS = ("SUM", "MIN", "MAX", "COUNT", "LATEST", "MEAN")


@pytest.fixture
def org(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Organization:
    return Organization(database, lake, organization.org_id, tmp_path / "landing")


def used(org: Organization, *rows: tuple[str, str, str, str | None]) -> None:
    """Measurements: account, instant within January 2025 (``10T12:00``), qty, region."""
    found = [
        {"uid": f"{n}-{row}", "meter": "meter", "account": account, "ts": f"2025-01-{at}:00Z", "measure": {"qty": float(qty)}}
        | {"where": {"region": region}}
        for n, row in enumerate(rows)
        for account, at, qty, region in (row,)
    ]
    landing = Landing(org.landing)
    landing.append_all(org.org_id, [json.dumps({"measurements": found}).encode()], datetime.now(UTC))
    landing.close()


def explanations(org: Organization, account: str = "acme") -> dict[str, Explanation]:
    """Description -> explanation of every line of the account's bill; every one of them gives its line."""
    header = org.bills()[account]
    found = {}
    for line in lines_by_bill(org.lake, org.org_id, [header])[header["id"]]:
        one = explained(org.database, org.lake, header, line["line_item_id"])
        assert one.calculation.id == header["calculation_id"]
        assert explained(org.database, org.lake, header, str(line["sequence_number"])).explanation.steps == one.explanation.steps
        found[f"{line['description']} {line['child_account_code'] or ''}".strip()] = one.explanation
        unequal = [check for check in one.explanation.checks if not check.is_equal]
        assert unequal == [], line
    return found


USAGE = (
    ("acme", "01T00:00", "1.5", "eu"),
    ("acme", "10T12:00", "40", "us"),
    ("acme", "31T23:59", "7", "eu"),
    ("acme", "20T00:00", "2", "asia"),
    ("beta", "20T00:00", "1000", "eu"),
)


def priced(org: Organization) -> tuple[Configured, dict[str, Any]]:
    """acme and beta on a plan with every method, segments, a unique count, SQL and a compound, all priced by one band."""
    on = Configured(org.database, org.org_id)
    meter = on.meter()
    plan = on.plan(on.template(on.product()))
    for method in METHODS:
        one = on.aggregation(meter, method.lower(), aggregation=method, quantityPerUnit=3, rounding="UP")
        on.pricing(planId=plan["id"], aggregationId=one["id"])
    unique = on.aggregation(meter, "regions", aggregation="UNIQUE", targetField="region")
    on.pricing(planId=plan["id"], aggregationId=unique["id"])
    sql = on.aggregation(meter, "sql", aggregation="CUSTOM_SQL", customSql="SELECT SUM(qty) * 2 FROM measurements")
    on.pricing(planId=plan["id"], aggregationId=sql["id"])
    segmented = on.segmented(meter)
    for region in ("eu", "*"):
        on.pricing(planId=plan["id"], aggregationId=segmented["id"], segment={"region": region})
    compound = on.compound("aggregation.sum - aggregation.max + aggregation.by_region")
    for region in ("eu", "*"):
        on.pricing(planId=plan["id"], compoundAggregationId=compound["id"], segment={"region": region})
    for code in ("acme", "beta"):
        on.attached(on.account(code), plan)
    return on, plan


def test_the_measurements_of_every_method_segment_and_compound_give_the_line(org: Organization, tmp_path: Path) -> None:
    priced(org)
    used(org, *USAGE)
    org.billed()
    used(org, ("acme", "15T00:00", "9", "eu"))  # what came in later is no part of the line
    org.billed(JANUARY.model_copy(update={"account_ids": [org.bills()["beta"]["account_id"]]}))
    found = explanations(org)
    assert set(found) == {*(m.lower() for m in METHODS), "regions", "sql", "by_region (eu)", "by_region (*)", "compound (eu)", "compound (*)"}
    assert all(one.checks and one.sources for one in found.values())
    assert {name: [measurement_count(s) for s in one.sources] for name, one in found.items() if "(" in name or name == "sum"} == {
        "sum": [4],
        "by_region (eu)": [2],
        "by_region (*)": [2],
        "compound (eu)": [2, 4, 4],
        "compound (*)": [2, 4, 4],
    }
    eu = found["by_region (eu)"].sources[0]
    assert [(row["account_code"], row["qty"], row["region"]) for row in measurements(eu, limit=9)] == [("acme", D("1.5"), "eu"), ("acme", D(7), "eu")]
    assert len(measurements(eu, limit=1)) == 1
    assert [step.value for step in found["sum"].steps] == [D("50.5"), D(17), D(17)]
    assert [s.quantity for s in found["compound (eu)"].sources] == [D("8.5"), D(40), D("50.5")]
    assert written_csv(found["compound (eu)"].sources, tmp_path / "all.csv") == 10
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert len(rows) == 10
    assert {row["aggregation"] for row in rows} == {"by_region", "sum", "max"}
    assert rows[0]["ts"] == "2025-01-01T00:00:00.000000Z"


def test_a_line_that_its_measurements_do_not_give_says_so(org: Organization) -> None:
    priced(org)
    used(org, *USAGE)
    org.billed()
    lines = org.lake.scan(BILL_LINE_ITEMS, org.org_id).collect()
    more = pl.when(pl.col("description") == "sum").then(pl.col("quantity") + pl.lit(D(1), dtype=lines.schema["quantity"])).otherwise("quantity")
    org.lake.replace(BILL_LINE_ITEMS, org.org_id, frame=lines.with_columns(quantity=more.cast(lines.schema["quantity"])))
    header = org.bills()["acme"]
    line = next(one for one in lines_by_bill(org.lake, org.org_id, [header])[header["id"]] if one["description"] == "sum")
    one = explained(org.database, org.lake, header, line["line_item_id"]).explanation
    assert not one.is_equal
    assert [(check.stated, check.computed) for check in one.checks if not check.is_equal] == [(D("51.5"), D("50.5")), (D(17), D(18))]
    with pytest.raises(NotFound, match="LineItem"):
        explained(org.database, org.lake, header, "99")


def test_a_family_s_lines_name_whose_usage_they_charge(org: Organization) -> None:
    on = Configured(org.database, org.org_id)
    meter = on.meter()
    plan = on.plan(on.template(on.product()))
    on.pricing(planId=plan["id"], aggregationId=on.aggregation(meter, rounding="UP")["id"], minimumSpend=100)
    for code, mode in (("acme", None), ("whole", "PARENT_SUMMARY")):
        parent = on.account(code)
        on.attached(parent, plan, **({} if mode is None else {"childBillingMode": mode}))
        on.account(f"{code}-child", parentAccountId=parent["id"])
    used(org, *((code, "10T12:00", "1.25", "eu") for code in ("acme", "acme-child", "whole", "whole-child")), ("acme-child", "11T12:00", "2", "eu"))
    org.billed()
    split = explanations(org)
    assert {name: [s.accounts["account_code"].to_list() for s in one.sources] for name, one in split.items() if one.sources} == {
        "calls": [["acme"]],
        "calls acme-child": [["acme-child"]],
    }
    assert [len(one.counted) for name, one in split.items() if not one.sources] == [2]
    whole = explanations(org, "whole")
    assert whole["calls"].sources[0].accounts["account_code"].to_list() == ["whole", "whole-child"]
    assert whole["calls"].line["quantity"] == D("2.5")


def accounts_of(explanation: Explanation) -> list[list[str]]:
    return [source.accounts["account_code"].to_list() for source in explanation.sources]


@pytest.mark.parametrize(("mode", "expected"), [("PARENT_BREAKDOWN", 2), ("PARENT_SUMMARY", 1), ("CHILD", 0)])
def test_children_with_plans_of_their_own_on_their_parent_s_bill(org: Organization, mode: str, expected: int) -> None:
    on = Configured(org.database, org.org_id)
    meter = on.meter()
    plan = on.plan(on.template(on.product()))
    on.pricing(planId=plan["id"], aggregationId=on.aggregation(meter, rounding="UP")["id"])
    on.pricing(planId=plan["id"], compoundAggregationId=on.compound("aggregation.calls * 2")["id"])
    parent = on.account("acme")
    on.attached(parent, on.plan(on.template(on.product("other"), "other"), "other"))
    for code in ("one", "two"):
        on.attached(on.account(code, parentAccountId=parent["id"]), plan, childBillingMode=mode)
    used(org, ("one", "10T12:00", "1.25", "eu"), ("two", "10T12:00", "2.5", "eu"), ("two", "11T12:00", "2.5", "eu"))
    org.billed()
    for account in ("acme", "one", "two") if mode == "CHILD" else ("acme",):
        found = explanations(org, account)
        assert all(one.checks for one in found.values())
        if account == "acme":
            assert len([name for name in found if name.startswith("calls")]) == expected
        if mode == "PARENT_SUMMARY":
            assert sorted(accounts_of(found["calls"])[0]) == ["one", "two"]
            assert sorted(accounts_of(found["compound"])) == [["one"], ["two"]]


def test_a_contract_s_usage_filters_leave_out_what_is_not_charged(org: Organization) -> None:
    on = Configured(org.database, org.org_id)
    meter = on.meter()
    plan = on.plan(on.template(on.product()))
    on.pricing(planId=plan["id"], aggregationId=on.aggregation(meter)["id"])
    account = on.account()
    filters = [{"dimensionCode": "region", "mode": "EXCLUDE", "value": "us"}]
    dates = {"startDate": "2025-01-01", "endDate": "2026-01-01"}
    contract = on.post("contracts", accountId=account["id"], name="contract", code="contract", usageFilters=filters, **dates)
    on.attached(account, plan, contractId=contract["id"])
    used(org, *USAGE[:4])
    org.billed()
    (usage,) = explanations(org).values()
    assert (usage.line["quantity"], measurement_count(usage.sources[0])) == (D("10.5"), 3)


def test_charges_show_days_factor_amounts_and_the_lines_that_count(org: Organization) -> None:
    on = Configured(org.database, org.org_id)
    meter = on.meter()
    plan = on.plan(on.template(on.product(), standingCharge=31, minimumSpend=620))
    priced_alone = on.pricing(planId=plan["id"], aggregationId=on.aggregation(meter)["id"], minimumSpend=310)
    on.pricing(planId=plan["id"], aggregationId=on.aggregation(meter, "most", aggregation="MAX")["id"])
    on.attached(on.account(), plan, startDate="2025-01-11T00:00:00Z")
    used(org, ("acme", "12T12:00", "40", "eu"))
    org.billed()
    found = explanations(org)
    standing = found["Standing Charge"]
    assert [(step.name, step.value) for step in standing.steps] == [
        ("days", D(21)),
        ("factor", D("0.677419354839")),
        ("standing charge", D(21)),
        ("subtotal", D(21)),
    ]
    assert "21/31" in standing.steps[1].formula
    of_pricing, of_plan = found["calls Minimum Spend Adjustment"], found["product Minimum Spend Adjustment"]
    assert (of_pricing.line["subtotal"], len(of_pricing.counted)) == (D(170), 1)
    assert (of_plan.line["subtotal"], len(of_plan.counted)) == (D(170), 3)
    assert [check.is_equal for one in (standing, of_pricing, of_plan) for check in one.checks] == [True] * 3
    assert priced_alone["id"] == of_pricing.line["pricing_id"]


def test_in_advance_and_refunds_give_their_lines(org: Organization) -> None:
    on = Configured(org.database, org.org_id)
    meter = on.meter()
    template = on.template(on.product(), standingCharge=10, minimumSpend=50, standingChargeBillInAdvance=True, minimumSpendBillInAdvance=True)
    plan = on.plan(template)
    bands = [{"lowerLimit": 0, "fixedPrice": 3, "unitPrice": 0.5}, {"lowerLimit": 10, "fixedPrice": 0, "unitPrice": 0.25}]
    on.pricing(planId=plan["id"], aggregationId=on.aggregation(meter)["id"], cumulative=True, pricingBands=bands)
    on.attached(on.account(), plan, startDate="2025-01-11T00:00:00Z")
    used(org, ("acme", "12T12:00", "40", "eu"))
    org.billed()
    header = org.bills()["acme"]
    types = [line["line_item_type"] for line in lines_by_bill(org.lake, org.org_id, [header])[header["id"]]]
    assert types.count("MINIMUM_SPEND") == 2
    assert "MINIMUM_SPEND_REFUND" in types
    usage = explanations(org)["calls"]
    assert [(step.name, step.formula, step.value) for step in usage.steps if step.name.startswith("band")] == [
        ("band 1, from 0", "10 call × 0.5 + 3", D(8)),
        ("band 2, from 10", "30 call × 0.25", D("7.5")),
    ]


def test_converted_lines_and_lines_of_other_types_say_what_their_columns_say(org: Organization) -> None:
    on = Configured(org.database, org.org_id)
    on.post("picklists/currency", name="EUR", code="EUR", maxDecimalPlaces=1, roundingMode="UP")
    meter = on.meter()
    plan = on.plan(on.template(on.product(), currency="EUR"))
    on.pricing(planId=plan["id"], aggregationId=on.aggregation(meter)["id"])
    on.attached(on.account(), plan)
    used(org, ("acme", "12T12:00", "0.31", "eu"))
    rate = {"from": "EUR", "to": "USD", "multiplier": "1.12"}
    org.billed(type(JANUARY).model_validate(JANUARY.model_dump() | {"currency_conversions": [rate]}))
    (usage,) = explanations(org).values()
    assert (usage.line["subtotal"], usage.line["converted_subtotal"], usage.is_equal) == (D("0.4"), D("0.45"), True)
    assert usage.steps[-1].formula.startswith("0.4 EUR × 1.12")
    lines = org.lake.scan(BILL_LINE_ITEMS, org.org_id).collect()
    org.lake.replace(BILL_LINE_ITEMS, org.org_id, frame=lines.with_columns(line_item_type=pl.lit("AD_HOC")))
    (other,) = explanations(org).values()
    assert other.formula == "AD_HOC: calls"
    assert other.sources == ()


def test_bills_of_all_these_shapes_are_computed_again_equal(org: Organization) -> None:
    priced(org)
    used(org, *USAGE)
    org.billed()
    with org.database.transaction() as connection:
        rows = rebilling.bill_rows(connection, org.org_id, BillFilter(end_date=date(2025, 1, 31)))
    assert {row["account_code"]: row["line_count"] for row in rows} == {code: len(explanations(org, code)) for code in ("acme", "beta")}
    assert rebilling.rebilled(org.database, org.lake, org.org_id, rows).is_equal
