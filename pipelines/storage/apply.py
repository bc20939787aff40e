"""Configuration as code: a YAML file that says what an organization's configuration is.

A file maps collections to entities, each written as in the API::

    picklists/currency: [{code: EUR, name: Euro, maxDecimalPlaces: 2}]
    organizationconfig: {currency: EUR, timezone: Europe/Berlin}
    products: [{code: api, name: API}]
    meters:
      - {code: calls, name: Calls, product: api, dataFields: [{category: MEASURE, code: n, name: n, unit: '1'}], derivedFields: []}
    pricings:
      - {plan: basic, aggregation: calls, startDate: 2025-01-01, pricingBands: [{lowerLimit: 0, fixedPrice: 0, unitPrice: 0.25}]}

- A reference is written by code, in the field's name without ``Id``: ``planTemplate: basic`` for ``planTemplateId``, also
  inside of nested parts; one to a statement definition, which has no code, by name; a list of them in the plural:
  ``products: [api]`` for ``productIds``. The field itself, with an id, is possible too.
- An entity is the same as a stored one when its code is; a pricing by plan (or template), aggregation, segment and
  startDate; a counter pricing by plan (or template), counter and startDate; an account plan by account, plan or plan group
  and startDate; a plan group link by its two ends; a statement definition by its name; a commitment by account, contract,
  products, currency and startDate. Applying a file twice changes nothing the second time; a file that says an entity
  twice is refused.
- What a file says of an entity is all of it: fields left out have their defaults. The organization config and the custom
  fields keep what a file does not mention. Nothing is ever deleted.
- Collections may stand in any order. All of a file is applied or nothing.

Put here what a file means. Reading YAML is yaml_documents.py.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from pipelines.storage import bill_locks, config_store
from pipelines.storage.file_references import code_field, with_ids
from transforms.entities.bill_config import BillConfig
from transforms.entities.documents import document, nested_part, plain_numbers, unknown_fields, validated
from transforms.entities.fields import by_wire_name, fields
from transforms.entities.registry import BY_PATH, RESOURCES
from transforms.entities.resource import Entity, Resource
from transforms.errors import DuplicateKey, EntityInvalid, ExpressionError, FieldProblem, MeterhouseError, NotFound, Refused, VersionConflict

#: What identifies an entity of a kind that has no code of its own (snake_case); others by their first unique key.
_IDENTITIES: Mapping[str, tuple[str, ...]] = {
    "Pricing": ("plan_id", "plan_template_id", "aggregation_id", "compound_aggregation_id", "segment", "start_date"),
    "AccountPlan": ("account_id", "plan_id", "plan_group_id", "start_date"),
    "CounterPricing": ("plan_id", "plan_template_id", "counter_id", "start_date"),
    "StatementDefinition": ("name",),
    "Commitment": ("account_id", "contract_id", "product_ids", "currency", "start_date"),
}


@dataclass(frozen=True)
class Change:
    """What applying a file does, or did, to one entity.

    Attributes:
        action: ``create``, ``update`` or ``unchanged``.
        collection: Path of the collection, ``plans`` for example.
        name: What the file calls it: its code, or what identifies it.
        differences: (wire field, before, after), wire form, for an update; a created entity has no before.
    """

    action: str
    collection: str
    name: str
    differences: tuple[tuple[str, Any, Any], ...] = ()


def plan(document: Any, connection: Connection, org_id: str) -> list[Change]:
    """What applying the file would change, in the order of application; nothing is changed.

    Raises:
        MeterhouseError: As :func:`applied`: what would fail, fails here too.
    """
    attempt = connection.begin_nested()
    try:
        return applied(document, connection, org_id, actor="PLAN")
    finally:
        attempt.rollback()


def applied(document: Any, connection: Connection, org_id: str, *, actor: str) -> list[Change]:
    """Make the organization's configuration what the file says; the changes made, in order.

    Args:
        document: The file's value, see ``yaml_documents.yaml_document``.
        connection: An open transaction; the caller commits it, or rolls it back when this raises.
        org_id: The organization.
        actor: Who stands in the audit fields.

    Raises:
        EntityInvalid: Something can't be; the message names the entity in the file.
    """
    given = _collections(document)
    if "billconfig" in given:  # its lock comes before that of the configuration, here as everywhere
        bill_locks.held(connection, org_id, shared=False)
    config_store.locked(connection, org_id)
    changes: list[Change] = []
    for resource in _ordered():
        places: dict[str, str] = {}
        for position, body in _in_order(resource, given.get(resource.path, [])):
            place = resource.path if resource.singleton else f"{resource.path}[{position}]"
            try:
                change, entity_id = _one_applied(connection, org_id, resource, body, actor)
                _seen_once(places, entity_id, place, change.name)
                changes.append(change)
            except (EntityInvalid, ExpressionError, Refused, VersionConflict, DuplicateKey, NotFound) as error:
                code = body.get("code") if isinstance(body, dict) else None
                raise _placed(place, f"{place} ({code})" if code else place, error) from None
    return changes


def _seen_once(places: dict[str, str], entity_id: str, place: str, name: str) -> None:
    """The second of two would silently undo what the first one says."""
    if entity_id in places:
        raise EntityInvalid(f"the file says {name} twice, here and in {places[entity_id]}; keep one of them")
    places[entity_id] = place


def _collections(document: Any) -> dict[str, list[Any]]:
    if not isinstance(document, dict):
        raise EntityInvalid(f"the file must map collections to entities; the collections are {', '.join(BY_PATH)}")
    unknown = [name for name in document if name not in BY_PATH]
    if unknown:
        problems = tuple(FieldProblem(name, _no_collection(name)) for name in unknown)
        raise EntityInvalid(f"{'; '.join(p.message for p in problems)}; the collections are {', '.join(BY_PATH)}", problems)
    given: dict[str, list[Any]] = {}
    for name, value in document.items():
        if BY_PATH[name].singleton:
            given[name] = [value]
        elif isinstance(value, list):
            given[name] = value
        elif value is not None:
            raise EntityInvalid.of(name, f"{name} must be a list of entities")
    return given


def _no_collection(name: str) -> str:
    close = difflib.get_close_matches(name, BY_PATH, n=1, cutoff=0.7)
    return f"there is no collection {name}" + (f", did you mean {close[0]}?" if close else "")


def _ordered() -> Iterator[Resource]:
    """The kinds so that what an entity refers to comes before it; otherwise in the registry's order."""
    waiting = list(RESOURCES)
    while waiting:
        kinds = {r.kind for r in waiting}
        ready = next(r for r in waiting if not (_referred_kinds(r) - {r.kind}) & kinds)
        waiting.remove(ready)
        yield ready


