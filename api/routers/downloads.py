"""Downloads by presigned address: statements, the usage behind a line, and bills as CSV.

Put here what an address leads to; that it is good is checked for the whole router (api/presigned.py).
"""

import base64
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from api.dependencies import ProcessState
from api.lakes import lake_of
from api.presigned import checked, file_headers
from pipelines.storage import statement_files, statement_jobs
from pipelines.storage.statement_files import StatementFile
from transforms.billing.csv_request import DownloadCsvRequest
from transforms.errors import NotFound

router = APIRouter(prefix="/downloads/{org}", tags=["Download"], dependencies=[Depends(checked)])

MEDIA_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
Organization = Annotated[str, Path(alias="org")]


def statement_path(org_id: str, job_id: str, kind: str) -> str:
    """Where the document of a statement job is downloaded."""
    return f"/downloads/{org_id}/statements/{job_id}/{kind}"


def usage_path(org_id: str, bill_id: str, line_item_id: str) -> str:
    """Where the usage behind a line is downloaded."""
    return f"/downloads/{org_id}/bills/{bill_id}/lineitems/{line_item_id}/usage"


def bills_csv_path(org_id: str, request: DownloadCsvRequest) -> str:
    """Where the bills that a request asks for are downloaded: the path, which is signed, says which."""
    asked = base64.urlsafe_b64encode(request.model_dump_json(exclude_none=True).encode()).decode().rstrip("=")
    return f"/downloads/{org_id}/bills/csv/{asked}"


@router.get("/bills/csv/{asked}")
def bills_csv(state: ProcessState, org_id: Organization, asked: str) -> Response:
    """Bills as CSV, as they are now."""
    from pipelines.storage import bill_files

    request = DownloadCsvRequest.model_validate_json(base64.urlsafe_b64decode(asked + "=" * (-len(asked) % 4)))
    with state.database.transaction() as connection:
        content = bill_files.written(connection, lake_of(state), org_id, request)
    name = f"bills-{request.start_date or request.external_invoice_date_start}.csv"
    return Response(content, media_type=MEDIA_TYPES["csv"], headers=file_headers(name))


@router.get("/statements/{job_id}/{kind}")
def statement(state: ProcessState, org_id: Organization, job_id: str, kind: Literal["json", "csv"]) -> Response:
    """The document of a complete statement job."""
    with state.database.transaction() as connection:
        job = statement_jobs.job(connection, org_id, job_id)
    if job.status != "COMPLETE" or (kind == "csv" and not job.include_csv_format):
        raise NotFound(f"The {kind} document of statement job", job_id)
    content = statement_files.content(lake_of(state), StatementFile(org_id, job.bill_id, job.id, kind))
    return Response(content, media_type=MEDIA_TYPES[kind], headers=file_headers(f"statement-{job.bill_id}.{kind}"))


@router.get("/bills/{bill_id}/lineitems/{line_item_id}/usage")
def line_usage(state: ProcessState, org_id: Organization, bill_id: str, line_item_id: str) -> Response:
    """The usage behind one line, by day: the statement of that line alone."""
    from pipelines.storage import statement_runs

    _, document = statement_runs.made(state.database, lake_of(state), org_id, bill_id, line_item_id=line_item_id)
    (usage,) = document["usage"] or [None]
    if usage is None:
        raise NotFound("The usage of line item", line_item_id)
    content = statement_runs.encoded(
        {"layoutVersion": document["layoutVersion"], "bill": document["bill"], "timezone": document["timezone"], **usage}
    )
    return Response(content, media_type=MEDIA_TYPES["json"], headers=file_headers(f"usage-{line_item_id}.json"))
