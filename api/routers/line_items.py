"""Line items on their own: of one bill, and of all bills of the organization. Source: wire.json BillLineItemResponse."""

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.bill_documents import line_item_document, products_of
from api.dependencies import Caller, ProcessState, State
from api.encoding import json_response
from api.lakes import lake_of
from api.pagination import NextToken, PageSize, envelope
from api.parameters import one_of
from pipelines.storage import bill_lines, bill_store
from pipelines.storage.config_lists import page_size as checked_size
from transforms.billing.line_item_types import LineItemType
from transforms.errors import EntityInvalid, NotFound

router = APIRouter(prefix="/organizations/{org_id}", tags=["LineItem"])

PAGE_SIZE_MAX = 100


def _token(bill_sequence: int, number: int) -> str:
    return base64.urlsafe_b64encode(f"l{bill_sequence}.{number}".encode()).decode().rstrip("=")


def _position(token: str) -> tuple[int, int]:
    try:
        plain = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
        kind, bill_sequence, number = plain[:1], *plain[1:].split(".")
        if kind == "l":
            return int(bill_sequence), int(number)
    except (binascii.Error, ValueError):
        pass
    raise EntityInvalid.of("nextToken", "nextToken is not one that this list answered with; leave it out to start at the first page")


def _page(state: State, org_id: str, *, bill_id: str | None, equal: dict[str, str], size: int | None, token: str | None) -> Response:
    count = checked_size(size, PAGE_SIZE_MAX)
    after = _position(token) if token else None
    with state.database.transaction() as connection:
        # Where lines are filtered, any number of bills may have none that match.
        enough = None if equal else count + 1
        headers = bill_store.line_owners(connection, org_id, bill_id=bill_id, after=after, lines=enough)
        lines = bill_lines.listed(lake_of(state), org_id, headers, equal=equal, after=after, limit=count + 1)
        products = products_of(connection, org_id, lines)
    owners = {header["id"]: header for header in headers}
    shown = lines[:count]
    following = _token(shown[-1]["bill_sequence"], shown[-1]["sequence_number"]) if len(lines) > count else None
    return json_response(envelope((line_item_document(owners[line["bill_id"]], line, products) for line in shown), following))


@router.get("/lineitems")
def listing(
    state: ProcessState,
    caller: Caller,
    *,
    bill_id: Annotated[str | None, Query(alias="billId")] = None,
    line_item_type: Annotated[str | None, Query(alias="lineItemType")] = None,
    commitment_id: Annotated[str | None, Query(alias="commitmentId")] = None,
    page_size: PageSize = None,
    next_token: NextToken = None,
) -> Response:
    """The line items of all bills: those of the newest bill first, in the order of the bill."""
    equal = {"line_item_type": one_of("lineItemType", line_item_type, tuple(LineItemType))} if line_item_type else {}
    if commitment_id:
        equal["commitment_id"] = commitment_id
    return _page(state, caller.org_id, bill_id=bill_id or None, equal=equal, size=page_size, token=next_token)


@router.get("/bills/{bill_id}/lineitems")
def of_bill(state: ProcessState, caller: Caller, bill_id: str, page_size: PageSize = None, next_token: NextToken = None) -> Response:
    """The line items of a bill, in its order."""
    with state.database.transaction() as connection:
        bill_store.bill(connection, caller.org_id, bill_id)
    return _page(state, caller.org_id, bill_id=bill_id, equal={}, size=page_size, token=next_token)


@router.get("/bills/{bill_id}/lineitems/{line_item_id}")
def get(state: ProcessState, caller: Caller, bill_id: str, line_item_id: str) -> Response:
    """One line item of a bill."""
    with state.database.transaction() as connection:
        header = bill_store.bill(connection, caller.org_id, bill_id)
        lines = bill_lines.lines_by_bill(lake_of(state), caller.org_id, [header])[bill_id]
        found = next((line for line in lines if line["line_item_id"] == line_item_id), None)
        if found is None:
            raise NotFound("LineItem", line_item_id)
        products = products_of(connection, caller.org_id, [found])
    return json_response(line_item_document(header, found, products))
