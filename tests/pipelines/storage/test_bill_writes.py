"""Headers as calculations write them: ids stay, locked bills stand, the calculation that began later wins, whole."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from pipelines.storage import bill_jobs, bill_store, config_store
from pipelines.storage.bill_jobs import JobLost
from pipelines.storage.bill_lines import lines_by_bill
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.bills import account_of, calculation_of, claim_of, frames, put
from transforms.billing.job_requests import BillJobRequest
from transforms.entities.organization import OrganizationConfig
from transforms.errors import Refused

D = Decimal


def header(database: Database, org_id: str, bill_id: str) -> dict:
    with database.transaction() as connection:
        return bill_store.bill(connection, org_id, bill_id)


def amounts(database: Database, lake: Lake, org_id: str, bill_id: str) -> list[Decimal]:
    one = header(database, org_id, bill_id)
    return [line["subtotal"] for line in lines_by_bill(lake, org_id, [one])[bill_id]]


def test_a_stored_bill_reads_back_as_it_was_computed(database: Database, lake: Lake, organization: Credentials) -> None:
    account = account_of(database, organization.org_id, 'a "quoted", code')
    [bill_id] = put(database, lake, organization.org_id, [frames(account, ["123456789012345.123456789012", "-0.000000000001"])])
    one = header(database, organization.org_id, bill_id)
    assert one["bill_total"] == D("123456789012345.123456789011")
    assert one["account_code"] == 'a "quoted", code'
    assert one["purchase_order_number"] == 'PO "1", \\N'
    assert one["external_invoice_reference"] is None
    assert (one["status"], one["locked"], one["version"]) == ("PENDING", False, 1)
    assert amounts(database, lake, organization.org_id, bill_id) == [D("123456789012345.123456789012"), D("-0.000000000001")]


def test_calculating_again_keeps_the_id_and_undoes_the_approval(database: Database, lake: Lake, organization: Credentials) -> None:
    org_id = organization.org_id
    account = account_of(database, org_id, "acme")
    [bill_id] = put(database, lake, org_id, [frames(account, ["1", "2"])])
    with database.transaction() as connection:
        assert bill_store.approved(connection, org_id, [bill_id], actor="me") == 1
        assert bill_store.approved(connection, org_id, [bill_id], actor="me") == 0
    assert header(database, org_id, bill_id)["approved_by"] == "me"
    assert put(database, lake, org_id, [frames(account, ["5"])]) == [bill_id]
    one = header(database, org_id, bill_id)
    assert (one["status"], one["approved_by"], one["dt_approved"], one["bill_total"]) == ("PENDING", None, None, D(5))
    assert amounts(database, lake, org_id, bill_id) == [D(5)]


def test_a_locked_bill_is_never_touched_and_the_job_says_so(database: Database, lake: Lake, organization: Credentials) -> None:
    org_id = organization.org_id
    account, other = account_of(database, org_id, "acme"), account_of(database, org_id, "beta")
    [bill_id] = put(database, lake, org_id, [frames(account, ["1"])])
    with database.transaction() as connection, pytest.raises(Refused, match="approve it first"):
        bill_store.locked(connection, org_id, bill_id, actor="me")
    with database.transaction() as connection:
        bill_store.with_status(connection, org_id, bill_id, "APPROVED", actor="me")
        bill_store.locked(connection, org_id, bill_id, actor="me")
    before = header(database, org_id, bill_id)
    claim = claim_of(database, org_id)
    [new_id] = put(database, lake, org_id, [frames(account, ["9"]), frames(other, ["3"])], claim=claim)
    assert header(database, org_id, bill_id) == before
    assert amounts(database, lake, org_id, bill_id) == [D(1)]
    assert new_id != bill_id
    with database.transaction() as connection:
        job = bill_jobs.job(connection, org_id, claim.id)
        with pytest.raises(Refused, match="locked"):
            bill_store.deleted(connection, org_id, bill_id)
        with pytest.raises(Refused, match="locked"):
            bill_store.with_status(connection, org_id, bill_id, "PENDING", actor="me")
    assert (job.status, job.total, job.pending, job.bill_ids) == ("COMPLETE", 2, 0, (new_id,))
    assert [f["billId"] for f in job.failures] == [bill_id]


def test_the_calculation_that_began_later_stands_whichever_ends_last(database: Database, lake: Lake, organization: Credentials) -> None:
    org_id = organization.org_id
    account = account_of(database, org_id, "acme")
    early = calculation_of(database, org_id)
    late = calculation_of(database, org_id, began_at=early.began_at + timedelta(seconds=1))
    [bill_id] = put(database, lake, org_id, [frames(account, ["2", "2"])], calculation=late)
    assert put(database, lake, org_id, [frames(account, ["1"])], calculation=early) == [bill_id]
    assert amounts(database, lake, org_id, bill_id) == [D(2), D(2)]
    assert header(database, org_id, bill_id)["calculation_id"] == late.id


def test_an_attempt_that_lost_its_job_stores_nothing(database: Database, lake: Lake, organization: Credentials) -> None:
    org_id = organization.org_id
    account = account_of(database, org_id, "acme")
    claim = claim_of(database, org_id)
    with database.transaction() as connection:
        bill_jobs.cancelled(connection, org_id, claim.id, cancelled_by="me")
    with pytest.raises(JobLost):
        put(database, lake, org_id, [frames(account, ["1"])], claim=claim)
    with database.transaction() as connection:
        assert bill_store.listed(connection, org_id, BillFilter(), before=None, limit=10) == []
        assert bill_jobs.job(connection, org_id, claim.id).status == "CANCELLED"


def test_invoice_numbers_count_from_the_setting_in_the_order_of_creation(database: Database, lake: Lake, organization: Credentials) -> None:
    org_id = organization.org_id
    accounts = [account_of(database, org_id, code) for code in ("b", "a")]
    put(database, lake, org_id, [frames(accounts[0], ["1"], bill_date=date(2024, 12, 1))])
    with database.transaction() as connection:
        config = config_store.singleton(connection, org_id, OrganizationConfig)
        changed = config.model_copy(update={"bill_prefix": "INVOICE-", "sequence_start_number": 100})
        config_store.updated(connection, org_id, config.id, changed, "tester")
    put(database, lake, org_id, [frames(account, ["1"]) for account in accounts])
    put(database, lake, org_id, [frames(accounts[0], ["1"]), frames(accounts[0], ["1"], bill_date=date(2025, 3, 1))])
    with database.transaction() as connection:
        found = bill_store.listed(connection, org_id, BillFilter(), before=None, limit=10)
    numbers = {(b["account_code"], b["bill_date"].isoformat()): b["sequential_invoice_number"] for b in found}
    assert numbers == {
        ("b", "2024-12-01"): None,
        ("a", "2025-02-01"): "INVOICE-101",
        ("b", "2025-02-01"): "INVOICE-102",
        ("b", "2025-03-01"): "INVOICE-103",
    }


def test_a_bill_that_became_empty_loses_its_lines_and_a_new_empty_one_is_suppressed(
    database: Database, lake: Lake, organization: Credentials
) -> None:
    org_id = organization.org_id
    account, other = account_of(database, org_id, "acme"), account_of(database, org_id, "beta")
    [bill_id] = put(database, lake, org_id, [frames(account, ["1"])])
    with database.transaction() as connection:
        config = config_store.singleton(connection, org_id, OrganizationConfig)
        config_store.updated(connection, org_id, config.id, config.model_copy(update={"suppressed_empty_bills": True}), "tester")
    assert put(database, lake, org_id, [frames(account, []), frames(other, [])]) == [bill_id]
    assert header(database, org_id, bill_id)["bill_total"] == 0
    assert amounts(database, lake, org_id, bill_id) == []


def test_a_job_of_a_dead_session_is_claimed_again_and_of_a_living_one_is_not(database: Database, organization: Credentials) -> None:
    org_id = organization.org_id
    living, dead = bill_jobs.new_session(), bill_jobs.new_session()
    with database.session_lock(bill_jobs.session_key(living)) as is_ours:
        assert is_ours
        claims = {claim_of(database, org_id, BillJobRequest(), session=session).id: session for session in (living, dead)}
        found = {}
        with database.transaction() as connection:
            while (claim := bill_jobs.claimed(connection, living)) is not None:
                found[claim.id] = claim
            mine = [claim for claim in found.values() if claim.org_id == org_id]
            assert [claims[claim.id] for claim in mine] == [dead]
            assert (mine[0].attempts, mine[0].claimed_by) == (2, living)
            connection.rollback()
