"""Bills: found, listed, searched, approved, locked, deleted, previewed.

Literal paths stand before ``/{bill_id}``. Source: billing.md 3.2, 3.5, platform.md 2.3, 3.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.bill_documents import bill_document, products_of
from api.dependencies import Body, Caller, ProcessState, State
from api.encoding import json_response
from api.lakes import lake_of
from api.pagination import NextToken, PageSize, envelope
from api.parameters import SearchParameters, day, flag, one_of, values
from api.presigned import download_url
from api.routers.downloads import bills_csv_path
from pipelines.storage import bill_files, bill_search, bill_store
from pipelines.storage.bill_lines import lines_by_bill
from pipelines.storage.bill_store import BillFilter, Header
from pipelines.storage.config_lists import page_size as checked_size, page_token, sequence_of
from transforms.billing.csv_request import DownloadCsvRequest
from transforms.billing.job_requests import BillApproveRequest, BillJobRequest
from transforms.entities.documents import validated
from transforms.entities.resource import BillingFrequency
from transforms.errors import EntityInvalid

router = APIRouter(prefix="/organizations/{org_id}/bills", tags=["Bill"])

PAGE_SIZE_MAX = 100
STATUSES = ("PENDING", "APPROVED")

AccountId = Annotated[str | None, Query(alias="accountId")]
BillDate = Annotated[str | None, Query(alias="billDate")]
BillDateStart = Annotated[str | None, Query(alias="billDateStart")]
BillDateEnd = Annotated[str | None, Query(alias="billDateEnd")]
InvoiceDateStart = Annotated[str | None, Query(alias="externalInvoiceDateStart")]
InvoiceDateEnd = Annotated[str | None, Query(alias="externalInvoiceDateEnd")]
Frequency = Annotated[str | None, Query(alias="billingFrequency")]
JobId = Annotated[str | None, Query(alias="billJobId")]
ExcludeLineItems = Annotated[str | None, Query(alias="excludeLineItems")]


def _documents(state: State, connection: Connection, org_id: str, headers: Sequence[Header], *, with_lines: bool = True) -> list[dict[str, Any]]:
    if not with_lines:
        return [bill_document(header, None, {}) for header in headers]
    lines = lines_by_bill(lake_of(state), org_id, headers)
    products = products_of(connection, org_id, (line for own in lines.values() for line in own))
    return [bill_document(header, lines[header["id"]], products) for header in headers]


def _answer(state: State, connection: Connection, header: Header) -> dict[str, Any]:
    lines = lines_by_bill(lake_of(state), header["org_id"], [header])[header["id"]]
    return bill_document(header, lines, products_of(connection, header["org_id"], lines), with_versions=True)


def _page(state: State, org_id: str, bills: BillFilter, size: int | None, token: str | None, *, with_lines: bool = True) -> Response:
    rows = checked_size(size, PAGE_SIZE_MAX)
    before = sequence_of(token) if token else None
    with state.database.transaction() as connection:
        headers = bill_store.listed(connection, org_id, bills, before=before, limit=rows + 1)
        documents = _documents(state, connection, org_id, headers[:rows], with_lines=with_lines)
    return json_response(envelope(documents, page_token(headers[rows - 1]["sequence"]) if len(headers) > rows else None))


def _frequency(value: str | None) -> str | None:
    return one_of("billingFrequency", value, tuple(BillingFrequency)) if value else None


@router.get("")
def listing(
    state: ProcessState,
    caller: Caller,
    *,
    account_id: AccountId = None,
    bill_date: BillDate = None,
    bill_date_start: BillDateStart = None,
    bill_date_end: BillDateEnd = None,
    invoice_date_start: InvoiceDateStart = None,
    invoice_date_end: InvoiceDateEnd = None,
    billing_frequency: Frequency = None,
    bill_job_id: JobId = None,
    status: str | None = None,
    locked: str | None = None,
    ids: str | None = None,
    exclude_line_items: ExcludeLineItems = None,
    page_size: PageSize = None,
    next_token: NextToken = None,
) -> Response:
    """The bills of the organization, newest first. ``includeBillTotal`` changes nothing: every bill states its total."""
    bills = BillFilter(
        ids=values(ids),
        account_ids=[account_id] if account_id else None,
        bill_date=day("billDate", bill_date),
        bill_date_start=day("billDateStart", bill_date_start),
        bill_date_end=day("billDateEnd", bill_date_end),
        external_invoice_date_start=day("externalInvoiceDateStart", invoice_date_start),
        external_invoice_date_end=day("externalInvoiceDateEnd", invoice_date_end),
        billing_frequency=_frequency(billing_frequency),
        bill_job_id=bill_job_id or None,
        status=one_of("status", status, STATUSES) if status else None,
        locked=flag("locked", locked),
    )
    with_lines = not flag("excludeLineItems", exclude_line_items)
    return _page(state, caller.org_id, bills, page_size, next_token, with_lines=with_lines)


@router.get("/search")
def search(state: ProcessState, caller: Caller, wanted: SearchParameters) -> Response:
    """The bills that the terms match; ``nextToken`` is the ``fromDocument`` of the next page."""
    with state.database.transaction() as connection:
        page = bill_search.searched(connection, caller.org_id, wanted)
        documents = _documents(state, connection, caller.org_id, page.documents)
    return json_response(envelope(documents, page.next_token))


@router.get("/latest/{account_id}")
def latest(state: ProcessState, caller: Caller, account_id: str) -> Response:
    """The account's bill with the latest bill date."""
    with state.database.transaction() as connection:
        document = _answer(state, connection, bill_store.latest(connection, caller.org_id, account_id))
    return json_response(document)


