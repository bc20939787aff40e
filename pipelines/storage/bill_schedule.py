"""What scheduled billing looks at: days that wait for their bills, months that jobs have changed, jobs that nobody runs.

Put here questions to the tables of jobs, bills and batches. Keep out when they are asked (pipelines/defs) and which days
billing periods end on (transforms/rating/due_days.py).
"""

from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage.bill_tables import BILL_JOBS, BILLS
from pipelines.storage.ingest_tables import INGEST_BATCHES
from pipelines.storage.snapshots import configuration
from transforms.periods import DAY, local_day, midnight
from transforms.rating.due_days import due_last_days, late_usage_until

#: A server that was down this long still bills what ended meanwhile; what ended earlier is billed by hand.
LOOK_BACK = timedelta(days=7)


def unbilled_days(connection: Connection, org_id: str, now: datetime) -> list[date]:
    """Last days of the organization's billing periods that a scheduled run has to bill at ``now``, ascending.

    Those of the last week that no job has billed since they were over, and those whose usage has grown since, by what was
    received up to 24 hours after their end.
    """
    snapshot = configuration(connection, org_id)
    today = local_day(now, snapshot.time_zone)
    days = due_last_days(snapshot, today - LOOK_BACK, today - DAY)
    # The schedule bills whole periods, so the account plan that ends last has the last word.
    ends = snapshot.account_plans["end_date"]
    latest = None if ends.null_count() else ends.max()
    assert latest is None or isinstance(latest, datetime), "ends of account plans are instants"
    periods = [(day, midnight(day + DAY, snapshot.time_zone)) for day in days]
    return [day for day, end in periods if _is_unbilled(connection, org_id, day, end, until=late_usage_until(end, latest))]


def _is_unbilled(connection: Connection, org_id: str, day: date, end: datetime, *, until: datetime) -> bool:
    jobs, batches = BILL_JOBS.c, INGEST_BATCHES.c
    whole = sa.and_(~jobs.request.has_key("accountIds"), ~jobs.request.has_key("billingFrequency"))
    billed_at = connection.scalar(
        sa.select(sa.func.max(jobs.dt_created)).where(
            jobs.org_id == org_id,
            jobs.type == "CREATE",
            jobs.status == "COMPLETE",
            whole,
            jobs.request["lastDateInBillingPeriod"].astext == day.isoformat(),
            jobs.dt_created >= end,
        )
    )
    if billed_at is None:
        return True
    grown = sa.select(batches.batch_id).where(
        batches.org_id == org_id, batches.kind == "LANDED", batches.planned_at > billed_at, batches.received_from < until
    )
    return connection.execute(grown.limit(1)).first() is not None


def changed_days(connection: Connection, since: datetime | None, *, other_than: str) -> tuple[datetime, list[date]]:
    """What finished bill jobs have changed, and what people have put on bills or taken off them.

    Args:
        connection: A connection.
        since: The instant that the last look returned; None for everything so far.
        other_than: Jobs of this actor are left out.

    Returns:
        The instant up to which it looked, and the last days of the billing periods of the bills concerned, ascending.
    """
    jobs = BILL_JOBS.c
    done = sa.and_(jobs.status == "COMPLETE", jobs.created_by.is_distinct_from(other_than))
    edited: sa.ColumnElement[bool] = BILLS.c.memo_changed_at.is_not(None)
    if since is not None:
        done, edited = sa.and_(done, jobs.dt_completed > since), sa.and_(edited, BILLS.c.memo_changed_at > since)
    latest = [sa.select(sa.func.max(jobs.dt_completed)).where(done), sa.select(sa.func.max(BILLS.c.memo_changed_at)).where(edited)]
    # The greatest of those that there are: PostgreSQL passes nulls over.
    until = connection.scalar(sa.select(sa.func.greatest(*(one.scalar_subquery() for one in latest), since, sa.func.to_timestamp(0))))
    assert until is not None, "the greatest with a default is never null"
    by_job = sa.select(BILLS.c.end_date).join(BILL_JOBS, sa.and_(BILLS.c.org_id == jobs.org_id, BILLS.c.bill_job_id == jobs.id)).where(done)
    days = set(connection.scalars(by_job.distinct())) | set(connection.scalars(sa.select(BILLS.c.end_date).where(edited).distinct()))
    return until, sorted(days)


def waiting_longer_than(connection: Connection, patience: timedelta) -> list[str]:
    """Ids of the PENDING bill jobs that were created longer ago than that, oldest first."""
    jobs = BILL_JOBS.c
    query = sa.select(jobs.id).where(jobs.status == "PENDING", jobs.dt_created < sa.func.clock_timestamp() - patience)
    return list(connection.scalars(query.order_by(jobs.dt_created, jobs.id)))


def latest_batch(connection: Connection) -> int:
    """Number of the newest batch of measurements; 0 when there is none."""
    return int(connection.scalar(sa.select(sa.func.coalesce(sa.func.max(INGEST_BATCHES.c.batch_id), 0))) or 0)
