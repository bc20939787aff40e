"""The five routes of every config entity: the only CRUD code there is.

Every row of the registry gets create, list, get, update and delete (a singleton: get and update). Put here what all
entities share. What only one has is a router of its own, included before these so that its literal paths win.
"""

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.dependencies import Body, Caller, EntityId, ProcessState, State
from api.encoding import json_response
from api.pagination import NextToken, PageSize, envelope
from pipelines.storage import config_store, schedule_runs
from transforms.entities.documents import document, validated
from transforms.entities.fields import fields
from transforms.entities.registry import BY_KIND, RESOURCES
from transforms.entities.resource import Entity, Resource
from transforms.errors import NotFound

PREFIX = "/organizations/{org_id}"
#: Kinds whose entities do something as soon as they are written, which the worker would do a little later.
_RUN_AT_ONCE = schedule_runs.KINDS


def collection_path(resource: Resource) -> str:
    """The path of the collection below ``/organizations/{org_id}/``, with that of the entity that it lies below."""
    if resource.parent is None:
        return resource.path
    return f"{_parent(resource).path}/{{{resource.parent}}}/{resource.path}"


def _parent(resource: Resource) -> Resource:
    assert resource.parent is not None, f"{resource.kind} lies below no other entity"
    return BY_KIND[fields(resource.entity)[resource.parent].reference or ""]


def _within(resource: Resource, request: Request, connection: Connection, org_id: str) -> dict[str, str]:
    """Field -> id of the entity in the path that the collection lies below; NotFound when there is none."""
    if resource.parent is None:
        return {}
    parent = config_store.entity(connection, org_id, _parent(resource).entity, request.path_params[resource.parent])
    return {resource.parent: parent.id}


def _collection_routes(router: APIRouter, resource: Resource) -> None:
    kind, path = resource.entity, collection_path(resource)

    def below(request: Request, body: Any) -> Any:
        """The body with the id in the path, which wins."""
        if resource.parent is None or not isinstance(body, dict):
            return body
        return {**body, fields(kind)[resource.parent].wire: request.path_params[resource.parent]}

    def refuse_elsewhere(request: Request, connection: Connection, org_id: str, entity_id: str) -> None:
        """Raise NotFound when the entity lies below another one than the path says."""
        for name, value in _within(resource, request, connection, org_id).items():
            if getattr(config_store.entity(connection, org_id, kind, entity_id), name) != value:
                raise NotFound(kind.__name__, entity_id)

    def followed(state: State, org_id: str, one: Entity) -> Entity:
        """The entity after what it does at once."""
        if kind not in _RUN_AT_ONCE:
            return one
        schedule_runs.ran_due(state.database, org_id)
        with state.database.transaction() as connection:
            return config_store.entity(connection, org_id, kind, one.id)

    def create(request: Request, state: ProcessState, caller: Caller, body: Body) -> Response:
        with state.database.transaction() as connection:
            _within(resource, request, connection, caller.org_id)
            one = config_store.created(connection, caller.org_id, validated(kind, below(request, body)), caller.id)
        return json_response(document(followed(state, caller.org_id, one)))

    def listing(request: Request, state: ProcessState, caller: Caller, page_size: PageSize = None, next_token: NextToken = None) -> Response:
        with state.database.transaction() as connection:
            within = _within(resource, request, connection, caller.org_id)
            page = config_store.listed(connection, caller.org_id, kind, dict(request.query_params), size=page_size, token=next_token, **within)
        return json_response(envelope(map(document, page.data), page.next_token))

    def get(request: Request, state: ProcessState, caller: Caller, entity_id: EntityId) -> Response:
        with state.database.transaction() as connection:
            refuse_elsewhere(request, connection, caller.org_id, entity_id)
            one = config_store.entity(connection, caller.org_id, kind, entity_id)
        return json_response(document(one))

    def update(request: Request, state: ProcessState, caller: Caller, entity_id: EntityId, body: Body) -> Response:
        with state.database.transaction() as connection:
            refuse_elsewhere(request, connection, caller.org_id, entity_id)
            one = config_store.updated(connection, caller.org_id, entity_id, validated(kind, below(request, body)), caller.id)
        return json_response(document(followed(state, caller.org_id, one)))

    def delete(request: Request, state: ProcessState, caller: Caller, entity_id: EntityId) -> Response:
        with state.database.transaction() as connection:
            refuse_elsewhere(request, connection, caller.org_id, entity_id)
            one = config_store.deleted(connection, caller.org_id, kind, entity_id, caller.id)
        return json_response(document(one))

    routes: tuple[tuple[str, str, Any], ...] = (
        ("POST", path, create),
        ("GET", path, listing),
        ("GET", f"{path}/{{id}}", get),
        ("PUT", f"{path}/{{id}}", update),
        ("DELETE", f"{path}/{{id}}", delete),
    )
    _added(router, kind, routes)


def _singleton_routes(router: APIRouter, resource: Resource) -> None:
    kind = resource.entity

    def get(state: ProcessState, caller: Caller) -> Response:
        with state.database.transaction() as connection:
            one = config_store.singleton(connection, caller.org_id, kind)
        return json_response(document(one))

    def update(state: ProcessState, caller: Caller, body: Body) -> Response:
        with state.database.transaction() as connection:
            stored = config_store.singleton(connection, caller.org_id, kind)
            one = config_store.updated(connection, caller.org_id, stored.id, validated(kind, body), caller.id)
        return json_response(document(one))

    _added(router, kind, (("GET", resource.path, get), ("PUT", resource.path, update)))


def _added(router: APIRouter, kind: type[Entity], routes: tuple[tuple[str, str, Any], ...]) -> None:
    for method, path, endpoint in routes:
        name = f"{endpoint.__name__} {kind.__name__}"
        # Bodies and answers are described by openapi.py, from the declarations.
        router.add_api_route(f"{PREFIX}/{path}", endpoint, methods=[method], name=name, include_in_schema=False)


def router_of(resources: tuple[Resource, ...] = RESOURCES) -> APIRouter:
    """The routes of all these resources."""
    router = APIRouter()
    for resource in resources:
        routes = _singleton_routes if resource.singleton else _collection_routes
        routes(router, resource)
    return router
