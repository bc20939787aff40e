"""Our own OpenAPI document: entity routes described from their declarations, the others by FastAPI and the tables here and in answers.py."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.answers import ANSWERS, FILES, page_of, schemas
from api.crud import PREFIX, collection_path
from pipelines.storage.entity_tables import table_name
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
    "tags": ["Measurement"],
    "summary": "Submit Measurements",
    "description": "Keep the measurements of the body, all of them or none; the answer comes when they are on the disk.",
    "responses": {"200": {"content": {"application/json": {}}}},
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


#: Method and path -> operation id, where the function's name and the tag do not make one.
_NAMES: Mapping[tuple[str, str], str] = {
    ("post", "/oauth/token"): "get_bearer_token",
    ("get", "/docs/formulas"): "formulas",
    ("get", PREFIX): "retrieve_organization",
    ("get", f"{PREFIX}/users/me"): "retrieve_me",
    ("post", f"{PREFIX}/measurements"): "submit_measurements",
    ("get", "/downloads/{org}/statements/{job_id}/{kind}"): "download_statement",
    ("get", "/downloads/{org}/bills/{bill_id}/lineitems/{line_item_id}/usage"): "download_line_item_usage",
    ("get", f"{PREFIX}/bills/{{bill_id}}/document.{{kind}}"): "print_bill",
    ("get", f"{PREFIX}/bills/{{bill_id}}/statement/document.{{kind}}"): "print_statement",
    ("get", f"{PREFIX}/bills/{{bill_id}}/statement/json"): "retrieve_json_statement",
    ("get", f"{PREFIX}/bills/{{bill_id}}/statement/csv"): "retrieve_csv_statement",
    ("post", f"{PREFIX}/bills/{{bill_id}}/statement/csv"): "create_csv_statement",
    ("get", f"{PREFIX}/bills/{{bill_id}}/lineitems/{{line_item_id}}/usage/json"): "retrieve_line_item_usage",
    ("post", f"{PREFIX}/balances/{{balance_id}}/transactions"): "create_balance_transaction",
    ("get", f"{PREFIX}/balances/{{balance_id}}/transactions"): "list_balance_transactions",
    ("get", f"{PREFIX}/balances/{{balance_id}}/transactions/summary"): "summarize_balance_transactions",
    ("post", f"{PREFIX}/balances/{{balance_id}}/balancetransactionschedules/preview"): "preview_balance_transaction_schedule",
    ("post", f"{PREFIX}/balances/{{balance_id}}/balancechargeschedules/preview"): "preview_balance_charge_schedule",
    ("get", "/downloads/{org}/bills/csv/{asked}"): "download_bills_csv",
    ("post", f"{PREFIX}/bills/download/csv/url"): "create_bills_csv",
    ("post", f"{PREFIX}/bills/{{bill_id}}/rebill"): "rebill_bill",
    ("get", f"{PREFIX}/bills/{{bill_id}}/calculations"): "list_bill_calculations",
    ("get", f"{PREFIX}/bills/{{bill_id}}/diff"): "compare_bill_calculations",
    ("get", f"{PREFIX}/bills/{{bill_id}}/lineitems/{{line_item_id}}/explain"): "explain_line_item",
    ("get", f"{PREFIX}/accounts/{{id}}/children"): "list_account_children",
    ("put", f"{PREFIX}/accounts/{{id}}/enddatebillingentities"): "end_date_account_billing_entities",
    ("put", f"{PREFIX}/contracts/{{id}}/enddatebillingentities"): "end_date_contract_billing_entities",
}


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    error = {"description": "refused", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return {"200": {"description": "done", "content": {"application/json": {"schema": schema}}}, "4XX": error, "5XX": error}


def _body(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _parameters(names: tuple[str, ...], place: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}} for name in names]


def _paging(resource: Resource) -> list[dict[str, Any]]:
    size = {"type": "integer", "minimum": 1, "maximum": resource.page_size_max}
    return [{"name": "pageSize", "in": "query", "required": False, "schema": size}, *_parameters(("nextToken",), "query")]


def _words(kind: str) -> str:
    """``BillJob`` -> ``bill_job``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()


