"""Rebill, diff and explain over HTTP and on the command line."""

import csv
import json
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.storage import config_store
from pipelines.storage.bill_runs import ran_inline
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.settings import settings_of
from tests.api.test_answers import check
from tests.api.test_cli import CommandLine, configured, line, measurement
from tests.offers import Offer, landed, offer, usage_body
from tests.pipelines.storage.test_bill_runs import JANUARY
from transforms.datasets import BILL_LINE_ITEMS
from transforms.entities.plans import Pricing

__all__ = ["configured", "line"]

D = Decimal


class Billed:
    """acme's bill: 100 calls at 0.25 and a standing charge of 10, in the organization and lake of ``api``."""

    def __init__(self, api: Any, database: Database, lake: Lake, landing: Path) -> None:
        self.api, self.database, self.lake, self.landing = api, database, lake, landing
        self.offer: Offer = offer(database, api.org_id, ["acme"], standing_charge="10")
        self.calculate({"acme": "100"}, day=10)
        self.bill_id = self.get("bills")["data"][0]["id"]

    def calculate(self, quantities: dict[str, str], *, day: int) -> None:
        landed(self.landing, self.api.org_id, usage_body(quantities, day=day))
        ran_inline(self.database, self.lake, self.landing, self.api.org_id, request=JANUARY)

    def get(self, path: str, status: int = 200, method: str = "GET", **parameters: Any) -> Any:
        answer = self.api.request(method, f"/organizations/{self.api.org_id}/{path}", params=parameters)
        assert answer.status_code == status, answer.text
        return answer.json(parse_float=Decimal)

    def described(self, name: str, value: Any) -> None:
        """The OpenAPI document's schema of that name holds for the answer."""
        document = self.api.get("/openapi.json").json()
        check(document, name, json.loads(json.dumps(value, default=float)))

    def price(self, unit_price: str) -> None:
        with self.database.transaction() as connection:
            pricing = config_store.entity(connection, self.api.org_id, Pricing, self.offer.pricing_id)
            bands = [pricing.pricing_bands[0].model_copy(update={"unit_price": D(unit_price)})]
            config_store.updated(connection, self.api.org_id, pricing.id, pricing.model_copy(update={"pricing_bands": bands}), "tester")


@pytest.fixture
def billed(api: Any, database: Database, lake: Lake, tmp_path: Path) -> Billed:
    return Billed(api, database, lake, tmp_path / "landing")


def test_a_bill_is_computed_again_over_http(billed: Billed) -> None:
    again = billed.get(f"bills/{billed.bill_id}/rebill", method="POST")
    assert (again["billId"], again["isEqual"], again["lineItems"], again["differences"]) == (billed.bill_id, True, 2, [])
    assert again["softwareVersion"] == again["calculatedWith"]
    lines = billed.lake.scan(BILL_LINE_ITEMS, billed.api.org_id).collect()
    billed.lake.replace(BILL_LINE_ITEMS, billed.api.org_id, frame=lines.with_columns(unit=pl.lit("other")))
    again = billed.get(f"bills/{billed.bill_id}/rebill", method="POST")
    assert again["isEqual"] is False
    billed.described("Rebilling", again)
    assert {(one["field"], one["stored"], one["computed"]) for one in again["differences"]} == {("unit", "other", "call"), ("unit", "other", "UNIT")}
    billed.get("bills/unknown/rebill", 404, method="POST")


def test_calculations_are_listed_and_compared_over_http(billed: Billed) -> None:
    assert "calculated once" in billed.get(f"bills/{billed.bill_id}/diff", 400)["message"]
    billed.price("0.5")
    billed.calculate({"acme": "2"}, day=11)
    found = billed.get(f"bills/{billed.bill_id}/calculations")["data"]
    assert [(one["number"], one["isCurrent"], one["billJobType"]) for one in found] == [(1, False, "CREATE"), (2, True, "CREATE")]
    assert found[0]["configurationHash"] != found[1]["configurationHash"]
    assert found[0]["datasetVersions"] != found[1]["datasetVersions"]
    diff = billed.get(f"bills/{billed.bill_id}/diff")
    billed.described("BillComparison", diff)
    billed.described("BillCalculation", found[0])
    assert (diff["from"]["number"], diff["to"]["number"], diff["problems"]) == (1, 2, [])
    (changed,) = diff["lineItems"]
    assert (changed["change"], changed["quantity"], changed["subtotal"]) == ("CHANGED", {"before": 100, "after": 102}, {"before": 25, "after": 51})
    assert [(one["cause"], one["subtotal"]) for one in changed["causes"]] == [("CONFIGURATION", 25), ("DATA", 1)]
    assert [(one["kind"], one["versionBefore"], one["versionAfter"]) for one in changed["entities"]] == [("Pricing", 1, 2)]
    assert changed["measurementsAdded"] == 1
    named = {"from": found[1]["id"], "to": "1"}
    assert billed.get(f"bills/{billed.bill_id}/diff", **named)["lineItems"][0]["measurementsRemoved"] == 1
    assert billed.get(f"bills/{billed.bill_id}/diff", **{"from": "2", "to": "2"})["lineItems"] == []
    billed.get(f"bills/{billed.bill_id}/diff", 404, **{"from": "1", "to": "3"})
    billed.get(f"bills/{billed.bill_id}/diff", 400, to="1")


