"""The bill config's update: it may not lock bills that nobody has approved. Reading it is as for every entity (crud.py). Source: billing.md 3.2."""

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import Body, Caller, ProcessState
from api.encoding import json_response
from pipelines.storage import bill_locks
from transforms.entities.bill_config import BillConfig
from transforms.entities.documents import document, validated

router = APIRouter(prefix="/organizations/{org_id}/billconfig", tags=["BillConfig"])


@router.put("")
def update(state: ProcessState, caller: Caller, body: Body) -> Response:
    """Set the bill lock date, or take it away: bills whose period ends on or before it count as locked."""
    new = validated(BillConfig, body)
    with state.database.transaction() as connection:
        stored = bill_locks.lock_date_set(connection, caller.org_id, new, caller.id)
    return json_response(document(stored))
