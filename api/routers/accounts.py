"""What accounts have beside CRUD: search and children (platform.md 3)."""

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import Caller, EntityId, ProcessState
from api.encoding import json_response
from api.pagination import NextToken, PageSize, envelope
from api.parameters import SearchParameters
from pipelines.storage import config_store
from pipelines.storage.entity_search import searched
from transforms.entities.accounts import Account
from transforms.entities.documents import document

router = APIRouter(prefix="/organizations/{org_id}/accounts", tags=["Account"])


@router.get("/search")
def search(state: ProcessState, caller: Caller, wanted: SearchParameters) -> Response:
    """Accounts that match the terms; ``nextToken`` is the ``fromDocument`` of the next page."""
    with state.database.transaction() as connection:
        page = searched(connection, caller.org_id, Account, wanted)
    return json_response(envelope(map(document, page.documents), page.next_token))


@router.get("/{id}/children")
def children(state: ProcessState, caller: Caller, entity_id: EntityId, page_size: PageSize = None, next_token: NextToken = None) -> Response:
    """The account's child accounts, newest first."""
    with state.database.transaction() as connection:
        parent = config_store.entity(connection, caller.org_id, Account, entity_id)
        page = config_store.children(connection, caller.org_id, parent.id, size=page_size, token=next_token)
    return json_response(envelope(map(document, page.data), page.next_token))
