"""What account plans have beside CRUD: replacing one by another. Source: billing.md 2.5."""

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import Body, Caller, EntityId, ProcessState
from api.encoding import json_response
from pipelines.storage.account_plan_changes import replaced
from transforms.entities.accounts import AccountPlan
from transforms.entities.documents import document, validated

router = APIRouter(prefix="/organizations/{org_id}/accountplans", tags=["AccountPlan"])


@router.post("/{id}/replace")
def replace(state: ProcessState, caller: Caller, entity_id: EntityId, body: Body) -> Response:
    """End the account plan where the new one of the body starts; both as they are then."""
    new = validated(AccountPlan, body)
    with state.database.transaction() as connection:
        original, following = replaced(connection, caller.org_id, entity_id, new, caller.id)
    return json_response({"originalAccountPlan": document(original), "newAccountPlan": document(following)})
