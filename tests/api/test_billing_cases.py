"""The numbered cases of billing that the API and what is stored decide, each by its id; rating's are in
tests/transforms/rating/test_billing_cases.py. Both read the same table; the last test holds that together they miss none.

Where DECISIONS rules otherwise than a case, the test says so.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from api.printing.bill_pages import bill_number
from pipelines.storage import accounts_bulk, auto_approval
from pipelines.storage.bill_runs import ran_inline
from pipelines.storage.database import Database
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.lake import Lake
from tests.bills import account_of, calculation_of, frames, put
from tests.transforms.rating.test_billing_cases import CASES, CHECKS as RATING_CHECKS, Case
from transforms.billing.csv_request import BILLS_MAX
from transforms.billing.job_requests import BillJobRequest
from transforms.entities.accounts import Account
from transforms.periods import DAY

#: Kind of case -> its test.
CHECKS: dict[str, Callable[["Desk", Case], None]] = {}
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def check(*kinds: str) -> Callable[[Callable[["Desk", Case], None]], Callable[["Desk", Case], None]]:
    """Register the test of those kinds."""

    def registered(function: Callable[["Desk", Case], None]) -> Callable[["Desk", Case], None]:
        CHECKS.update(dict.fromkeys(kinds, function))
        return function

    return registered


@dataclass
class Desk:
    """One organization over HTTP, with its bills."""

    api: TestClient
    org_id: str
    database: Database
    lake: Lake
    landing: Path

    def ask(self, method: str, path: str, **given: Any) -> tuple[int, Any]:
        answer = self.api.request(method, f"/organizations/{self.org_id}/{path}", **given)
        return answer.status_code, answer.json()

    def get(self, path: str, **parameters: Any) -> Any:
        status, document = self.ask("GET", path, params=parameters)
        assert status == 200, document
        return document

    def post(self, path: str, **body: Any) -> Any:
        status, document = self.ask("POST", path, json=body)
        assert status == 200, document
        return document

    def is_refused(self, path: str, field: str, **body: Any) -> bool:
        """Whether the call is a 400 that names the field, and leaves what is listed there as it was."""
        before = self.get(path)
        status, document = self.ask("POST", path, json=body)
        if status == 200:
            return False
        assert status == 400
        assert field in {error["field"].partition("[")[0] for error in document["errors"]}, document
        assert self.get(path) == before
        return True

    def configured(self, **changes: Any) -> int:
        """The status of the organization configuration's change."""
        return self.ask("PUT", "organizationconfig", json={**self.get("organizationconfig"), **changes})[0]

    def account(self, code: str = "acme") -> Account:
        return account_of(self.database, self.org_id, code)

    def bill(self, account: Account, bill_date: date, *, began: datetime | None = None, amount: str = "1") -> str:
        """The id of the account's bill of that date, calculated (again) at ``began``."""
        calculation = calculation_of(self.database, self.org_id, began_at=began)
        [bill_id] = put(self.database, self.lake, self.org_id, [frames(account, [amount], bill_date=bill_date)], calculation=calculation)
        return bill_id

    def approved(self, bill_id: str) -> None:
        self.post("bills/approve", billIds=[bill_id])

    def billed(self, last_day: date) -> None:
        """Run a bill job over the billing periods that end that day."""
        request = BillJobRequest(last_date_in_billing_period=last_day)
        ran_inline(self.database, self.lake, self.landing, self.org_id, request=request, created_by="tester")


@pytest.fixture
def desk(api: TestClient, database: Database, lake: Lake, tmp_path: Path) -> Desk:
    return Desk(api, api.org_id, database, lake, tmp_path / "landing")


def at(value: str) -> datetime:
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


@check("approve_period")
def _approve_period(desk: Desk, case: Case) -> None:
    month, _, day = case["expect"]["lastDateInBillingPeriod"].partition("-")
    last = datetime.strptime(f"{month} {day} 2025", "%B %d %Y").replace(tzinfo=UTC).date()
    account = desk.account()
    asked, later = desk.bill(account, last + DAY), desk.bill(account, last + 32 * DAY)
    assert month == case["config"]["approve_up_to"]
    desk.post(f"bills/billingperiod/{last}/{case['config']['frequency'].upper()}/approve")
    assert [desk.get(f"bills/{bill_id}")["status"] for bill_id in (asked, later)] == ["APPROVED", "PENDING"]


