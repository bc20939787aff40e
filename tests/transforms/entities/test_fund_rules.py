"""Commitments, balances, schedules, charges and counter adjustments refuse what contradicts itself or another entity."""

from decimal import Decimal
from typing import Any

import pytest

from pipelines.storage.database import Database
from pipelines.storage.organizations import Credentials
from tests.configured import JANUARY, Configured
from transforms.errors import DuplicateKey, EntityInvalid, Refused

END = "2026-01-01T00:00:00Z"
FEE = {"date": "2025-02-01", "amount": 10, "servicePeriodStartDate": "2025-02-01T00:00:00Z", "servicePeriodEndDate": "2025-03-01T00:00:00Z"}


class Funded(Configured):
    """An organization with an account, and bodies of what it may have."""

    def __init__(self, database: Database, org_id: str) -> None:
        super().__init__(database, org_id)
        self.acme = self.account()
        self.other = self.account("other")

    def commitment(self, **fields: Any) -> dict[str, Any]:
        body = {"accountId": self.acme["id"], "startDate": "2025-01-01", "endDate": "2026-01-01", "currency": "USD", "amount": 1000}
        return self.post("commitments", **body | fields)

    def balance(self, code: str = "credits", **fields: Any) -> dict[str, Any]:
        body = {"accountId": self.acme["id"], "name": code, "code": code, "startDate": JANUARY, "endDate": END, "currency": "USD"}
        return self.post("balances", **body | fields)

    def charge(self, **fields: Any) -> dict[str, Any]:
        period = {"servicePeriodStartDate": JANUARY, "servicePeriodEndDate": "2025-02-01T00:00:00Z"}
        kind = {"entityType": "AD_HOC", "lineItemType": "AD_HOC"}
        return self.post(
            "charges", **{"accountId": self.acme["id"], "name": "c", "code": "c", "currency": "USD", "amount": 5} | kind | period | fields
        )

    def transaction_type(self) -> dict[str, Any]:
        return self.post("picklists/transactiontypes", name="Credit", code="credit")

    def transaction_schedule(self, balance: dict[str, Any], **fields: Any) -> dict[str, Any]:
        kind = self.ids("picklists/transactiontypes") or [self.transaction_type()["id"]]
        body = {"name": "s", "code": "s", "amount": 100, "transactionDescription": "top-up", "transactionTypeId": kind[0]}
        when = {"startDate": JANUARY, "endDate": END, "frequency": "MONTHLY", "frequencyInterval": 1}
        return self.post("balancetransactionschedules", **{"balanceId": balance["id"]} | body | when | fields)

    def charge_schedule(self, balance: dict[str, Any], **fields: Any) -> dict[str, Any]:
        body = {"name": "s", "code": "s", "amount": 10, "currency": "USD", "chargeDescription": "fee"}
        when = {"servicePeriodStartDate": JANUARY, "servicePeriodEndDate": END, "billFrequency": "MONTHLY", "billFrequencyInterval": 1}
        return self.post("balancechargeschedules", **{"balanceId": balance["id"], "billInAdvance": False} | body | when | fields)

    def contract(self, account: dict[str, Any]) -> dict[str, Any]:
        return self.post("contracts", accountId=account["id"], name="c", startDate="2025-01-01", endDate="2026-01-01")


@pytest.fixture
def made(database: Database, organization: Credentials) -> Funded:
    return Funded(database, organization.org_id)


