"""Scheduled bill runs, and publishing what bill jobs have changed.

One schedule for all organizations: an organization's own interval is a matter of its configuration, so that changing it
changes no code. Put here when something is due; keep out what is done then.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from pipelines.defs.bill_runs import ACTOR, bill_jobs_ran
from pipelines.defs.recording import recorded_bill_job
from pipelines.defs.warehouse import Storage, Warehouse
from pipelines.partitions import billing_month
from pipelines.storage import config_store
from pipelines.storage.bill_schedule import changed_days, unbilled_days
from pipelines.storage.organizations import organization_ids
from transforms.entities.organization import OrganizationConfig, time_zone
from transforms.rating.due_days import scheduled_slot

#: The shortest interval there is (scheduledBillInterval 0.25).
TICK = timedelta(minutes=15)


@dg.op(
    config_schema={
        "organizations": dg.Field([str], description="Ids of the organizations that are due."),
        "at": dg.Field(str, description="The instant of the schedule's tick, ISO 8601."),
    }
)
def scheduled_bills(context: dg.OpExecutionContext, warehouse: Warehouse) -> None:
    """Bill the periods that have ended and are not billed, or have got late usage since (billing.md 3.3)."""
    at = datetime.fromisoformat(context.op_config["at"])
    for org_id in context.op_config["organizations"]:
        with warehouse.database.transaction() as connection:
            days = unbilled_days(connection, org_id, at)
        for day in days:
            for _, summary in bill_jobs_ran(warehouse, org_id, day, day):
                recorded_bill_job(summary)
                context.log.info("organization %s, periods that end on %s: %d bills in %.2f s", org_id, day, summary.bills, summary.seconds)


@dg.job(description="Bills the organizations whose scheduled bill run is due.")
def scheduled_bill_run() -> None:
    """One op."""
    scheduled_bills()


def due_organizations(warehouse: Storage, at: datetime) -> list[str]:
    """Ids of the organizations for which a bill run is due at the tick ``at`` (a multiple of TICK)."""
    due = []
    with warehouse.database.transaction() as connection:
        for org_id in organization_ids(connection):
            config = config_store.singleton(connection, org_id, OrganizationConfig)
            interval = config.scheduled_bill_interval or Decimal(0)
            if interval == 0:
                continue
            zone, offset = time_zone(config.timezone), config.scheduled_bill_offset or 0
            now, before = (scheduled_slot(t, interval_hours=interval, offset_hours=offset, zone=zone) for t in (at, at - TICK))
            if now != before:
                due.append(org_id)
    return due


@dg.schedule(
    job=scheduled_bill_run,
    cron_schedule="*/15 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every 15 minutes: runs bills for the organizations whose scheduledBillInterval and scheduledBillOffset say so.",
)
def bill_schedule(context: dg.ScheduleEvaluationContext, warehouse: Warehouse) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Look which organizations are due."""
    at = context.scheduled_execution_time
    due = due_organizations(warehouse, at)
    if due:
        yield dg.RunRequest(run_key=at.isoformat(), run_config={"ops": {"scheduled_bills": {"config": {"organizations": due, "at": at.isoformat()}}}})
    else:
        yield dg.SkipReason("no organization is due")


@dg.sensor(
    asset_selection=dg.AssetSelection.assets("published_line_items"),
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes the months that finished bill jobs, and credit and debit lines, have changed.",
)
def finished_bill_jobs(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SensorResult:
    """Look at the bill jobs completed since the last look; those of backfills publish by themselves."""
    since = datetime.fromisoformat(context.cursor) if context.cursor else None
    with warehouse.database.transaction() as connection:
        until, days = changed_days(connection, since, other_than=ACTOR)
    if not days:
        return dg.SensorResult(skip_reason="no bill job has finished since the last look", cursor=until.isoformat())
    # One run for all of them; a month between that did not change is published as it was.
    span = {ASSET_PARTITION_RANGE_START_TAG: billing_month(days[0]), ASSET_PARTITION_RANGE_END_TAG: billing_month(days[-1])}
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=until.isoformat(), tags=span)], cursor=until.isoformat())
