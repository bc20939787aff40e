"""Configuration as code: idempotent, all or nothing, mistakes named."""

from decimal import Decimal
from typing import Any

import pytest

from pipelines.storage.apply import Change, applied, identity, plan
from pipelines.storage.database import Database
from pipelines.storage.organizations import Credentials
from pipelines.storage.yaml_documents import yaml_document
from tests.configured import Configured
from transforms.entities.registry import RESOURCES
from transforms.errors import EntityInvalid

FILE = """
accountplans:
  - {account: child, plan: basic, startDate: 2025-01-01}
pricings:
  - plan: basic
    aggregation: calls
    startDate: 2025-01-01
    cumulative: true
    pricingBands: [{lowerLimit: 0, fixedPrice: 0, unitPrice: 0.25}, {lowerLimit: 1e3, fixedPrice: 0, unitPrice: 0.1}]
  - planTemplate: monthly
    aggregation: by_region
    segment: {region: eu}
    startDate: 2025-01-01
    pricingBands: &flat [{lowerLimit: 0, fixedPrice: 0, unitPrice: 1}]
  - {planTemplate: monthly, aggregation: by_region, segment: {region: '*'}, startDate: 2025-01-01, pricingBands: *flat}
  - {plan: basic, compoundAggregation: share, startDate: 2025-01-01, segment: {region: eu}, pricingBands: *flat}
accounts:
  - {code: child, name: Child, emailAddress: c@example.com, parentAccount: parent, currency: EUR}
  - {code: parent, name: Parent, emailAddress: p@example.com, customFields: {discount: 0.10}}
plans: [{code: basic, name: Basic, planTemplate: monthly}]
plantemplates: [{code: monthly, name: Monthly, product: api, currency: EUR, billFrequency: MONTHLY, standingCharge: 9.99}]
compoundaggregations:
  - {code: share, name: Share, calculation: aggregation.by_region / aggregation.calls, quantityPerUnit: 1, rounding: NONE, unit: share}
aggregations:
  - {code: calls, name: Calls, meter: calls, targetField: n, aggregation: SUM, quantityPerUnit: 1, rounding: NONE, unit: call}
  - code: by_region
    name: By region
    meter: calls
    targetField: n
    aggregation: SUM
    quantityPerUnit: 1
    rounding: NONE
    unit: call
    segmentedFields: [region]
    segments: [{region: eu}, {region: '*'}]
meters:
  - code: calls
    name: Calls
    product: api
    dataFields: [{category: MEASURE, code: n, name: Number, unit: '1'}, {category: WHERE, code: region, name: Region}]
    derivedFields: []
products: [{code: api, name: API}]
customfields: {account: {discount: 0}}
organizationconfig: {currency: EUR, timezone: Europe/Berlin}
picklists/currency: [{code: EUR, name: Euro, maxDecimalPlaces: 2}]
"""


@pytest.fixture
def made(database: Database, organization: Credentials) -> Configured:
    return Configured(database, organization.org_id)


def apply(made: Configured, text: str) -> list[Change]:
    with made.database.transaction() as connection:
        return applied(yaml_document(text), connection, made.org_id, actor="FILE")


def planned(made: Configured, text: str) -> list[Change]:
    with made.database.transaction() as connection:
        return plan(yaml_document(text), connection, made.org_id)


def actions(changes: list[Change]) -> dict[str, int]:
    return {
        action: sum(c.action == action for c in changes) for action in ("create", "update", "unchanged") if any(c.action == action for c in changes)
    }


def test_applying_twice_changes_nothing_the_second_time(made: Configured) -> None:
    assert actions(planned(made, FILE)) == {"create": 15, "update": 2}
    assert made.ids("products") == []
    assert actions(apply(made, FILE)) == {"create": 15, "update": 2}
    stored = {path: made.ids(path) for path in ("pricings", "accounts", "meters", "accountplans")}
    assert actions(apply(made, FILE)) == {"unchanged": 17}
    assert {path: made.ids(path) for path in stored} == stored
    assert made.get("meters", stored["meters"][0])["version"] == 1