def refused(call: Any) -> list[str]:
    with pytest.raises(EntityInvalid) as caught:
        call()
    assert all(problem.message for problem in caught.value.problems)
    return [problem.field for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"endDate": "2025-01-01"}, ["endDate"]),
        ({"amountPrePaid": 1001}, ["amountPrePaid"]),
        ({"amountPrePaid": 600, "amountFirstBill": 401}, ["amountFirstBill"]),
        ({"separateOverageUsage": True, "overageSurchargePercent": 5}, ["separateOverageUsage"]),
        ({"feeDates": [{**FEE, "servicePeriodEndDate": "2025-01-31T00:00:00Z"}]}, ["feeDates[0].servicePeriodEndDate"]),
        ({"productIds": ["0" * 36]}, ["productIds[0]"]),
        ({"currency": "EUR"}, ["currency"]),
        ({"contractId": "0" * 36}, ["contractId"]),
        ({"amount": 0}, ["amount"]),
        ({"lineItemTypes": ["AD_HOC"]}, ["lineItemTypes[0]"]),
        ({"billingInterval": 366, "billingOffset": 365}, ["billingInterval", "billingOffset"]),
        ({"feeDates": [{**FEE, "amount": 0}]}, ["feeDates[0].amount"]),
    ],
)
def test_a_commitment_that_can_not_be(made: Funded, fields: dict[str, Any], wanted: list[str]) -> None:
    assert refused(lambda: made.commitment(**fields)) == wanted
    assert made.ids("commitments") == []


def test_a_commitment_is_billed_with_a_plan_or_by_dates(made: Funded) -> None:
    plan = made.plan(made.template(made.product()))
    assert refused(lambda: made.commitment(billingPlanId=plan["id"], feeDates=[FEE])) == ["feeDates"]
    made.commitment(billingPlanId=plan["id"], amountPrePaid=600, amountFirstBill=400)
    # E18: a service period of no length is one.
    made.commitment(feeDates=[{**FEE, "servicePeriodEndDate": FEE["servicePeriodStartDate"]}])
    made.commitment(separateOverageUsage=True, overageSurchargePercent=0)


def test_a_custom_plan_bills_commitments_of_its_account_only(made: Funded) -> None:
    plan = made.plan(made.template(made.product()), accountId=made.other["id"])
    assert refused(lambda: made.commitment(billingPlanId=plan["id"])) == ["billingPlanId"]


def test_contracts_are_of_the_same_account(made: Funded) -> None:
    own, foreign = made.contract(made.acme), made.contract(made.other)
    for call in (made.commitment, made.balance, made.charge):
        assert refused(lambda call=call: call(contractId=foreign["id"])) == ["contractId"]
        assert call(contractId=own["id"])["contractId"] == own["id"]
    with pytest.raises(Refused, match="Commitment"):
        made.delete("contracts", own)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"endDate": JANUARY}, ["endDate"]),
        ({"rolloverAmount": 100}, ["rolloverEndDate"]),
        ({"rolloverEndDate": END}, ["rolloverEndDate"]),
        ({"rolloverAmount": -1, "rolloverEndDate": "2026-02-01T00:00:00Z"}, ["rolloverAmount"]),
        ({"lineItemTypes": ["COMMITMENT_FEE"]}, ["lineItemTypes[0]"]),
        ({"balanceDrawDownDescription": "x" * 201}, ["balanceDrawDownDescription"]),
    ],
)
def test_a_balance_that_can_not_be(made: Funded, fields: dict[str, Any], wanted: list[str]) -> None:
    assert refused(lambda: made.balance(**fields)) == wanted


def test_codes_of_balances_are_their_accounts_own(made: Funded) -> None:
    balance = made.balance(rolloverEndDate="2026-06-01T00:00:00Z")
    assert balance["amount"] == 0
    made.balance(accountId=made.other["id"])
    with pytest.raises(DuplicateKey, match="code 'credits'"):
        made.balance()
    assert refused(lambda: made.put("balances", balance, accountId=made.other["id"])) == ["accountId"]


