"""What the resident worker does, done by Dagster where no worker lives: measurements taken in, bill jobs run, bills approved.

Three sensors notice that nobody does it; all ask for the same job. Where a worker lives they only look. Put here how that is
noticed; keep out the work itself, which is the worker's.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.defs.recording import recorded_bill_job, recorded_ingest
from pipelines.defs.warehouse import Warehouse
from pipelines.storage import bill_jobs
from pipelines.storage.auto_approval import approved_when_due, overdue
from pipelines.storage.bill_runs import ran
from pipelines.storage.bill_schedule import latest_batch, waiting_longer_than
from pipelines.storage.ingest import backlog, drained

#: A bill job that waits longer than this is waiting for a worker that is not there; one starts a job within a second.
PATIENCE = timedelta(seconds=60)


@dg.op
def landed_measurements_taken_in(context: dg.OpExecutionContext, warehouse: Warehouse) -> None:
    """Take in everything that has landed, batch by batch."""
    for result in drained(warehouse.database, warehouse.lake, warehouse.landing_root):
        for batch in result.batches:
            recorded_ingest(batch.days, seconds=result.seconds)
            context.log.info("organization %s: %d measurements landed, %d accepted", batch.org_id, batch.landed, batch.accepted)


@dg.op
def waiting_bill_jobs_ran(context: dg.OpExecutionContext, warehouse: Warehouse) -> None:
    """Run the bill jobs that wait, oldest first, until none is left."""
    session = bill_jobs.new_session()
    with warehouse.database.session_lock(bill_jobs.session_key(session)) as is_ours:
        assert is_ours, f"the new session {session} is already taken"
        while True:
            with warehouse.database.transaction() as connection:
                claim = bill_jobs.claimed(connection, session)
            if claim is None:
                return
            summary = ran(warehouse.database, warehouse.lake, warehouse.landing_root, claim)
            recorded_bill_job(summary)
            context.log.info("organization %s: bill job %s wrote %d bills in %.2f s", summary.org_id, summary.job_id, summary.bills, summary.seconds)


@dg.op
def overdue_bills_approved(context: dg.OpExecutionContext, warehouse: Warehouse) -> None:
    """Approve the bills whose grace period is over."""
    for org_id, count in approved_when_due(warehouse.database).items():
        context.log.info("organization %s: %d bills approved after their grace period", org_id, count)


@dg.job(description="Takes in landed measurements, runs waiting bill jobs, approves bills in time: the resident worker's work, where there is none.")
def unattended_work() -> None:
    """All ops, independent of each other."""
    landed_measurements_taken_in()
    waiting_bill_jobs_ran()
    overdue_bills_approved()


@dg.sensor(
    job=unattended_work,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes in landed measurements when nobody has done so since the last look.",
)
def landed_measurements(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SensorResult:
    """Ask for a run when measurements wait, and waited at the last look, and no batch was taken in between."""
    with warehouse.database.transaction() as connection:
        cursor = str(latest_batch(connection))
    waiting = backlog(warehouse.database, warehouse.landing_root)
    if waiting == 0:
        return dg.SensorResult(skip_reason="nothing has landed that is not taken in", cursor=cursor)
    if context.cursor != f"{cursor} waiting":
        reason = f"{waiting} bytes have landed; they are being taken in, or will be after the next look"
        return dg.SensorResult(skip_reason=reason, cursor=f"{cursor} waiting")
    request = dg.RunRequest(tags={"meterhouse/reason": f"{waiting} bytes have landed and nobody takes them in"})
    return dg.SensorResult(run_requests=[request], cursor=cursor)


@dg.sensor(
    job=unattended_work,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs bill jobs that have been waiting for a minute.",
)
def waiting_bill_jobs(_context: dg.SensorEvaluationContext, warehouse: Warehouse) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Look at the rows of bill jobs."""
    with warehouse.database.transaction() as connection:
        waiting = waiting_longer_than(connection, PATIENCE)
    if waiting:
        yield dg.RunRequest(run_key=waiting[0], tags={"meterhouse/reason": f"{len(waiting)} bill jobs wait and nobody runs them"})
    else:
        yield dg.SkipReason("no bill job waits for a worker")


@dg.sensor(
    job=unattended_work,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Approves bills whose grace period has been over for a minute.",
)
def overdue_approvals(_context: dg.SensorEvaluationContext, warehouse: Warehouse) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Look for bills that a worker would have approved."""
    at = datetime.now(UTC)
    with warehouse.database.transaction() as connection:
        waiting = overdue(connection, at - PATIENCE)
    if waiting:
        yield dg.RunRequest(tags={"meterhouse/reason": f"the grace period of {waiting} bills is over and nobody approves them"})
    else:
        yield dg.SkipReason("no bill waits for its approval")
