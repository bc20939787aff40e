"""Search of accounts."""

from typing import Any

import pytest
from starlette.testclient import TestClient


def base(api: TestClient) -> str:
    return f"/organizations/{api.org_id}/accounts"  # type: ignore[attr-defined]


@pytest.fixture
def accounts(api: TestClient) -> dict[str, dict[str, Any]]:
    made = {}
    for code, name, more in (
        ("a1", "Premium One", {"currency": "USD"}),
        ("a2", "premium Two", {"purchaseOrderNumber": "PO-7"}),
        ("b1", "Basic", {"currency": "USD"}),
        ("pct", "100%_real", {}),
    ):
        answer = api.post(base(api), json={"name": name, "code": code, "emailAddress": "a@example.com", **more})
        made[code] = answer.json()
    return made


def codes(api: TestClient, query: str, **more: Any) -> list[str]:
    answer = api.get(f"{base(api)}/search", params={"searchQuery": query, **more})
    assert answer.status_code == 200, answer.text
    return [one["code"] for one in answer.json()["data"]]


TERMS: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
    ("", {}, ["pct", "b1", "a2", "a1"]),
    ("name~Premium", {}, ["a2", "a1"]),
    ("name~premium$currency:USD", {}, ["a1"]),
    ("name~Premium$currency:USD", {"operator": "OR"}, ["b1", "a2", "a1"]),
    ("code:b1", {}, ["b1"]),
    ("codes:a1,b1", {}, ["b1", "a1"]),
    ("code>=b1", {}, ["pct", "b1"]),
    ("code<b1", {}, ["a2", "a1"]),
    ("purchaseOrderNumber:PO-7", {}, ["a2"]),
    ("name~100%_", {}, ["pct"]),
    ("name~%", {}, []),
    ("dtCreated>2020-01-01", {"sortBy": "code", "sortOrder": "DESC"}, ["pct", "b1", "a2", "a1"]),
    ("dtCreated<=2020-01-01T00:00:00Z", {}, []),
    ("dtCreated~20", {}, ["pct", "b1", "a2", "a1"]),
    ("dtCreated~2019-", {}, []),
    ("", {"sortBy": "name"}, ["pct", "b1", "a1", "a2"]),
    ("", {"sortBy": "code", "sortOrder": "ASC", "pageSize": 2}, ["a1", "a2"]),
    ("", {"sortBy": "code", "sortOrder": "ASC", "pageSize": 2, "fromDocument": 2}, ["b1", "pct"]),
    ("name:x' OR '1'='1", {}, []),
)


def test_terms(api: TestClient, accounts: dict[str, Any]) -> None:
    for query, more, wanted in TERMS:
        found = codes(api, query, **more)
        # By name, letter case decides by the database's collation.
        assert sorted(found) == sorted(wanted) if more.get("sortBy") == "name" else found == wanted, (query, more, found)


def test_ids_are_searched_too(api: TestClient, accounts: dict[str, dict[str, Any]]) -> None:
    assert codes(api, f"ids:{accounts['a1']['id']},{accounts['b1']['id']}") == ["b1", "a1"]
    assert codes(api, f"id:{accounts['a2']['id']}") == ["a2"]


def test_ten_at_a_time_unless_told(api: TestClient) -> None:
    for number in range(12):
        api.post(base(api), json={"name": "n", "code": f"c{number:02}", "emailAddress": "a@example.com"})
    first = api.get(f"{base(api)}/search").json()
    second = api.get(f"{base(api)}/search", params={"fromDocument": first["nextToken"]}).json()
    assert [len(first["data"]), len(second["data"])] == [10, 2]
    assert "nextToken" not in second


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"searchQuery": "colour:red"}, "searchQuery"),
    ({"searchQuery": "name"}, "searchQuery"),
    ({"searchQuery": "dtCreated>yesterday"}, "searchQuery"),
    ({"operator": "XOR"}, "operator"),
    ({"sortBy": "address"}, "sortBy"),
    ({"sortOrder": "UP"}, "sortOrder"),
    ({"pageSize": 101}, "pageSize"),
    ({"fromDocument": -1}, "fromDocument"),
)


def test_bad_searches_name_the_parameter(api: TestClient) -> None:
    for more, field in BAD:
        answer = api.get(f"{base(api)}/search", params=more)
        assert (answer.status_code, [e["field"] for e in answer.json()["errors"]]) == (400, [field]), more