def _graced(desk: Desk, number: int, unit: str) -> None:
    assert desk.configured(autoApproveBillsGracePeriod=number, autoApproveBillsGracePeriodUnit=unit) == 200


@check("auto_approve")
def _auto_approve(desk: Desk, case: Case) -> None:
    _graced(desk, *case["config"]["grace"])
    created, due = at(case["config"]["bill_created"]), at(case["expect"]["approved_at"])
    bill_id = desk.bill(desk.account(), created.date(), began=created)
    assert desk.org_id not in auto_approval.approved_when_due(desk.database, due - timedelta(microseconds=1))
    assert desk.get(f"bills/{bill_id}")["status"] == "PENDING"
    assert auto_approval.approved_when_due(desk.database, due)[desk.org_id] == 1
    assert desk.get(f"bills/{bill_id}")["status"] == "APPROVED"


def _offered(desk: Desk, *plans: str, product: str = "p") -> dict[str, str]:
    """Name -> id of a product ("product"), its template ("template") and those plans of it."""
    ids = {"product": desk.post("products", name=product, code=product)["id"]}
    body = {"productId": ids["product"], "currency": "USD", "billFrequency": "MONTHLY", "standingCharge": 10, "standingChargeBillInAdvance": False}
    ids["template"] = desk.post("plantemplates", name=product, code=product, **body)["id"]
    return ids | {name: desk.post("plans", name=name, code=name, planTemplateId=ids["template"])["id"] for name in plans}


@check("succession")
def _succession(desk: Desk, case: Case) -> None:
    ids = _offered(desk, "first", "second")
    account_id = desk.account().id
    lengths = (case["config"]["first_plan_months"], case["config"]["second_plan_months"])
    change, end = (f"{2025 + months // 12}-{months % 12 + 1:02}-01T00:00:00Z" for months in (lengths[0], sum(lengths)))
    desk.post("accountplans", accountId=account_id, planId=ids["first"], startDate="2025-01-01T00:00:00Z", endDate=change)
    second = {"accountId": account_id, "planId": ids["second"], "endDate": end}
    a_day_early = str(date.fromisoformat(change[:10]) - DAY)
    assert desk.is_refused("accountplans", "startDate", **second, startDate=a_day_early) != case["expect"]["overlap_allowed"]
    desk.post("accountplans", **second, startDate=change)
    for month in (3, 9):
        last = date(2025, month + 1, 1) - DAY
        desk.billed(last)
        [bill] = desk.get("bills", billDate=str(last + DAY))["data"]
        assert {line["planId"] for line in bill["lineItems"]} == {ids[case["expect"][f"active_in_month_{month}"]]}


@check("invoice_no")
def _invoice_no(desk: Desk, case: Case) -> None:
    assert desk.configured(**case["config"]) == 200
    bill_id = desk.bill(desk.account(), date(2025, 2, 1))
    assert desk.get(f"bills/{bill_id}")["sequentialInvoiceNumber"] == case["expect"]["first"]


@check("invoice_ref")
def _invoice_ref(desk: Desk, case: Case) -> None:
    assert desk.configured(billPrefix=case["config"]["billPrefix"]) == 200
    bill = desk.get(f"bills/{desk.bill(desk.account(), date(2025, 2, 1))}")
    assert case["expect"]["sequentialInvoiceNumber"] == "absent"
    assert "sequentialInvoiceNumber" not in bill
    assert bill_number({"id": case["config"]["billId"], "sequential_invoice_number": None}) == case["expect"]["console_reference"]


def _eleventh_job(desk: Desk, case: Case) -> None:
    for _ in range(case["config"]["running_jobs"]):
        desk.post("billjobs")
    assert [desk.ask("POST", "billjobs", json={})[0] for _ in range(case["usage"]["create"])] == [case["expect"]["http"]]