def test_a_line_is_explained_over_http(billed: Billed) -> None:
    billed.calculate({"acme": "2"}, day=11)
    lines = {one["lineItemType"]: one for one in billed.get(f"bills/{billed.bill_id}")["lineItems"]}
    usage = billed.get(f"bills/{billed.bill_id}/lineitems/{lines['USAGE']['id']}/explain", measurements=1)
    billed.described("LineExplanation", usage)
    assert usage["isEqual"] is True
    assert {"name": "aggregate of the measurements = quantity", "isEqual": True, "stated": 102, "computed": 102} in usage["checks"]
    (source,) = usage["sources"]
    assert (source["measurementCount"], source["quantity"], source["accountCodes"]) == (2, 102, ["acme"])
    assert [(one["uid"], one["ts"], one["fields"]) for one in source["measurements"]] == [("acme-10", "2025-01-10T12:00:00Z", {"qty": 100})]
    standing = billed.get(f"bills/{billed.bill_id}/lineitems/{lines['STANDING_CHARGE']['id']}/explain")
    assert (standing["sources"], standing["isEqual"]) == ([], True)
    assert [step["name"] for step in standing["steps"]] == ["days", "factor", "standing charge", "subtotal"]
    billed.get(f"bills/{billed.bill_id}/lineitems/unknown/explain", 404)


def test_the_routes_are_in_the_document(api: Any) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    bill = "/organizations/{org_id}/bills/{bill_id}"
    assert {f"{bill}/rebill", f"{bill}/calculations", f"{bill}/diff", f"{bill}/lineitems/{{line_item_id}}/explain"} <= set(paths)
    assert {one["name"] for one in paths[f"{bill}/diff"]["get"]["parameters"]} == {"org_id", "bill_id", "from", "to"}


def test_bills_are_computed_again_compared_and_explained_on_the_command_line(line: CommandLine, configured: str, tmp_path: Path) -> None:
    home = line.home
    lake = Lake(settings_of(home).lake_root, {})

    def run(*arguments: str, code: int = 0) -> str:
        done = line.run(*arguments, "--org", configured, code=code)
        return done.stdout + done.stderr

    def taken_in(*rows: dict[str, object]) -> None:
        (tmp_path / "a.json").write_text(json.dumps(rows))
        run("ingest", str(tmp_path / "a.json"))
        run("bill", "--period", "2025-03")

    taken_in(measurement("1", n=4), measurement("2", n=8.5), measurement("3", account="b"))
    shown = run("rebill", "--all", "--period", "2025-03", "--frequency", "monthly")
    assert "2 bills, 4 line items computed again" in shown
    assert "all equal" in shown
    bill_id = next(word for row in shown.splitlines() if " a " in row for word in row.split() if word.count("-") == 4)
    assert "calculated once" in run("diff", bill_id)
    taken_in(measurement("4", n=100))
    (tmp_path / "price.yaml").write_text("plans: [{code: p, name: P, planTemplate: t, standingCharge: 11}]")
    run("apply", str(tmp_path / "price.yaml"))
    taken_in()
    assert "No line differs" in run("diff", bill_id, "2", "2")
    changed = run("diff", bill_id, "1", "3")
    assert "12.5 → 112.5" in changed
    assert "data (+25): 1 measurements more" in changed.replace("\n", " ")
    assert "configuration (+1): Plan p (version 1 → version 2)" in changed.replace("\n", " ")
    explained = run("explain", bill_id, "1", "--measurements", "2", "--csv", str(tmp_path / "all.csv"))
    assert "equal: aggregate of the measurements = quantity: 112.5" in explained
    assert "3 measurements of meter calls behind calls, the first 2" in explained
    rows = list(csv.DictReader(StringIO((tmp_path / "all.csv").read_text())))
    assert [(row["uid"], Decimal(row["n"]), row["region"]) for row in rows] == [("1", D(4), "eu"), ("2", D("8.5"), "eu"), ("4", D(100), "eu")]
    assert "factor" in run("explain", bill_id, "2")
    lines = lake.scan(BILL_LINE_ITEMS, configured).collect()
    lake.replace(BILL_LINE_ITEMS, configured, frame=lines.with_columns(quantity=pl.col("units") + pl.col("units")))
    broken = run("explain", bill_id, "1", code=1)
    assert "not equal" in broken
    assert "the bill says 225, computed again 112.5" in broken
    assert "differ" in run("rebill", bill_id, code=1)


def test_what_to_compute_again_must_be_said(line: CommandLine, configured: str) -> None:
    for arguments in ((), ("--all",), ("x", "--all", "--period", "2025-03"), ("--period", "2025-03")):
        assert "name bills by their ids, or ask for --all bills of a --period" in line.run("rebill", *arguments, "--org", configured, code=1).stderr
    assert "does not exist" in line.run("rebill", "x", "--org", configured, code=1).stderr
    assert "no such bills" in line.run("rebill", "--all", "--period", "2025-03", "--org", configured).stdout
    assert "--frequency" in line.run("rebill", "--all", "--period", "2025-03", "--frequency", "x", "--org", configured, code=1).stderr
