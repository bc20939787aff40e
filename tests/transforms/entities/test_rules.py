"""Every rule between entities refuses what it should, names the field, and changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.storage.database import Database
from pipelines.storage.organizations import Credentials
from tests.configured import JANUARY, NUMBER, STRING, Configured
from transforms.errors import EntityInvalid, Refused


@pytest.fixture
def made(database: Database, organization: Credentials) -> Configured:
    return Configured(database, organization.org_id)


def refused(call: Callable[[], Any]) -> list[str]:
    """The wire fields that the refusal names."""
    with pytest.raises(EntityInvalid) as caught:
        call()
    assert all(problem.message for problem in caught.value.problems)
    return [problem.field for problem in caught.value.problems]


DERIVED = {"category": "MEASURE", "code": "twice", "name": "twice", "unit": "1", "calculation": "qty * 2"}


def test_a_meter_names_every_wrong_field_at_once(made: Configured) -> None:
    fields = [{**NUMBER, "unit": None}, {**STRING, "code": "qty"}]
    derived = [{**DERIVED, "calculation": "qty + nowhere"}]
    wanted = ["dataFields[0].code", "dataFields[0].unit", "dataFields[1].code", "derivedFields[0].calculation"]
    assert refused(lambda: made.meter(dataFields=fields, derivedFields=derived)) == wanted
    assert made.ids("meters") == []


def test_a_derived_field_uses_only_earlier_ones(made: Configured) -> None:
    later = {**DERIVED, "code": "later", "calculation": "twice + 1"}
    made.meter("good", derivedFields=[DERIVED, later])
    assert refused(lambda: made.meter("bad", derivedFields=[later, DERIVED])) == ["derivedFields[0].calculation"]


def test_a_formula_with_a_typo_points_at_the_character(made: Configured) -> None:
    with pytest.raises(EntityInvalid) as caught:
        made.meter(derivedFields=[{**DERIVED, "calculation": "qty * * 2"}])
    assert str(caught.value).splitlines()[1:] == ["  qty * * 2", "        ^"]


@pytest.mark.parametrize(("category", "calculation"), [("MEASURE", "region"), ("WHAT", "qty * 2"), ("COST", "qty > 1")])
def test_a_derived_field_has_the_type_of_its_category(made: Configured, category: str, calculation: str) -> None:
    derived = {**DERIVED, "category": category, "calculation": calculation}
    assert refused(lambda: made.meter(derivedFields=[derived])) == ["derivedFields[0].calculation"]


def test_a_meter_keeps_the_fields_that_aggregations_use(made: Configured) -> None:
    meter = made.meter(dataFields=[NUMBER, STRING, {**NUMBER, "code": "spare"}])
    made.segmented(meter)
    assert refused(lambda: made.put("meters", meter, dataFields=[NUMBER])) == ["dataFields"]
    assert refused(lambda: made.put("meters", meter, dataFields=[{**NUMBER, "category": "COST"}, STRING])) == ["dataFields"]
    assert made.put("meters", meter, dataFields=[NUMBER, STRING])["version"] == 2


def test_an_aggregation_targets_a_field_that_its_method_can_reduce(made: Configured) -> None:
    meter = made.meter()
    for method in ("SUM", "MIN", "MAX", "COUNT", "LATEST", "MEAN"):
        assert refused(lambda method=method: made.aggregation(meter, aggregation=method, targetField="region")) == ["targetField"]
    assert refused(lambda: made.aggregation(meter, aggregation="UNIQUE")) == ["targetField"]
    assert refused(lambda: made.aggregation(meter, targetField="nowhere")) == ["targetField"]
    made.aggregation(meter, aggregation="UNIQUE", targetField="region")


def test_custom_sql_is_checked_when_it_is_saved(made: Configured) -> None:
    meter = made.meter()
    assert refused(lambda: made.aggregation(meter, aggregation="CUSTOM_SQL")) == ["customSql"]
    assert refused(lambda: made.aggregation(meter, aggregation="CUSTOM_SQL", customSql="SELECT * FROM read_parquet('/etc/passwd')")) == ["customSql"]
    made.aggregation(meter, aggregation="CUSTOM_SQL", customSql="SELECT SUM(qty) FROM measurements")


@pytest.mark.parametrize(
    ("fields", "segments", "wanted"),
    [
        (["qty"], [{"qty": "1"}], ["segmentedFields[0]"]),
        (["region", "region"], [{"region": "eu"}], ["segmentedFields"]),
        (["region"], None, ["segments"]),
        (None, [{"region": "eu"}], ["segmentedFields"]),
        (["region"], [{"region": "eu"}, {"place": "eu"}], ["segments[1]"]),
        (["region"], [{"region": "eu"}, {"region": "eu"}], ["segments[0]", "segments[1]"]),
    ],
)
def test_segments_fit_their_fields(made: Configured, fields: Any, segments: Any, wanted: list[str]) -> None:
    meter = made.meter()
    assert refused(lambda: made.aggregation(meter, segmentedFields=fields, segments=segments)) == wanted


def test_a_compound_has_the_segments_of_its_operands(made: Configured) -> None:
    meter = made.meter()
    made.aggregation(meter)
    one = made.segmented(meter, "one", ("eu", "us", "*"))
    made.segmented(meter, "two", ("us", "eu"))
    assert "segments" not in made.compound("aggregation.calls * 2", "plain")
    assert made.compound("aggregation.one / aggregation.calls", "single")["segments"] == [{"region": "eu"}, {"region": "us"}, {"region": "*"}]
    both = made.compound("aggregation.one / aggregation.two", "both")
    assert both["segments"] == [{"region": "eu"}, {"region": "us"}]
    made.put("aggregations", one, segments=[{"region": "us"}])
    followed = made.get("compoundaggregations", both["id"])
    assert (followed["segments"], followed["version"]) == ([{"region": "us"}], 2)


def test_a_compound_is_a_number_over_known_simple_aggregations(made: Configured) -> None:
    made.aggregation(made.meter())
    made.compound("aggregation.calls + 1", "other")
    for calculation in ("aggregation.other + 1", "aggregation.call", "qty + 1", "aggregation.calls > 1", "aggregation.calls +"):
        assert refused(lambda calculation=calculation: made.compound(calculation)) == ["calculation"]


def test_an_aggregation_in_a_formula_keeps_its_code(made: Configured) -> None:
    calls = made.aggregation(made.meter())
    made.compound("aggregation.calls * 2")
    assert refused(lambda: made.put("aggregations", calls, code="renamed")) == ["code"]
    refused(lambda: made.delete("aggregations", calls))
    assert made.put("aggregations", calls, name="Renamed")["name"] == "Renamed"


def test_custom_fields_in_a_formula_stay(made: Configured, database: Database) -> None:
    custom = made.get("customfields", made.ids("customfields")[0])
    custom = made.put("customfields", custom, account={"rate": 2})
    made.meter(derivedFields=[{**DERIVED, "calculation": "qty * customfields.account.rate"}])
    assert refused(lambda: made.put("customfields", custom, account={})) == ["customFields"]
    assert refused(lambda: made.put("customfields", custom, account={"rate": "two"})) == ["customFields"]


def test_deletes_say_what_still_uses_the_entity(made: Configured) -> None:
    product = made.product()
    meter = made.meter(productId=product["id"])
    with pytest.raises(Refused, match="Meter meter"):
        made.delete("products", product)
    made.delete("meters", meter)
    assert made.delete("products", product)["code"] == "product"


def test_a_currency_in_use_keeps_its_code(made: Configured) -> None:
    euro = made.post("picklists/currency", name="Euro", code="EUR")
    assert refused(lambda: made.account(currency="GBP")) == ["currency"]
    made.account(currency="EUR")
    assert refused(lambda: made.put("picklists/currency", euro, code="EURO")) == ["code"]
    with pytest.raises(Refused, match="Account acme"):
        made.delete("picklists/currency", euro)


def test_a_plan_has_its_templates_product(made: Configured) -> None:
    product = made.product()
    template = made.template(product)
    plan = made.plan(template)
    assert plan["productId"] == product["id"]
    assert refused(lambda: made.put("plantemplates", template, productId=made.product("other")["id"])) == ["productId"]


@pytest.fixture
def priced(made: Configured) -> dict[str, dict[str, Any]]:
    """A product with a plan, an unsegmented and a segmented aggregation."""
    product = made.product()
    meter = made.meter(productId=product["id"])
    template = made.template(product)
    return {
        "product": product,
        "template": template,
        "plan": made.plan(template),
        "calls": made.aggregation(meter),
        "by_region": made.segmented(meter),
    }


def test_a_pricing_is_on_one_plan_for_one_aggregation(made: Configured, priced: dict[str, dict[str, Any]]) -> None:
    plan, template, calls = priced["plan"]["id"], priced["template"]["id"], priced["calls"]["id"]
    assert refused(made.pricing) == ["planId", "aggregationId"]
    assert refused(lambda: made.pricing(planId=plan, planTemplateId=template, aggregationId=calls)) == ["planId"]
    assert refused(lambda: made.pricing(planId=plan, aggregationId=calls, endDate=JANUARY)) == ["endDate"]
    assert made.pricing(planTemplateId=template, aggregationId=calls)["aggregationType"] == "SIMPLE"


def _band(lower: float = 0, fixed: float = 0, unit: float = 1) -> dict[str, float]:
    return {"lowerLimit": lower, "fixedPrice": fixed, "unitPrice": unit}


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"pricingBands": [_band(unit=-1)]}, ["pricingBands[0].unitPrice"]),
        ({"pricingBands": [_band(fixed=-1)], "type": "DEBIT"}, ["pricingBands[0].fixedPrice"]),
        ({"cumulative": True, "overagePricingBands": [_band(unit=-1)]}, ["overagePricingBands[0].unitPrice"]),
        ({"cumulative": False, "overagePricingBands": [_band()]}, ["overagePricingBands"]),
        ({"cumulative": True, "tiersSpanPlan": True, "overagePricingBands": [_band()]}, ["overagePricingBands"]),
        ({"pricingBands": [_band(), _band(10), _band(10)]}, ["pricingBands[1].lowerLimit", "pricingBands[2].lowerLimit"]),
        ({"pricingBands": []}, ["pricingBands"]),
        ({"pricingBands": [_band(-1)]}, ["pricingBands[0].lowerLimit"]),
        ({"segment": {"region": "eu"}}, ["segment"]),
    ],
)
def test_bands_that_can_not_be(made: Configured, priced: dict[str, dict[str, Any]], fields: dict[str, Any], wanted: list[str]) -> None:
    assert refused(lambda: made.pricing(planId=priced["plan"]["id"], aggregationId=priced["calls"]["id"], **fields)) == wanted
    assert made.ids("pricings") == []


def test_a_credit_may_have_negative_prices(made: Configured, priced: dict[str, dict[str, Any]]) -> None:
    made.pricing(planId=priced["plan"]["id"], aggregationId=priced["calls"]["id"], type="GLOBAL_CREDIT", pricingBands=[_band(unit=-1)])


def test_a_segmented_aggregation_is_priced_segment_by_segment(made: Configured, priced: dict[str, dict[str, Any]]) -> None:
    on = {"planId": priced["plan"]["id"], "aggregationId": priced["by_region"]["id"]}
    assert refused(lambda: made.pricing(**on)) == ["segment"]
    assert refused(lambda: made.pricing(**on, segment={"region": "us"})) == ["segment"]
    assert made.pricing(**on, segment={"region": "eu"})["segmentString"] == '{"region": "eu"}'
    made.pricing(**on, segment={"region": "*"})
    assert refused(lambda: made.put("aggregations", priced["by_region"], segments=[{"region": "*"}])) == ["segments"]
    assert refused(lambda: made.put("aggregations", priced["by_region"], segments=[], segmentedFields=[]))[0] == "segmentedFields"


def test_pricings_of_one_aggregation_do_not_overlap(made: Configured, priced: dict[str, dict[str, Any]]) -> None:
    on = {"planId": priced["plan"]["id"], "aggregationId": priced["calls"]["id"]}
    first = made.pricing(**on, endDate="2025-03-01T00:00:00Z")
    assert refused(lambda: made.pricing(**on, startDate="2025-02-01T00:00:00Z")) == ["startDate"]
    assert refused(lambda: made.pricing(**on, startDate="2025-02-01T00:00:00Z", type="PRODUCT_CREDIT")) == ["startDate"]
    made.pricing(**on, startDate="2025-03-01T00:00:00Z")
    made.pricing(planTemplateId=priced["template"]["id"], aggregationId=priced["calls"]["id"])
    assert refused(lambda: made.put("pricings", first, endDate=None)) == ["startDate"]
    made.put("pricings", first, description="the first two months")


def test_only_the_products_own_and_global_aggregations_are_priced(made: Configured, priced: dict[str, dict[str, Any]]) -> None:
    other = made.aggregation(made.meter("other", productId=made.product("other")["id"]), "other")
    everywhere_meter = made.meter("everywhere")
    everywhere = made.aggregation(everywhere_meter, "everywhere")
    assert refused(lambda: made.pricing(planId=priced["plan"]["id"], aggregationId=other["id"])) == ["aggregationId"]
    made.pricing(planId=priced["plan"]["id"], aggregationId=everywhere["id"])
    assert refused(lambda: made.put("meters", everywhere_meter, productId=other["id"])) == ["productId"]
    assert refused(lambda: made.put("meters", everywhere_meter, productId=made.product("third")["id"])) == ["productId"]


def test_bands_keep_their_ids(made: Configured, priced: dict[str, dict[str, Any]]) -> None:
    pricing = made.pricing(
        planId=priced["plan"]["id"],
        aggregationId=priced["calls"]["id"],
        pricingBands=[_band(), _band(10)],
        cumulative=True,
        overagePricingBands=[_band()],
    )
    ids = [b["id"] for b in (*pricing["pricingBands"], *pricing["overagePricingBands"])]
    assert len(set(ids)) == 3
    again = made.put("pricings", pricing)
    assert [b["id"] for b in (*again["pricingBands"], *again["overagePricingBands"])] == ids
    anonymous = made.put("pricings", again, pricingBands=[_band(20), _band(10, unit=5), _band()])
    assert [b["id"] for b in anonymous["pricingBands"]][1:] == [ids[1], ids[0]]
    moved = made.put("pricings", anonymous, pricingBands=[{**_band(15), "id": ids[1]}, _band(10), _band()])
    new = [b["id"] for b in moved["pricingBands"]]
    assert (new[0], new[2]) == (ids[1], ids[0])
    assert len(set(new)) == 3


def test_account_hierarchies_have_one_level(made: Configured) -> None:
    parent = made.account()
    child = made.account("child", parentAccountId=parent["id"])
    assert refused(lambda: made.account("grandchild", parentAccountId=child["id"])) == ["parentAccountId"]
    assert refused(lambda: made.put("accounts", parent, parentAccountId=made.account("new")["id"])) == ["parentAccountId"]
    assert refused(lambda: made.put("accounts", made.account("self"), parentAccountId="00000000-0000-4000-8000-000000000000")) == ["parentAccountId"]
    own = made.account("own")
    assert refused(lambda: made.put("accounts", own, parentAccountId=own["id"])) == ["parentAccountId"]


def test_one_plan_of_a_product_at_a_time(made: Configured, priced: dict[str, dict[str, Any]]) -> None:
    account = made.account()
    first = made.attached(account, priced["plan"], endDate="2025-06-01T00:00:00Z")
    assert first["productId"] == priced["product"]["id"]
    other = made.plan(priced["template"], "other")
    assert refused(lambda: made.attached(account, other, startDate="2025-05-31T23:59:59Z")) == ["startDate"]
    made.attached(account, other, startDate="2025-06-01T00:00:00Z")
    config = made.get("organizationconfig", made.ids("organizationconfig")[0])
    made.put("organizationconfig", config, allowOverlappingPlans=True)
    made.attached(account, other, startDate="2025-02-01T00:00:00Z")


def test_an_account_plan_is_for_one_plan(made: Configured, priced: dict[str, dict[str, Any]]) -> None:
    account = made.account()
    group = made.post("plangroups", name="Group", currency="USD")["id"]
    assert refused(lambda: made.attached(account, priced["plan"], planGroupId=group)) == ["planId"]
    assert refused(lambda: made.attached(account, priced["plan"], planId=None)) == ["planId"]
    assert refused(lambda: made.attached(account, priced["plan"], planId=None, planGroupId=account["id"])) == ["planGroupId"]
    assert refused(lambda: made.attached(account, priced["plan"], endDate=JANUARY)) == ["endDate"]
    custom = made.plan(priced["template"], "custom", accountId=made.account("owner")["id"])
    assert refused(lambda: made.attached(account, custom)) == ["planId"]


def test_the_organization_config_is_consistent(made: Configured) -> None:
    config = made.get("organizationconfig", made.ids("organizationconfig")[0])
    wrong = {
        "scheduledBillInterval": 5,
        "scheduledBillOffset": 3,
        "autoApproveBillsGracePeriod": 2,
        "creditApplicationOrder": ["BALANCE", "BALANCE"],
        "currencyConversions": [{"from": "EUR", "to": "USD", "multiplier": 1.1}, {"from": "EUR", "to": "USD", "multiplier": 1.2}],
    }
    assert refused(lambda: made.put("organizationconfig", config, **wrong)) == [
        "scheduledBillInterval",
        "scheduledBillOffset",
        "autoApproveBillsGracePeriodUnit",
        "creditApplicationOrder",
        "currencyConversions[0]",
        "currencyConversions[1]",
    ]
    assert refused(lambda: made.put("organizationconfig", config, timezone="Mars/Olympus")) == ["timezone"]
    assert refused(lambda: made.put("organizationconfig", config, currency="EUR")) == ["currency"]
    assert made.put("organizationconfig", config, timezone="UTC+1:00", scheduledBillInterval=0.25)["timezone"] == "UTC+1:00"
