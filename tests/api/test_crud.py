"""Config entities over HTTP."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.crud import collection_path
from transforms.entities.registry import RESOURCES

PRODUCT = {"name": "Product", "code": "product"}


def base(api: TestClient) -> str:
    return f"/organizations/{api.org_id}"  # type: ignore[attr-defined]


def created(api: TestClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(f"{base(api)}/{path}", json=body)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_an_entity_lives_its_life(api: TestClient) -> None:
    product = created(api, "products", {**PRODUCT, "customFields": {"team": "a", "rate": 1.5}})
    url = f"{base(api)}/products/{product['id']}"
    assert product["version"] == 1
    assert product["createdBy"].startswith("SERVICE_USER_")
    assert product["dtCreated"].endswith("Z")
    assert api.get(url).json() == product
    updated = api.put(url, json={**product, "name": "Renamed", "unknown": 1})
    assert (updated.status_code, updated.json()["version"], updated.json()["name"]) == (200, 2, "Renamed")
    assert updated.json()["customFields"] == {"team": "a", "rate": 1.5}
    replaced = api.put(url, json={**PRODUCT, "version": 2}).json()
    assert replaced["customFields"] == {}
    gone = api.delete(url)
    assert (gone.status_code, gone.json()) == (200, replaced)
    assert api.get(url).status_code == 404


def test_read_only_fields_can_not_be_set(api: TestClient) -> None:
    sent = {**PRODUCT, "id": "mine", "version": 9, "createdBy": "me", "dtCreated": "2000-01-01T00:00:00Z", "dt_created": "2000-01-01T00:00:00Z"}
    product = created(api, "products", sent)
    assert product["id"] != "mine"
    assert product["version"] == 1
    assert product["createdBy"] != "me"
    assert not product["dtCreated"].startswith("2000")


def test_every_collection_answers_the_same_way(api: TestClient) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    account = created(api, "accounts", {"name": "a", "code": "a", "emailAddress": "a@example.com"})
    life = {"currency": "USD", "startDate": "2025-01-01T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}
    balance = created(api, "balances", {"name": "b", "code": "b", "accountId": account["id"], **life})
    for resource in RESOURCES:
        if resource.singleton:
            continue
        url = f"{base(api)}/{collection_path(resource).format(balance_id=balance['id'])}"
        needed = {name: unknown for name, declared in resource.filters.items() if declared.is_required}
        assert api.get(url).status_code == (400 if needed else 200)
        assert set(api.get(url, params=needed).json()) == {"data"}, url
        assert api.get(url, params=needed | {"pageSize": resource.page_size_max}).status_code == 200, url
        for bad in (0, resource.page_size_max + 1, "many"):
            assert api.get(url, params=needed | {"pageSize": bad}).status_code == 400, url
        assert api.get(f"{url}/{unknown}").status_code == api.delete(f"{url}/{unknown}").status_code == 404, url
        refused = api.post(url, json={})
        assert (refused.status_code, bool(refused.json()["errors"])) == (400, True), url
        assert api.post(url, json=[]).status_code == api.post(url).status_code == 400, url


@pytest.mark.parametrize("path", ["organizationconfig", "customfields", "billconfig"])
def test_singletons_are_there_from_the_start(api: TestClient, path: str) -> None:
    url = f"{base(api)}/{path}"
    stored = api.get(url).json()
    updated = api.put(url, json=stored)
    assert (updated.status_code, updated.json()["version"]) == (200, 2)
    assert api.put(url, json=stored).status_code == 409
    assert api.post(url, json=stored).status_code == 405


def test_numbers_are_exact_both_ways(api: TestClient) -> None:
    product = created(api, "products", PRODUCT)
    body = '{"name": "t", "code": "t", "productId": "%s", "currency": "USD", "billFrequency": "MONTHLY", "standingCharge": %s, "minimumSpend": 1e2}'
    digits = "12345678901234567890.123456789012"
    answer = api.post(f"{base(api)}/plantemplates", content=body % (product["id"], digits))
    assert answer.status_code == 200, answer.text
    numbers = json.loads(answer.text, parse_float=Decimal)
    assert numbers["standingCharge"] == Decimal(digits)
    assert '"minimumSpend":100}' in answer.text


def test_nulls_are_fields_that_were_not_given(api: TestClient) -> None:
    account = {"name": "a", "code": "a", "emailAddress": "a@example.com", "currency": None, "version": None, "customFields": None}
    assert "currency" not in created(api, "accounts", account)


def test_pages_are_walked_by_token(api: TestClient) -> None:
    ids = [created(api, "products", {"name": "p", "code": f"p{n}"})["id"] for n in range(5)]
    seen: list[str] = []
    parameters: dict[str, Any] = {"pageSize": 2}
    while True:
        page = api.get(f"{base(api)}/products", params=parameters).json()
        assert page["data"]
        seen += [one["id"] for one in page["data"]]
        if "nextToken" not in page:
            break
        parameters["nextToken"] = page["nextToken"]
    assert seen == ids[::-1]


def test_children_of_an_account(api: TestClient) -> None:
    body = {"name": "a", "emailAddress": "a@example.com"}
    parent = created(api, "accounts", {**body, "code": "parent"})
    kids = [created(api, "accounts", {**body, "code": f"kid{n}", "parentAccountId": parent["id"]})["id"] for n in range(3)]
    url = f"{base(api)}/accounts/{parent['id']}/children"
    assert [one["id"] for one in api.get(url).json()["data"]] == kids[::-1]
    assert len(api.get(url, params={"pageSize": 2}).json()["data"]) == 2
    assert api.get(f"{base(api)}/accounts/unknown/children").status_code == 404


def test_who_am_i(api: TestClient) -> None:
    me = api.get(f"{base(api)}/users/me").json()
    assert me["serviceUser"]["name"] == "Administrator"
    assert me["organization"] == api.get(base(api)).json()
    assert me["organization"]["orgId"] == api.org_id  # type: ignore[attr-defined]


def test_double_slashes_are_one(api: TestClient) -> None:
    assert api.get(f"{base(api)}//products").status_code == 200


def test_the_openapi_document_follows_the_declarations(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    for resource in RESOURCES:
        path = document["paths"][f"/organizations/{{org_id}}/{collection_path(resource)}"]
        assert set(path) == ({"parameters", "get", "put"} if resource.singleton else {"parameters", "get", "post"})
        schema = document["components"]["schemas"][resource.kind]
        assert schema["properties"]["id"]["readOnly"]
    assert document["components"]["schemas"]["Product"]["properties"]["name"]["maxLength"] == 200
    assert "/oauth/token" in document["paths"]


def test_the_openapi_document_is_whole(api: TestClient) -> None:
    """Every parameter of a path is declared, every reference leads somewhere, every operation has a name of its own."""
    document = api.get("/openapi.json").json()
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"], reference
    names = []
    for path, methods in document["paths"].items():
        shared = methods.get("parameters", [])
        for method in methods.keys() - {"parameters"}:
            operation = methods[method]
            names.append(operation["operationId"])
            declared = sorted(one["name"] for one in [*shared, *operation["parameters"]] if one["in"] == "path")
            assert declared == sorted(re.findall(r"{(\w+)}", path)), (method, path)
            assert {"200", "4XX", "5XX"} == set(operation["responses"]), (method, path)
            has_no_body = method in ("get", "delete") or path.rsplit("/", 1)[-1] in ("lock", "cancel", "csv", "rebill") or "/billingperiod/" in path
            assert ("requestBody" in operation) is not has_no_body, (method, path)
    assert len(names) == len(set(names))
    submitted = document["paths"]["/organizations/{org_id}/measurements"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert submitted["properties"]["measurements"]["maxItems"] == 1000


def test_every_operation_says_what_it_answers_and_has_a_short_name(api: TestClient) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    names = {}
    for path, methods in paths.items():
        for method in methods.keys() - {"parameters"}:
            operation = methods[method]
            names[method, path] = operation["operationId"]
            assert re.fullmatch(r"[a-z]+(_[a-z]+){0,5}", operation["operationId"]), operation["operationId"]
            kinds = operation["responses"]["200"]["content"].values()
            assert all(kind["schema"] for kind in kinds), f"{method} {path}: say what it answers in ANSWERS (or FILES) of api/answers.py"
            for parameter in operation["parameters"]:
                wanted = "integer" if parameter["name"] in ("pageSize", "fromDocument") else None
                assert wanted in (None, parameter["schema"].get("type")), (method, path, parameter)
    above = "/organizations/{org_id}"
    assert names["get", f"{above}/accounts"] == "list_accounts"
    assert names["get", f"{above}/accounts/{{id}}"] == "retrieve_account"
    assert names["get", f"{above}/picklists/currency"] == "list_currencies"
    assert names["put", f"{above}/organizationconfig"] == "update_organization_config"
    assert names["post", f"{above}/billjobs/recalculate"] == "recalculate_bill_job"
    assert names["get", f"{above}/bills"] == "list_bills"
    assert names["put", f"{above}/bills/{{bill_id}}/status"] == "update_bill_status"
    assert names["get", f"{above}/bills/{{bill_id}}/creditlineitems"] == "list_credit_line_items"
    assert names["get", f"{above}/bills/{{bill_id}}/lineitems"] == "list_line_items_of_bill"
