"""Bills that draw from commitments or carry late usage, computed again from the ledger as it stood."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.storage import balance_transactions, bill_store, calculations
from pipelines.storage.bill_lines import lines_by_bill
from pipelines.storage.calculation_differences import compared
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.landing import Landing
from pipelines.storage.line_explanations import explained
from pipelines.storage.organizations import Credentials
from tests.configured import Configured
from tests.pipelines.storage.test_bill_runs import JANUARY, Organization
from tests.pipelines.storage.test_rebilling import rebilled
from transforms.billing.job_requests import BillJobRequest
from transforms.entities.balances import BalanceTransaction
from transforms.entities.documents import validated
from transforms.provenance.attribution import Cause

D = Decimal
FEBRUARY = BillJobRequest.model_validate(JANUARY.model_dump() | {"last_date_in_billing_period": date(2025, 2, 28)})


@pytest.fixture
def org(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Organization:
    return Organization(database, lake, organization.org_id, tmp_path / "landing")


def used(org: Organization, quantity: int, *, month: int, day: int) -> None:
    one = {"uid": f"{month}-{day}", "meter": "meter", "account": "acme", "ts": f"2025-{month:02}-{day:02}T00:00:00Z", "measure": {"qty": quantity}}
    landing = Landing(org.landing)
    landing.append_all(org.org_id, [msgspec.json.encode({"measurements": [one | {"where": {"region": "eu"}}]})], datetime.now(UTC))
    landing.close()


def committed(org: Organization, amount: int) -> tuple[Configured, dict[str, Any]]:
    """acme on a plan of 1 a call, with a commitment of the amount for 2025."""
    on = Configured(org.database, org.org_id)
    meter = on.meter()
    plan = on.plan(on.template(on.product()))
    on.pricing(planId=plan["id"], aggregationId=on.aggregation(meter)["id"])
    account = on.account()
    on.attached(account, plan)
    dates = {"startDate": "2025-01-01", "endDate": "2026-01-01"}
    return on, on.post("commitments", accountId=account["id"], currency="USD", amount=amount, **dates)


def headers(org: Organization) -> list[dict[str, Any]]:
    with org.database.transaction() as connection:
        return list(reversed(bill_store.listed(connection, org.org_id, bill_store.BillFilter(), before=None, limit=9)))


def test_what_was_drawn_is_drawn_again_whatever_was_locked_and_added_since(org: Organization) -> None:
    on, commitment = committed(org, 100)
    used(org, 60, month=1, day=10)
    used(org, 70, month=2, day=10)
    org.billed()
    org.billed(FEBRUARY)
    assert [header["bill_total"] for header in headers(org)] == [D(0), D(30)]
    assert rebilled(org).is_equal
    february = headers(org)[1]["id"]
    with org.database.transaction() as connection:
        bill_store.approved(connection, org.org_id, [february], actor="me")
        bill_store.locked(connection, org.org_id, february, actor="me")
    again = rebilled(org)
    assert again.is_equal, again.differences
    used(org, 30, month=1, day=11)
    org.billed()
    on.put("commitments", commitment, amount=500)
    again = rebilled(org)
    assert again.is_equal, (again.differences, again.problems)


def test_draws_that_change_are_data_or_configuration_and_lines_are_explained(org: Organization) -> None:
    on, commitment = committed(org, 100)
    used(org, 60, month=1, day=10)
    org.billed()
    on.put("commitments", commitment, amount=40)
    org.billed()
    used(org, 5, month=1, day=11)
    org.billed()
    with org.database.transaction() as connection:
        bill = bill_store.bill(connection, org.org_id, headers(org)[0]["id"])
        one, two, three = calculations.calculations_of(connection, bill)
    configuration = compared(org.database, org.lake, bill, one, two)
    assert {(line.line["line_item_type"], line.causes) for line in configuration.lines} >= {("COMMITMENT_CONSUMED", (Cause.CONFIGURATION,))}
    drawn = next(line for line in configuration.lines if line.line["line_item_type"] == "COMMITMENT_CONSUMED")
    assert [(e.kind, e.version_before, e.version_after) for e in drawn.entities] == [("Commitment", 1, 2)]
    data = compared(org.database, org.lake, bill, two, three)
    assert data.lines
    assert {line.causes for line in data.lines} == {(Cause.DATA,)}
    for line in lines_by_bill(org.lake, org.org_id, [bill])[bill["id"]]:
        assert explained(org.database, org.lake, bill, line["line_item_id"]).explanation.is_equal, line


def test_late_usage_of_a_locked_bill_is_data_of_the_bill_that_carries_it(org: Organization) -> None:
    committed(org, 1)
    used(org, 60, month=1, day=10)
    used(org, 70, month=2, day=10)
    org.billed()
    org.billed(FEBRUARY)
    january, february = headers(org)
    with org.database.transaction() as connection:
        bill_store.approved(connection, org.org_id, [january["id"]], actor="me")
        bill_store.locked(connection, org.org_id, january["id"], actor="me")
    used(org, 5, month=1, day=11)
    org.billed(FEBRUARY)
    again = rebilled(org)
    assert again.is_equal, (again.differences, again.problems)
    assert again.carried == 1
    with org.database.transaction() as connection:
        bill = bill_store.bill(connection, org.org_id, february["id"])
        every = calculations.calculations_of(connection, bill)
    (line,) = compared(org.database, org.lake, bill, every[0], every[-1]).lines
    assert (line.line["change"], line.causes, line.line["subtotal_after"]) == ("ADDED", (Cause.DATA,), D(5))
    one = explained(org.database, org.lake, bill, line.line["line_item_id"]).explanation
    assert january["id"] in one.formula
    assert one.is_equal


def test_what_a_balance_granted_is_told_and_taken_again(org: Organization) -> None:
    on = Configured(org.database, org.org_id)
    meter = on.meter()
    plan = on.plan(on.template(on.product()))
    on.pricing(planId=plan["id"], aggregationId=on.aggregation(meter)["id"])
    account = on.account()
    on.attached(account, plan)
    life = {"startDate": "2025-01-01T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}
    on.post("picklists/currency", name="call", code="call")
    balance = on.post("balances", accountId=account["id"], name="free calls", code="free", currency="call", **life)
    with org.database.transaction() as connection:
        credit = validated(BalanceTransaction, {"amount": 25, "appliedDate": "2025-01-01T00:00:00Z"})
        balance_transactions.created(connection, org.org_id, balance["id"], credit, "tester")
    used(org, 60, month=1, day=10)
    org.billed()
    assert rebilled(org).is_equal
    (bill,) = headers(org)
    one = explained(org.database, org.lake, bill, "1").explanation
    assert (one.line["quantity"], one.line["units"], one.is_equal) == (D(60), D(35), True)
    assert [step.formula for step in one.steps if step.name == "units (call)"] == ["60 / 1, less 25 that a balance granted"]
