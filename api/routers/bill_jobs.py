"""Bill jobs: ordering bills and watching the order.

The API only writes the job's row; the resident worker, which the commit wakes, does the work. Source: billing.md 3.1.
"""

from fastapi import APIRouter
from starlette.responses import Response

from api.bill_documents import job_document
from api.dependencies import Body, Caller, ProcessState
from api.encoding import json_response
from api.pagination import NextToken, PageSize, envelope
from api.parameters import flag, one_of
from pipelines.storage import bill_jobs
from pipelines.storage.config_lists import page_size as checked_size, page_token, sequence_of
from transforms.billing.job_requests import BillJobRecalculateRequest, BillJobRequest
from transforms.entities.documents import validated

router = APIRouter(prefix="/organizations/{org_id}/billjobs", tags=["BillJob"])

STATUSES = ("PENDING", "INITIALIZING", "RUNNING", "COMPLETE", "CANCELLED")
PAGE_SIZE_MAX = 100


def _created(state: ProcessState, caller: Caller, request: BillJobRequest | BillJobRecalculateRequest) -> Response:
    with state.database.transaction() as connection:
        job = bill_jobs.created(connection, caller.org_id, request, created_by=caller.id)
    return json_response(job_document(job))


@router.post("")
def create(state: ProcessState, caller: Caller, body: Body) -> Response:
    """Order the bills of a billing period."""
    return _created(state, caller, validated(BillJobRequest, body if body is not None else {}))


@router.post("/recalculate")
def recalculate(state: ProcessState, caller: Caller, body: Body) -> Response:
    """Order bills that exist to be computed again."""
    return _created(state, caller, validated(BillJobRecalculateRequest, body))


@router.get("")
def listing(
    state: ProcessState,
    caller: Caller,
    *,
    active: str | None = None,
    status: str | None = None,
    page_size: PageSize = None,
    next_token: NextToken = None,
) -> Response:
    """The organization's jobs, newest first: all, the unfinished ones (``active``) or those of a status."""
    size = checked_size(page_size, PAGE_SIZE_MAX)
    statuses: tuple[str, ...] | None = None
    if flag("active", active):
        statuses = bill_jobs.UNFINISHED
    if status:
        wanted = one_of("status", status, STATUSES)
        statuses = tuple(s for s in (statuses or STATUSES) if s == wanted)
    before = sequence_of(next_token) if next_token else None
    with state.database.transaction() as connection:
        jobs = bill_jobs.listed(connection, caller.org_id, statuses=statuses, before=before, limit=size + 1)
    following = page_token(jobs[size - 1].sequence) if len(jobs) > size else None
    return json_response(envelope((job_document(job, is_listed=True) for job in jobs[:size]), following))


@router.get("/{job_id}")
def get(state: ProcessState, caller: Caller, job_id: str) -> Response:
    """One job, with the bills that it wrote and the accounts that it could not bill."""
    with state.database.transaction() as connection:
        job = bill_jobs.job(connection, caller.org_id, job_id)
    return json_response(job_document(job))


@router.post("/{job_id}/cancel")
def cancel(state: ProcessState, caller: Caller, job_id: str) -> Response:
    """Cancel a job that is not complete; what it has computed so far is dropped."""
    with state.database.transaction() as connection:
        job = bill_jobs.cancelled(connection, caller.org_id, job_id, cancelled_by=caller.id)
    return json_response(job_document(job))
