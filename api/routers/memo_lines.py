"""Credit and debit line items of bills: five routes each, the same but for what they are called. Source: billing.md 6.6."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from api.dependencies import Body, Caller, EntityId, ProcessState, State
from api.encoding import json_response
from api.lakes import lake_of
from api.pagination import NextToken, PageSize, envelope
from pipelines.storage import bill_store, memo_store
from pipelines.storage.bill_lines import lines_by_bill
from pipelines.storage.config_lists import page_size as checked_size, page_token, sequence_of
from transforms.billing.memo_lines import CreditLineItem, DebitLineItem, MemoLine
from transforms.entities.documents import document, validated

PAGE_SIZE_MAX = 100


def _line_ids(state: State, connection: Connection, org_id: str, new: MemoLine) -> frozenset[str] | None:
    """The lines of the bill that the line refers to; None when it refers to none."""
    if new.referenced_bill_id is None or new.referenced_line_item_id is None or not bill_store.exists(connection, org_id, new.referenced_bill_id):
        return None
    header = bill_store.bill(connection, org_id, new.referenced_bill_id)
    return frozenset(line["line_item_id"] for line in lines_by_bill(lake_of(state), org_id, [header])[header["id"]])


def _shown(memo: MemoLine) -> dict[str, Any]:
    return document(memo)


def _routes(router: APIRouter, kind: type[CreditLineItem | DebitLineItem], name: str) -> None:
    def create(state: ProcessState, caller: Caller, bill_id: str, body: Body) -> Response:
        new = validated(kind, body)
        with state.database.transaction() as connection:
            line_ids = _line_ids(state, connection, caller.org_id, new)
            memo = memo_store.created(connection, caller.org_id, bill_id, new, line_ids=line_ids, actor=caller.id)
        return json_response(_shown(memo))

    def listing(state: ProcessState, caller: Caller, bill_id: str, page_size: PageSize = None, next_token: NextToken = None) -> Response:
        size = checked_size(page_size, PAGE_SIZE_MAX)
        before = sequence_of(next_token) if next_token else None
        with state.database.transaction() as connection:
            found = memo_store.listed(connection, caller.org_id, bill_id, kind, before=before, limit=size + 1)
        following = page_token(found[size - 1][0]) if len(found) > size else None
        return json_response(envelope((_shown(memo) for _, memo in found[:size]), following))

    def get(state: ProcessState, caller: Caller, bill_id: str, entity_id: EntityId) -> Response:
        with state.database.transaction() as connection:
            memo = memo_store.memo(connection, caller.org_id, bill_id, entity_id, kind)
        return json_response(_shown(memo))

    def update(state: ProcessState, caller: Caller, bill_id: str, entity_id: EntityId, body: Body) -> Response:
        new = validated(kind, body)
        with state.database.transaction() as connection:
            line_ids = _line_ids(state, connection, caller.org_id, new)
            memo = memo_store.updated(connection, caller.org_id, bill_id, entity_id, new, line_ids=line_ids, actor=caller.id)
        return json_response(_shown(memo))

    def delete(state: ProcessState, caller: Caller, bill_id: str, entity_id: EntityId) -> Response:
        with state.database.transaction() as connection:
            memo = memo_store.deleted(connection, caller.org_id, bill_id, entity_id, kind, actor=caller.id)
        return json_response(_shown(memo))

    collection = f"/{{bill_id}}/{name}lineitems"
    for method, path, endpoint, does in (
        ("POST", collection, create, f"Put a {name} on a bill that is not locked."),
        ("GET", collection, listing, f"The {name} lines of a bill, newest first."),
        ("GET", f"{collection}/{{id}}", get, f"One {name} line of a bill."),
        ("PUT", f"{collection}/{{id}}", update, f"Replace a {name} line of a bill that is not locked."),
        ("DELETE", f"{collection}/{{id}}", delete, f"Take a {name} line off a bill that is not locked; the answer is the line as it was."),
    ):
        operation = f"{endpoint.__name__}_{name}_line_item"
        router.add_api_route(path, endpoint, methods=[method], name=operation, summary=operation.replace("_", " ").title(), description=does)


router = APIRouter(prefix="/organizations/{org_id}/bills", tags=["LineItem"])
_routes(router, CreditLineItem, "credit")
_routes(router, DebitLineItem, "debit")