def test_products_of_funds_stay(made: Funded) -> None:
    product = made.product()
    balance = made.balance(productIds=[product["id"]])
    with pytest.raises(Refused, match=r"Balance credits \(productIds\)"):
        made.delete("products", product)
    made.put("balances", balance, productIds=[])
    made.delete("products", product)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"units": 2, "unitPrice": 5}, ["amount"]),
        ({"amount": None}, ["amount"]),
        ({"amount": None, "units": 2}, ["unitPrice"]),
        ({"amount": None, "unitPrice": 2}, ["units"]),
        ({"servicePeriodEndDate": "2024-12-31T00:00:00Z"}, ["servicePeriodEndDate"]),
        ({"lineItemType": "BALANCE_FEE"}, ["lineItemType"]),
        ({"entityType": "BALANCE", "lineItemType": "BALANCE_FEE"}, ["entityId"]),
        ({"entityType": "BALANCE", "lineItemType": "BALANCE_FEE", "entityId": "0" * 36}, ["entityId"]),
    ],
)
def test_a_charge_that_can_not_be(made: Funded, fields: dict[str, Any], wanted: list[str]) -> None:
    assert refused(lambda: made.charge(**fields)) == wanted


def test_a_balance_fee_is_of_a_balance_of_the_account(made: Funded) -> None:
    own, foreign = made.balance(), made.balance(accountId=made.other["id"])
    fee = {"entityType": "BALANCE", "lineItemType": "BALANCE_FEE"}
    assert refused(lambda: made.charge(**fee, entityId=foreign["id"])) == ["entityId"]
    assert refused(lambda: made.charge(entityId=own["id"])) == ["entityId"]
    charge = made.charge(**fee, entityId=own["id"], amount=None, units=Decimal("1.5"), unitPrice=-2)
    assert (charge["units"], charge["unitPrice"], "amount" in charge, "billId" in charge) == (Decimal("1.5"), -2, False, False)
    assert made.put("charges", charge, billDate="2025-02-01")["billDate"].isoformat() == "2025-02-01"
    with pytest.raises(Refused, match="Charge c"):
        made.delete("balances", own)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"endDate": JANUARY}, ["endDate"]),
        ({"amount": -1}, ["amount"]),
        ({"frequencyInterval": 0}, ["frequencyInterval"]),
        ({"frequency": "AD_HOC"}, ["frequency"]),
        ({"endDate": "2200-01-01T00:00:00Z", "frequency": "DAILY"}, ["endDate"]),
        ({"endDate": "9000-01-01T00:00:00Z"}, ["endDate"]),
        ({"transactionTypeId": "0" * 36}, ["transactionTypeId"]),
    ],
)
def test_a_transaction_schedule_that_can_not_be(made: Funded, fields: dict[str, Any], wanted: list[str]) -> None:
    assert refused(lambda: made.transaction_schedule(made.balance(), **fields)) == wanted


def test_a_schedule_knows_its_next_run(made: Funded) -> None:
    balance = made.balance()
    schedule = made.transaction_schedule(balance, startDate="2025-01-31T09:30:00Z")
    assert (schedule["nextRun"].isoformat(), "previousRun" in schedule) == ("2025-01-31T09:30:00+00:00", False)
    fee = made.charge_schedule(balance, billEpoch="2025-03-15")
    assert fee["nextRun"].isoformat() == "2025-01-01T00:00:00+00:00"
    assert refused(lambda: made.charge_schedule(balance, code="t", units=1, unitPrice=1)) == ["amount"]
    assert refused(lambda: made.charge_schedule(balance, code="t", servicePeriodEndDate=JANUARY)) == ["servicePeriodEndDate"]


def test_one_counter_adjustment_per_counter_account_and_day(made: Funded) -> None:
    """I01-I03: a value is absolute; a second one of the same day is refused."""
    counter = made.post("counters", name="Seats", unit="seat")
    first = made.post("counteradjustments", counterId=counter["id"], accountId=made.acme["id"], date="2025-01-10", value=15)
    made.post("counteradjustments", counterId=counter["id"], accountId=made.acme["id"], date="2025-01-11", value=10)
    made.post("counteradjustments", counterId=counter["id"], accountId=made.other["id"], date="2025-01-10", value=20)
    with pytest.raises(DuplicateKey):
        made.post("counteradjustments", counterId=counter["id"], accountId=made.acme["id"], date="2025-01-10", value=16)
    assert made.put("counteradjustments", first, value=20)["value"] == 20
    for value in (-1, 2**31, Decimal("1.5")):
        assert refused(lambda value=value: made.put("counteradjustments", first, value=value)) == ["value"]


