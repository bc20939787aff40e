"""POST usage/query over HTTP: what was acknowledged comes back, grouped, limited and exact; what can't be answered is a 400."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.encoding import parsed
from pipelines.storage.database import Database
from pipelines.storage.ingest import drained
from pipelines.storage.lake import Lake

START = datetime(2025, 3, 1, tzinfo=UTC)
RANGE = {"startDate": "2025-03-01T00:00:00Z", "endDate": "2025-04-01T00:00:00Z"}


@pytest.fixture
def meters(api: Any, database: Database, lake: Lake, tmp_path: Any) -> dict[str, str]:
    """Two meters with usage of accounts acme (4 measurements, one exact to 12 digits) and beta (1): code -> id."""
    ids = {}
    for code, fields in (
        ("calls", [("WHERE", "region"), ("METADATA", "user"), ("MEASURE", "qty")]),
        ("disk", [("MEASURE", "gb"), ("MEASURE", "qty")]),
    ):
        body = {
            "name": code,
            "code": code,
            "dataFields": [{"category": c, "code": f, "name": f, "unit": "1"} for c, f in fields],
            "derivedFields": [],
        }
        answer = api.post(f"/organizations/{api.org_id}/meters", json=body)
        assert answer.status_code == 200, answer.text
        ids[code] = answer.json()["id"]
    calls = [("acme", 1, "eu", "u1", "0.1"), ("acme", 2, "us", "u2", "0.200000000001"), ("acme", 3, "eu", "u2", "3"), ("beta", 4, "eu", "u1", "10")]
    measurements = [
        f'{{"uid": "c{n}", "meter": "calls", "account": "{account}", "ts": "{(START + timedelta(days=day, hours=12)).isoformat()}",'
        f' "where": {{"region": "{region}"}}, "metadata": {{"user": "{user}"}}, "measure": {{"qty": {qty}}}}}'
        for n, (account, day, region, user, qty) in enumerate(calls)
    ]
    measurements.append('{"uid": "d", "meter": "disk", "account": "acme", "ts": "2025-03-09T00:00:00Z", "measure": {"gb": 5, "qty": 7}}')
    answer = api.post(f"/organizations/{api.org_id}/measurements", content=f'{{"measurements": [{",".join(measurements)}]}}')
    assert answer.status_code == 200, answer.text
    drained(database, lake, tmp_path / "landing")
    return ids


def asked(api: Any, **query: Any) -> dict[str, Any]:
    answer = api.post(f"/organizations/{api.org_id}/usage/query", json={**RANGE, **query})
    assert answer.status_code == 200, answer.text
    return dict(parsed(answer.content))


def measure(meter_id: str, code: str, function: str = "SUM") -> dict[str, str]:
    return {"meterId": meter_id, "fieldCode": code, "fieldType": "MEASURE", "function": function}


def test_one_row_without_groups_and_exact_to_the_last_digit(api: Any, meters: dict[str, str]) -> None:
    found = asked(api, aggregations=[measure(meters["calls"], "qty"), measure(meters["calls"], "qty", "MEAN")])
    assert found == {"data": [{"qty.SUM": Decimal("13.300000000001"), "qty.MEAN": Decimal("3.32500000000")}], "hasMoreData": False}


def test_groups_by_account_field_and_time(api: Any, meters: dict[str, str]) -> None:
    groups = [
        {"groupType": "ACCOUNT"},
        {"groupType": "DIMENSION", "meterId": meters["calls"], "fieldCode": "region"},
        {"groupType": "TIME", "frequency": "WEEK"},
    ]
    unique = {"meterId": meters["calls"], "fieldCode": "user", "fieldType": "DIMENSION", "function": "UNIQUE"}
    found = asked(api, aggregations=[measure(meters["calls"], "qty"), unique], groups=groups)["data"]
    assert [(row["accountCode"], row["region"], row["startTime"], row["qty.SUM"], row["user.UNIQUE"]) for row in found] == [
        ("beta", "eu", "2025-03-03T00:00:00Z", 10, 1),
        ("acme", "eu", "2025-03-03T00:00:00Z", 3, 1),
        ("acme", "us", "2025-03-03T00:00:00Z", Decimal("0.200000000001"), 1),
        ("acme", "eu", "2025-02-24T00:00:00Z", Decimal("0.1"), 1),
    ]
    assert {row["endTime"] for row in found} == {"2025-03-10T00:00:00Z", "2025-03-03T00:00:00Z"}
    assert list(found[0]) == ["accountId", "accountCode", "region", "startTime", "endTime", "qty.SUM", "user.UNIQUE"]


def test_time_groups_are_cut_in_the_organizations_time_zone(api: Any, database: Database, lake: Lake, tmp_path: Any, meters: dict[str, str]) -> None:
    path = f"/organizations/{api.org_id}/organizationconfig"
    config = api.get(path).json()
    assert api.put(path, json=config | {"timezone": "Asia/Tokyo"}).status_code == 200
    query = {"aggregations": [measure(meters["calls"], "qty", "COUNT")], "groups": [{"groupType": "TIME", "frequency": "MONTH"}]}
    before = asked(api, **query)
    assert before["data"] == [{"startTime": "2025-02-28T15:00:00Z", "endTime": "2025-03-31T15:00:00Z", "qty.COUNT": 4}]
    drained(database, lake, tmp_path / "landing")
    assert asked(api, **query) == before


def test_filters_accounts_and_meters(api: Any, meters: dict[str, str]) -> None:
    only_eu = [{"meterId": meters["calls"], "fieldCode": "region", "values": ["eu", "ap"]}]
    both = [measure(meters["calls"], "qty"), measure(meters["disk"], "qty")]
    found = asked(api, aggregations=both, groups=[{"groupType": "ACCOUNT"}], dimensionFilters=only_eu)["data"]
    assert [(row["accountCode"], row["calls.qty.SUM"], row["disk.qty.SUM"]) for row in found] == [("acme", Decimal("3.1"), 7), ("beta", 10, None)]
    acme = found[0]["accountId"]
    assert asked(api, aggregations=both[:1], accountIds=[acme])["data"] == [{"qty.SUM": Decimal("3.300000000001")}]


def test_limit_keeps_the_most_recent_and_says_that_there_is_more(api: Any, meters: dict[str, str]) -> None:
    by_day = {"aggregations": [measure(meters["calls"], "qty")], "groups": [{"groupType": "TIME", "frequency": "DAY"}]}
    found = asked(api, **by_day, limit=2)
    assert [row["startTime"] for row in found["data"]] == ["2025-03-05T00:00:00Z", "2025-03-04T00:00:00Z"]
    assert found["hasMoreData"]
    assert not asked(api, **by_day, limit=4)["hasMoreData"]


def test_measurements_of_all_meters_newest_first(api: Any, meters: dict[str, str]) -> None:
    found = asked(api)
    assert [row["uid"] for row in found["data"]] == ["d", "c3", "c2", "c1", "c0"]
    assert not found["hasMoreData"]
    first, last = found["data"][0], found["data"][-1]
    assert first.pop("receivedAt")
    assert first == {
        "meterId": meters["disk"],
        "meterCode": "disk",
        "accountId": last["accountId"],
        "accountCode": "acme",
        "ts": "2025-03-09T00:00:00Z",
        "uid": "d",
        "gb": 5,
        "qty": 7,
    }
    assert (last["region"], last["user"], last["qty"]) == ("eu", "u1", Decimal("0.1"))
    assert [row["uid"] for row in asked(api, meterIds=[meters["calls"]], limit=1)["data"]] == ["c3"]
    assert asked(api, limit=4)["hasMoreData"]


def test_nothing_in_range_is_an_empty_answer(api: Any, meters: dict[str, str]) -> None:
    query = {"startDate": "2024-01-01T00:00:00Z", "endDate": "2024-02-01T00:00:00Z"}
    assert asked(api, **query, aggregations=[measure(meters["calls"], "qty")]) == {"data": [], "hasMoreData": False}
    assert asked(api, **query) == {"data": [], "hasMoreData": False}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"startDate": None}, "startDate"),
        ({"groups": [{"groupType": "ACCOUNT"}]}, "groups"),
        ({"accountIds": ["nobody"]}, "accountIds[0]"),
        ({"meterIds": ["nothing"]}, "meterIds[0]"),
    ],
)
def test_refusals_name_the_field(api: Any, meters: dict[str, str], change: dict[str, Any], field: str) -> None:
    answer = api.post(f"/organizations/{api.org_id}/usage/query", json={**RANGE, **change})
    assert answer.status_code == 400
    assert [e["field"] for e in answer.json()["errors"]] == [field]
