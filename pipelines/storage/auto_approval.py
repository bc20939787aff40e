"""Bills that approve themselves: PENDING ones whose grace period is over, each calculation once.

A bill that somebody approved and made PENDING again stays so until it is calculated again. Put here which bills are
concerned; the instant is transforms/billing/approval.py, the approval itself bill_store.py. Source: billing.md 2.9.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from pipelines.storage import bill_locks, bill_store, config_store
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.database import Database
from pipelines.storage.entity_tables import TABLES
from transforms.billing.approval import approval_due, grace_period
from transforms.entities.organization import OrganizationConfig, time_zone

#: Who stands in ``approvedBy`` of a bill that approved itself.
ACTOR = "AUTO_APPROVAL"


def approved_when_due(database: Database, now: datetime | None = None) -> dict[str, int]:
    """Approve what is due at ``now`` (None for the database's clock), one transaction per organization; organization -> bills approved."""
    with database.transaction() as connection:
        at: datetime = now or connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        org_ids = _with_grace(connection)
    done = {}
    for org_id in org_ids:
        with database.transaction() as connection:
            bill_locks.held(connection, org_id)  # or a calculation that came meanwhile would be approved at once
            if ids := due(connection, org_id, at):
                done[org_id] = bill_store.approved(connection, org_id, ids, actor=ACTOR)
    return done


def overdue(connection: Connection, at: datetime) -> int:
    """How many bills of all organizations were due at that instant and are not approved."""
    return sum(len(due(connection, org_id, at)) for org_id in _with_grace(connection))


def due(connection: Connection, org_id: str, at: datetime) -> list[str]:
    """Ids of the organization's bills to be approved at that instant."""
    grace = grace_period(config_store.singleton(connection, org_id, OrganizationConfig))
    if grace is None:
        return []
    calculated = BILLS.c.last_calculated_at <= at - grace
    groups = list(_over(connection, org_id, at, grace))
    if not groups:
        return []
    in_group = sa.tuple_(BILLS.c.bill_date, BILLS.c.timezone).in_(groups)
    return list(connection.scalars(sa.select(BILLS.c.id).where(*_waiting(org_id), calculated, in_group).order_by(BILLS.c.id)))


def _waiting(org_id: str) -> tuple[ColumnElement[bool], ...]:
    """PENDING bills whose calculation nobody has approved so far."""
    c = BILLS.c
    return c.org_id == org_id, c.status == "PENDING", c.approved_calculation_id.is_distinct_from(c.calculation_id)


def _over(connection: Connection, org_id: str, at: datetime, grace: timedelta) -> Iterator[tuple[date, str]]:
    """(bill date, time zone) of waiting bills whose bill date is so long over."""
    # The local day is a day ahead of UTC's at most.
    latest = (at - grace + timedelta(days=1)).date()
    query = sa.select(BILLS.c.bill_date, BILLS.c.timezone).where(*_waiting(org_id), BILLS.c.bill_date <= latest).distinct()
    for bill_date, zone in connection.execute(query):
        # Of a bill calculated before its date: only the date counts here, the calculation is compared in the query.
        if approval_due(bill_date, time_zone(zone), last_calculated_at=at - grace, grace=grace) <= at:
            yield bill_date, zone


def _with_grace(connection: Connection) -> list[str]:
    configs = TABLES["OrganizationConfig"].c
    both = (configs.auto_approve_bills_grace_period.is_not(None), configs.auto_approve_bills_grace_period_unit.is_not(None))
    return list(connection.scalars(sa.select(configs.org_id).where(*both).order_by(configs.org_id)))
