"""Ending what accounts and contracts are billed by on one date. Source: billing.md 2.5."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import Body, Caller, EntityId, ProcessState
from api.encoding import json_response
from pipelines.storage.end_dating import EndDating, ended_for_account, ended_for_contract
from transforms.entities.documents import validated
from transforms.entities.end_dating import EndDateRequest

router = APIRouter(prefix="/organizations/{org_id}")


def _ids(ids: Iterable[str]) -> dict[str, Any]:
    """A set of ids, as an object: the public clients read ``empty`` of it."""
    listed = list(ids)
    return {"empty": not listed, "ids": listed}


def _answer(result: EndDating) -> Response:
    number = sum(map(len, result.updated.values()))
    reasons: Mapping[str, str] = {one: reason for failed in result.failed.values() for one, reason in failed.items()}
    status = f"{number} ended, {len(reasons)} not"
    return json_response(
        {
            "statusMessage": "; ".join((status, *(f"{one}: {reason}" for one, reason in reasons.items()))),
            "updatedEntities": {kind: _ids(ids) for kind, ids in result.updated.items()},
            "failedEntities": {kind: _ids(failed) for kind, failed in result.failed.items()},
        }
    )


@router.put("/accounts/{id}/enddatebillingentities", tags=["Account"])
def of_account(state: ProcessState, caller: Caller, entity_id: EntityId, body: Body) -> Response:
    """End entities of an account, and of its child accounts where that is asked for."""
    request = validated(EndDateRequest, body)
    with state.database.transaction() as connection:
        result = ended_for_account(connection, caller.org_id, entity_id, request, caller.id)
    return _answer(result)


@router.put("/contracts/{id}/enddatebillingentities", tags=["Contract"])
def of_contract(state: ProcessState, caller: Caller, entity_id: EntityId, body: Body) -> Response:
    """End entities of a contract's account, and the contract itself where its kind is asked for."""
    request = validated(EndDateRequest, body)
    with state.database.transaction() as connection:
        result = ended_for_contract(connection, caller.org_id, entity_id, request, caller.id)
    return _answer(result)
