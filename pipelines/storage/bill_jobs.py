"""Bill jobs as rows: created, claimed by a worker, finished, cancelled, listed.

Who owns a job, and what becomes of it when its worker dies, is told in job_claims.py.

Put here the life of a job row. Keep out what a job computes (bill_runs.py). Source: billing.md 3.1, DECISIONS 41.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage.bill_tables import BILL_JOBS, BILLS
from pipelines.storage.job_claims import ATTEMPTS_MAX, CHANNEL, IS_ORPHANED, JobLost, new_session, session_key
from pipelines.storage.metadata import METADATA
from transforms.billing.job_requests import BillJobRecalculateRequest, BillJobRequest, document
from transforms.errors import EntityInvalid, FieldProblem, LimitExceeded, NotFound, Refused

__all__ = ["ATTEMPTS_MAX", "CHANNEL", "JobLost", "new_session", "session_key"]

#: Jobs of one organization that may be unfinished at once (billing.md 3.1).
UNFINISHED_MAX = 10
UNFINISHED = ("PENDING", "INITIALIZING", "RUNNING")

#: Seed of the advisory locks of organizations whose jobs are counted.
COUNTS = 0x6D68_1002
#: Seed of the advisory locks that let one bill job of an organization at a time run.
RUNS = 0x6D68_1005


Request = BillJobRequest | BillJobRecalculateRequest


@dataclass(frozen=True)
class BillJob:
    """One bill job as stored.

    Attributes:
        request: The accepted body.
        bill_ids: The bills that it stored; of a RECALCULATE job that has not run yet, none.
        failures: ``{"accountId", "accountCode", "reason"}`` per account without a bill (DECISIONS 34); accountId is None
            where the job as a whole could not run, and ``billId`` is there where one bill was not recalculated.
        claimed_by: Number of the worker session that runs it.
        attempts: How often it was claimed.
    """

    org_id: str
    id: str
    sequence: int
    type: str
    status: str
    request: Request
    total: int
    pending: int
    bill_ids: tuple[str, ...]
    failures: tuple[dict[str, str | None], ...]
    version: int
    dt_created: datetime
    dt_last_modified: datetime
    dt_completed: datetime | None
    created_by: str | None
    last_modified_by: str | None
    claimed_by: int | None
    attempts: int

    @classmethod
    def of(cls, row: Any) -> "BillJob":
        """The job of a row of ``bill_jobs``."""
        values = row._asdict()
        shape = BillJobRequest if values["type"] == "CREATE" else BillJobRecalculateRequest
        request = shape.model_validate(values["request"])
        return cls(**values | {"request": request, "bill_ids": tuple(values["bill_ids"]), "failures": tuple(values["failures"])})


def _unknown(connection: Connection, table: sa.Table, org_id: str, ids: Sequence[str]) -> list[str]:
    found = set(connection.scalars(sa.select(table.c.id).where(table.c.org_id == org_id, table.c.id.in_(ids))))
    return [i for i in ids if i not in found]


def _checked(connection: Connection, org_id: str, request: Request) -> None:
    if isinstance(request, BillJobRecalculateRequest):
        field, table, noun, ids = "billIds", BILLS, "bill", request.bill_ids
    else:
        field, table, noun, ids = "accountIds", METADATA.tables["accounts"], "account", request.account_ids or []
    unknown = _unknown(connection, table, org_id, ids)
    if unknown:
        message = f"{field}: no such {noun} in this organization: {', '.join(unknown)}"
        raise EntityInvalid(message, tuple(FieldProblem(f"{field}[{ids.index(i)}]", f"no {noun} has the id {i}") for i in unknown))
    if isinstance(request, BillJobRequest):
        refuse_unknown_currency(connection, org_id, request)


def refuse_unknown_currency(connection: Connection, org_id: str, request: BillJobRequest) -> None:
    """Raise EntityInvalid when the request's target currency is none of the organization's, whose rounding the bills would have."""
    currencies = METADATA.tables["currencies"].c
    wanted = request.target_currency
    known = connection.scalars(sa.select(currencies.code).where(currencies.org_id == org_id).order_by(currencies.code)).all() if wanted else []
    if wanted and wanted not in known:
        possible = ", ".join(code for code in known if code)
        raise EntityInvalid.of(
            "targetCurrency", f"targetCurrency: there is no Currency with code {wanted!r} in this organization (there are {possible})"
        )


def created(connection: Connection, org_id: str, request: Request, *, created_by: str | None) -> BillJob:
    """The new PENDING job, announced to the workers when the transaction commits.

    Raises:
        EntityInvalid: An account or bill that the organization does not have.
        LimitExceeded: Ten jobs of the organization are unfinished.
    """
    _checked(connection, org_id, request)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(org_id, COUNTS))))
    unfinished = connection.scalar(
        sa.select(sa.func.count()).select_from(BILL_JOBS).where(BILL_JOBS.c.org_id == org_id, BILL_JOBS.c.status.in_(UNFINISHED))
    )
    if (unfinished or 0) >= UNFINISHED_MAX:
        raise LimitExceeded(f"{unfinished} bill jobs of this organization are unfinished, the most is {UNFINISHED_MAX}; wait for one or cancel one")
    new = _inserted(connection, org_id, request, created_by, status="PENDING")
    connection.execute(sa.select(sa.func.pg_notify(CHANNEL, new.id)))
    return new


def created_claimed(connection: Connection, org_id: str, request: BillJobRequest, *, created_by: str | None, session: int) -> BillJob:
    """The new job, already claimed by the caller's session; the limit of unfinished jobs does not apply.

    Raises:
        EntityInvalid: An account that the organization does not have.
    """
    _checked(connection, org_id, request)
    return _inserted(connection, org_id, request, created_by, status="INITIALIZING", claimed_by=session, attempts=1)


def _inserted(connection: Connection, org_id: str, request: Request, created_by: str | None, **values: Any) -> BillJob:
    row = connection.execute(
        sa.insert(BILL_JOBS)
        .values(
            org_id=org_id,
            id=str(uuid.uuid4()),
            type="CREATE" if isinstance(request, BillJobRequest) else "RECALCULATE",
            request=document(request),
            created_by=created_by,
            last_modified_by=created_by,
            **values,
        )
        .returning(BILL_JOBS)
    ).one()
    return BillJob.of(row)


def job(connection: Connection, org_id: str, job_id: str) -> BillJob:
    """The job of an id; raises NotFound."""
    row = connection.execute(sa.select(BILL_JOBS).where(BILL_JOBS.c.org_id == org_id, BILL_JOBS.c.id == job_id)).one_or_none()
    if row is None:
        raise NotFound("BillJob", job_id)
    return BillJob.of(row)


def listed(connection: Connection, org_id: str, *, statuses: Sequence[str] | None, before: int | None, limit: int) -> list[BillJob]:
    """At most ``limit`` jobs, newest first, with a sequence number below ``before``; of the given statuses where some are given."""
    query = sa.select(BILL_JOBS).where(BILL_JOBS.c.org_id == org_id)
    if statuses is not None:
        query = query.where(BILL_JOBS.c.status.in_(statuses))
    if before is not None:
        query = query.where(BILL_JOBS.c.sequence < before)
    rows = connection.execute(query.order_by(BILL_JOBS.c.sequence.desc()).limit(limit))
    return [BillJob.of(row) for row in rows]


def cancelled(connection: Connection, org_id: str, job_id: str, *, cancelled_by: str | None) -> BillJob:
    """The job, CANCELLED; one that runs stores nothing any more. Cancelling twice changes nothing.

    Raises:
        NotFound: No such job.
        Refused: The job is COMPLETE.
    """
    row = connection.execute(
        sa.update(BILL_JOBS)
        .where(BILL_JOBS.c.org_id == org_id, BILL_JOBS.c.id == job_id, BILL_JOBS.c.status.in_(UNFINISHED))
        .values(status="CANCELLED", pending=0, last_modified_by=cancelled_by, **_touched())
        .returning(BILL_JOBS)
    ).one_or_none()
    if row is not None:
        return BillJob.of(row)
    existing = job(connection, org_id, job_id)
    if existing.status == "COMPLETE":
        raise Refused(f"bill job {job_id} is COMPLETE and can't be cancelled; delete or recalculate its bills instead")
    return existing


def _touched() -> dict[str, Any]:
    return {"version": BILL_JOBS.c.version + 1, "dt_last_modified": sa.func.clock_timestamp()}


_CLAIM = sa.text(
    f"""
    UPDATE bill_jobs
    SET status = 'INITIALIZING', claimed_by = :session, attempts = attempts + 1, version = version + 1, dt_last_modified = clock_timestamp()
    WHERE (org_id, id) = (
        SELECT j.org_id, j.id FROM bill_jobs j
        WHERE (j.status = 'PENDING' OR j.status IN ('INITIALIZING', 'RUNNING') AND {IS_ORPHANED}) AND NOT EXISTS (
            -- Its organization is busy: the job waits until nobody runs another one of it.
            SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted AND l.objsubid = 1
              AND l.classid::bigint = (hashtextextended(j.org_id, {RUNS}) >> 32) & 4294967295
              AND l.objid::bigint = hashtextextended(j.org_id, {RUNS}) & 4294967295)
        ORDER BY j.sequence LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING *
    """
)


def claimed(connection: Connection, session: int) -> BillJob | None:
    """The oldest job that waits or whose worker is dead, now owned by the session; None when there is none."""
    row = connection.execute(_CLAIM, {"session": session}).one_or_none()
    return None if row is None else BillJob.of(row)


def _owned(claim: BillJob) -> sa.ColumnElement[bool]:
    return sa.and_(
        BILL_JOBS.c.org_id == claim.org_id,
        BILL_JOBS.c.id == claim.id,
        BILL_JOBS.c.claimed_by == claim.claimed_by,
        BILL_JOBS.c.attempts == claim.attempts,
        BILL_JOBS.c.status.in_(("INITIALIZING", "RUNNING")),
    )


def advanced(connection: Connection, claim: BillJob, **values: Any) -> None:
    """Write progress or the end of the claimed job; raises JobLost when the claim no longer stands (the row is then untouched)."""
    done = connection.execute(sa.update(BILL_JOBS).where(_owned(claim)).values(**values, **_touched()))
    if done.rowcount != 1:
        raise JobLost(claim.id)


def abandoned(connection: Connection, claim: BillJob, reason: str) -> None:
    """CANCEL the claimed job because it can't run at all; the reason stands among its failures."""
    failure = {"accountId": None, "accountCode": None, "reason": reason}
    advanced(connection, claim, status="CANCELLED", pending=0, failures=[failure], dt_completed=sa.func.clock_timestamp())


def released(connection: Connection, claim: BillJob) -> None:
    """Give the claimed job back because what it needs is away for now; the attempt does not count."""
    advanced(connection, claim, status="PENDING", claimed_by=None, attempts=claim.attempts - 1)
    connection.execute(sa.select(sa.func.pg_notify(CHANNEL, claim.id)))
