"""Ending what an account is billed by on one date, and replacing one account plan by another: versions, history, refusals."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from pipelines.storage.database import Database
from pipelines.storage.entity_tables import ENTITY_VERSIONS
from pipelines.storage.organizations import Credentials
from tests.configured import Configured

JANUARY, JUNE = "2025-01-01T00:00:00Z", "2025-06-01T00:00:00Z"
ALL = ["CONTRACT", "ACCOUNTPLAN", "PREPAYMENT", "PRICINGS", "COUNTER_PRICINGS"]
BAND = {"lowerLimit": 0, "fixedPrice": 0, "unitPrice": 1}


class Billed(Configured):
    """A parent account and its child with a contract, custom and shared plans and their prices each."""

    def __init__(self, api: TestClient, database: Database, org_id: str) -> None:
        super().__init__(database, org_id)
        self.api = api
        self.template_ids = {code: self.template(self.product(code), code)["id"] for code in "abc"}
        self.counter = self.post("counters", name="Seats", unit="seat")
        self.calls = self.aggregation(self.meter())
        self.accounts = {"parent": self.account("parent")}
        self.accounts["child"] = self.account("child", parentAccountId=self.accounts["parent"]["id"])
        self.shared = self.custom("c", None)
        self.shared_price = self.pricing(planId=self.shared["id"], aggregationId=self.calls["id"])
        self.of = {code: self._billed(account) for code, account in self.accounts.items()}

    def custom(self, template: str, account: dict[str, Any] | None) -> dict[str, Any]:
        code = f"{template} {account['code'] if account else 'shared'}"
        owner = {"accountId": account["id"]} if account else {}
        return self.post("plans", name=code, code=code, planTemplateId=self.template_ids[template], **owner)

    def contract(self, account: dict[str, Any], code: str) -> dict[str, Any]:
        return self.post("contracts", name=code, code=code, accountId=account["id"], startDate="2025-01-01", endDate="2026-01-01")

    def priced(self, plan: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        body = {"planId": plan["id"], "startDate": JANUARY, "pricingBands": [BAND]}
        return self.post("pricings", aggregationId=self.calls["id"], **body), self.post("counterpricings", counterId=self.counter["id"], **body)

    def _billed(self, account: dict[str, Any]) -> dict[str, list[str]]:
        contracts = [self.contract(account, f"{account['code']} {n}") for n in (1, 2)]
        plans = [self.custom("a", account), self.custom("b", account)]
        prices = [self.priced(plan) for plan in plans]
        attached = [self.attached(account, plan, contractId=one["id"]) for plan, one in zip(plans, contracts, strict=True)]
        attached.append(self.attached(account, self.shared))
        return {
            "CONTRACT": [one["id"] for one in contracts],
            "ACCOUNTPLAN": [one["id"] for one in attached],
            "PRICINGS": [pricing["id"] for pricing, _ in prices],
            "COUNTER_PRICINGS": [counter_pricing["id"] for _, counter_pricing in prices],
        }

    def ended(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        url = f"/organizations/{self.org_id}/{path}/enddatebillingentities"
        answer = self.api.put(url, json={"endDate": JUNE, "billingEntities": ALL, **body})
        assert answer.status_code == status, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def changes(self, entity_id: str) -> list[tuple[int, str]]:
        versions = ENTITY_VERSIONS.c
        with self.database.transaction() as connection:
            query = ENTITY_VERSIONS.select().where(versions.org_id == self.org_id, versions.id == entity_id).order_by(versions.version)
            return [(row.version, row.change) for row in connection.execute(query)]


@pytest.fixture
def billed(api: TestClient, database: Database, organization: Credentials) -> Billed:
    return Billed(api, database, organization.org_id)


def ids(answer: dict[str, Any], part: str) -> dict[str, list[str]]:
    assert all(one["empty"] == (one["ids"] == []) for one in answer[part].values())
    return {kind: sorted(one["ids"]) for kind, one in answer[part].items()}


def test_an_account_is_ended_with_all_that_is_its_own(billed: Billed) -> None:
    answer = billed.ended(f"accounts/{billed.accounts['parent']['id']}")
    of = billed.of["parent"]
    assert ids(answer, "updatedEntities") == {**{kind: sorted(one) for kind, one in of.items()}, "PREPAYMENT": []}
    assert ids(answer, "failedEntities") == {**{key: [] for key in ALL}, "PRICINGS": [billed.shared_price["id"]]}
    assert answer["statusMessage"].startswith("9 ended, 1 not; ")
    assert "plan c shared is not a custom plan of the account" in answer["statusMessage"]
    paths = {"CONTRACT": "contracts", "ACCOUNTPLAN": "accountplans", "PRICINGS": "pricings", "COUNTER_PRICINGS": "counterpricings"}
    for kind, path in paths.items():
        for entity_id in of[kind]:
            one = billed.get(path, entity_id)
            assert (one["version"], f"{one['endDate']:%Y-%m-%d}") == (2, "2025-06-01"), kind
            assert billed.changes(entity_id) == [(1, "CREATED"), (2, "UPDATED")]
        for entity_id in billed.of["child"][kind]:
            assert billed.get(path, entity_id)["version"] == 1, kind
    assert billed.get("pricings", billed.shared_price["id"])["version"] == 1
    again = billed.ended(f"accounts/{billed.accounts['parent']['id']}", endDate="2025-07-01T00:00:00Z")
    assert ids(again, "updatedEntities") == {key: [] for key in ALL}, "ending never makes anything longer"


def test_child_accounts_are_ended_where_that_is_asked_for(billed: Billed) -> None:
    answer = billed.ended(f"accounts/{billed.accounts['parent']['id']}", applyToChildren=True, billingEntities=["ACCOUNTPLAN", "PRICINGS"])
    wanted = {kind: sorted(billed.of["parent"][kind] + billed.of["child"][kind]) for kind in ("ACCOUNTPLAN", "PRICINGS")}
    assert ids(answer, "updatedEntities") == wanted
    assert billed.get("contracts", billed.of["child"]["CONTRACT"][0])["version"] == 1


def test_a_contract_is_ended_without_those_beside_it(billed: Billed) -> None:
    """Its own account plans and prices and those under no contract; what another contract has stays."""
    of = billed.of["parent"]
    without = billed.ended(f"contracts/{of['CONTRACT'][0]}", billingEntities=["COUNTER_PRICINGS"])
    assert ids(without, "updatedEntities") == {"COUNTER_PRICINGS": [of["COUNTER_PRICINGS"][0]]}
    assert billed.get("contracts", of["CONTRACT"][0])["version"] == 1
    answer = billed.ended(f"contracts/{of['CONTRACT'][0]}")
    assert ids(answer, "updatedEntities") == {
        "CONTRACT": [of["CONTRACT"][0]],
        "ACCOUNTPLAN": sorted((of["ACCOUNTPLAN"][0], of["ACCOUNTPLAN"][2])),
        "PREPAYMENT": [],
        "PRICINGS": [of["PRICINGS"][0]],
        "COUNTER_PRICINGS": [],
    }
    assert [billed.get("contracts", one)["version"] for one in of["CONTRACT"]] == [2, 1]


def test_what_starts_later_is_named_and_the_rest_ended(billed: Billed) -> None:
    account = billed.accounts["parent"]
    later = billed.post("contracts", name="Later", code="later", accountId=account["id"], startDate="2025-06-01", endDate="2026-01-01")
    answer = billed.ended(f"accounts/{account['id']}", billingEntities=["CONTRACT", "CONTRACT"])
    assert ids(answer, "updatedEntities") == {"CONTRACT": sorted(billed.of["parent"]["CONTRACT"])}
    assert ids(answer, "failedEntities") == {"CONTRACT": [later["id"]]}
    assert "it starts on 2025-06-01, so it can't end on 2025-06-01" in answer["statusMessage"]
    assert billed.get("contracts", later["id"])["version"] == 1


@pytest.mark.parametrize(
    ("zone", "end", "day"),
    [
        ("America/New_York", "2025-06-01", "2025-06-01"),
        ("America/New_York", "2025-06-01T04:00:00Z", "2025-06-01"),
        ("Europe/Berlin", "2025-05-31T22:00:00Z", "2025-06-01"),
        ("Europe/Berlin", "2025-06-01T00:00:00+02:00", "2025-06-01"),
        ("Europe/Berlin", "2025-06-01T00:00:00Z", "2025-06-01"),
    ],
)
def test_a_contract_ends_on_a_day(billed: Billed, zone: str, end: str, day: str) -> None:
    config = billed.get("organizationconfig", billed.ids("organizationconfig")[0])
    billed.put("organizationconfig", config, timezone=zone)
    contract = billed.of["parent"]["CONTRACT"][0]
    billed.ended(f"contracts/{contract}", billingEntities=["CONTRACT"], endDate=end)
    assert f"{billed.get('contracts', contract)['endDate']}" == day


def test_ending_refuses_what_it_does_not_know(billed: Billed) -> None:
    account = f"accounts/{billed.accounts['parent']['id']}"
    assert billed.ended("accounts/unknown", 404)["message"] == "Account unknown does not exist in this organization"
    assert billed.ended(f"contracts/{billed.accounts['parent']['id']}", 404)
    for field, value in (("billingEntities", []), ("billingEntities", ["PLAN"]), ("endDate", "soon"), ("endDate", None), ("applyToChildren", "yes")):
        errors = billed.ended(account, 400, **{field: value})["errors"]
        assert [error["field"].partition("[")[0] for error in errors] == [field]


def test_commitments_are_ended(billed: Billed) -> None:
    account = billed.accounts["parent"]
    body = {"accountId": account["id"], "startDate": "2025-01-01", "endDate": "2026-01-01", "amount": 100, "currency": "USD"}
    own, other = (billed.post("commitments", **body, contractId=contract) for contract in billed.of["parent"]["CONTRACT"])
    answer = billed.ended(f"contracts/{billed.of['parent']['CONTRACT'][0]}", billingEntities=["PREPAYMENT"])
    assert ids(answer, "updatedEntities") == {"PREPAYMENT": [own["id"]]}
    answer = billed.ended(f"accounts/{account['id']}", billingEntities=["PREPAYMENT"])
    assert ids(answer, "updatedEntities") == {"PREPAYMENT": [other["id"]]}
    stored = billed.get("commitments", own["id"])
    assert (stored["version"], f"{stored['endDate']}") == (2, "2025-06-01")


def replaced(billed: Billed, account_plan_id: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = billed.api.post(f"/organizations/{billed.org_id}/accountplans/{account_plan_id}/replace", json=body)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_plan_is_replaced_in_one_step(billed: Billed) -> None:
    account, old = billed.accounts["parent"], billed.of["parent"]["ACCOUNTPLAN"][0]
    other = billed.post("plans", name="New", code="new", planTemplateId=billed.template_ids["a"])
    answer = replaced(billed, old, accountId=account["id"], planId=other["id"], startDate=JUNE, code="next")
    original, following = answer["originalAccountPlan"], answer["newAccountPlan"]
    assert (original["id"], original["version"], original["endDate"]) == (old, 2, JUNE)
    assert (following["planId"], following["version"], following["startDate"], following["code"]) == (other["id"], 1, JUNE, "next")
    assert following["productId"] == original["productId"]
    assert f"{billed.get('accountplans', old)['endDate']:%Y-%m-%d}" == "2025-06-01"
    assert billed.changes(old) == [(1, "CREATED"), (2, "UPDATED")]
    again = replaced(billed, old, accountId=account["id"], planId=billed.shared["id"], startDate=JUNE, status=400)
    assert [error["field"] for error in again["errors"]] == ["startDate"], "the shared plan is attached already"


def test_a_replacement_that_can_not_be_changes_nothing(billed: Billed) -> None:
    account, other, old = billed.accounts["parent"], billed.accounts["child"], billed.of["parent"]["ACCOUNTPLAN"][0]
    plan = billed.post("plans", name="New", code="new", planTemplateId=billed.template_ids["a"])
    good = {"accountId": account["id"], "planId": plan["id"], "startDate": JUNE}
    wrong = (
        ("accountId", other["id"], "of the same account"),
        ("startDate", JANUARY, "startDate must be after 2025-01-01T00:00:00Z"),
        ("planId", billed.get("accountplans", billed.of["child"]["ACCOUNTPLAN"][0])["planId"], "custom plan of account"),
        ("planId", None, "exactly one of them"),
    )
    for field, value, message in wrong:
        refusal = replaced(billed, old, 400, **{**good, field: value})
        assert [error["field"] for error in refusal["errors"]] == [field], field
        assert message in refusal["message"]
    assert replaced(billed, "unknown", 404, **good)["message"] == "AccountPlan unknown does not exist in this organization"
    assert billed.get("accountplans", old)["version"] == 1
    assert len(billed.ids("accountplans", account=account["id"], includeall="true")) == 3
    billed.put("accountplans", billed.get("accountplans", old), endDate="2025-03-01T00:00:00Z")
    assert "has ended on 2025-03-01" in replaced(billed, old, 400, **good)["message"]
