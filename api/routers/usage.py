"""Usage queries: ``POST usage/query``, the Data Explorer. Source: usage.md 7.1, DECISIONS 40."""

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import Body, Caller, ProcessState
from api.encoding import json_response
from api.lakes import lake_of
from pipelines.storage.usage_answers import answered
from transforms.aggregations.usage_query import UsageQuery
from transforms.entities.documents import validated

router = APIRouter(prefix="/organizations/{org_id}/usage", tags=["Usage"])


@router.post("/query")
def query(state: ProcessState, caller: Caller, body: Body) -> Response:
    """Aggregated usage by account, string field and time, or without aggregations the measurements themselves."""
    answer = answered(state.database, lake_of(state), caller.org_id, validated(UsageQuery, body))
    return json_response({"data": answer.rows, "hasMoreData": answer.has_more})