def _referred_kinds(resource: Resource) -> set[str]:
    parts = (nested_part(resource.entity, name) for name in fields(resource.entity))
    named = (f for kind in (resource.entity, *filter(None, parts)) for f in fields(kind).values())
    return {kind for f in named for kind in (f.reference, f.code_reference) if kind is not None}


def _in_order(resource: Resource, bodies: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Position and body, so that an entity that another of its own kind refers to comes first."""
    own = [f.wire.removesuffix("Id") for f in fields(resource.entity).values() if f.reference == resource.kind]
    waiting = list(enumerate(bodies))
    while waiting:
        codes = {body.get("code") for _, body in waiting if isinstance(body, dict)}
        ready = [(at, body) for at, body in waiting if not isinstance(body, dict) or not any(body.get(name) in codes for name in own)]
        # A circle is left as it is: the entities' own check says what is wrong with it.
        yield from ready or waiting
        waiting = [entry for entry in waiting if entry not in ready] if ready else []


def _one_applied(connection: Connection, org_id: str, resource: Resource, body: Any, actor: str) -> tuple[Change, str]:
    """What was changed, and the entity's id."""
    if not isinstance(body, dict):
        raise EntityInvalid(f"must describe one {resource.kind}")
    problems: list[FieldProblem] = []
    wire = with_ids(connection, org_id, resource.entity, body, problems=problems)
    if problems:
        raise EntityInvalid("; ".join(p.message for p in problems), tuple(problems))
    unknown = tuple(unknown_fields(resource.entity, wire))
    if unknown:
        raise EntityInvalid("; ".join(p.message for p in unknown), unknown)
    stored = _stored(connection, org_id, resource, wire)
    if resource.singleton:
        assert stored is not None, "every organization has its documents"
        wire = {**document(stored), **wire}
    new = validated(resource.entity, wire)
    name = _name(resource, body)
    if stored is None:
        made = config_store.created(connection, org_id, new, actor)
        return Change("create", resource.path, name, tuple((wire_name, None, after) for wire_name, after in _written(made).items())), made.id
    as_stored = {name: getattr(stored, name) for name in ("id", "version", "dt_created", "dt_last_modified", "created_by", "last_modified_by")}
    as_stored |= {f.name: getattr(stored, f.name) for f in fields(resource.entity).values() if f.is_derived}
    wanted = config_store.checked(connection, org_id, new.model_copy(update=as_stored), stored)
    if wanted == stored:
        return Change("unchanged", resource.path, name), stored.id
    changed = new.model_copy(update={"version": stored.version})
    if isinstance(changed, BillConfig):
        made = bill_locks.lock_date_set(connection, org_id, changed, actor)
    else:
        made = config_store.updated(connection, org_id, stored.id, changed, actor)
    before, after = _written(stored), _written(made)
    differences = tuple((w, before.get(w), after.get(w)) for w in dict.fromkeys((*before, *after)) if before.get(w) != after.get(w))
    return Change("update", resource.path, name, differences), stored.id


def identity(resource: Resource) -> tuple[str, ...]:
    """The fields (snake_case) that tell entities of a kind apart in a file; none for a singleton."""
    return _IDENTITIES.get(resource.kind) or (resource.unique[0] if resource.unique else ())


def _stored(connection: Connection, org_id: str, resource: Resource, wire: Mapping[str, Any]) -> Entity | None:
    if resource.singleton:
        return config_store.singleton(connection, org_id, resource.entity)
    key = identity(resource)
    if key in (("code",), ("name",)):
        if wire.get(key[0]) is None:
            raise EntityInvalid.of(key[0], f"{key[0]} is required: it is what a file knows a {resource.kind} by")
        found = config_store.entities(connection, org_id, resource.entity, **{key[0]: str(wire[key[0]])})
    else:
        # The key's values as the entity would hold them; nested ones can't be compared in a query.
        new = validated(resource.entity, wire)
        scalars = {name: getattr(new, name) for name in key if fields(resource.entity)[name].type is not object}
        found = config_store.entities(connection, org_id, resource.entity, **scalars)
        found = [one for one in found if all((getattr(one, name) or None) == (getattr(new, name) or None) for name in key)]
    if len(found) > 1:
        raise EntityInvalid(f"there are {len(found)} of kind {resource.kind} that a file can't tell apart; change them by their ids, over the API")
    return found[0] if found else None


def _written(one: Entity) -> dict[str, Any]:
    """Wire form of what clients set; no version, no audit fields."""
    declared = by_wire_name(type(one))
    return {wire: plain_numbers(value) for wire, value in document(one).items() if wire != "version" and not declared[wire].is_read_only}


def _name(resource: Resource, body: Mapping[str, Any]) -> str:
    if resource.singleton:
        return resource.path
    if identity(resource) in (("code",), ("name",)):
        return str(body.get(identity(resource)[0], ""))
    declared = fields(resource.entity)
    wires = [w for name in identity(resource) for w in (code_field(declared[name]), declared[name].wire)]
    return " ".join(_shown(body[w]) for w in dict.fromkeys(wires) if body.get(w) is not None)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    return " ".join(f"{key}={one}" for key, one in value.items()) if isinstance(value, dict) else str(value)


def _placed(place: str, shown: str, error: MeterhouseError) -> EntityInvalid:
    """The error with the place in the file; its message names the field too."""
    given: tuple[FieldProblem, ...] = getattr(error, "problems", ())
    field = f"{given[0].field}: " if len(given) == 1 and given[0].field not in str(error) else ""
    return EntityInvalid(f"{shown}: {field}{error}", tuple(FieldProblem(f"{place}.{p.field}", p.message) for p in given))