def _children(desk: Desk, case: Case) -> None:
    parent, most = desk.account("parent").id, case["config"]["max_children"]
    with desk.database.transaction() as connection:
        children = accounts_bulk.accounts_created(connection, desk.org_id, [f"child-{number}" for number in range(most)], "tester")
        accounts = TABLES["Account"]
        connection.execute(sa.update(accounts).where(accounts.c.id.in_(children["account_id"].to_list())).values(parent_account_id=parent))
    one_more = {"name": "child", "code": f"child-{most}", "emailAddress": "a@example.com", "parentAccountId": parent}
    assert desk.is_refused("accounts", "parentAccountId", **one_more) == (case["expect"]["add_1000th_child"] == "refused")
    stored = desk.get(f"accounts/{parent}")
    below = desk.ask("PUT", f"accounts/{parent}", json={**stored, "parentAccountId": desk.account("other").id})[0]
    assert (below == 400) == (case["expect"]["parent_for_account_with_children"] == "refused")


def _csv_bounds(desk: Desk, case: Case) -> None:
    """Bills of all intervals and days of a January: 5,000 of them are a file, one more is not."""
    most, days = case["config"]["max_bills"], case["config"]["max_days"]
    header, lines = frames(desk.account(), [])
    first = pl.DataFrame({"bill_date": [date(2025, 1, 2) + n * DAY for n in range(days)]})
    keys = first.join(pl.DataFrame({"bill_frequency_interval": range(1, 366)}), how="cross").head(most + 1)
    many = keys.join(header.drop("bill_date", "bill_frequency_interval"), how="cross").with_columns(
        bill_id=pl.Series([str(uuid.UUID(int=n)) for n in range(keys.height)]), end_date=pl.col("bill_date").dt.offset_by("-1d")
    )
    put(desk.database, desk.lake, desk.org_id, [(many.select(pl.col(name).cast(dtype) for name, dtype in header.schema.items()), lines)])
    asked = {"startDate": "2025-01-01T00:00:00Z"}
    until = {n: str(date(2025, 1, 1) + n * DAY) for n in (days, days + 1)}
    assert desk.ask("POST", "bills/download/csv/url", json={**asked, "endDate": until[days + 1]})[0] == 400
    status, answer = desk.ask("POST", "bills/download/csv/url", json={**asked, "endDate": until[days]})
    assert (status, str(most + 1) in answer["message"]) == (400, True)
    assert {case["expect"]["days_32"], case["expect"]["bills_5001"]} == {"error"}
    desk.ask("DELETE", f"bills/{desk.get('bills', pageSize=1)['data'][0]['id']}")
    assert desk.ask("POST", "bills/download/csv/url", json={**asked, "endDate": until[days]})[0] == 200
    assert most == BILLS_MAX


@check("limit")
def _limit(desk: Desk, case: Case) -> None:
    {"E03": _eleventh_job, "E04": _children, "E11": _csv_bounds}[case["id"]](desk, case)


@check("transition")
def _transition(desk: Desk, case: Case) -> None:
    config, expect = case["config"], case["expect"]
    account = desk.account()
    began = at("2025-02-01")
    if "autoApproveGrace_hours" in config:
        _graced(desk, config["autoApproveGrace_hours"], "HOURS")
    bill_id = desk.bill(account, began.date(), began=began)
    if config.get("action") == "lock":
        assert (desk.ask("PUT", f"bills/{bill_id}/lock", json={})[0] == 400) == expect["error"]
        assert desk.get(f"bills/{bill_id}")["locked"] is False
        return
    if "autoApproveGrace_hours" in config:
        assert auto_approval.approved_when_due(desk.database, began + timedelta(hours=config["autoApproveGrace_hours"]))[desk.org_id] == 1
    else:
        desk.approved(bill_id)
    if config.get("locked"):
        assert desk.ask("PUT", f"bills/{bill_id}/lock", json={})[0] == 200
    before = desk.get(f"bills/{bill_id}")
    assert before["status"] == "APPROVED"
    recalculated = {"began_at": began + timedelta(hours=20)}
    put(desk.database, desk.lake, desk.org_id, [frames(account, ["2"])], calculation=calculation_of(desk.database, desk.org_id, **recalculated))
    after = desk.get(f"bills/{bill_id}")
    if "changed" in expect:
        assert (after != before) == expect["changed"]
    else:
        assert (after["status"], after["billTotal"]) == (expect["status"], 2)


