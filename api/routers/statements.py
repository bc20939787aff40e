"""Statements of bills, and the usage behind their lines: addresses to download them from. Source: billing.md 8."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.dependencies import Caller, ProcessState, State
from api.encoding import json_response
from api.lakes import lake_of
from api.presigned import download_url
from api.routers.downloads import statement_path, usage_path
from pipelines.storage import bill_lines, bill_store, statement_jobs
from transforms.errors import NotFound
from transforms.statements.usage_lines import is_usage

router = APIRouter(prefix="/organizations/{org_id}/bills/{bill_id}", tags=["Bill"])


def _newest(request: Request, state: State, org_id: str, bill_id: str, kind: str) -> Response:
    with state.database.transaction() as connection:
        bill_store.bill(connection, org_id, bill_id)
        job = statement_jobs.newest(connection, org_id, bill_id, with_csv=kind == "csv")
    if job is None:
        made_by = "a statement job with includeCsvFormat" if kind == "csv" else "a statement job"
        raise NotFound(f"A {kind.upper()} statement ({made_by} makes one) of bill", bill_id)
    return json_response({"downloadUrl": download_url(request, statement_path(org_id, job.id, kind))})


@router.get("/statement/json")
def json_statement(request: Request, state: ProcessState, caller: Caller, bill_id: str) -> Response:
    """Where the bill's newest statement can be downloaded; a statement job makes one."""
    return _newest(request, state, caller.org_id, bill_id, "json")


@router.get("/statement/csv")
def csv_statement(request: Request, state: ProcessState, caller: Caller, bill_id: str) -> Response:
    """Where the bill's newest statement in CSV format can be downloaded."""
    return _newest(request, state, caller.org_id, bill_id, "csv")


@router.post("/statement/csv")
def create_csv_statement(request: Request, state: ProcessState, caller: Caller, bill_id: str) -> Response:
    """Make the bill's statement now, in both formats; the answer is where to download the CSV."""
    from pipelines.storage import statement_runs

    with state.database.transaction() as connection:
        bill_store.bill(connection, caller.org_id, bill_id)
    job = statement_runs.ran_inline(state.database, lake_of(state), caller.org_id, bill_id, include_csv_format=True, created_by=caller.id)
    return json_response({"downloadUrl": download_url(request, statement_path(caller.org_id, job.id, "csv"))})


@router.get("/lineitems/{line_item_id}/usage/json")
def line_usage(request: Request, state: ProcessState, caller: Caller, bill_id: str, line_item_id: str) -> Response:
    """Where the usage behind the line can be downloaded, by day."""
    with state.database.transaction() as connection:
        header = bill_store.bill(connection, caller.org_id, bill_id)
    lines = bill_lines.scanned(lake_of(state), caller.org_id, [header]).filter(is_usage())
    if line_item_id not in lines.select("line_item_id").collect()["line_item_id"]:
        raise NotFound("The usage of line item", line_item_id)
    return json_response({"downloadUrl": download_url(request, usage_path(caller.org_id, bill_id, line_item_id))})