def test_a_change_is_planned_then_made(made: Configured) -> None:
    apply(made, FILE)
    changed = FILE.replace("9.99", "10.00").replace("unitPrice: 0.25", "unitPrice: 0.30").replace("name: Euro", "name: €uro")
    for changes in (planned(made, changed), apply(made, changed)):
        updates = {(c.collection, c.name): c.differences for c in changes if c.action == "update"}
        assert set(updates) == {("picklists/currency", "EUR"), ("plantemplates", "monthly"), ("pricings", "basic calls 2025-01-01")}
        assert updates["plantemplates", "monthly"] == (("standingCharge", Decimal("9.99"), 10),)
    assert actions(planned(made, changed)) == {"unchanged": 17}


def test_what_a_file_does_not_mention_stays(made: Configured) -> None:
    apply(made, FILE)
    apply(made, "organizationconfig: {daysBeforeBillDue: 5}")
    config = made.get("organizationconfig", made.ids("organizationconfig")[0])
    assert (config["timezone"], config["daysBeforeBillDue"], len(made.ids("accounts"))) == ("Europe/Berlin", 5, 2)


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("lowerLimit: 1e3", "lowerlimit: 1e3", "pricings[0].pricingBands[1].lowerlimit", "did you mean lowerLimit"),
        ("plan: basic\n", "plan: basics\n", "pricings[0].plan", "no Plan with code 'basics'"),
        ("emailAddress: c@", "email: c@", "accounts[0].email", "did you mean emailAddress"),
        ("billFrequency: MONTHLY", "billFrequency: OFTEN", "plantemplates[0].billFrequency", "MONTHLY"),
        ("aggregation.by_region / ", "aggregation.by_regoin / ", "compoundaggregations[0].calculation", "by_region"),
        ("{code: api, name: API}", "{name: API}", "products[0].code", "code is required"),
        ("plan: basic\n", "plan: basic\n    planId: x\n", "pricings[0].plan", "not both"),
        ("plans: ", "plan: ", "plan", r"no collection plan, did you mean plans\?"),
    ],
)
def test_a_mistake_names_its_place_and_changes_nothing(made: Configured, old: str, new: str, field: str, message: str) -> None:
    assert old in FILE
    with pytest.raises(EntityInvalid, match=message) as caught:
        apply(made, FILE.replace(old, new))
    assert [p.field for p in caught.value.problems] == [field]
    assert made.ids("products") == made.ids("accounts") == []


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: 1\na: 2", "products: [{code: 1, code: 2}]", "[]", "products: 5", "products: [5]", "? [1]\n: 2", "a: !!python/object:os.system x"],
)
def test_what_is_no_configuration_is_refused(made: Configured, text: str) -> None:
    with pytest.raises(EntityInvalid):
        apply(made, text)


def test_a_mistake_names_the_code_and_the_field_too(made: Configured) -> None:
    fields = "dataFields: [{category: MEASURE, code: n, name: N, unit: '1'}]"
    derived = "derivedFields: [{category: MEASURE, code: d, name: D, unit: '1', calculation: 1 +}]"
    with pytest.raises(EntityInvalid) as caught:
        apply(made, f"meters: [{{code: m, name: M, {fields}, {derived}}}]")
    assert str(caught.value).startswith("meters[0] (m): derivedFields[0].calculation: ")


def test_text_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(EntityInvalid, match=r"not text in UTF-8: .* at byte 1"):
        yaml_document(b"a\xff: 1")
    assert yaml_document("\ufeffa: ü".encode()) == {"a": "ü"}


def test_yaml_keeps_numbers_exact_and_dates_as_written() -> None:
    value: Any = yaml_document(
        "a: 0.1\nb: 12345678901234567890.123456789012\nc: 2025-01-01\nd: 1e3\ne: 7\nf: '1.0'\ng: true\nh: 2025-01-01T00:00:00Z\ni: ~"
    )
    assert value == {
        "a": Decimal("0.1"),
        "b": Decimal("12345678901234567890.123456789012"),
        "c": "2025-01-01",
        "d": Decimal("1e3"),
        "e": 7,
        "f": "1.0",
        "g": True,
        "h": "2025-01-01T00:00:00Z",
        "i": None,
    }


