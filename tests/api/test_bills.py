"""The Bills API as the official SDK sees it, in its strict mode, and what it does not cover as plain HTTP."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from m3ter import BadRequestError, M3ter, NotFoundError, PermissionDeniedError

from pipelines.storage import bill_lines, config_store
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials, created
from tests.bills import account_of, frames, put
from transforms.entities.usage import Product

D = Decimal


@pytest.fixture
def bills(database: Database, lake: Lake, organization: Credentials) -> dict[str, str]:
    """Name -> id: acme's bills of February and March 2025, beta's of February."""
    org_id = organization.org_id
    acme, beta = account_of(database, org_id, "acme"), account_of(database, org_id, "beta")
    with database.transaction() as connection:
        product = config_store.created(connection, org_id, Product(name="Calls", code="calls"), "tester")
    left: list[tuple[str, str | None, int]] = [("aggregation-1", None, 2), ("aggregation-2", "by_region", 3_000_000_000)]
    first = put(database, lake, org_id, [frames(acme, ["1.25", "2.005"], product_id=product.id)], unmatched=left)
    second = put(database, lake, org_id, [frames(acme, ["3"], bill_date=date(2025, 3, 1))])
    third = put(database, lake, org_id, [frames(beta, ["4", "5", "6"])])
    return {"acme-2": first[0], "acme-3": second[0], "beta-2": third[0], "acme": acme.id, "beta": beta.id, "product": product.id}


def get(api: Any, path: str, **parameters: Any) -> Any:
    answer = api.get(f"/organizations/{api.org_id}/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json(parse_float=Decimal)


def test_a_bill_carries_everything_exactly(sdk: M3ter, api: Any, bills: dict[str, str]) -> None:
    bill = sdk.bills.retrieve(bills["acme-2"])
    assert (bill.account_code, bill.status, bill.locked, bill.bill_total) == ("acme", "PENDING", False, 3.255)
    assert (bill.start_date, bill.end_date, bill.bill_date, bill.due_date) == (
        date(2025, 1, 1),
        date(2025, 1, 31),
        date(2025, 2, 1),
        date(2025, 3, 3),
    )
    assert bill.line_items is not None
    assert [line.product_code for line in bill.line_items] == ["calls", "calls"]
    assert bill.line_items[1].segment == {"region": "eu"}
    raw = get(api, f"bills/{bills['acme-2']}")
    assert raw["billTotal"] == D("3.255")
    assert raw["startDateTimeUTC"] == "2025-01-01T00:00:00Z"
    assert raw["endDateTimeUTC"] == "2025-02-01T00:00:00Z"
    line = raw["lineItems"][1]
    assert (line["subtotal"], line["quantity"], line["usagePerPricingBand"][0]["bandSubtotal"]) == (D("2.005"), D("4.01"), D("2.005"))
    assert line["conversionRate"] == 1
    assert "pricingBandId" not in line["usagePerPricingBand"][0]
    assert None not in line.values()
    assert raw["certificate"] == {
        "startDate": "2025-01-01",
        "endDate": "2025-01-31",
        "landed": 3,
        "accepted": 2,
        "duplicates": 1,
        "rejected": 0,
        "unmatched": [
            {"aggregationId": "aggregation-1", "measurements": 2},
            {"aggregationId": "aggregation-2", "aggregationCode": "by_region", "measurements": 3_000_000_000},
        ],
    }
    assert get(api, f"bills/{bills['beta-2']}")["certificate"]["unmatched"] == []
    assert len(raw["configurationHash"]) == 64
    assert raw["datasetVersions"] == {"measurements/m": 3}


def test_lists_filter_and_page_newest_first(sdk: M3ter, bills: dict[str, str]) -> None:
    def found(**filters: Any) -> list[str]:
        names = {i: name for name, i in bills.items()}
        return [names[bill.id] for bill in sdk.bills.list(page_size=1, **filters)]

    assert found() == ["beta-2", "acme-3", "acme-2"]
    assert found(account_id=bills["acme"]) == ["acme-3", "acme-2"]
    assert found(bill_date="2025-02-01") == ["beta-2", "acme-2"]
    assert found(bill_date_start="2025-02-01", bill_date_end="2025-03-01") == ["beta-2", "acme-2"]
    assert found(bill_date_start="2025-03-01") == ["acme-3"]
    assert found(external_invoice_date_start="2025-02-02", external_invoice_date_end="2025-03-02") == ["acme-3"]
    assert found(ids=[bills["acme-2"], bills["beta-2"]]) == ["beta-2", "acme-2"]
    assert found(billing_frequency="DAILY") == []
    assert found(billing_frequency="MONTHLY", status="PENDING", locked=False) == ["beta-2", "acme-3", "acme-2"]
    assert found(status="APPROVED") == []
    job_id = sdk.bills.retrieve(bills["acme-3"]).bill_job_id
    assert job_id is not None
    assert found(bill_job_id=job_id) == ["acme-3"]
    sdk.bills.approve(bill_ids=[bills["acme-3"]])
    sdk.bills.lock(bills["acme-3"])
    assert found(locked=True) == ["acme-3"]
    assert found(locked=False) == ["beta-2", "acme-2"]


def test_lines_are_left_out_on_request(sdk: M3ter, bills: dict[str, str]) -> None:
    page = sdk.bills.list(exclude_line_items=True, include_bill_total=True)
    assert [(bill.line_items, bill.bill_total) for bill in page.data] == [(None, 15), (None, 3), (None, 3.255)]
    assert [len(bill.line_items or []) for bill in sdk.bills.list().data] == [3, 1, 2]


def test_the_latest_bill_is_that_of_the_latest_date(sdk: M3ter, api: Any, bills: dict[str, str]) -> None:
    assert sdk.bills.latest_by_account(bills["acme"]).id == bills["acme-3"]
    assert [b["id"] for b in get(api, f"bills/accountid/{bills['acme']}")["data"]] == [bills["acme-3"], bills["acme-2"]]
    assert [b["id"] for b in get(api, "bills/billingperiod/2025-01-31/MONTHLY")["data"]] == [bills["beta-2"], bills["acme-2"]]
    with pytest.raises(NotFoundError):
        sdk.bills.latest_by_account("00000000-0000-4000-8000-000000000000")


def test_the_life_of_a_bill(sdk: M3ter, bills: dict[str, str]) -> None:
    bill_id = bills["acme-2"]
    with pytest.raises(BadRequestError, match="approve it first"):
        sdk.bills.lock(bill_id)
    assert sdk.bills.update_status(bill_id, status="APPROVED").status == "APPROVED"
    assert sdk.bills.update_status(bill_id, status="PENDING").dt_approved is None
    assert "1 bill approved" in (sdk.bills.approve(bill_ids=[bill_id]).message or "")
    locked = sdk.bills.lock(bill_id)
    assert locked.locked
    assert locked.dt_locked is not None
    assert locked.version == 5
    assert sdk.bills.lock(bill_id).version == 5
    with pytest.raises(BadRequestError, match="locked"):
        sdk.bills.update_status(bill_id, status="PENDING")
    with pytest.raises(BadRequestError, match="locked"):
        sdk.bills.delete(bill_id)
    assert sdk.bills.delete(bills["acme-3"]).id == bills["acme-3"]
    with pytest.raises(NotFoundError):
        sdk.bills.retrieve(bills["acme-3"])


def test_a_refused_approval_approves_none(sdk: M3ter, bills: dict[str, str]) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(NotFoundError):
        sdk.bills.approve(bill_ids=[bills["acme-2"], unknown])
    with pytest.raises(BadRequestError, match="billIds"):
        sdk.bills.approve(bill_ids=[])
    with pytest.raises(BadRequestError, match="PENDING or APPROVED"):
        sdk.bills.update_status(bills["acme-2"], status="DONE")  # type: ignore[arg-type]
    assert {bill.status for bill in sdk.bills.list()} == {"PENDING"}


def test_a_whole_period_is_approved(sdk: M3ter, api: Any, bills: dict[str, str]) -> None:
    answer = api.post(f"/organizations/{api.org_id}/bills/billingperiod/2025-01-31/MONTHLY/approve")
    assert answer.json() == {"message": "2 bills approved"}
    assert {bill.id for bill in sdk.bills.list(status="APPROVED")} == {bills["acme-2"], bills["beta-2"]}


def test_search(sdk: M3ter, bills: dict[str, str]) -> None:
    def found(query: str, **options: Any) -> list[str]:
        names = {i: name for name, i in bills.items()}
        return [names[bill.id] for bill in sdk.bills.search(search_query=query, **options).data or []]

    assert found(f"startDate>2025-01-01$accountId:{bills['acme']}") == ["acme-3"]
    assert found(f"startDate>2025-01-01$accountId:{bills['beta']}", operator="OR") == ["beta-2", "acme-3"]
    assert found("billDate~2025-03") == ["acme-3"]
    assert found("locked:false", sort_by="billTotal") == ["acme-3", "acme-2", "beta-2"]
    assert found("locked:true") == []
    assert found("dtCreated>2020-01-01$billingFrequency:MONTHLY", sort_by="endDate", sort_order="DESC")[0] == "acme-3"
    assert found(f"ids:{bills['acme-2']},{bills['beta-2']}") == ["beta-2", "acme-2"]
    first = sdk.bills.search(page_size=2)
    assert (len(first.data or []), first.next_token) == (2, "2")
    last = sdk.bills.search(page_size=2, from_document=2)
    assert (len(last.data or []), last.next_token) == (1, None)
    for query, message in (("colour:red", "colour"), ("billDate>soon", "2025-01-31"), ("locked:maybe", "true or false")):
        with pytest.raises(BadRequestError, match=message):
            sdk.bills.search(search_query=query)
    with pytest.raises(BadRequestError, match="sorted by"):
        sdk.bills.search(sort_by="lineItems")


def test_line_items_on_their_own(sdk: M3ter, api: Any, bills: dict[str, str]) -> None:
    lines = list(sdk.bills.line_items.list(bills["beta-2"], page_size=2))
    assert [line.sequence_number for line in lines] == [1, 2, 3]
    assert lines[0].bill_id == bills["beta-2"]
    assert lines[0].band_usage is not None
    one = sdk.bills.line_items.retrieve(lines[1].id, bill_id=bills["beta-2"])
    assert (one.id, one.subtotal, one.segment) == (lines[1].id, 5, {"region": "eu"})
    with pytest.raises(NotFoundError):
        sdk.bills.line_items.retrieve(lines[1].id, bill_id=bills["acme-2"])
    shown, token = [], None
    while True:
        page = get(api, "lineitems", pageSize=2, **({"nextToken": token} if token else {}))
        assert page["data"]
        shown += [(line["billId"], line["sequenceNumber"]) for line in page["data"]]
        token = page.get("nextToken")
        if token is None:
            break
    expected = [(bills[name], number) for name, count in (("beta-2", 3), ("acme-3", 1), ("acme-2", 2)) for number in range(1, count + 1)]
    assert shown == expected
    assert len(get(api, "lineitems", billId=bills["acme-2"])["data"]) == 2
    assert len(get(api, "lineitems", lineItemType="USAGE")["data"]) == 6
    assert get(api, "lineitems", lineItemType="AD_HOC")["data"] == []
    assert get(api, "lineitems", commitmentId="none")["data"] == []
    assert get(api, "lineitems", pageSize=6) == {"data": get(api, "lineitems")["data"]}


@pytest.mark.parametrize(
    ("path", "parameters", "field"),
    [
        ("bills", {"billDate": "yesterday"}, "billDate"),
        ("bills", {"status": "DONE"}, "status"),
        ("bills", {"locked": "perhaps"}, "locked"),
        ("bills", {"pageSize": 101}, "pageSize"),
        ("bills", {"nextToken": "x"}, "nextToken"),
        ("bills", {"billingFrequency": "HOURLY"}, "billingFrequency"),
        ("bills/billingperiod/2025-02-31/MONTHLY", {}, "lastDateInBillingPeriod"),
        ("lineitems", {"lineItemType": "GIFT"}, "lineItemType"),
        ("lineitems", {"nextToken": "bDE"}, "nextToken"),
        ("bills/search", {"sortOrder": "UP"}, "sortOrder"),
    ],
)
def test_a_wrong_parameter_is_named(api: Any, path: str, parameters: dict[str, Any], field: str) -> None:
    answer = api.get(f"/organizations/{api.org_id}/{path}", params=parameters)
    assert answer.status_code == 400
    assert field in answer.json()["message"]


def test_another_organization_sees_nothing(sdk: M3ter, database: Database, bills: dict[str, str]) -> None:
    with database.transaction() as connection:
        other = created(connection, "Other")
    with pytest.raises(PermissionDeniedError):
        sdk.bills.retrieve(bills["acme-2"], org_id=other.org_id)
    stranger = sdk.copy(org_id=other.org_id, api_key=other.api_key, api_secret=other.api_secret)
    with pytest.raises(NotFoundError):
        stranger.bills.retrieve(bills["acme-2"])
    assert list(stranger.bills.list()) == []


def test_merging_small_files_changes_no_bill(api: Any, lake: Lake, bills: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = get(api, "bills")
    files = list(Path(lake.root).rglob("*bill_line_items/bill_date=2025-02-01/*.parquet"))
    monkeypatch.setattr(bill_lines, "SMALL_FILES_MAX", 2)
    bill_lines.compacted(lake, api.org_id)
    assert len(list(Path(lake.root).rglob("*bill_line_items/bill_date=2025-02-01/*.parquet"))) == len(files) + 1
    assert get(api, "bills") == before


def test_a_page_of_a_hundred_bills_is_read_in_one_scan(sdk: M3ter, database: Database, lake: Lake, organization: Credentials) -> None:
    org_id = organization.org_id
    account = account_of(database, org_id, "many")
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(1, 121)]
    put(database, lake, org_id, [frames(account, [str(n), "1"], bill_date=day) for n, day in enumerate(days)])
    page = sdk.bills.list(page_size=100)
    assert len(page.data) == 100
    assert all(bill.bill_total == sum(line.converted_subtotal for line in bill.line_items or []) for bill in page.data)
    assert len(list(sdk.bills.list())) == 120
