"""Plan groups, counters, contracts, picklists and statement definitions over HTTP: whole round trips, and with the official SDK."""

from collections.abc import Mapping
from typing import Any

import pytest
from m3ter import M3ter
from starlette.testclient import TestClient

#: Kind's path -> (body with every field that a client may set, query parameters that find it, ones that do not).
NEW = "2025-01-01T00:00:00Z"
BAND = {"lowerLimit": 0, "fixedPrice": 1.5, "unitPrice": 2}
KINDS: tuple[tuple[str, dict[str, Any], dict[str, str], dict[str, str]], ...] = (
    (
        "picklists/creditreasons",
        {"name": "Goodwill", "code": "goodwill", "archived": False},
        {"codes": "goodwill", "archived": "false"},
        {"codes": "x"},
    ),
    ("picklists/debitreasons", {"name": "Damage", "code": "damage", "archived": True}, {"archived": "true"}, {"archived": "false"}),
    ("picklists/transactiontypes", {"name": "Refund", "code": "refund", "archived": False}, {"codes": "refund"}, {"codes": "x"}),
    ("picklists/billgroupingkeys", {"name": "Own", "code": "own", "archived": False, "exclusive": True}, {"codes": "own"}, {"codes": "x"}),
    (
        "statementdefinitions",
        {
            "name": "Usage",
            "aggregationFrequency": "WHOLE_PERIOD",
            "includePricePerUnit": True,
            "dimensions": [{"meterId": "${meters}", "name": "region", "attributes": ["name"], "filter": ["*"]}],
            "measures": [{"meterId": "${meters}", "name": "qty", "aggregations": ["SUM", "CUSTOM_SQL"]}],
            "generateSlimStatements": True,
        },
        {},
        {},
    ),
    (
        "contracts",
        {
            "customFields": {"region": "north", "rate": 1.5},
            "accountId": "${accounts}",
            "name": "Contract",
            "code": "c1",
            "description": "d" * 500,
            "purchaseOrderNumber": "p" * 100,
            "applyContractPeriodLimits": True,
            "usageFilters": [{"dimensionCode": "region", "mode": "EXCLUDE", "value": "eu"}],
            "billGroupingKeyId": "${picklists/billgroupingkeys}",
            "startDate": "2025-01-01",
            "endDate": "2026-01-01",
        },
        {"accountId": "${accounts}", "codes": "c1,c2"},
        {"accountId": "${products}"},
    ),
    (
        "plangroups",
        {
            "customFields": {"a": "b"},
            "name": "Group",
            "code": "group",
            "currency": "USD",
            "minimumSpend": 100.25,
            "minimumSpendDescription": "At least",
            "standingCharge": 5,
            "standingChargeDescription": "Always",
            "standingChargeBillInAdvance": True,
            "minimumSpendBillInAdvance": False,
            "accountId": "${accounts}",
            "minimumSpendAccountingProductId": "${products}",
            "standingChargeAccountingProductId": "${products}",
        },
        {"accountId": "${accounts},x"},
        {"accountId": "${products}"},
    ),
    (
        "plangrouplinks",
        {"planGroupId": "${plangroups}", "planId": "${plans}"},
        {"planGroup": "${plangroups}", "plan": "${plans}"},
        {"plan": "${plangroups}"},
    ),
    (
        "counters",
        {"code": "seats", "productId": "${products}", "name": "Seats", "unit": "seat"},
        {"productId": "${products}", "codes": "seats"},
        {"codes": "x"},
    ),
    (
        "counterpricings",
        {
            "planId": "${plans}",
            "counterId": "${counters}",
            "code": "p1",
            "cumulative": True,
            "startDate": NEW,
            "endDate": "2026-01-01T00:00:00Z",
            "description": "Seats",
            "pricingBands": [BAND],
            "accountingProductId": "${products}",
            "runningTotalBillInAdvance": False,
            "proRateRunningTotal": False,
            "proRateAdjustmentDebit": False,
            "proRateAdjustmentCredit": False,
        },
        {"planId": "${plans}", "date": "2025-12-31"},
        {"date": "2026-01-01"},
    ),
    (
        "accountplans",
        {
            "customFields": {},
            "accountId": "${accounts}",
            "planGroupId": "${plangroups}",
            "startDate": NEW,
            "endDate": "2026-01-01T00:00:00Z",
            "code": "ap",
            "billEpoch": "2025-01-15",
            "contractId": "${contracts}",
            "childBillingMode": "PARENT_SUMMARY",
        },
        {"contract": "${contracts}", "includeall": "true"},
        {"contract": "${products}"},
    ),
)


def base(api: TestClient) -> str:
    return f"/organizations/{api.org_id}"  # type: ignore[attr-defined]