GROUPS_AND_COUNTERS = """
accounts: [{code: acme, name: Acme, emailAddress: a@example.com, statementDefinition: By day}]
organizationconfig: {defaultStatementDefinition: By day}
billconfig: {billLockDate: 2024-01-31}
statementdefinitions:
  - name: By day
    aggregationFrequency: DAY
    dimensions: [{meter: calls, name: region, filter: ['*']}]
    measures: [{meter: calls, name: n, aggregations: [SUM, MAX]}]
picklists/creditreasons: [{code: goodwill, name: Goodwill}]
picklists/debitreasons: [{code: damage, name: Damage, archived: true}]
picklists/transactiontypes: [{code: refund, name: Refund}]
picklists/billgroupingkeys: [{code: alone, name: Alone, exclusive: true}]
contracts:
  - code: c1
    name: Contract
    account: acme
    startDate: 2025-01-01
    endDate: 2026-01-01
    billGroupingKey: alone
    usageFilters: [{dimensionCode: region, mode: INCLUDE, value: eu}]
meters:
  - code: calls
    name: Calls
    dataFields: [{category: MEASURE, code: n, name: Number, unit: '1'}, {category: WHERE, code: region, name: Region}]
    derivedFields: []
products: [{code: api, name: API}, {code: seats, name: Seats}]
plantemplates:
  - {code: api, name: API, product: api, currency: USD, billFrequency: MONTHLY, standingCharge: 0}
  - {code: seats, name: Seats, product: seats, currency: USD, billFrequency: MONTHLY, standingCharge: 0}
plans:
  - {code: api, name: API, planTemplate: api}
  - {code: seats, name: Seats, planTemplate: seats, account: acme}
plangroups: [{code: both, name: Both, currency: USD, minimumSpend: 100, account: acme, minimumSpendAccountingProduct: api}]
plangrouplinks: [{planGroup: both, plan: api}, {planGroup: both, plan: seats}]
counters: [{code: seats, name: Seats, unit: seat, product: seats}]
counterpricings:
  - {plan: seats, counter: seats, startDate: 2025-01-01, cumulative: true, pricingBands: [{lowerLimit: 0, fixedPrice: 0, unitPrice: 2}]}
accountplans: [{account: acme, planGroup: both, startDate: 2025-01-01, contract: c1}]
"""


def test_all_kinds_are_referred_to_by_code(made: Configured) -> None:
    assert actions(apply(made, GROUPS_AND_COUNTERS)) == {"create": 20, "update": 2}
    assert actions(apply(made, GROUPS_AND_COUNTERS)) == {"unchanged": 22}
    attached = made.get("accountplans", made.ids("accountplans")[0])
    assert (attached["planGroupId"], attached["contractId"]) == (made.ids("plangroups")[0], made.ids("contracts")[0])
    definition = made.get("statementdefinitions", made.ids("statementdefinitions")[0])
    assert definition["dimensions"][0]["meterId"] == definition["measures"][0]["meterId"] == made.ids("meters")[0]
    assert made.get("accounts", made.ids("accounts")[0])["statementDefinitionId"] == definition["id"]
    changed = apply(
        made, GROUPS_AND_COUNTERS.replace("unitPrice: 2}", "unitPrice: 3}").replace("aggregationFrequency: DAY", "aggregationFrequency: WEEK")
    )
    assert {(c.collection, c.name) for c in changed if c.action == "update"} == {
        ("statementdefinitions", "By day"),
        ("counterpricings", "seats seats 2025-01-01"),
    }


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("{meter: calls, name: region", "{meter: call, name: region", "statementdefinitions[0].dimensions[0].meter", "no Meter with code 'call'"),
        ("{meter: calls, name: n,", "{meter: calls, meterId: x, name: n,", "statementdefinitions[0].measures[0].meter", "not both"),
        ("Definition: By day}]", "Definition: By week}]", "accounts[0].statementDefinition", "no StatementDefinition with name 'By week'"),
        ("- name: By day\n    agg", "- agg", "statementdefinitions[0].name", "name is required"),
        ("contract: c1", "contract: c2", "accountplans[0].contract", "no Contract with code 'c2'"),
    ],
)
def test_a_wrong_reference_names_its_place(made: Configured, old: str, new: str, field: str, message: str) -> None:
    assert old in GROUPS_AND_COUNTERS
    with pytest.raises(EntityInvalid, match=message) as caught:
        apply(made, GROUPS_AND_COUNTERS.replace(old, new))
    assert [p.field for p in caught.value.problems] == [field]


