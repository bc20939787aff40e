"""Our own OpenAPI document: entity routes described from their declarations, the others by FastAPI and the tables here."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.crud import PREFIX, collection_path
from transforms.aggregations.usage_query import UsageQuery
from transforms.billing.csv_request import DownloadCsvRequest
from transforms.billing.job_requests import BillApproveRequest, BillJobRecalculateRequest, BillJobRequest
from transforms.billing.memo_lines import CreditLineItem, DebitLineItem
from transforms.entities.balances import BalanceTransaction
from transforms.entities.end_dating import EndDateRequest
from transforms.entities.fields import fields
from transforms.entities.registry import RESOURCES
from transforms.entities.resource import Resource
from transforms.measurements.problems import MOST_ITEMS
from transforms.statements.job_requests import StatementJobRequest, StatementsBatchJobRequest

_ERROR = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "message": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object", "properties": {"field": {"type": "string"}, "message": {"type": "string"}}}},
    },
}


_MEASUREMENT = {
    "type": "object",
    "required": ["meter", "account", "ts"],
    "properties": {
        **{name: {"type": "string"} for name in ("uid", "meter", "account")},
        **{name: {"type": "string", "format": "date-time"} for name in ("ts", "ets")},
        **{name: {"type": "object", "additionalProperties": {"type": "string"}} for name in ("who", "what", "where", "metadata", "other")},
        **{name: {"type": "object", "additionalProperties": {"type": "number"}} for name in ("measure", "cost", "income")},
    },
}
_MEASUREMENTS = {
    "type": "object",
    "required": ["measurements"],
    "properties": {"measurements": {"type": "array", "minItems": 1, "maxItems": MOST_ITEMS, "items": {"$ref": "#/components/schemas/Measurement"}}},
}
_SUBMIT = {
    "operationId": "SubmitMeasurements",
    "tags": ["Measurement"],
    "summary": "Submit Measurements",
    "description": "Keep the measurements of the body, all of them or none; the answer comes when they are on the disk.",
    "responses": {"200": {"content": {"application/json": {"schema": {"type": "object", "properties": {"result": {"const": "accepted"}}}}}}},
}
_STATUS = {"type": "object", "required": ["status"], "properties": {"status": {"enum": ["PENDING", "APPROVED"]}}}
_GRANT = {"type": "object", "required": ["grant_type"], "properties": {"grant_type": {"const": "client_credentials"}}}
_REQUESTS: tuple[type[BaseModel], ...] = (
    BalanceTransaction,
    BillApproveRequest,
    BillJobRecalculateRequest,
    BillJobRequest,
    CreditLineItem,
    DebitLineItem,
    DownloadCsvRequest,
    EndDateRequest,
    StatementJobRequest,
    StatementsBatchJobRequest,
    UsageQuery,
)
_MEMOS = ("Credit", "Debit")


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


#: Method and path of a route of its own -> its body.
_BODIES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("post", "/oauth/token"): _GRANT,
    ("post", f"{PREFIX}/measurements"): _MEASUREMENTS,
    ("post", f"{PREFIX}/usage/query"): {"$ref": "#/components/schemas/UsageQuery"},
    ("post", f"{PREFIX}/billjobs"): {"$ref": "#/components/schemas/BillJobRequest"},
    ("post", f"{PREFIX}/billjobs/recalculate"): {"$ref": "#/components/schemas/BillJobRecalculateRequest"},
    ("post", f"{PREFIX}/bills/approve"): {"$ref": "#/components/schemas/BillApproveRequest"},
    ("post", f"{PREFIX}/bills/download/csv/url"): {"$ref": "#/components/schemas/DownloadCsvRequest"},
    **{("post", f"{PREFIX}/bills/{{bill_id}}/{name.lower()}lineitems"): _ref(f"{name}LineItem") for name in _MEMOS},
    **{("put", f"{PREFIX}/bills/{{bill_id}}/{name.lower()}lineitems/{{id}}"): _ref(f"{name}LineItem") for name in _MEMOS},
    ("post", f"{PREFIX}/bills/preview"): {"$ref": "#/components/schemas/BillJobRequest"},
    ("put", f"{PREFIX}/bills/{{bill_id}}/status"): _STATUS,
    ("post", f"{PREFIX}/balances/{{balance_id}}/transactions"): {"$ref": "#/components/schemas/BalanceTransaction"},
    ("post", f"{PREFIX}/balances/{{balance_id}}/balancetransactionschedules/preview"): {"$ref": "#/components/schemas/BalanceTransactionSchedule"},
    ("post", f"{PREFIX}/balances/{{balance_id}}/balancechargeschedules/preview"): {"$ref": "#/components/schemas/BalanceChargeSchedule"},
    ("post", f"{PREFIX}/statementjobs"): {"$ref": "#/components/schemas/StatementJobRequest"},
    ("post", f"{PREFIX}/statementjobs/batch"): {"$ref": "#/components/schemas/StatementsBatchJobRequest"},
    ("post", f"{PREFIX}/accountplans/{{id}}/replace"): {"$ref": "#/components/schemas/AccountPlan"},
    ("put", f"{PREFIX}/accounts/{{id}}/enddatebillingentities"): {"$ref": "#/components/schemas/EndDateRequest"},
    ("put", f"{PREFIX}/contracts/{{id}}/enddatebillingentities"): {"$ref": "#/components/schemas/EndDateRequest"},
}
#: How to call a route: with a token; for a token with the access key and its secret.
_SECURITY = {"token": {"type": "http", "scheme": "bearer"}, "accessKey": {"type": "http", "scheme": "basic"}}


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    error = {"description": "refused", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return {"200": {"description": "done", "content": {"application/json": {"schema": schema}}}, "4XX": error, "5XX": error}


def _body(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _parameters(names: tuple[str, ...], place: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}} for name in names]


def _paths(resource: Resource) -> dict[str, Any]:
    one = {"$ref": f"#/components/schemas/{resource.kind}"}
    page = {"type": "object", "properties": {"data": {"type": "array", "items": one}, "nextToken": {"type": "string"}}}

    def operation(verb: str, answer: dict[str, Any], query: tuple[str, ...] = (), has_body: bool = False) -> dict[str, Any]:
        described: dict[str, Any] = {
            "operationId": f"{verb}{resource.kind}",
            "tags": [resource.kind],
            "summary": f"{verb} {resource.kind}",
            "responses": _answer(answer),
        }
        described["parameters"] = _parameters(query, "query")
        return {**described, "requestBody": _body(one)} if has_body else described

    collection = f"{PREFIX}/{collection_path(resource)}"
    above = ("org_id",) if resource.parent is None else ("org_id", resource.parent)
    path_parameters = _parameters(above, "path")
    if resource.singleton:
        return {collection: {"parameters": path_parameters, "get": operation("Get", one), "put": operation("Update", one, has_body=True)}}
    filters = (*resource.filters, "pageSize", "nextToken")
    return {
        collection: {"parameters": path_parameters, "post": operation("Create", one, has_body=True), "get": operation("List", page, filters)},
        f"{collection}/{{id}}": {
            "parameters": _parameters((*above, "id"), "path"),
            "get": operation("Get", one),
            "put": operation("Update", one, has_body=True),
            "delete": operation("Delete", one),
        },
    }


def _schemas() -> dict[str, Any]:
    _, document = models_json_schema(
        [(kind, "validation") for kind in (*(r.entity for r in RESOURCES), *_REQUESTS)], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Any] = document.get("$defs", {})
    for resource in RESOURCES:
        for field in fields(resource.entity).values():
            if field.is_read_only:
                schemas[resource.kind]["properties"][field.wire]["readOnly"] = True
    return schemas


def _completed(path: str, methods: dict[str, Any]) -> None:
    """Add to a route of its own what FastAPI can't see: what dependencies read from the path, bodies, refusals."""
    organization = _parameters(("org_id",), "path") if "{org_id}" in path else []
    for method, operation in methods.items():
        others = [one for one in operation.get("parameters", []) if one["name"] != "org_id"]
        operation["parameters"] = [*organization, *others]
        done = operation["responses"]["200"]["content"]
        operation["responses"] = {**_answer({"type": "object"}), "200": {"description": "done", "content": done}}
        if path == "/oauth/token":
            operation["security"] = [{"accessKey": []}]
        elif not organization:
            operation["security"] = []
        if (method, path) in _BODIES:
            operation["requestBody"] = _body(_BODIES[method, path])


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of everything that the application serves; made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version="1", routes=app.routes)
        document["paths"][f"{PREFIX}/measurements"] = {"post": dict(_SUBMIT)}
        for path, methods in document["paths"].items():
            _completed(path, methods)
        for resource in RESOURCES:
            document["paths"].update(_paths(resource))
        document["components"] = {"schemas": {**_schemas(), "Measurement": _MEASUREMENT, "Error": _ERROR}, "securitySchemes": _SECURITY}
        document["security"] = [{"token": []}]
        app.openapi_schema = document
    return app.openapi_schema