@check("lock_date")
def _lock_date(desk: Desk, case: Case) -> None:
    config, path = case["config"], "billconfig"
    end: date = config["bill_end"] if "bill_end" in config else config["bills"][0]["end"]
    bill_id = desk.bill(desk.account(), end + DAY)
    if "bills" in config:
        before = desk.get(path)
        status, answer = desk.ask("PUT", path, json={**before, "billLockDate": str(config["billLockDate"])})
        assert (status == 400, bill_id in answer["message"]) == (case["expect"]["error"], True)
        assert desk.get(path) == before
        return
    desk.approved(bill_id)
    shown = []
    for day in (config["old_lock"], config["new_lock"]):
        assert desk.ask("PUT", path, json={**desk.get(path), "billLockDate": str(day)})[0] == 200
        shown.append(desk.get(f"bills/{bill_id}")["locked"])
    assert shown == [True, not case["expect"]["unlocked"]]


@check("enum")
def _enum(desk: Desk, case: Case) -> None:
    [(field, values)] = case["config"].items()
    assert [desk.configured(**{field: value}) for value in values] == [200] * len(values)
    for value, verdict in case["expect"].items():
        stored = desk.get("organizationconfig")[field]
        assert desk.configured(**{field: float(value)}) == {"accepted": 200, "rejected": 400}[verdict]
        assert desk.get("organizationconfig")[field] == {"accepted": float(value), "rejected": stored}[verdict]


@check("search")
def _search(desk: Desk, case: Case) -> None:
    query = case["config"]["searchQuery"]
    clauses = query.split("$")
    assert (len(clauses), case["expect"]["joined_by"]) == (case["expect"]["clauses"], "AND")
    borrowed = clauses[1].partition(":")[2]
    acme, other = desk.account(), desk.account("other")
    first = date.fromisoformat(clauses[0].partition(">")[2])
    [_, wanted, _] = [desk.bill(account, day + 31 * DAY) for account, day in ((acme, first), (acme, first + 31 * DAY), (other, first + 31 * DAY))]
    assert [bill["id"] for bill in desk.get("bills/search", searchQuery=query.replace(borrowed, acme.id))["data"]] == [wanted]
    assert desk.get("bills/search", searchQuery=query)["data"] == []


