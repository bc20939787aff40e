"""The bill lock date: what it locks, what it refuses, and what moving it back unlocks (E08, E09)."""

from datetime import date
from typing import Any

import pytest
from m3ter import BadRequestError, ConflictError, M3ter

from pipelines.storage import bill_jobs, bill_locks, bill_scopes, config_store
from pipelines.storage.apply import applied
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.bills import account_of, claim_of, frames, put
from transforms.entities.accounts import Account
from transforms.entities.bill_config import BillConfig
from transforms.entities.usage import Product
from transforms.errors import EntityInvalid


@pytest.fixture
def bills(database: Database, lake: Lake, organization: Credentials) -> dict[str, str]:
    """Name -> id: acme's bills of the periods that end on 31 January and 28 February 2025."""
    account = account_of(database, organization.org_id, "acme")
    ids = [put(database, lake, organization.org_id, [frames(account, ["1"], bill_date=day)])[0] for day in (date(2025, 2, 1), date(2025, 3, 1))]
    return dict(zip(("january", "february"), ids, strict=True))


def locked(sdk: M3ter) -> set[str]:
    return {bill.id for bill in sdk.bills.list(locked=True)}


def test_a_date_over_a_pending_bill_is_refused_with_its_name(sdk: M3ter, bills: dict[str, str]) -> None:
    with pytest.raises(BadRequestError, match=rf"2 bills are PENDING, for example bill {bills['january']} of account acme.* 2025-01-31"):
        sdk.bill_config.update(bill_lock_date="2025-02-28")
    with pytest.raises(BadRequestError, match=rf"bill {bills['january']} .* is PENDING"):
        sdk.bill_config.update(bill_lock_date="2025-01-31")
    stored = sdk.bill_config.retrieve()
    assert (stored.bill_lock_date, stored.version) == (None, 1)
    assert sdk.bill_config.update(bill_lock_date="2025-01-30").bill_lock_date == date(2025, 1, 30)
    assert locked(sdk) == set()


def test_a_locked_bill_is_locked_everywhere_and_moving_the_date_back_unlocks_it(
    sdk: M3ter, database: Database, lake: Lake, organization: Credentials, bills: dict[str, str]
) -> None:
    org_id, january = organization.org_id, bills["january"]
    sdk.bills.approve(bill_ids=[january])
    stored = sdk.bill_config.update(bill_lock_date="2025-01-31")
    one = sdk.bills.retrieve(january)
    assert (one.locked, one.locked_by, one.status) == (True, None, "APPROVED")
    assert locked(sdk) == {january}
    assert {bill.id for bill in sdk.bills.list(locked=False)} == {bills["february"]}
    assert [bill.id for bill in sdk.bills.search(search_query="locked:true").data or []] == [january]
    with pytest.raises(BadRequestError, match="locked"):
        sdk.bills.update_status(january, status="PENDING")
    with pytest.raises(BadRequestError, match="locked"):
        sdk.bills.delete(january)
    with database.transaction() as connection:
        product = config_store.created(connection, org_id, Product(name="Calls", code="calls"), "tester")
    memo: dict[str, Any] = {"amount": 1, "description": "x", "product_id": product.id, "accounting_product_id": product.id}
    memo |= {"referenced_bill_id": january, "referenced_line_item_id": (one.line_items or [])[0].id}
    memo |= {"service_period_start_date": "2025-01-01T00:00:00Z", "service_period_end_date": "2025-02-01T00:00:00Z"}
    with pytest.raises(BadRequestError, match="locked"):
        sdk.bills.credit_line_items.create(january, **memo)
    account = account_of(database, org_id, "late")
    with database.transaction() as connection:
        acme = bill_jobs.job(connection, org_id, one.bill_job_id or "")
        _, failures = bill_scopes.recalculated_scopes(connection, org_id, [january], today=date(2025, 3, 2))
    assert acme.status == "COMPLETE"
    assert [failure["billId"] for failure in failures] == [january]
    claim = claim_of(database, org_id)
    assert put(database, lake, org_id, [frames(account, ["5"])], claim=claim) == []
    with database.transaction() as connection:
        [failure] = bill_jobs.job(connection, org_id, claim.id).failures
    assert failure["accountCode"] == "late"
    assert "bill lock date 2025-01-31" in str(failure["reason"])
    sdk.bill_config.update(bill_lock_date="2025-01-30", version=stored.version or 0)
    assert locked(sdk) == set()
    assert sdk.bills.update_status(january, status="PENDING").status == "PENDING"


def test_a_job_leaves_what_the_date_locks(sdk: M3ter, database: Database, lake: Lake, organization: Credentials, bills: dict[str, str]) -> None:
    org_id, january = organization.org_id, bills["january"]
    sdk.bills.approve(bill_ids=[january])
    sdk.bill_config.update(bill_lock_date="2025-02-01")
    with database.transaction() as connection:
        account = config_store.entities(connection, org_id, Account, code="acme")[0]
    claim = claim_of(database, org_id)
    written = put(database, lake, org_id, [frames(account, ["7"]), frames(account, ["8"], bill_date=date(2025, 3, 1))], claim=claim)
    assert written == [bills["february"]]
    assert (sdk.bills.retrieve(january).bill_total, sdk.bills.retrieve(january).status) == (1, "APPROVED")
    with database.transaction() as connection:
        assert [f["billId"] for f in bill_jobs.job(connection, org_id, claim.id).failures] == [january]


def test_an_individual_lock_stays_when_the_date_goes(sdk: M3ter, bills: dict[str, str]) -> None:
    sdk.bills.approve(bill_ids=list(bills.values()))
    sdk.bills.lock(bills["january"])
    first = sdk.bill_config.update(bill_lock_date="2025-02-28")
    assert locked(sdk) == set(bills.values())
    with pytest.raises(ConflictError):
        sdk.bill_config.update(bill_lock_date="2025-01-01", version=1)
    sdk.bill_config.update(version=first.version or 0)  # no date
    assert sdk.bill_config.retrieve().bill_lock_date is None
    assert locked(sdk) == {bills["january"]}


def test_a_file_of_configuration_is_held_to_the_same_rule(database: Database, organization: Credentials, bills: dict[str, str]) -> None:
    del bills
    with pytest.raises(EntityInvalid, match="2 bills are PENDING"), database.transaction() as connection:
        applied({"billconfig": {"billLockDate": "2025-03-01"}}, connection, organization.org_id, actor="tester")
    with database.transaction() as connection:
        applied({"billconfig": {"billLockDate": "2024-12-31"}}, connection, organization.org_id, actor="tester")
        assert bill_locks.lock_date(connection, organization.org_id) == date(2024, 12, 31)
        assert config_store.singleton(connection, organization.org_id, BillConfig).version == 2
