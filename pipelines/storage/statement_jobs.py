"""Statement jobs as rows: ordered, claimed by a worker, finished, cancelled, listed, and what became of their documents.

Put here the life of a job row. Keep out what a statement says (transforms/statements), how it is made (statement_runs.py)
and where its documents are (statement_files.py). Source: billing.md 8.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import ARRAY

from pipelines.storage.bill_tables import BILLS
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.job_claims import CHANNEL, IS_ORPHANED, JobLost
from pipelines.storage.statement_tables import STATEMENT_JOBS
from transforms.entities.organization import StatementAutoGenerateMode
from transforms.errors import EntityInvalid, FieldProblem, NotFound, Refused

UNFINISHED = ("PENDING", "RUNNING")
_C = STATEMENT_JOBS.c


@dataclass(frozen=True)
class StatementJob:
    """One statement job as stored, see ``statement_tables.STATEMENT_JOBS``."""

    org_id: str
    id: str
    sequence: int
    bill_id: str
    status: str
    include_csv_format: bool
    meter_ids: list[str] | None
    calculation_id: str | None
    line_count: int | None
    bill_total: Decimal | None
    reason: str | None
    version: int
    dt_created: datetime
    dt_last_modified: datetime
    created_by: str | None
    last_modified_by: str | None
    claimed_by: int | None
    attempts: int


def _job(row: Any) -> StatementJob:
    return StatementJob(**row._asdict())


def _touched() -> dict[str, Any]:
    return {"version": _C.version + 1, "dt_last_modified": sa.func.clock_timestamp()}


def created(
    connection: Connection,
    org_id: str,
    bill_ids: Sequence[str],
    *,
    include_csv_format: bool,
    meter_ids: Sequence[str] | None,
    created_by: str | None,
    session: int | None = None,
) -> list[StatementJob]:
    """A new job per bill, in their order; announced to the workers, or with a session already claimed by it.

    Raises:
        EntityInvalid: A bill or meter that the organization does not have; no job is created then.
    """
    for field, table, ids in (("billIds", BILLS, bill_ids), ("filters.meterIds", TABLES["Meter"], meter_ids or ())):
        _refuse_unknown(connection, org_id, field, table, ids)
    claim = {"status": "PENDING"} if session is None else {"status": "RUNNING", "claimed_by": session, "attempts": 1}
    ordered = {"include_csv_format": include_csv_format, "meter_ids": list(meter_ids) if meter_ids else None}
    jobs = []
    for bill_id in bill_ids:
        values = {"org_id": org_id, "id": str(uuid.uuid4()), "bill_id": bill_id, "created_by": created_by, "last_modified_by": created_by}
        jobs.append(_job(connection.execute(sa.insert(STATEMENT_JOBS).values(**values, **ordered, **claim).returning(STATEMENT_JOBS)).one()))
    if session is None:
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "statements")))
    return jobs


def _refuse_unknown(connection: Connection, org_id: str, field: str, table: sa.Table, ids: Sequence[str]) -> None:
    found = set(connection.scalars(sa.select(table.c.id).where(table.c.org_id == org_id, table.c.id.in_(ids))))
    unknown = [i for i in ids if i not in found]
    if unknown:
        problems = tuple(FieldProblem(field, f"there is no {i}") for i in unknown)
        raise EntityInvalid(f"{field}: not in this organization: {', '.join(unknown)}", problems)


def ordered_automatically(connection: Connection, org_id: str, bill_ids: Sequence[str], *, actor: str | None) -> int:
    """Order the statements of bills that became approved or locked, where the account or else the organization asks for it.

    A bill that has the statement as it is now, or one under way, gets no second (see :func:`completed`). The number of new jobs.
    """
    if not bill_ids:
        return 0
    accounts, organizations = TABLES["Account"], TABLES["OrganizationConfig"]
    among = BILLS.c.id == sa.any_(sa.literal(list(bill_ids), ARRAY(sa.Text)))  # one parameter, however many bills
    mode = sa.func.coalesce(accounts.c.auto_generate_statement_mode, organizations.c.auto_generate_statement_mode, StatementAutoGenerateMode.NONE)
    says_the_bill = sa.and_(_C.calculation_id == BILLS.c.calculation_id, _C.bill_total == BILLS.c.bill_total, ~BILLS.c.statement_stale)
    is_there = sa.exists().where(
        _C.org_id == BILLS.c.org_id,
        _C.bill_id == BILLS.c.id,
        _C.meter_ids.is_(None),
        sa.or_(_C.include_csv_format, mode != StatementAutoGenerateMode.JSON_AND_CSV),
        sa.or_(_C.status.in_(UNFINISHED), sa.and_(_C.status == "COMPLETE", says_the_bill)),
    )
    wanted = (
        sa.select(
            BILLS.c.org_id,
            sa.cast(sa.func.gen_random_uuid(), sa.Text),
            BILLS.c.id,
            sa.literal("PENDING"),
            mode == StatementAutoGenerateMode.JSON_AND_CSV,
            sa.literal(actor, sa.Text),
            sa.literal(actor, sa.Text),
        )
        .join(accounts, sa.and_(accounts.c.org_id == BILLS.c.org_id, accounts.c.id == BILLS.c.account_id))
        .outerjoin(organizations, organizations.c.org_id == BILLS.c.org_id)
        .where(BILLS.c.org_id == org_id, among, mode != StatementAutoGenerateMode.NONE, ~is_there)
        .order_by(BILLS.c.id)
    )
    names = ("org_id", "id", "bill_id", "status", "include_csv_format", "created_by", "last_modified_by")
    count = connection.execute(sa.insert(STATEMENT_JOBS).from_select(names, wanted)).rowcount
    if count:
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "statements")))
    return count


def job(connection: Connection, org_id: str, job_id: str) -> StatementJob:
    """The job of an id; raises NotFound."""
    row = connection.execute(sa.select(STATEMENT_JOBS).where(_C.org_id == org_id, _C.id == job_id)).one_or_none()
    if row is None:
        raise NotFound("StatementJob", job_id)
    return _job(row)


def listed(
    connection: Connection, org_id: str, *, statuses: Sequence[str] | None, bill_id: str | None, before: int | None, limit: int
) -> list[StatementJob]:
    """At most ``limit`` jobs, newest first, with a sequence number below ``before``; None does not restrict."""
    query = sa.select(STATEMENT_JOBS).where(_C.org_id == org_id)
    if statuses is not None:
        query = query.where(_C.status.in_(statuses))
    if bill_id is not None:
        query = query.where(_C.bill_id == bill_id)
    if before is not None:
        query = query.where(_C.sequence < before)
    return [_job(row) for row in connection.execute(query.order_by(_C.sequence.desc()).limit(limit))]


def newest(connection: Connection, org_id: str, bill_id: str, *, with_csv: bool = False) -> StatementJob | None:
    """The newest complete statement of a bill (one with CSV, if asked); None when there is none."""
    query = sa.select(STATEMENT_JOBS).where(_C.org_id == org_id, _C.bill_id == bill_id, _C.status == "COMPLETE")
    if with_csv:
        query = query.where(_C.include_csv_format)
    row = connection.execute(query.order_by(_C.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else _job(row)


def document_statuses(connection: Connection, org_id: str, jobs: Sequence[StatementJob]) -> dict[str, tuple[str, str | None]]:
    """Job id -> the status of its JSON and (None without) of its CSV document, for complete jobs.

    LATEST: the bill's newest statement of that format, and the bill is as it says. STALE: the newest, but the bill has
    changed since. INVALIDATED: a newer one took its place, or the bill was deleted.
    """
    complete = [one for one in jobs if one.status == "COMPLETE"]
    bill_ids = {one.bill_id for one in complete}
    if not bill_ids:
        return {}
    said = (BILLS.c.calculation_id, BILLS.c.line_count, BILLS.c.bill_total, BILLS.c.statement_stale)
    now = sa.select(BILLS.c.id, *said).where(BILLS.c.org_id == org_id, BILLS.c.id.in_(bill_ids))
    bills = {bill_id: tuple(row) for bill_id, *row in connection.execute(now)}
    last = sa.select(_C.bill_id, sa.func.max(_C.sequence).label("json"), sa.func.max(_C.sequence).filter(_C.include_csv_format).label("csv"))
    last = last.where(_C.org_id == org_id, _C.bill_id.in_(bill_ids), _C.status == "COMPLETE").group_by(_C.bill_id)
    newest_of = {row.bill_id: (row.json, row.csv) for row in connection.execute(last)}

    def status(one: StatementJob, newest_sequence: int) -> str:
        if one.bill_id not in bills or one.sequence != newest_sequence:
            return "INVALIDATED"
        return "LATEST" if bills[one.bill_id] == (one.calculation_id, one.line_count, one.bill_total, False) else "STALE"

    return {
        one.id: (status(one, newest_of[one.bill_id][0]), status(one, newest_of[one.bill_id][1]) if one.include_csv_format else None)
        for one in complete
    }


def cancelled(connection: Connection, org_id: str, job_id: str, *, cancelled_by: str | None) -> StatementJob:
    """The job, CANCELLED; one that runs stores nothing any more. Cancelling twice changes nothing.

    Raises:
        NotFound: No such job.
        Refused: It has ended.
    """
    row = connection.execute(
        sa.update(STATEMENT_JOBS)
        .where(_C.org_id == org_id, _C.id == job_id, _C.status.in_(UNFINISHED))
        .values(status="CANCELLED", last_modified_by=cancelled_by, **_touched())
        .returning(STATEMENT_JOBS)
    ).one_or_none()
    if row is not None:
        return _job(row)
    existing = job(connection, org_id, job_id)
    if existing.status != "CANCELLED":
        raise Refused(f"statement job {job_id} is {existing.status} and can't be cancelled")
    return existing


_CLAIM = sa.text(
    f"""
    UPDATE statement_jobs
    SET status = 'RUNNING', claimed_by = :session, attempts = attempts + 1, version = version + 1, dt_last_modified = clock_timestamp()
    WHERE (org_id, id) = (
        SELECT j.org_id, j.id FROM statement_jobs j
        WHERE j.status = 'PENDING' OR j.status = 'RUNNING' AND {IS_ORPHANED}
        ORDER BY j.sequence LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING *
    """
)


def claimed(connection: Connection, session: int) -> StatementJob | None:
    """The oldest job that waits or whose worker is dead, now owned by the session; None when there is none."""
    row = connection.execute(_CLAIM, {"session": session}).one_or_none()
    return None if row is None else _job(row)


def advanced(connection: Connection, claim: StatementJob, **values: Any) -> None:
    """Write the end of the claimed job; raises JobLost when the claim no longer stands (the row is then untouched)."""
    is_owned = sa.and_(
        _C.org_id == claim.org_id, _C.id == claim.id, _C.claimed_by == claim.claimed_by, _C.attempts == claim.attempts, _C.status == "RUNNING"
    )
    if connection.execute(sa.update(STATEMENT_JOBS).where(is_owned).values(**values, **_touched())).rowcount != 1:
        raise JobLost(claim.id)


def completed(connection: Connection, claim: StatementJob, header: Any) -> None:
    """COMPLETE the claimed job, and say so on its bill.

    The bill may have changed since the documents were made. Then they are stale, and if it was approved meanwhile, that
    counted on this job: another one is ordered.

    Args:
        connection: An open transaction.
        claim: The job.
        header: The bill as the documents tell it.
    """
    advanced(
        connection,
        claim,
        status="COMPLETE",
        calculation_id=header["calculation_id"],
        line_count=header["line_count"],
        bill_total=header["bill_total"],
    )
    changed = (BILLS.c[name].is_distinct_from(header[name]) for name in ("calculation_id", "line_count", "bill_total", "memo_changed_at"))
    flags = {"json_statement_generated": True, "statement_stale": sa.or_(*changed)}
    if claim.include_csv_format:
        flags["csv_statement_generated"] = True
    own = (BILLS.c.org_id == claim.org_id, BILLS.c.id == claim.bill_id)
    bill = connection.execute(sa.update(BILLS).where(*own).values(flags).returning(BILLS.c.statement_stale, BILLS.c.status)).one_or_none()
    if bill is not None and bill.statement_stale and bill.status == "APPROVED":
        ordered_automatically(connection, claim.org_id, [claim.bill_id], actor=claim.created_by)


def failed(connection: Connection, claim: StatementJob, reason: str) -> None:
    """FAIL the claimed job."""
    advanced(connection, claim, status="FAILED", reason=reason)


def released(connection: Connection, claim: StatementJob) -> None:
    """Give the claimed job back because what it needs is away for now; the attempt does not count."""
    advanced(connection, claim, status="PENDING", claimed_by=None, attempts=claim.attempts - 1)
    connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "statements")))