def created(api: TestClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(f"{base(api)}/{path}", json=body)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def filled(value: Any, ids: Mapping[str, str]) -> Any:
    """The value with ``${path}`` replaced by the id of what was created there."""
    if isinstance(value, dict):
        return {key: filled(one, ids) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, ids) for one in value]
    if isinstance(value, str):
        for path, one in ids.items():
            value = value.replace(f"${{{path}}}", one)
    return value


def offered(api: TestClient) -> dict[str, str]:
    """Path -> id of a product, meter, template, plan and account."""
    ids: dict[str, str] = {}
    fields = [{"category": "MEASURE", "code": "qty", "name": "q", "unit": "1"}, {"category": "WHERE", "code": "region", "name": "r"}]
    for path, body in (
        ("products", {"name": "P", "code": "p"}),
        ("meters", {"name": "M", "code": "m", "dataFields": fields, "derivedFields": []}),
        ("plantemplates", {"name": "T", "productId": "${products}", "currency": "USD", "billFrequency": "MONTHLY", "standingCharge": 0}),
        ("plans", {"name": "P", "code": "p", "planTemplateId": "${plantemplates}"}),
        ("accounts", {"name": "A", "code": "a", "emailAddress": "a@example.com"}),
    ):
        ids[path] = created(api, path, filled(body, ids))["id"]
    return ids


def test_round_trips(api: TestClient) -> None:
    ids = offered(api)
    stored: dict[str, dict[str, Any]] = {}
    for path, template, found_by, not_found_by in KINDS:
        body, url = filled(template, ids), f"{base(api)}/{path}"
        one = stored[path] = created(api, path, body)
        ids[path] = one["id"]
        assert one["version"] == 1
        for name, value in body.items():
            shown = [{k: v for k, v in band.items() if k != "id"} for band in one[name]] if name == "pricingBands" else one[name]
            assert shown == value, (path, name)
        assert api.get(f"{url}/{one['id']}").json() == one
        put = api.put(f"{url}/{one['id']}", json=one)
        assert put.status_code == 200, put.text
        same = ("version", "dtLastModified")
        assert {k: v for k, v in put.json().items() if k not in same} == {k: v for k, v in one.items() if k not in same}
        assert put.json()["version"] == 2
        assert api.put(f"{url}/{one['id']}", json=one).status_code == 409
        for parameters, wanted in ((found_by, [one["id"]]), (not_found_by or {"ids": "x"}, [])):
            if path == "statementdefinitions" and not wanted:
                continue
            answer = api.get(url, params=filled(parameters, ids))
            assert [item["id"] for item in answer.json()["data"]] == wanted, (path, parameters)
    for path, *_ in reversed(KINDS):
        answer = api.delete(f"{base(api)}/{path}/{ids[path]}")
        assert (answer.status_code, answer.json().get("id")) == (200, ids[path]), answer.text
        assert api.get(f"{base(api)}/{path}/{ids[path]}").status_code == 404


BOUNDS: tuple[tuple[str, dict[str, Any], tuple[tuple[str, Any], ...]], ...] = (
    (
        "contracts",
        {"accountId": "${accounts}", "name": "C", "startDate": "2025-01-01", "endDate": "2026-01-01"},
        (
            ("accountId", None),
            ("name", "x" * 201),
            ("description", "x" * 501),
            ("purchaseOrderNumber", "x" * 101),
            ("startDate", "x"),
            ("endDate", None),
        ),
    ),
    (
        "plangroups",
        {"name": "G", "currency": "USD"},
        (
            ("name", ""),
            ("currency", None),
            ("currency", "EURO"),
            ("minimumSpend", -1),
            ("standingCharge", -0.5),
            ("minimumSpendDescription", "x" * 201),
        ),
    ),
    ("plangrouplinks", {"planGroupId": "x", "planId": "x"}, (("planGroupId", None), ("planId", None))),
    ("counters", {"name": "C", "unit": "x"}, (("name", None), ("unit", ""), ("code", "x" * 81), ("productId", "short"))),
    (
        "counterpricings",
        {"counterId": "${products}", "planId": "${plans}", "startDate": NEW, "pricingBands": [BAND]},
        (("counterId", None), ("startDate", None), ("pricingBands", []), ("description", "x" * 201), ("proRateRunningTotal", "yes")),
    ),
    ("picklists/billgroupingkeys", {"name": "K", "exclusive": True}, (("exclusive", None), ("name", "x" * 201), ("code", "1x"), ("archived", 1))),
    (
        "statementdefinitions",
        {"aggregationFrequency": "DAY"},
        (("aggregationFrequency", "HOUR"), ("dimensions", [{"name": "x", "filter": []}]), ("measures", [{"aggregations": ["AVG"]}])),
    ),
)