LIFE = {"startDate": "2025-01-01T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}


def _balance(desk: Desk, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = desk.post("balances", accountId=desk.account().id, name="b", code="b", currency="USD", **LIFE, **fields)
    return made


@check("transaction")
def _transaction(desk: Desk, case: Case) -> None:
    config = case["config"]
    path = f"balances/{_balance(desk)['id']}"
    desk.post(f"{path}/transactions", amount=config["amount"], paid=config["paid"], currencyPaid=config["currencyPaid"])
    assert (desk.get(path)["amount"], desk.get(path)["currency"]) == (case["expect"]["balance_change"], config["currency"])


@check("schedule")
def _schedule(desk: Desk, case: Case) -> None:
    config = case["config"]
    path = f"balances/{_balance(desk)['id']}"
    body = {"amount": config["amount"], "frequency": config["frequency"], "frequencyInterval": config["interval"]}
    life = {"startDate": f"{config['start']}T00:00:00Z", "endDate": f"{config['end']}T00:00:00Z"}
    credit = desk.post("picklists/transactiontypes", name="Credit", code="credit")["id"]
    whole = {**body, **life, "name": "s", "code": "s", "transactionDescription": "top-up", "transactionTypeId": credit}
    preview = desk.post(f"{path}/balancetransactionschedules/preview", **whole)["data"]
    desk.post(f"{path}/balancetransactionschedules", **whole)
    made = desk.get(f"{path}/transactions")["data"]
    assert len(made) == len(preview) == case["expect"]["transactions"]
    assert sum(one["amount"] for one in made) == desk.get(path)["amount"] == case["expect"]["total"]


@check("schema_sample")
def _schema_sample(desk: Desk, case: Case) -> None:
    """The published amounts don't go together, so only the fields are held to it: all there, each a number."""
    path = f"balances/{_balance(desk)['id']}"
    assert set(case["expect"]) <= set(desk.get(f"{path}/transactions/summary"))
    for amount in (300, -125.5, 250):
        desk.post(f"{path}/transactions", amount=amount)
    summary = desk.get(f"{path}/transactions/summary")
    assert {name: summary[name] for name in case["expect"]} == {
        "totalCreditAmount": 550,
        "totalDebitAmount": 125.5,
        "initialCreditAmount": 300,
        "expiredBalanceAmount": 424.5,
        "rolloverConsumed": 0,
        "balanceConsumed": 0,
    }


def _bands(bands: list[list[float]]) -> list[dict[str, float]]:
    return [dict(zip(("lowerLimit", "fixedPrice", "unitPrice"), band, strict=True)) for band in bands]


def _pricing_body(desk: Desk, **aggregation: Any) -> dict[str, Any]:
    """A pricing that is accepted, of an aggregation with those fields."""
    ids = _offered(desk, "plan")
    fields = [{"category": "MEASURE", "code": "qty", "name": "q", "unit": "1"}, {"category": "WHERE", "code": "region", "name": "r"}]
    meter = desk.post("meters", name="m", code="m", dataFields=fields, derivedFields=[])["id"]
    summed = {"aggregation": "SUM", "targetField": "qty", "quantityPerUnit": 1, "rounding": "NONE", "unit": "x"}
    made = desk.post("aggregations", name="a", code="a", meterId=meter, **summed, **aggregation)["id"]
    return {"planId": ids["plan"], "aggregationId": made, "startDate": LIFE["startDate"], "cumulative": True, "pricingBands": _bands([[0, 0, 1]])}


def _negative_price(desk: Desk, config: Mapping[str, Any]) -> bool:
    body = _pricing_body(desk)
    untyped = desk.is_refused("pricings", "pricingBands", **body | {"pricingBands": _bands(config["bands"])})
    return untyped and desk.is_refused("pricings", "pricingBands", **body | {"pricingBands": _bands(config["bands"]), "type": config["type"]})


def _overage_of_volume(desk: Desk, config: Mapping[str, Any]) -> bool:
    overage = {"overagePricingBands": _bands(config["overagePricingBands"])}
    body = _pricing_body(desk) | overage
    refused = desk.is_refused("pricings", "overagePricingBands", **body | {"cumulative": config["cumulative"]})
    desk.post("pricings", **body)
    return refused


def _rollover_without_end(desk: Desk, config: Mapping[str, Any]) -> bool:
    body = {"accountId": desk.account().id, "name": "b", "code": "b", "currency": "USD", **LIFE, **config}
    return desk.is_refused("balances", "rolloverEndDate", **body) or desk.is_refused("balances", "rolloverAmount", **body)


def _commitment(desk: Desk, **fields: Any) -> dict[str, Any]:
    life = {"startDate": "2024-01-01", "endDate": "2025-01-01"}
    return {"accountId": desk.account().id, "currency": "USD", "amount": 100, **life, **fields}


def _both_overages(desk: Desk, config: Mapping[str, Any]) -> bool:
    body = _commitment(desk, **config)
    refused = desk.is_refused("commitments", "separateOverageUsage", **body)
    desk.post("commitments", **body | {"overageSurchargePercent": 0})
    return refused


def _fee_date(desk: Desk, config: Mapping[str, Any]) -> bool:
    fee = {name: f"{day}T00:00:00Z" for name, day in config["feeDate"].items()}
    return desk.is_refused("commitments", "feeDates", **_commitment(desk, feeDates=[{"date": "2024-02-01", "amount": 100, **fee}]))


def _undefined_segment(desk: Desk, config: Mapping[str, Any]) -> bool:
    body = _pricing_body(desk, segmentedFields=["region"], segments=[{"region": "eu"}])
    refused = desk.is_refused("pricings", "segment", **body, segment={"region": "us"})
    desk.post("pricings", **body, segment={"region": "eu"})
    return refused is bool(config["segment_not_defined_on_aggregation"])


def _amount_and_units(desk: Desk, config: Mapping[str, Any]) -> bool:
    period = {"servicePeriodStartDate": LIFE["startDate"], "servicePeriodEndDate": LIFE["endDate"]}
    kind = {"entityType": "AD_HOC", "lineItemType": "AD_HOC"}
    return desk.is_refused("charges", "amount", accountId=desk.account().id, name="c", code="c", currency="USD", **period, **kind, **config)


def _two_filters(desk: Desk, config: Mapping[str, Any]) -> int:
    given = dict(zip(config["list_params"], ("true", UNKNOWN), strict=True))
    for name, value in given.items():
        assert desk.get("statementjobs", **{name: value})["data"] == []
    return desk.ask("GET", "statementjobs", params=given)[0]


def _contract_in_use(desk: Desk, config: Mapping[str, Any]) -> bool:
    """Each kind that may name a contract holds it alone."""
    assert config["delete_contract_with_linked_entities"]
    plan, account_id = _offered(desk, "plan")["plan"], desk.account().id
    contract = desk.post("contracts", accountId=account_id, name="c", startDate="2025-01-01", endDate="2026-01-01")["id"]
    linked: dict[str, dict[str, Any]] = {
        "accountplans": {"planId": plan, **LIFE},
        "balances": {"name": "b", "code": "b", "currency": "USD", **LIFE},
        "commitments": {"currency": "USD", "amount": 1, "startDate": "2025-01-01", "endDate": "2026-01-01"},
    }
    refusals = []
    for path, body in linked.items():
        made = desk.post(path, accountId=account_id, contractId=contract, **body)["id"]
        refusals.append(desk.ask("DELETE", f"contracts/{contract}")[0])
        assert desk.ask("DELETE", f"{path}/{made}")[0] == 200
    assert desk.ask("DELETE", f"contracts/{contract}")[0] == 200
    return refusals == [400, 400, 400]


def _groups_that_share(desk: Desk, config: Mapping[str, Any]) -> bool:
    assert config["groups_share_product"]
    assert config["dates_overlap"]
    plans = _offered(desk, "a", "b")
    groups = [desk.post("plangroups", name=name, code=name, currency="USD")["id"] for name in "ab"]
    for group, plan in zip(groups, "ab", strict=True):
        desk.post("plangrouplinks", planGroupId=group, planId=plans[plan])
    account_id = desk.account().id
    desk.post("accountplans", accountId=account_id, planGroupId=groups[0], **LIFE)
    refused = desk.is_refused("accountplans", "startDate", accountId=account_id, planGroupId=groups[1], startDate="2025-12-31T00:00:00Z")
    desk.post("accountplans", accountId=account_id, planGroupId=groups[1], startDate=LIFE["endDate"])
    return refused


def _two_a_day(desk: Desk, config: Mapping[str, Any]) -> bool:
    assert config["two_adjustments_same_day_same_counter"]
    counter = desk.post("counters", name="Seats", unit="seat")["id"]
    body = {"accountId": desk.account().id, "counterId": counter, "date": "2025-01-05", "value": 3}
    desk.post("counteradjustments", **body)
    status, told = desk.ask("POST", "counteradjustments", json={**body, "value": 4})
    [kept] = desk.get("counteradjustments", counterId=counter)["data"]
    desk.post("counteradjustments", **body | {"date": "2025-01-06"})
    # A second one for the same key is a duplicate (DECISIONS 35).
    return status == 409 and "date '2025-01-05'" in told["message"] and kept["value"] == 3


VALIDATIONS: dict[str, Callable[[Desk, Mapping[str, Any]], bool | int]] = {
    "E13": _negative_price,
    "E14": _overage_of_volume,
    "E15": _rollover_without_end,
    "E16": _both_overages,
    "E17": _fee_date,
    "E18": _fee_date,
    "E19": _undefined_segment,
    "E20": _amount_and_units,
    "E21": _two_filters,
    "E22": _contract_in_use,
    "E24": _groups_that_share,
    "I03": _two_a_day,
}


@check("validation")
def _validation(desk: Desk, case: Case) -> None:
    [wanted] = case["expect"].values()
    assert VALIDATIONS[case["id"]](desk, case["config"]) == wanted


@pytest.mark.parametrize("case_id", [i for i, case in CASES.items() if case["kind"] in CHECKS])
def test_case(desk: Desk, case_id: str) -> None:
    CHECKS[CASES[case_id]["kind"]](desk, CASES[case_id])


def test_every_case_is_run_once() -> None:
    numbers = {"A": 7, "B": 21, "C": 8, "D": 24, "E": 26, "F": 6, "G": 10, "H": 10, "I": 10, "J": 2}
    wanted = [f"{letter}{number:02}" for letter, most in numbers.items() for number in range(1, most + 1)]
    assert sorted(CASES) == wanted
    assert not set(RATING_CHECKS) & set(CHECKS)
    assert {case["kind"] for case in CASES.values()} == set(RATING_CHECKS) | set(CHECKS)
    assert len(wanted) == 124
