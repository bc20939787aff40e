"""Plan groups, custom plans and contracts: what they refuse, with the field named, and what they leave possible."""

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.storage.database import Database
from pipelines.storage.organizations import Credentials
from tests.configured import NUMBER, STRING, Configured
from transforms.errors import DuplicateKey, EntityInvalid, Refused

JUNE = "2025-06-01T00:00:00Z"


class Offers(Configured):
    """Three products with a plan each, ready to be grouped."""

    def __init__(self, database: Database, org_id: str) -> None:
        super().__init__(database, org_id)
        self.products = {code: self.product(code) for code in "abc"}
        self.templates = {code: self.template(product, code) for code, product in self.products.items()}
        self.plans = {code: self.plan(template, code) for code, template in self.templates.items()}

    def group(self, *codes: str, **fields: Any) -> dict[str, Any]:
        group = self.post("plangroups", **{"name": "Group", "currency": "USD", **fields})
        for code in codes:
            self.link(group, self.plans[code])
        return group

    def link(self, group: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
        return self.post("plangrouplinks", planGroupId=group["id"], planId=plan["id"])

    def grouped(self, account: dict[str, Any], group: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return self.post("accountplans", **{"accountId": account["id"], "planGroupId": group["id"], "startDate": "2025-01-01T00:00:00Z", **fields})

    def contract(self, account: dict[str, Any], code: str = "c1", **fields: Any) -> dict[str, Any]:
        body = {"name": code, "code": code, "accountId": account["id"], "startDate": "2025-01-01", "endDate": "2026-01-01"}
        return self.post("contracts", **{**body, **fields})

    def overlapping(self) -> None:
        config = self.get("organizationconfig", self.ids("organizationconfig")[0])
        self.put("organizationconfig", config, allowOverlappingPlans=True)


@pytest.fixture
def made(database: Database, organization: Credentials) -> Offers:
    return Offers(database, organization.org_id)


def refused(call: Callable[[], Any], message: str = ".") -> list[str]:
    """The wire fields that the refusal names."""
    with pytest.raises(EntityInvalid, match=message) as caught:
        call()
    return [problem.field for problem in caught.value.problems]


def test_a_group_has_at_most_one_plan_per_product(made: Offers) -> None:
    group = made.group("a")
    other = made.plan(made.templates["a"], "a2")
    assert refused(lambda: made.link(group, other), r"already has a plan of this product \(a\)") == ["planId"]
    link = made.link(group, made.plans["b"])
    assert refused(lambda: made.put("plangrouplinks", link, planId=other["id"])) == ["planId"]
    assert made.put("plangrouplinks", link, planId=made.plans["c"]["id"])["version"] == 2
    assert refused(lambda: made.link(group, made.plans["a"])) == ["planId"]
    assert len(made.ids("plangrouplinks")) == 2


def test_a_group_and_its_plans_have_one_currency(made: Offers) -> None:
    made.post("picklists/currency", name="EUR", code="EUR")
    group = made.group("a")
    euro = made.plan(made.template(made.products["b"], "euro", currency="EUR"), "euro")
    assert refused(lambda: made.link(group, euro), "priced in EUR, plan group Group in USD") == ["planId"]
    assert refused(lambda: made.put("plangroups", group, currency="EUR"), r"the plans in the group \(a\) are priced in it") == ["currency"]
    assert refused(lambda: made.put("plantemplates", made.templates["a"], currency="EUR"), "plan a is in plan group Group") == ["currency"]
    moved = made.template(made.products["a"], "moved", currency="EUR")
    assert refused(lambda: made.put("plans", made.plans["a"], planTemplateId=moved["id"]), "has currency EUR") == ["planTemplateId"]
    assert refused(lambda: made.put("plans", made.plans["a"], planTemplateId=made.templates["b"]["id"])) == ["planTemplateId"]
    assert refused(lambda: made.group(currency="GBP"), "GBP") == ["currency"]
    assert made.put("plantemplates", made.templates["b"], currency="EUR")["version"] == 2


def test_a_custom_group_fits_one_account(made: Offers) -> None:
    owner, other = made.account("owner"), made.account("other")
    group = made.group("a", accountId=owner["id"])
    assert refused(lambda: made.grouped(other, group), "can be attached only to that account") == ["planGroupId"]
    made.grouped(owner, group)
    assert refused(lambda: made.put("plangroups", group, accountId=other["id"]), "stays so: send that accountId")[0] == "accountId"
    assert refused(lambda: made.put("plangroups", group, accountId=None), "stays so")[0] == "accountId"
    shared = made.group("b")
    made.grouped(other, shared)
    assert refused(lambda: made.put("plangroups", shared, accountId=owner["id"]), f"it is attached to {other['id']}") == ["accountId"]
    assert made.put("plangroups", shared, accountId=other["id"])["version"] == 2


def test_a_custom_plan_fits_one_account(made: Offers) -> None:
    owner, other = made.account("owner"), made.account("other")
    custom = made.plan(made.templates["a"], "custom", accountId=owner["id"])
    assert refused(lambda: made.attached(other, custom)) == ["planId"]
    assert refused(lambda: made.put("plans", custom, accountId=other["id"]), "stays so: send that accountId") == ["accountId"]
    assert refused(lambda: made.put("plans", custom, accountId=None)) == ["accountId"]
    assert refused(lambda: made.link(made.group(), custom), "only in custom plan groups of that account") == ["planId"]
    assert refused(lambda: made.link(made.group(accountId=other["id"]), custom)) == ["planId"]
    made.link(made.group(accountId=owner["id"]), custom)
    made.group("b")
    assert refused(lambda: made.put("plans", made.plans["b"], accountId=owner["id"]), "it is in plan group Group") == ["accountId"]
    assert made.put("plans", made.plans["c"], accountId=owner["id"])["version"] == 2


def test_a_group_attaches_all_its_plans(made: Offers) -> None:
    """Case E24: groups, and plans beside groups, may overlap in time only without a common product."""
    account = made.account()
    first = made.grouped(account, made.group("a", "b"), endDate=JUNE)
    assert "productId" not in first
    second = made.group("b", "c", code="second")
    assert refused(lambda: made.grouped(account, second), r"plan of this product \(b with plan group Group\)") == ["startDate"]
    assert refused(lambda: made.attached(account, made.plans["a"])) == ["startDate"]
    alone = made.attached(account, made.plans["c"], endDate=JUNE)
    made.grouped(account, second, startDate=JUNE)
    made.attached(account, made.plans["a"], startDate=JUNE)
    assert refused(lambda: made.put("accountplans", alone, endDate=None), r"\(c with plan group second\)") == ["startDate"]
    made.overlapping()
    made.grouped(account, second)


def test_a_plan_joins_an_attached_group_only_where_it_does_not_overlap(made: Offers) -> None:
    accounts = [made.account(code) for code in ("one", "two")]
    group = made.group("a")
    for account in accounts:
        made.grouped(account, group)
    beside = made.attached(accounts[0], made.plans["b"])
    assert refused(lambda: made.link(group, made.plans["b"]), accounts[0]["id"]) == ["planId"]
    made.put("accountplans", beside, startDate="2024-01-01T00:00:00Z", endDate="2025-01-01T00:00:00Z")
    made.link(group, made.plans["b"])
    other = made.grouped(accounts[1], made.group("c", code="other"))
    assert refused(lambda: made.link(group, made.plans["c"]), other["id"]) == ["planId"]
    made.overlapping()
    made.link(group, made.plans["c"])


def test_what_is_attached_or_grouped_can_not_be_deleted(made: Offers) -> None:
    account, group = made.account(), made.group("a")
    attached = made.grouped(account, group)
    for path, stored, user in (("plangroups", group, "AccountPlan"), ("plans", made.plans["a"], "PlanGroupLink")):
        with pytest.raises(Refused, match=f"it is used by .*{user}"):
            made.delete(path, stored)
    made.delete("accountplans", attached)
    made.delete("plangrouplinks", made.get("plangrouplinks", made.ids("plangrouplinks")[0]))
    made.delete("plangroups", group)


def test_a_contract_has_dates_and_one_account(made: Offers) -> None:
    account, other = made.account(), made.account("other")
    assert refused(lambda: made.contract(account, endDate="2025-01-01"), "the day before endDate") == ["endDate"]
    contract = made.contract(account)
    assert refused(lambda: made.put("contracts", contract, accountId=other["id"]), "accountId can't change") == ["accountId"]
    with pytest.raises(DuplicateKey, match="another Contract of this organization has code 'c1'"):
        made.contract(other)
    assert refused(lambda: made.contract(account, "c2", billGroupingKeyId=account["id"]), "no BillGroupingKey") == ["billGroupingKeyId"]


def test_usage_filters_name_string_fields_of_meters(made: Offers) -> None:
    account = made.account()
    filters = [{"dimensionCode": "region", "mode": "INCLUDE", "value": "eu"}]
    assert refused(lambda: made.contract(account, usageFilters=filters), r"no meter has a string field 'region'.*there are none") == [
        "usageFilters[0].dimensionCode"
    ]
    made.meter(dataFields=[NUMBER, STRING])
    assert made.contract(account, usageFilters=filters)["usageFilters"] == filters
    meter = made.get("meters", made.ids("meters")[0])
    assert refused(lambda: made.put("meters", meter, dataFields=[NUMBER]), "region can't go, since Contract c1 would") == ["dataFields"]
    with pytest.raises(Refused, match="Meter meter can't be deleted: it is used by Contract c1: no meter has a string field 'region'"):
        made.delete("meters", meter)
    other = made.meter("other")
    assert made.put("meters", meter, dataFields=[NUMBER])["version"] == 2
    assert made.put("meters", made.get("meters", meter["id"]), dataFields=[NUMBER, STRING])["version"] == 3
    made.delete("meters", other)
    wrong = [*filters, {"dimensionCode": "qty", "mode": "EXCLUDE", "value": "1"}]
    assert refused(lambda: made.contract(account, "c2", usageFilters=wrong), "there are region") == ["usageFilters[1].dimensionCode"]
    assert refused(lambda: made.contract(account, "c2", usageFilters=[{**filters[0], "mode": "ONLY"}])) == ["usageFilters[0].mode"]


def test_an_account_plan_names_a_contract_of_its_account(made: Offers) -> None:
    account = made.account()
    foreign = made.contract(made.account("other"), "foreign")
    assert refused(lambda: made.attached(account, made.plans["a"], contractId=foreign["id"]), "contract foreign is a contract of account") == [
        "contractId"
    ]
    own = made.contract(account)
    assert made.attached(account, made.plans["a"], contractId=own["id"])["contractId"] == own["id"]
    assert len(made.ids("accountplans", contract=own["id"])) == 1
    with pytest.raises(Refused, match=r"Contract c1 can't be deleted: it is used by AccountPlan"):  # case E22
        made.delete("contracts", own)