@pytest.mark.parametrize(("path", "body", "wrong"), BOUNDS, ids=[path for path, _, _ in BOUNDS])
def test_bounds_and_enumerations(api: TestClient, path: str, body: dict[str, Any], wrong: tuple[tuple[str, Any], ...]) -> None:
    ids = offered(api)
    for field, value in wrong:
        answer = api.post(f"{base(api)}/{path}", json={**filled(body, ids), field: value})
        assert answer.status_code == 400, (field, value)
        assert field in {error["field"].partition("[")[0] for error in answer.json()["errors"]}, (field, answer.text)
    assert api.get(f"{base(api)}/{path}").json() == {"data": []}


def test_with_the_official_sdk(sdk: M3ter) -> None:
    product = sdk.products.create(code="p", name="P")
    template = sdk.plan_templates.create(bill_frequency="MONTHLY", currency="USD", name="T", product_id=product.id, standing_charge=0)
    plan = sdk.plans.create(code="basic", name="Basic", plan_template_id=template.id)
    account = sdk.accounts.create(code="acme", name="Acme", email_address="a@example.com")
    group = sdk.plan_groups.create(currency="USD", name="Group", code="group", minimum_spend=10.5, account_id=account.id)
    link = sdk.plan_group_links.create(plan_group_id=group.id, plan_id=plan.id)
    assert [one.id for one in sdk.plan_group_links.list(plan_group=group.id)] == [link.id]
    assert [one.id for one in sdk.plan_groups.list(account_id=[account.id])] == [group.id]
    key = sdk.post(f"/organizations/{sdk.org_id}/picklists/billgroupingkeys", cast_to=object, body={"name": "Own", "exclusive": True})
    contract = sdk.contracts.create(
        account_id=account.id,
        name="C",
        code="c1",
        start_date="2025-01-01",
        end_date="2026-01-01",
        bill_grouping_key_id=key["id"],  # type: ignore[index]
    )
    assert (contract.apply_contract_period_limits, str(contract.end_date)) == (False, "2026-01-01")
    assert [one.id for one in sdk.contracts.list(account_id=account.id, codes=["c1"])] == [contract.id]
    attached = sdk.account_plans.create(account_id=account.id, plan_group_id=group.id, contract_id=contract.id, start_date="2025-01-01T00:00:00Z")
    assert (attached.plan_group_id, attached.product_id) == (group.id, None)
    counter = sdk.counters.create(name="Seats", unit="seat", code="seats", product_id=product.id)
    pricing = sdk.counter_pricings.create(
        counter_id=counter.id,
        plan_id=plan.id,
        start_date="2025-01-01T00:00:00Z",
        cumulative=True,
        pricing_bands=[{"lower_limit": 0, "fixed_price": 0, "unit_price": 2}],
    )
    assert (pricing.pro_rate_running_total, pricing.running_total_bill_in_advance) == (True, True)
    assert [one.id for one in sdk.counter_pricings.list(plan_id=plan.id, date="2025-06-01")] == [pricing.id]
    definition = sdk.statements.statement_definitions.create(aggregation_frequency="DAY", name="Daily", measures=[{"aggregations": ["SUM"]}])
    assert (
        sdk.accounts.update(
            account.id, code="acme", name="Acme", email_address="a@example.com", statement_definition_id=definition.id, version=1
        ).statement_definition_id
        == definition.id
    )
    for picklist in (sdk.credit_reasons, sdk.debit_reasons, sdk.transaction_types):
        entry = picklist.create(name="Entry", code="entry")
        assert picklist.update(entry.id, name="Entry", code="entry", archived=True, version=1).archived
        assert list(picklist.list(archived=False)) == []
        assert [one.id for one in picklist.list(archived=True, codes=["entry"])] == [entry.id]
        assert picklist.delete(entry.id).id == entry.id
    config = sdk.bill_config.retrieve()
    assert config.bill_lock_date is None
    assert str(sdk.bill_config.update(bill_lock_date="2024-03-01", version=config.version or 0).bill_lock_date) == "2024-03-01"
    assert sdk.plan_groups.update(group.id, currency="USD", name="Renamed", account_id=account.id, version=1).name == "Renamed"
    assert sdk.counters.update(counter.id, name="Seats", unit="seats", version=1).unit == "seats"
    ended = sdk.contracts.end_date_billing_entities(contract.id, billing_entities=["CONTRACT", "ACCOUNTPLAN"], end_date="2025-06-01T00:00:00Z")
    assert ended.updated_entities is not None
    assert ended.updated_entities.contract is not None
    assert (ended.updated_entities.contract.empty, ended.updated_entities.pricings) == (False, None)
    assert str(sdk.contracts.retrieve(contract.id).end_date) == "2025-06-01"
    assert sdk.account_plans.retrieve(attached.id).version == 2
