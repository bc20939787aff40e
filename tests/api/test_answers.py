"""What the OpenAPI document says of answers holds for real answers: types, required keys, and no key that it does not name."""

from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from tests.bills import account_of, frames, put


@pytest.fixture
def document(api: TestClient) -> dict[str, Any]:
    answer: dict[str, Any] = api.get("/openapi.json").json()
    return answer


def check(document: dict[str, Any], name: str, value: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)
    declared = document["components"]["schemas"][name]
    if "properties" in declared:
        assert set(value) <= set(declared["properties"]), name


def test_bills_and_line_items(api: TestClient, document: dict[str, Any], database: Database, lake: Lake) -> None:
    above = f"/organizations/{api.org_id}"  # type: ignore[attr-defined]
    org_id = above.rsplit("/", 1)[-1]
    account = account_of(database, org_id, "acme")
    put(database, lake, org_id, [frames(account, ["1.25", "2.005"])])
    (bill,) = api.get(f"{above}/bills").json()["data"]
    assert len(bill["lineItems"]) == 2
    check(document, "Bill", bill)
    check(document, "Bill", api.get(f"{above}/bills/{bill['id']}").json())
    for line in bill["lineItems"]:
        check(document, "BillLineItem", line)
    for line in api.get(f"{above}/lineitems").json()["data"]:
        check(document, "LineItem", line)
    with pytest.raises(jsonschema.ValidationError):
        check(document, "Bill", {**bill, "billTotal": "3.26"})


def test_bill_jobs_and_the_rest(api: TestClient, document: dict[str, Any]) -> None:
    above = f"/organizations/{api.org_id}"  # type: ignore[attr-defined]
    job = api.post(f"{above}/billjobs", json={"billingFrequency": "MONTHLY", "lastDateInBillingPeriod": "2025-01-31"}).json()
    check(document, "BillJob", job)
    check(document, "Organization", api.get(above).json())
    me = api.get(f"{above}/users/me").json()
    check(document, "ServiceUser", me["serviceUser"])
    check(document, "Message", api.post(f"{above}/bills/billingperiod/2025-01-31/MONTHLY/approve").json())
    query = {"startDate": "2025-01-01T00:00:00Z", "endDate": "2025-02-01T00:00:00Z", "aggregations": [], "groups": []}
    check(document, "UsageAnswer", api.post(f"{above}/usage/query", json=query).json())