@router.get("/accountid/{account_id}")
def of_account(state: ProcessState, caller: Caller, account_id: str, page_size: PageSize = None, next_token: NextToken = None) -> Response:
    """The account's bills, newest first."""
    return _page(state, caller.org_id, BillFilter(account_ids=[account_id]), page_size, next_token)


def _period(last_date: str, frequency: str) -> BillFilter:
    return BillFilter(end_date=day("lastDateInBillingPeriod", last_date), billing_frequency=_frequency(frequency))


@router.get("/billingperiod/{last_date}/{frequency}")
def of_period(
    state: ProcessState, caller: Caller, last_date: str, frequency: str, *, page_size: PageSize = None, next_token: NextToken = None
) -> Response:
    """The bills of the billing periods of that frequency that end on that day."""
    return _page(state, caller.org_id, _period(last_date, frequency), page_size, next_token)


def _approved(count: int) -> Response:
    return json_response({"message": f"{count} {'bill' if count == 1 else 'bills'} approved"})


@router.post("/billingperiod/{last_date}/{frequency}/approve")
def approve_period(state: ProcessState, caller: Caller, last_date: str, frequency: str) -> Response:
    """Approve every pending bill of those billing periods."""
    with state.database.transaction() as connection:
        count = bill_store.approved_where(connection, caller.org_id, _period(last_date, frequency), actor=caller.id)
    return _approved(count)


@router.post("/approve")
def approve(state: ProcessState, caller: Caller, body: Body) -> Response:
    """Approve the bills of ``billIds``. The public API's filters in the query do not apply when ids are given, and ids are required."""
    ids = validated(BillApproveRequest, body).bill_ids
    with state.database.transaction() as connection:
        count = bill_store.approved(connection, caller.org_id, ids, actor=caller.id)
    return _approved(count)


@router.post("/download/csv/url")
def csv_url(request: Request, state: ProcessState, caller: Caller, body: Body) -> Response:
    """An address that is good for a minute, from which bills are downloaded as CSV.

    Those whose period's last day lies from ``startDate`` until the day before ``endDate``, at most 31 days: 2026-08-01 and 2026-09-01
    for August. The same for ``externalInvoiceDateStart`` and ``externalInvoiceDateEnd``.
    """
    asked = validated(DownloadCsvRequest, body)
    with state.database.transaction() as connection:
        bill_files.refuse_too_many(connection, caller.org_id, asked)
    return json_response({"downloadUrl": download_url(request, bills_csv_path(caller.org_id, asked))})


@router.post("/preview")
def preview(state: ProcessState, caller: Caller, body: Body) -> Response:
    """The bill of one account as it would be now; nothing is stored."""
    from pipelines.storage import bill_runs

    request = validated(BillJobRequest, body)
    settings = state.settings
    header, lines = bill_runs.previewed(state.database, lake_of(state), settings.landing_root, caller.org_id, request=request)
    with state.database.transaction() as connection:
        products = products_of(connection, caller.org_id, lines)
    return json_response(bill_document(header, lines, products))


@router.get("/{bill_id}")
def get(state: ProcessState, caller: Caller, bill_id: str) -> Response:
    """One bill with its line items and what it was computed from."""
    with state.database.transaction() as connection:
        document = _answer(state, connection, bill_store.bill(connection, caller.org_id, bill_id))
    return json_response(document)


@router.delete("/{bill_id}")
def delete(state: ProcessState, caller: Caller, bill_id: str) -> Response:
    """Delete a bill that is not locked; the answer is the bill as it was."""
    with state.database.transaction() as connection:
        document = _answer(state, connection, bill_store.deleted(connection, caller.org_id, bill_id, actor=caller.id))
    return json_response(document)


@router.put("/{bill_id}/status")
def update_status(state: ProcessState, caller: Caller, bill_id: str, body: Body) -> Response:
    """Approve a bill, or make it pending again."""
    status = body.get("status") if isinstance(body, dict) else None
    if status not in STATUSES:
        raise EntityInvalid.of("status", f"status is {status!r}; it must be PENDING or APPROVED")
    with state.database.transaction() as connection:
        document = _answer(state, connection, bill_store.with_status(connection, caller.org_id, bill_id, status, actor=caller.id))
    return json_response(document)


@router.put("/{bill_id}/lock")
def lock(state: ProcessState, caller: Caller, bill_id: str) -> Response:
    """Lock an approved bill for good."""
    with state.database.transaction() as connection:
        document = _answer(state, connection, bill_store.locked(connection, caller.org_id, bill_id, actor=caller.id))
    return json_response(document)
