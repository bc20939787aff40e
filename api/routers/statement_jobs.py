"""Statement jobs: ordering statements and watching the order.

The API only writes the job's row; the resident worker, which the commit wakes, does the work. Source: billing.md 8.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.dependencies import Body, Caller, ProcessState
from api.encoding import json_response
from api.pagination import NextToken, PageSize, envelope
from api.parameters import flag, one_of
from api.presigned import download_url
from api.routers.downloads import statement_path
from pipelines.storage import statement_jobs
from pipelines.storage.config_lists import page_size as checked_size, page_token, sequence_of
from pipelines.storage.statement_jobs import StatementJob
from transforms.entities.documents import validated
from transforms.errors import EntityInvalid
from transforms.statements.job_requests import StatementJobRequest, StatementsBatchJobRequest

router = APIRouter(prefix="/organizations/{org_id}/statementjobs", tags=["StatementJob"])

STATUSES = ("PENDING", "RUNNING", "COMPLETE", "CANCELLED", "FAILED")
PAGE_SIZE_MAX = 100


def _document(request: Request, job: StatementJob, statuses: tuple[str, str | None] | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": job.id,
        "version": job.version,
        "orgId": job.org_id,
        "billId": job.bill_id,
        "statementJobStatus": job.status,
        "includeCsvFormat": job.include_csv_format,
        "filters": None if job.meter_ids is None else {"meterIds": job.meter_ids},
        # Why it failed, beyond the public API.
        "reason": job.reason,
        "dtCreated": job.dt_created,
        "dtLastModified": job.dt_last_modified,
        "createdBy": job.created_by,
        "lastModifiedBy": job.last_modified_by,
    }
    if statuses is not None:
        document["jsonStatementStatus"] = statuses[0]
        document["presignedJsonStatementUrl"] = download_url(request, statement_path(job.org_id, job.id, "json"))
        if job.include_csv_format:
            document["csvStatementStatus"] = statuses[1]
            document["presignedCsvStatementUrl"] = download_url(request, statement_path(job.org_id, job.id, "csv"))
    return {name: value for name, value in document.items() if value is not None}


def _documents(request: Request, connection: Connection, org_id: str, jobs: Sequence[StatementJob]) -> list[dict[str, Any]]:
    statuses = statement_jobs.document_statuses(connection, org_id, jobs)
    return [_document(request, job, statuses.get(job.id)) for job in jobs]


@router.post("")
def create(request: Request, state: ProcessState, caller: Caller, body: Body) -> Response:
    """Order the statement of one bill."""
    asked = validated(StatementJobRequest, body)
    with state.database.transaction() as connection:
        (job,) = statement_jobs.created(
            connection,
            caller.org_id,
            [asked.bill_id],
            include_csv_format=asked.include_csv_format,
            meter_ids=asked.filters.meter_ids,
            created_by=caller.id,
        )
    return json_response(_document(request, job, None))


@router.post("/batch")
def create_batch(request: Request, state: ProcessState, caller: Caller, body: Body) -> Response:
    """Order the statements of several bills; all are ordered or none."""
    asked = validated(StatementsBatchJobRequest, body)
    with state.database.transaction() as connection:
        jobs = statement_jobs.created(
            connection,
            caller.org_id,
            list(dict.fromkeys(asked.bill_ids)),
            include_csv_format=asked.include_csv_format,
            meter_ids=asked.filters.meter_ids,
            created_by=caller.id,
        )
    return json_response([_document(request, job, None) for job in jobs])


@router.get("")
def listing(
    request: Request,
    state: ProcessState,
    caller: Caller,
    *,
    active: str | None = None,
    status: str | None = None,
    bill_id: Annotated[str | None, Query(alias="billId")] = None,
    page_size: PageSize = None,
    next_token: NextToken = None,
) -> Response:
    """The organization's jobs, newest first: all, or by one of ``active``, ``status`` and ``billId``."""
    given = [name for name, value in (("active", active), ("status", status), ("billId", bill_id)) if value]
    if len(given) > 1:
        raise EntityInvalid.of(given[1], f"{' and '.join(given)} can't be combined; ask by one of active, status and billId")
    size = checked_size(page_size, PAGE_SIZE_MAX)
    statuses = statement_jobs.UNFINISHED if flag("active", active) else (one_of("status", status, STATUSES),) if status else None
    before = sequence_of(next_token) if next_token else None
    with state.database.transaction() as connection:
        jobs = statement_jobs.listed(connection, caller.org_id, statuses=statuses, bill_id=bill_id or None, before=before, limit=size + 1)
        documents = _documents(request, connection, caller.org_id, jobs[:size])
    return json_response(envelope(documents, page_token(jobs[size - 1].sequence) if len(jobs) > size else None))


@router.get("/{job_id}")
def get(request: Request, state: ProcessState, caller: Caller, job_id: str) -> Response:
    """One job; a complete one says where its documents can be downloaded for the next minute."""
    with state.database.transaction() as connection:
        (document,) = _documents(request, connection, caller.org_id, [statement_jobs.job(connection, caller.org_id, job_id)])
    return json_response(document)


@router.post("/{job_id}/cancel")
def cancel(request: Request, state: ProcessState, caller: Caller, job_id: str) -> Response:
    """Cancel a job that has not ended."""
    with state.database.transaction() as connection:
        job = statement_jobs.cancelled(connection, caller.org_id, job_id, cancelled_by=caller.id)
    return json_response(_document(request, job, None))