def test_lists_are_filtered(made: Funded) -> None:
    counter = made.post("counters", name="Seats", unit="seat")["id"]
    days = ["2025-01-10", "2025-01-11", "2025-01-12"]
    ids = [made.post("counteradjustments", counterId=counter, accountId=made.acme["id"], date=day, value=1)["id"] for day in days]
    account = made.acme["id"]
    assert made.ids("counteradjustments", counterId=counter) == ids[::-1]
    assert made.ids("counteradjustments", counterId=counter, sortOrder="ASC") == ids
    assert made.ids("counteradjustments", counterId=counter, accountId=account, date=days[1]) == [ids[1]]
    assert made.ids("counteradjustments", counterId=counter, accountId=account, dateStart=days[1], dateEnd=days[2]) == [ids[1]]
    assert refused(lambda: made.ids("counteradjustments", accountId=account)) == ["counterId"]
    assert refused(lambda: made.ids("counteradjustments", counterId=counter, date=days[0])) == ["date"]
    assert refused(lambda: made.ids("counteradjustments", counterId=counter, sortOrder="down")) == ["sortOrder"]


def test_lists_of_funds_are_filtered(made: Funded) -> None:
    product, contract = made.product(), made.contract(made.acme)
    one = made.commitment(productIds=[product["id"]], contractId=contract["id"])["id"]
    two = made.commitment(startDate="2026-01-01", endDate="2027-01-01")["id"]
    account = made.acme["id"]
    assert made.ids("commitments", productId=product["id"]) == [one]
    assert made.ids("commitments", contractId=contract["id"]) == [one]
    assert made.ids("commitments", accountId=account, contractId="") == [two]
    # D19: on the end date it is over.
    assert [made.ids("commitments", date=day) for day in ("2025-12-31", "2026-01-01", "2027-01-01")] == [[one], [two], []]
    assert made.ids("commitments", endDateStart="2026-01-02") == [two]
    assert made.ids("commitments", endDateEnd="2026-01-02T00:00:00Z") == [one]
    rolling = made.balance(rolloverEndDate="2026-06-01T00:00:00Z")["id"]
    plain = made.balance("plain")["id"]
    assert made.ids("balances", endDateStart="2026-02-01") == [rolling]
    assert made.ids("balances", endDateEnd="2026-02-01") == [plain]
    charge = made.charge(billDate="2025-02-01")["id"]
    assert made.ids("charges", billDate="2025-02-01", entityType="AD_HOC", accountId=account) == [charge]
    assert made.ids("charges", billDate="2025-02-02") == []
    assert refused(lambda: made.ids("charges", billDate="soon")) == ["billDate"]


def test_a_file_applies_funds_twice_without_a_change(made: Funded) -> None:
    from pipelines.storage.apply import applied

    document = {
        "picklists/transactiontypes": [{"code": "credit", "name": "Credit"}],
        "balances": [{"account": "acme", "code": "b", "name": "b", "currency": "USD", "startDate": JANUARY, "endDate": END}],
        "balancetransactionschedules": [
            {
                "balance": "b",
                "code": "s",
                "name": "s",
                "amount": 1,
                "transactionDescription": "top-up",
                "transactionType": "credit",
                "startDate": JANUARY,
                "endDate": END,
                "frequency": "MONTHLY",
                "frequencyInterval": 1,
            }
        ],
    }
    actions = []
    for _ in range(2):
        with made.database.transaction() as connection:
            actions.append([change.action for change in applied(document, connection, made.org_id, actor="TESTER")])
    assert actions == [["create"] * 3, ["unchanged"] * 3]