FUNDS = """
accounts: [{code: acme, name: Acme, emailAddress: a@example.com}, {code: other, name: Other, emailAddress: o@example.com}]
products: [{code: api, name: API}, {code: seats, name: Seats}]
picklists/transactiontypes: [{code: gift, name: Gift}]
commitments:
  - {account: acme, startDate: 2025-01-01, endDate: 2026-01-01, currency: USD, amount: 300, amountPrePaid: 300}
  - {account: acme, startDate: 2025-01-01, endDate: 2026-01-01, currency: USD, amount: 40, amountPrePaid: 40, products: [api, seats]}
  - {account: other, startDate: 2025-01-01, endDate: 2026-01-01, currency: USD, amount: 500, amountPrePaid: 500}
balances: [{code: gifts, name: Gifts, account: acme, startDate: 2025-01-01, endDate: 2026-01-01, currency: USD, products: [seats]}]
"""


def test_several_commitments_are_told_apart(made: Configured) -> None:
    assert actions(apply(made, FUNDS)) == {"create": 9}
    assert actions(apply(made, FUNDS)) == {"unchanged": 9}
    changed = [c for c in apply(made, FUNDS.replace("amount: 40", "amount: 50")) if c.action == "update"]
    assert [(c.collection, c.name, c.differences) for c in changed] == [
        ("commitments", "acme api+seats USD 2025-01-01", (("amount", 40, 50),)),
    ]
    amounts = sorted(made.get("commitments", one)["amount"] for one in made.ids("commitments"))
    assert amounts == [50, 300, 500]
    balance = made.get("balances", made.ids("balances")[0])
    assert balance["productIds"] == [one for one in made.ids("products") if made.get("products", one)["code"] == "seats"]


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("[api, seats]", "[api, seat]", "commitments[1].products[1]", "no Product with code 'seat'"),
        ("[api, seats]", "api", "commitments[1].products", "must be a list of codes; it is 'api'"),
        ("products: [seats]}", "products: [seats], productIds: []}", "balances[0].products", "not both"),
    ],
)
def test_a_wrong_list_of_references_names_its_place(made: Configured, old: str, new: str, field: str, message: str) -> None:
    assert old in FUNDS
    with pytest.raises(EntityInvalid, match=message) as caught:
        apply(made, FUNDS.replace(old, new))
    assert [p.field for p in caught.value.problems] == [field]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{code: api, name: API}, {code: seats", r"products\[1\] \(api\): the file says api twice, here and in products\[0\]"),
        ("account: other", r"commitments\[2\]: the file says acme USD 2025-01-01 twice, here and in commitments\[0\]"),
    ],
)
def test_an_entity_given_twice_is_refused(made: Configured, line: str, message: str) -> None:
    assert line in FUNDS
    with pytest.raises(EntityInvalid, match=message):
        apply(made, FUNDS.replace(line, "{code: api, name: API}, {code: api" if "api" in line else "account: acme"))
    assert made.ids("commitments") == []


def test_every_kind_has_what_tells_its_entities_apart() -> None:
    assert [r.kind for r in RESOURCES if not r.singleton and not identity(r)] == []
