"""Which bills have got usage since they were calculated, of those that a job may not change.

PostgreSQL knows of every day when it last received usage, so mostly nothing has to be read; of the periods that did get some,
measurements say which accounts sent it. Put here the questions; keep out what is done with the answers (late_usage.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import ARRAY

from pipelines.storage import bill_locks
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.lake import Lake
from transforms.configuration import Configuration
from transforms.datasets import MEASUREMENTS
from transforms.entities.usage import Meter
from transforms.periods import DAY

Row = Mapping[str, Any]


@dataclass(frozen=True)
class GrownPeriod:
    """A period whose days have received usage since a calculation of its bills.

    Attributes:
        calculation_id: The calculation.
        start: First day of the period.
        end: Last day, inclusive.
        slack: How many days before and after it may belong to it, as they were cut in another time zone.
        received_since: What came in after the calculation was not received earlier; some of what it knew may have been received later.
    """

    calculation_id: str
    start: date
    end: date
    slack: int
    received_since: datetime

    def has(self, bill: Row) -> bool:
        """Whether the bill (a row of ``bills``) is of that calculation and period."""
        return (bill["calculation_id"], bill["start_date"], bill["end_date"]) == (self.calculation_id, self.start, self.end)


def _among(column: sa.ColumnElement[Any], values: Iterable[str]) -> sa.ColumnElement[bool]:
    return column == sa.any_(sa.literal(sorted(values), ARRAY(sa.Text)))


def carrying_bills(connection: Connection, org_id: str, account_ids: Sequence[str]) -> list[Row]:
    """The accounts' bills that carry late usage of others."""
    c = BILLS.c
    columns = (c.id, c.account_id, c.bill_date, c.calculation_id, c.carried_from)
    # As the index says it, a literal: a parameter would not be known to be empty.
    carries = sa.text("carried_from <> '{}'")
    if connection.execute(sa.select(sa.literal(1)).select_from(BILLS).where(c.org_id == org_id, carries).limit(1)).first() is None:
        return []
    query = sa.select(*columns).where(c.org_id == org_id, carries, _among(c.account_id, account_ids))
    return [dict(row) for row in connection.execute(query).mappings()]


_GROWN = sa.text(
    """
    WITH grown AS MATERIALIZED (
        SELECT k.id, k.calculated_at, p."startDate" AS start_date, p."endDate" AS end_date
        FROM bill_calculations k CROSS JOIN LATERAL jsonb_to_recordset(k.certificates) AS p("startDate" date, "endDate" date)
        WHERE k.org_id = :org_id AND EXISTS (
            SELECT FROM measurement_counts c
            WHERE c.org_id = :org_id AND c.accepted > 0 AND c.date BETWEEN p."startDate" - :slack AND p."endDate" + :slack
              AND (c.last_received_at IS NULL OR c.last_received_at >= k.calculated_at))
    )
    SELECT DISTINCT g.id, g.start_date, g.end_date, g.calculated_at
    FROM grown g
    JOIN bills b ON b.org_id = :org_id AND b.calculation_id = g.id AND b.start_date = g.start_date AND b.end_date = g.end_date
    WHERE b.account_id = ANY(:account_ids) AND b.bill_date < :before
      AND (b.locked OR b.end_date <= CAST(:lock_date AS date) OR b.id = ANY(:referenced))
    ORDER BY g.id, g.start_date, g.end_date
    """
)
#: The earliest receipt in what was taken in since an instant, or the instant. Batches are numbered in the order of ``planned_at``.
_RECEIVED_SINCE = sa.text(
    """
    SELECT least(:at, min(b.received_from)) FROM ingest_batches b
    WHERE b.org_id = :org_id AND b.batch_id > coalesce(
        (SELECT e.batch_id FROM ingest_batches e WHERE e.org_id = :org_id AND e.planned_at < :at ORDER BY e.batch_id DESC LIMIT 1), 0)
    """
)
#: Whether days of periods may have been cut in another time zone than those that usage is kept by.
_OTHER_ZONES = sa.text(
    """
    SELECT EXISTS (SELECT FROM bill_jobs WHERE org_id = :org_id AND request ? 'timezone')
        OR (SELECT count(DISTINCT body->>'timezone') > 1 FROM entity_versions WHERE org_id = :org_id AND kind = 'OrganizationConfig')
    """
)


def grown_periods(
    connection: Connection, configuration: Configuration, account_ids: Sequence[str], *, before: date, referenced: set[str]
) -> list[GrownPeriod]:
    """The closed bills of the accounts whose days have received measurements since they were calculated, by calculation and period."""
    org_id = configuration.organization_id
    lock_date = bill_locks.lock_date(connection, org_id)
    is_locked = sa.select(sa.literal(1)).where(BILLS.c.org_id == org_id, BILLS.c.locked).limit(1)
    if lock_date is None and not referenced and connection.execute(is_locked).first() is None:
        return []
    slack = 1 if connection.scalar(_OTHER_ZONES, {"org_id": org_id}) else 0
    parameters = {"org_id": org_id, "account_ids": list(account_ids), "before": before, "lock_date": lock_date}
    found = connection.execute(_GROWN, {**parameters, "referenced": sorted(referenced), "slack": slack}).all()
    since = {at: connection.scalar(_RECEIVED_SINCE, {"org_id": org_id, "at": at}) for at in {row.calculated_at for row in found}}
    return [GrownPeriod(row.id, row.start_date, row.end_date, slack, since[row.calculated_at]) for row in found]


def late_accounts(lake: Lake, configuration: Configuration, group: GrownPeriod) -> set[str]:
    """Ids of the accounts whose bills the measurements can change that came in since: those that sent them, with their families."""
    days = pl.col("date").is_between(group.start - group.slack * DAY, group.end + group.slack * DAY)
    came = days & (pl.col("received_at") >= group.received_since)
    scans = [lake.scan(MEASUREMENTS, configuration.organization_id, meter_id).filter(came) for meter_id in configuration.entities(Meter)]
    numbers = [scan.select("account_number").unique().collect(engine="streaming")["account_number"] for scan in scans]
    accounts = configuration.accounts.with_columns(top=pl.coalesce("parent_account_id", "account_id"))
    senders = accounts.filter(pl.col("account_number").is_in(pl.concat([pl.Series(dtype=pl.Int32), *numbers]).implode()))
    return set(accounts.filter(pl.col("top").is_in(senders["top"].implode()))["account_id"])


def bills_of(connection: Connection, org_id: str, account_ids: Iterable[str]) -> dict[str, Row]:
    """Id -> row with ``is_locked``, of all bills of the accounts."""
    query = sa.select(BILLS, bill_locks.is_locked().label("is_locked")).where(BILLS.c.org_id == org_id, _among(BILLS.c.account_id, account_ids))
    return {row["id"]: dict(row) for row in connection.execute(query.order_by(BILLS.c.bill_date, BILLS.c.id)).mappings()}
