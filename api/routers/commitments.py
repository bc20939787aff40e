"""What commitments have beside CRUD: search (platform.md 3)."""

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import Caller, ProcessState
from api.encoding import json_response
from api.pagination import envelope
from api.parameters import SearchParameters
from pipelines.storage.entity_search import searched
from transforms.entities.commitments import Commitment
from transforms.entities.documents import document

router = APIRouter(prefix="/organizations/{org_id}/commitments", tags=["Commitment"])


@router.get("/search")
def search(state: ProcessState, caller: Caller, wanted: SearchParameters) -> Response:
    """Commitments that match the terms; ``nextToken`` is the ``fromDocument`` of the next page."""
    with state.database.transaction() as connection:
        page = searched(connection, caller.org_id, Commitment, wanted)
    return json_response(envelope(map(document, page.documents), page.next_token))
