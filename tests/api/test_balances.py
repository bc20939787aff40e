"""Balances over HTTP: transactions, their sums, schedules that run, previews that don't."""

from typing import Any

import pytest
from starlette.testclient import TestClient

ID = "0" * 36


class Caller:
    """Calls below the organization, refusals included."""

    def __init__(self, api: TestClient) -> None:
        self.api, self.base = api, f"/organizations/{api.org_id}"  # type: ignore[attr-defined]

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.api.post(f"{self.base}/{path}", json=body)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = self.api.get(f"{self.base}/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def refused(self, path: str, **body: Any) -> tuple[int, list[str]]:
        answer = self.api.post(f"{self.base}/{path}", json=body)
        return answer.status_code, [problem["field"] for problem in answer.json()["errors"]]


@pytest.fixture
def caller(api: TestClient) -> Caller:
    return Caller(api)


@pytest.fixture
def balance(caller: Caller) -> dict[str, Any]:
    account = caller.post("accounts", name="a", code="a", emailAddress="a@example.com")
    life = {"startDate": "2025-01-01T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}
    return caller.post("balances", accountId=account["id"], name="b", code="b", currency="USD", **life)


@pytest.fixture
def credit(caller: Caller) -> str:
    identifier: str = caller.post("picklists/transactiontypes", name="Credit", code="credit")["id"]
    return identifier


SCHEDULE = {
    "name": "s",
    "code": "s",
    "amount": 100,
    "transactionDescription": "top-up",
    "startDate": "2025-01-01T00:00:00Z",
    "endDate": "2026-01-01T00:00:00Z",
    "frequency": "MONTHLY",
    "frequencyInterval": 1,
}
FEE = {
    "name": "Fee",
    "code": "fee",
    "amount": 10,
    "currency": "USD",
    "chargeDescription": "Access",
    "servicePeriodStartDate": "2025-01-01T00:00:00Z",
    "servicePeriodEndDate": "2025-04-01T00:00:00Z",
    "billFrequency": "MONTHLY",
    "billFrequencyInterval": 1,
    "billInAdvance": False,
}


def test_a_balance_is_the_sum_of_its_transactions(caller: Caller, balance: dict[str, Any], credit: str) -> None:
    """H03: what was paid, and in which currency, changes nothing."""
    path = f"balances/{balance['id']}"
    first = caller.post(f"{path}/transactions", amount=200.5, paid=50, currencyPaid="XYZ", transactionTypeId=credit, description="top-up")
    second = caller.post(f"{path}/transactions", amount=-0.25, appliedDate="2025-03-01", transactionDate="2025-02-28T12:00:00Z")
    assert (first["entityType"], first["version"], first["paid"], first["currencyPaid"]) == ("SERVICE_USER", 1, 50, "XYZ")
    # The balance is over by now, so what names no date counts from its start.
    assert first["appliedDate"] == balance["startDate"]
    assert (second["appliedDate"], second["transactionDate"]) == ("2025-03-01T00:00:00Z", "2025-02-28T12:00:00Z")
    stored = caller.get(path)
    assert (stored["amount"], stored["version"]) == (200.25, 1)
    assert caller.get("balances")["data"][0]["amount"] == 200.25
    assert caller.get(f"{path}/transactions")["data"] == [second, first]
    assert caller.get(f"{path}/transactions", transactionTypeId=credit)["data"] == [first]
    assert caller.get(f"{path}/transactions", entityType="BILL")["data"] == []
    page = caller.get(f"{path}/transactions", pageSize=1)
    assert page["data"] == [second]
    assert caller.get(f"{path}/transactions", pageSize=1, nextToken=page["nextToken"]) == {"data": [first]}
    sums = caller.get(f"{path}/transactions/summary")
    assert (sums["totalCreditAmount"], sums["totalDebitAmount"], sums["initialCreditAmount"], sums["expiredBalanceAmount"]) == (
        200.5,
        0.25,
        200.5,
        200.25,
    )


def test_transactions_that_can_not_be(caller: Caller, balance: dict[str, Any]) -> None:
    path = f"balances/{balance['id']}/transactions"
    assert caller.refused(path) == (400, ["amount"])
    assert caller.refused(path, amount=1, transactionTypeId=ID) == (400, ["transactionTypeId"])
    assert caller.refused(path, amount="1e30") == (400, ["amount"])
    caller.post(path, amount=5)
    assert caller.refused(path, amount=-5.01) == (400, ["amount"])
    assert caller.refused(f"balances/{ID}/transactions", amount=1)[0] == 404
    for query in ({"entityType": "NOBODY"}, {"pageSize": 201}, {"nextToken": "x"}):
        assert caller.api.get(f"{caller.base}/{path}", params=query).status_code == 400
    assert caller.api.get(f"{caller.base}/balances/{ID}/transactions/summary").status_code == 404
    assert caller.get(f"balances/{balance['id']}")["amount"] == 5
    stored = caller.get(f"balances/{balance['id']}")
    assert caller.api.put(f"{caller.base}/balances/{balance['id']}", json={**stored, "allowOverdraft": True}).json()["amount"] == 5
    caller.post(path, amount=-7)
    assert caller.get(f"balances/{balance['id']}")["amount"] == -2


def test_a_schedule_makes_what_is_due_once(caller: Caller, balance: dict[str, Any], credit: str) -> None:
    path = f"balances/{balance['id']}"
    schedule = caller.post(f"{path}/balancetransactionschedules", **SCHEDULE, transactionTypeId=credit)
    assert (schedule["previousRun"], "nextRun" in schedule, schedule["version"]) == ("2025-12-01T00:00:00Z", False, 1)
    assert caller.get(path)["amount"] == 1200
    made = caller.get(f"{path}/transactions", entityType="SCHEDULER", entityId=schedule["id"])["data"]
    assert [one["appliedDate"][:7] for one in made] == [f"2025-{month:02}" for month in range(12, 0, -1)]
    assert {one["description"] for one in made} == {"top-up"}
    url = f"{caller.base}/{path}/balancetransactionschedules/{schedule['id']}"
    # A longer schedule goes on where it was.
    longer = caller.api.put(url, json={**schedule, "endDate": "2026-03-01T00:00:00Z", "balanceId": ID})
    assert (longer.status_code, longer.json()["previousRun"], longer.json()["balanceId"]) == (200, "2026-02-01T00:00:00Z", balance["id"])
    assert caller.get(path)["amount"] == 1400
    assert caller.get(f"{path}/balancetransactionschedules", ids=schedule["id"])["data"] == [longer.json()]
    assert caller.api.delete(url).status_code == 200
    assert caller.get(path)["amount"] == 1400


def test_a_schedule_of_the_future_waits(caller: Caller, balance: dict[str, Any], credit: str) -> None:
    path = f"balances/{balance['id']}"
    future = {"startDate": "2300-01-01T00:00:00Z", "endDate": "2300-03-01T00:00:00Z"}
    schedule = caller.post(f"{path}/balancetransactionschedules", **SCHEDULE | future, transactionTypeId=credit)
    assert (schedule["nextRun"], "previousRun" in schedule) == ("2300-01-01T00:00:00Z", False)
    assert caller.get(path)["amount"] == 0


def test_a_charge_schedule_bills_each_period_once(caller: Caller, balance: dict[str, Any]) -> None:
    path = f"balances/{balance['id']}"
    schedule = caller.post(f"{path}/balancechargeschedules", **FEE)
    charges = caller.get("charges", scheduleId=schedule["id"])["data"]
    assert [(one["servicePeriodStartDate"][:10], one["billDate"], one["amount"], one["lineItemType"]) for one in charges[::-1]] == [
        ("2025-01-01", "2025-02-01", 10, "BALANCE_FEE"),
        ("2025-02-01", "2025-03-01", 10, "BALANCE_FEE"),
        ("2025-03-01", "2025-04-01", 10, "BALANCE_FEE"),
    ]
    assert {(one["entityId"], one["accountId"], one["description"], one["createdBy"]) for one in charges} == {
        (balance["id"], balance["accountId"], "Access", "SCHEDULER")
    }
    # A charge that has the code already is no obstacle, and an update keeps what the schedule made.
    again = caller.post(f"{path}/balancechargeschedules", **FEE | {"code": "fee2", "amount": None, "units": 2, "unitPrice": 3})
    assert len(caller.get("charges", scheduleId=again["id"])["data"]) == 3
    url = f"{caller.base}/charges/{charges[0]['id']}"
    assert caller.api.put(url, json={**charges[0], "amount": 11}).json()["scheduleId"] == schedule["id"]


def test_previews_store_nothing(caller: Caller, balance: dict[str, Any], credit: str) -> None:
    path = f"balances/{balance['id']}"
    preview = caller.post(f"{path}/balancetransactionschedules/preview?pageSize=5", **SCHEDULE, transactionTypeId=credit)
    assert (preview["code"], preview["nextRun"], preview["balanceId"]) == ("s", "2025-01-01T00:00:00Z", balance["id"])
    assert [one["appliedDate"][:7] for one in preview["data"]] == [f"2025-0{month}" for month in range(1, 6)]
    rest = caller.post(f"{path}/balancetransactionschedules/preview?nextToken={preview['nextToken']}", **SCHEDULE, transactionTypeId=credit)
    assert (len(rest["data"]), "nextToken" in rest) == (7, False)
    fees = caller.post(f"{path}/balancechargeschedules/preview", **FEE)
    assert [one["billDate"] for one in fees["data"]] == ["2025-02-01", "2025-03-01", "2025-04-01"]
    assert caller.refused(f"{path}/balancechargeschedules/preview", **FEE | {"units": 1, "unitPrice": 1}) == (400, ["amount"])
    assert caller.get(path)["amount"] == 0
    assert caller.get("charges")["data"] == []
    assert caller.get(f"{path}/balancechargeschedules")["data"] == []


def test_schedules_lie_below_their_balance(caller: Caller, balance: dict[str, Any], credit: str) -> None:
    schedule = caller.post(f"balances/{balance['id']}/balancetransactionschedules", **SCHEDULE, transactionTypeId=credit)
    other = caller.post("balances", **{**balance, "code": "other"})
    for place in (other["id"], ID):
        url = f"{caller.base}/balances/{place}/balancetransactionschedules/{schedule['id']}"
        assert [caller.api.get(url).status_code, caller.api.delete(url).status_code, caller.api.put(url, json=schedule).status_code] == [404] * 3
    assert caller.get(f"balances/{other['id']}/balancetransactionschedules")["data"] == []
    assert caller.refused(f"balances/{ID}/balancetransactionschedules", **SCHEDULE, transactionTypeId=credit)[0] == 404


def test_commitments_are_searched(caller: Caller) -> None:
    account = caller.post("accounts", name="a", code="a", emailAddress="a@example.com")
    products = [caller.post("products", name="p", code=f"p{n}")["id"] for n in range(2)]
    body = {"accountId": account["id"], "currency": "USD", "amount": 10, "endDate": "2027-01-01"}
    made = [caller.post("commitments", **body, startDate=f"2025-0{n}-01", productIds=products[:n])["id"] for n in range(1, 4)]

    def found(query: str, **more: Any) -> list[str]:
        return [one["id"] for one in caller.get("commitments/search", searchQuery=query, **more)["data"]]

    assert found(f"startDate>2025-01-01$accountId:{account['id']}") == [made[2], made[1]]
    assert found(f"productId:{products[1]}", sortBy="startDate") == [made[1], made[2]]
    assert found(f"productIds:{ID},{products[0]}", sortOrder="ASC") == made
    assert found("startDate:2025-01-01$startDate:2025-02-01", operator="OR", sortBy="startDate", sortOrder="DESC") == [made[1], made[0]]
    for query in ({"searchQuery": f"productId>{ID}"}, {"searchQuery": "amount:10"}, {"sortBy": "amountSpent"}):
        assert caller.api.get(f"{caller.base}/commitments/search", params=query).status_code == 400
