"""Bills that approve themselves, at given instants: once per calculation, after its grace period."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.storage import auto_approval, bill_store, config_store
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.bills import account_of, calculation_of, frames, put
from transforms.entities.accounts import Account
from transforms.entities.organization import OrganizationConfig, TimePeriodUnit


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2025-{text}").replace(tzinfo=UTC)


class Site:
    """An organization that approves bills after two hours, and one account's bill of 1 February 2025."""

    def __init__(self, database: Database, lake: Lake, org_id: str) -> None:
        self.database, self.lake, self.org_id = database, lake, org_id
        self.account: Account = account_of(database, org_id, "acme")
        self.configured(auto_approve_bills_grace_period=2, auto_approve_bills_grace_period_unit=TimePeriodUnit.HOURS)

    def configured(self, **fields: Any) -> None:
        with self.database.transaction() as connection:
            config = config_store.singleton(connection, self.org_id, OrganizationConfig)
            config_store.updated(connection, self.org_id, config.id, config.model_copy(update=fields), "tester")

    def calculated(self, began: str, amount: str = "1") -> str:
        calculation = calculation_of(self.database, self.org_id, began_at=at(began))
        return put(self.database, self.lake, self.org_id, [frames(self.account, [amount])], calculation=calculation)[0]

    def approved(self, now: str) -> int:
        return auto_approval.approved_when_due(self.database, at(now)).get(self.org_id, 0)

    def bill(self, bill_id: str) -> dict[str, Any]:
        with self.database.transaction() as connection:
            return bill_store.bill(connection, self.org_id, bill_id)


@pytest.fixture
def site(database: Database, lake: Lake, organization: Credentials) -> Site:
    return Site(database, lake, organization.org_id)


def test_a_bill_approves_itself_once_after_its_grace_period(site: Site) -> None:
    bill_id = site.calculated("02-01T00:00")
    assert site.approved("02-01T01:59:59") == 0
    assert site.approved("02-01T02:00") == 1
    one = site.bill(bill_id)
    assert (one["status"], one["approved_by"], one["approved_calculation_id"]) == ("APPROVED", "AUTO_APPROVAL", one["calculation_id"])
    assert site.approved("02-01T02:00:05") == 0
    assert site.bill(bill_id)["version"] == one["version"]


def test_late_usage_makes_it_pending_until_a_grace_period_after_the_recalculation(site: Site) -> None:
    bill_id = site.calculated("02-01T00:00")
    assert site.approved("02-01T02:00") == 1
    assert site.calculated("02-01T05:00", "2") == bill_id
    assert site.bill(bill_id)["status"] == "PENDING"
    assert site.approved("02-01T06:59") == 0
    assert site.approved("02-01T07:00") == 1


def test_a_bill_made_early_waits_for_its_date(site: Site) -> None:
    site.calculated("01-20T00:00")
    assert site.approved("02-01T01:59") == 0
    assert site.approved("02-01T02:00") == 1


def test_what_somebody_made_pending_again_stays_so_until_it_is_calculated(site: Site) -> None:
    bill_id = site.calculated("02-01T00:00")
    with site.database.transaction() as connection:
        bill_store.with_status(connection, site.org_id, bill_id, "APPROVED", actor="me")
        bill_store.with_status(connection, site.org_id, bill_id, "PENDING", actor="me")
    assert site.approved("02-05T00:00") == 0
    site.calculated("02-05T01:00")
    assert site.approved("02-05T03:00") == 1


def test_an_organization_without_a_grace_period_approves_by_hand(site: Site) -> None:
    site.configured(auto_approve_bills_grace_period=None, auto_approve_bills_grace_period_unit=None)
    site.calculated("02-01T00:00")
    assert site.approved("03-01T00:00") == 0
    with site.database.transaction() as connection:
        assert site.org_id not in auto_approval.approved_when_due(site.database, at("03-01T00:00"))
        assert auto_approval.due(connection, site.org_id, at("03-01T00:00")) == []


def test_more_bills_than_a_query_has_parameters_are_approved(site: Site) -> None:
    ids = [f"00000000-0000-4000-8000-{n:012}" for n in range(70_000)]
    bill_id = site.calculated("02-01T00:00")
    with site.database.transaction() as connection, pytest.raises(Exception, match="does not exist"):
        bill_store.approved(connection, site.org_id, [*ids, bill_id], actor="me")
