"""Our own OpenAPI document: entity routes described from their declarations, the others by FastAPI."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.crud import PREFIX
from transforms.entities.fields import fields
from transforms.entities.registry import RESOURCES
from transforms.entities.resource import Resource

_ERROR = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "message": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object", "properties": {"field": {"type": "string"}, "message": {"type": "string"}}}},
    },
}


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    error = {"description": "refused", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return {"200": {"description": "done", "content": {"application/json": {"schema": schema}}}, "4XX": error, "5XX": error}


def _parameters(names: tuple[str, ...], place: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}} for name in names]


def _paths(resource: Resource) -> dict[str, Any]:
    one = {"$ref": f"#/components/schemas/{resource.kind}"}
    page = {"type": "object", "properties": {"data": {"type": "array", "items": one}, "nextToken": {"type": "string"}}}
    body = {"required": True, "content": {"application/json": {"schema": one}}}

    def operation(verb: str, answer: dict[str, Any], query: tuple[str, ...] = (), has_body: bool = False) -> dict[str, Any]:
        described: dict[str, Any] = {
            "operationId": f"{verb}{resource.kind}",
            "tags": [resource.kind],
            "summary": f"{verb} {resource.kind}",
            "responses": _answer(answer),
        }
        described["parameters"] = _parameters(query, "query")
        return {**described, "requestBody": body} if has_body else described

    collection = f"{PREFIX}/{resource.path}"
    path_parameters = _parameters(("org_id",), "path")
    if resource.singleton:
        return {collection: {"parameters": path_parameters, "get": operation("Get", one), "put": operation("Update", one, has_body=True)}}
    filters = (*resource.filters, "pageSize", "nextToken")
    return {
        collection: {"parameters": path_parameters, "post": operation("Create", one, has_body=True), "get": operation("List", page, filters)},
        f"{collection}/{{id}}": {
            "parameters": _parameters(("org_id", "id"), "path"),
            "get": operation("Get", one),
            "put": operation("Update", one, has_body=True),
            "delete": operation("Delete", one),
        },
    }


def _schemas() -> dict[str, Any]:
    _, document = models_json_schema([(r.entity, "validation") for r in RESOURCES], ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = document.get("$defs", {})
    for resource in RESOURCES:
        for field in fields(resource.entity).values():
            if field.is_read_only:
                schemas[resource.kind]["properties"][field.wire]["readOnly"] = True
    return schemas


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of everything that the application serves; made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version="1", routes=app.routes)
        for resource in RESOURCES:
            document["paths"].update(_paths(resource))
        document.setdefault("components", {}).setdefault("schemas", {}).update({**_schemas(), "Error": _ERROR})
        app.openapi_schema = document
    return app.openapi_schema