def _operation_id(name: str, kind: str, *, is_list: bool) -> str:
    """The SDK's verb and what it is about: ``listing`` of BillJob -> ``list_bill_jobs``, ``update_status`` of Bill -> ``update_bill_status``."""
    verb, _, rest = f"list_{name}".partition("_") if name.startswith("of_") else name.partition("_")
    noun = table_name(kind) if is_list else _words(kind)
    if _words(kind) in rest:
        noun, rest = (f"{rest}s" if is_list else rest), ""
    return "_".join(filter(None, ({"listing": "list", "get": "retrieve"}.get(verb, verb), noun, rest)))


def _paths(resource: Resource) -> dict[str, Any]:
    one = {"$ref": f"#/components/schemas/{resource.kind}"}

    def operation(verb: str, has_body: bool = False, is_list: bool = False) -> dict[str, Any]:
        described: dict[str, Any] = {
            "operationId": _operation_id(verb, resource.kind, is_list=is_list),
            "tags": [resource.kind],
            "summary": f"{verb.title()} {resource.kind}",
            "responses": _answer(page_of(resource.kind) if is_list else one),
            "parameters": [*_parameters(tuple(resource.filters), "query"), *_paging(resource)] if is_list else [],
        }
        return {**described, "requestBody": _body(one)} if has_body else described

    collection = f"{PREFIX}/{collection_path(resource)}"
    above = ("org_id",) if resource.parent is None else ("org_id", resource.parent)
    path_parameters = _parameters(above, "path")
    if resource.singleton:
        return {collection: {"parameters": path_parameters, "get": operation("retrieve"), "put": operation("update", has_body=True)}}
    return {
        collection: {"parameters": path_parameters, "post": operation("create", has_body=True), "get": operation("list", is_list=True)},
        f"{collection}/{{id}}": {
            "parameters": _parameters((*above, "id"), "path"),
            "get": operation("retrieve"),
            "put": operation("update", has_body=True),
            "delete": operation("delete"),
        },
    }


def _schemas() -> dict[str, Any]:
    _, document = models_json_schema(
        [(kind, "validation") for kind in (*(r.entity for r in RESOURCES), *_REQUESTS)], ref_template="#/components/schemas/{model}"
    )
    found: dict[str, Any] = document.get("$defs", {})
    for resource in RESOURCES:
        for field in fields(resource.entity).values():
            if field.is_read_only:
                found[resource.kind]["properties"][field.wire]["readOnly"] = True
    return {**found, **schemas(), "Measurement": _MEASUREMENT, "Error": _ERROR}


def _given(parameter: dict[str, Any]) -> dict[str, Any]:
    """The parameter as it is when it is given: FastAPI says of every optional one that it may be null, which no query can be."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return {**parameter, "schema": kinds[0]} if len(kinds) == 1 else parameter


def _completed(path: str, methods: dict[str, Any]) -> None:
    """Add to a route of its own what FastAPI can't see: what dependencies read from the path, bodies, refusals."""
    organization = _parameters(("org_id",), "path") if "{org_id}" in path else []
    for method, operation in methods.items():
        others = [_given(one) for one in operation.get("parameters", []) if one["name"] != "org_id"]
        operation["parameters"] = [*organization, *others]
        answer = ANSWERS.get((method, path))
        name = operation["summary"].lower().replace(" ", "_")
        is_list = answer is not None and "data" in answer.get("properties", ())
        operation["operationId"] = _NAMES.get((method, path)) or _operation_id(name, operation["tags"][0], is_list=is_list)
        operation["responses"] = _answer(answer or {})
        if (method, path) in FILES:
            file = {"schema": {"type": "string", "format": "binary"}}
            operation["responses"]["200"]["content"] = dict.fromkeys(FILES[method, path], file)
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
        document["components"] = {"schemas": _schemas(), "securitySchemes": _SECURITY}
        document["security"] = [{"token": []}]
        app.openapi_schema = document
    return app.openapi_schema
