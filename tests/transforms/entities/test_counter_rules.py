"""Counters, their pricings, picklists and statement definitions: what they refuse, with the field named."""

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.storage.database import Database
from pipelines.storage.organizations import Credentials
from tests.configured import Configured
from transforms.errors import DuplicateKey, EntityInvalid, Refused

BAND = {"lowerLimit": 0, "fixedPrice": 0, "unitPrice": 2}


@pytest.fixture
def made(database: Database, organization: Credentials) -> Configured:
    return Configured(database, organization.org_id)


@pytest.fixture
def plan(made: Configured) -> dict[str, Any]:
    return made.plan(made.template(made.product()))


@pytest.fixture
def seats(made: Configured) -> dict[str, Any]:
    return made.post("counters", name="Seats", code="seats", unit="seat")


def refused(call: Callable[[], Any], message: str = ".") -> list[str]:
    """The wire fields that the refusal names."""
    with pytest.raises(EntityInvalid, match=message) as caught:
        call()
    return [problem.field for problem in caught.value.problems]


def priced(made: Configured, counter: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return made.post("counterpricings", **{"counterId": counter["id"], "startDate": "2025-01-01T00:00:00Z", "pricingBands": [BAND], **fields})


def test_a_counter_pricing_has_its_defaults(made: Configured, plan: dict[str, Any], seats: dict[str, Any]) -> None:
    pricing = priced(made, seats, planId=plan["id"])
    flags = ("runningTotalBillInAdvance", "proRateRunningTotal", "proRateAdjustmentDebit", "proRateAdjustmentCredit")
    assert {flag: pricing[flag] for flag in flags} == dict.fromkeys(flags, True)
    assert pricing["cumulative"] is False
    band_id = pricing["pricingBands"][0]["id"]
    changed = made.put("counterpricings", pricing, pricingBands=[{**BAND, "unitPrice": 3}, {**BAND, "lowerLimit": 20}])
    assert changed["pricingBands"][0]["id"] == band_id != changed["pricingBands"][1]["id"]


def test_a_counter_pricing_is_on_one_plan(made: Configured, plan: dict[str, Any], seats: dict[str, Any]) -> None:
    assert refused(lambda: priced(made, seats), "planId and planTemplateId: exactly one") == ["planId"]
    both = {"planId": plan["id"], "planTemplateId": plan["planTemplateId"]}
    assert refused(lambda: priced(made, seats, **both), "not both") == ["planId"]
    assert refused(lambda: priced(made, seats, planId=plan["id"], endDate="2025-01-01T00:00:00Z")) == ["endDate"]
    assert refused(lambda: priced(made, seats, planId=plan["id"], pricingBands=[BAND, BAND])) == [
        "pricingBands[0].lowerLimit",
        "pricingBands[1].lowerLimit",
    ]
    negative = [{**BAND, "unitPrice": -1}]
    assert refused(lambda: priced(made, seats, planId=plan["id"], pricingBands=negative), "unitPrice is -1") == ["pricingBands[0].unitPrice"]
    assert refused(lambda: priced(made, seats, planId=plan["id"], pricingBands=[])) == ["pricingBands"]


def test_pricings_of_a_counter_do_not_overlap(made: Configured, plan: dict[str, Any], seats: dict[str, Any]) -> None:
    first = priced(made, seats, planId=plan["id"], endDate="2025-06-01T00:00:00Z")
    assert refused(lambda: priced(made, seats, planId=plan["id"], startDate="2025-05-31T23:59:59Z"), first["id"]) == ["startDate"]
    second = priced(made, seats, planId=plan["id"], startDate="2025-06-01T00:00:00Z")
    assert refused(lambda: made.put("counterpricings", second, startDate="2025-05-01T00:00:00Z")) == ["startDate"]
    priced(made, seats, planTemplateId=plan["planTemplateId"])
    priced(made, made.post("counters", name="Other", unit="x"), planId=plan["id"])


def test_a_counter_of_a_product_is_priced_on_its_plans(made: Configured, plan: dict[str, Any], seats: dict[str, Any]) -> None:
    other = made.product("other")
    bound = made.post("counters", name="Bound", code="bound", unit="x", productId=other["id"])
    assert refused(lambda: priced(made, bound, planId=plan["id"]), "counter bound belongs to product") == ["counterId"]
    priced(made, bound, planId=made.plan(made.template(other, "other"), "other")["id"])
    priced(made, seats, planId=plan["id"])
    assert refused(lambda: made.put("counters", seats, productId=other["id"])) == ["productId"]
    assert made.put("counters", seats, productId=plan["productId"])["version"] == 2
    with pytest.raises(Refused, match="CounterPricing"):
        made.delete("counters", seats)
    moved = made.template(other, "moved")
    assert refused(lambda: made.put("plans", plan, planTemplateId=moved["id"]), "1 pricings") == ["planTemplateId"]
    template = made.get("plantemplates", plan["planTemplateId"])
    assert refused(lambda: made.put("plantemplates", template, productId=other["id"])) == ["productId"]


@pytest.mark.parametrize("path", ["creditreasons", "debitreasons", "transactiontypes", "billgroupingkeys"])
def test_a_picklist_keeps_archived_entries_apart(made: Configured, path: str) -> None:
    path = f"picklists/{path}"
    more = {"exclusive": True} if path.endswith("billgroupingkeys") else {}
    first = made.post(path, name="First", code="first", **more)
    assert first["archived"] is False
    old = made.post(path, name="Old", archived=True, **more)
    assert "code" not in old
    assert made.ids(path) == [old["id"], first["id"]]
    assert made.ids(path, archived="false") == [first["id"]]
    assert made.ids(path, archived="true", codes="first,nothing") == [first["id"]]
    with pytest.raises(DuplicateKey):
        made.post(path, name="Again", code="first", **more)
    assert refused(lambda: made.post(path, name="x", code="not an identifier", **more)) == ["code"]
    assert refused(lambda: made.post(path)) == ["name", "exclusive"][: 1 + len(more)]


def test_a_statement_definition_names_fields_of_meters(made: Configured) -> None:
    meter = made.meter()

    def defined(dimension: dict[str, Any] | None = None, measure: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        parts = {"dimensions": [dimension] if dimension else [], "measures": [measure] if measure else []}
        return made.post("statementdefinitions", **{"aggregationFrequency": "DAY", **parts, **fields})

    assert refused(lambda: defined({"name": "qty", "filter": ["*"]}), "there are region") == ["dimensions[0].name"]
    assert refused(lambda: defined({"name": "region", "filter": []})) == ["dimensions[0].filter"]
    assert refused(lambda: defined({"name": "region", "filter": ["eu"], "meterId": meter["id"][::-1]}), "no Meter") == ["dimensions[0].meterId"]
    assert refused(lambda: defined(None, {"name": "nothing", "meterId": meter["id"]}), "no field 'nothing' in the meter") == ["measures[0].name"]
    assert refused(lambda: defined(None, {"name": "qty", "aggregations": ["SUM"] * 8})) == ["measures[0].aggregations"]
    assert refused(lambda: defined(aggregationFrequency="HOUR")) == ["aggregationFrequency"]
    stored = defined({"name": "region", "filter": ["*"], "meterId": meter["id"]}, {"aggregations": ["SUM", "UNIQUE"]}, name="Usage")
    assert stored["measures"] == [{"name": "", "aggregations": ["SUM", "UNIQUE"]}]
    assert (stored["includePricePerUnit"], stored["generateSlimStatements"]) == (False, False)
    with pytest.raises(Refused, match="it is used by StatementDefinition Usage"):
        made.delete("meters", meter)
    assert refused(lambda: made.put("meters", meter, dataFields=meter["dataFields"][:1]), "since StatementDefinition Usage would") == ["dataFields"]
    made.put("meters", meter, dataFields=[*meter["dataFields"], {**meter["dataFields"][0], "code": "spare"}])
    made.put("meters", made.get("meters", meter["id"]), dataFields=meter["dataFields"])
    account = made.account(statementDefinitionId=stored["id"])
    config = made.get("organizationconfig", made.ids("organizationconfig")[0])
    made.put("organizationconfig", config, defaultStatementDefinitionId=stored["id"])
    with pytest.raises(Refused, match=r"OrganizationConfig .*Account acme|Account acme .*OrganizationConfig"):
        made.delete("statementdefinitions", stored)
    assert refused(lambda: made.put("accounts", account, statementDefinitionId=meter["id"]), "no StatementDefinition") == ["statementDefinitionId"]
