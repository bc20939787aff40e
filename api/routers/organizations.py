"""The organization's own document and who is calling (platform.md 1.2)."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy import RowMapping
from starlette.responses import Response

from api.dependencies import Caller, ProcessState
from api.encoding import json_response
from pipelines.storage import organizations

router = APIRouter(prefix="/organizations/{org_id}", tags=["Organization"])


def _organization_document(row: RowMapping) -> dict[str, Any]:
    return {
        "id": row["id"],
        "orgId": row["id"],
        "organizationName": row["name"],
        "type": "PRODUCTION",
        "status": row["status"],
        "version": row["version"],
        "dtCreated": row["dt_created"],
        "createdBy": row["created_by"],
    }


@router.get("")
def organization(state: ProcessState, caller: Caller) -> Response:
    """The organization's name and status."""
    with state.database.transaction() as connection:
        row = organizations.organization(connection, caller.org_id)
    return json_response(_organization_document(row))


@router.get("/users/me")
def me(state: ProcessState, caller: Caller) -> Response:
    """The service user whose access key the caller showed, and its organization."""
    with state.database.transaction() as connection:
        row = organizations.organization(connection, caller.org_id)
        user = organizations.service_user(connection, caller.org_id, caller.id.removeprefix("SERVICE_USER_"))
    service_user = {
        "id": user["id"],
        "name": user["name"],
        "version": user["version"],
        "dtCreated": user["dt_created"],
        "createdBy": user["created_by"],
    }
    return json_response({"organization": _organization_document(row), "serviceUser": service_user})
