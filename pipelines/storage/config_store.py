"""Writing config entities: create, update, delete, each with its version and its row of history in one transaction.

Every write takes the organization's configuration lock until the transaction ends. So the rules between entities see
no half-done neighbour, and the history's ``changed_at`` orders changes exactly as they became visible.

Put here what every kind shares. A rule of one kind is its declaration's check; reading is config_rows.py.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, delete as delete_from, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from pipelines.storage.config_lists import Page, children, listed
from pipelines.storage.config_rows import StoredNeighbours, by_ids, count, entities, entity, found, row_values
from pipelines.storage.entity_tables import CODE_REFERRERS, ENTITY_VERSIONS, LIST_REFERRERS, ORGANIZATIONS, REFERRERS, TABLES
from pipelines.storage.header_lock import held
from pipelines.storage.ledger_tables import STANDS
from transforms.entities.documents import document, invalid
from transforms.entities.fields import fields
from transforms.entities.registry import BY_KIND
from transforms.entities.resource import Entity, Resource
from transforms.errors import DuplicateKey, EntityInvalid, FieldProblem, NotFound, Refused, VersionConflict

__all__ = [
    "Page",
    "StoredNeighbours",
    "checked",
    "children",
    "count",
    "created",
    "deleted",
    "entities",
    "entity",
    "found",
    "listed",
    "locked",
    "singleton",
    "updated",
]

E = TypeVar("E", bound=Entity)

#: Kinds that bills draw from.
_FUNDS = ("Commitment", "Balance")
#: Kind -> kinds with read-only fields that follow from it.
_FOLLOWERS = {"Aggregation": ("CompoundAggregation",)}


def locked(connection: Connection, org_id: str, *, shared: bool = False) -> datetime:
    """Take the organization's configuration lock until the transaction ends; the instant from which it is held.

    Writers hold it alone; a snapshot shares it, so that it sees either all or nothing of a change.
    """
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    connection.execute(text(f"SELECT {function}(hashtextextended('configuration ' || :org_id, 0))"), {"org_id": org_id})
    return connection.execute(text("SELECT clock_timestamp()")).scalar_one()  # type: ignore[no-any-return]


def created(connection: Connection, org_id: str, new: E, actor: str) -> E:
    """The entity as stored, with its new id and version 1.

    Raises:
        EntityInvalid: A reference that does not exist, or a rule between entities that it breaks.
        DuplicateKey: A unique key that is taken.
    """
    now = locked(connection, org_id)
    resource = BY_KIND[type(new).__name__]
    audit = {"version": 1, "dt_created": now, "dt_last_modified": now, "created_by": actor, "last_modified_by": actor}
    one = new.model_copy(update={"id": str(uuid.uuid4()), **audit})
    one = checked(connection, org_id, one, None)
    values: dict[str, Any] = {"org_id": org_id, **row_values(one)}
    if resource.kind == "Account":
        values["account_number"] = next_account_numbers(connection, org_id, 1)
    try:
        connection.execute(insert(TABLES[resource.kind]).values(values))
    except IntegrityError as error:
        raise _domain_error(resource, one, error) from None
    _record(connection, org_id, one, "CREATED", now=now, actor=actor)
    return _with_derived(connection, org_id, one)


def updated(connection: Connection, org_id: str, entity_id: str, new: E, actor: str) -> E:
    """The entity as stored: a full replacement under the next version.

    Raises:
        NotFound: No such entity.
        VersionConflict: ``new.version`` is not the stored version.
        EntityInvalid, DuplicateKey: As for :func:`created`; also a code that others still use.
    """
    now = locked(connection, org_id)
    kind = type(new)
    resource = BY_KIND[kind.__name__]
    previous = entity(connection, org_id, kind, entity_id)
    _compare_versions(resource, new, previous)
    audit = {
        "version": (previous.version or 0) + 1,
        "dt_created": previous.dt_created,
        "created_by": previous.created_by,
        "dt_last_modified": now,
        "last_modified_by": actor,
    }
    one = new.model_copy(update={"id": entity_id, **audit})
    one = checked(connection, org_id, one, previous)
    _refuse_lost_code(connection, org_id, resource, previous, one)
    _replaced(connection, org_id, resource, one, now=now, actor=actor)
    for dependent in _FOLLOWERS.get(resource.kind, ()):
        _followed(connection, org_id, BY_KIND[dependent], now, actor)
    return _with_derived(connection, org_id, one)


def _with_derived(connection: Connection, org_id: str, one: E) -> E:
    return entity(connection, org_id, type(one), one.id) if any(f.is_derived for f in fields(type(one)).values()) else one


def _refuse_lost_code(connection: Connection, org_id: str, resource: Resource, previous: Entity, one: Entity) -> None:
    old_code, new_code = getattr(previous, "code", None), getattr(one, "code", None)
    if old_code != new_code:
        users = list(_code_users(connection, org_id, resource, old_code))
        if users:
            raise EntityInvalid.of("code", f"code {old_code!r} can't be changed: {_listing(users)}")


def _replaced(connection: Connection, org_id: str, resource: Resource, one: Entity, *, now: datetime, actor: str) -> None:
    table = TABLES[resource.kind]
    values = {k: v for k, v in row_values(one).items() if k != "id"}
    try:
        connection.execute(update(table).where(table.c.org_id == org_id, table.c.id == one.id).values(values))
    except IntegrityError as error:
        raise _domain_error(resource, one, error) from None
    _record(connection, org_id, one, "UPDATED", now=now, actor=actor)


def _followed(connection: Connection, org_id: str, resource: Resource, now: datetime, actor: str) -> None:
    """Bring the read-only fields of a kind up to date after the kind that they follow from has changed."""
    neighbours = StoredNeighbours(connection, org_id)
    for previous in entities(connection, org_id, resource.entity):
        one = resource.check(previous, neighbours, previous)
        if one != previous:
            audit = {"version": (previous.version or 0) + 1, "dt_last_modified": now, "last_modified_by": actor}
            _replaced(connection, org_id, resource, one.model_copy(update=audit), now=now, actor=actor)


def deleted(connection: Connection, org_id: str, kind: type[E], entity_id: str, actor: str) -> E:
    """The entity as it was before its deletion.

    Raises:
        NotFound: No such entity.
        Refused: Something still uses it; the message names what.
    """
    if kind.__name__ in _FUNDS:  # no job may begin to draw from it now; its lock comes first, here as everywhere
        held(connection, org_id, shared=False)
    now = locked(connection, org_id)
    resource = BY_KIND[kind.__name__]
    one = entity(connection, org_id, kind, entity_id)
    users = [*_id_users(connection, org_id, resource, entity_id), *_code_users(connection, org_id, resource, getattr(one, "code", None))]
    if users:
        raise Refused(f"{kind.__name__} {_label(one)} can't be deleted: {_listing(users)}")
    resource.check(None, StoredNeighbours(connection, org_id), one)
    _record(connection, org_id, one, "DELETED", now=now, actor=actor)
    table = TABLES[resource.kind]
    try:
        connection.execute(delete_from(table).where(table.c.org_id == org_id, table.c.id == entity_id))
    except IntegrityError as error:
        raise _domain_error(resource, one, error) from None
    return one


def singleton(connection: Connection, org_id: str, kind: type[E]) -> E:
    """The organization's one document of a singleton kind."""
    rows = entities(connection, org_id, kind)
    if not rows:
        raise NotFound(kind.__name__, "document")
    return rows[0]


def next_account_numbers(connection: Connection, org_id: str, number: int) -> int:
    """The first of ``number`` account numbers, which nobody else will get (they are never used again)."""
    query = (
        update(ORGANIZATIONS)
        .where(ORGANIZATIONS.c.id == org_id)
        .values(next_account_number=ORGANIZATIONS.c.next_account_number + number)
        .returning(ORGANIZATIONS.c.next_account_number)
    )
    return int(connection.execute(query).scalar_one()) - number


def _compare_versions(resource: Resource, new: Entity, previous: Entity) -> None:
    if new.version == previous.version:
        return
    # A client that never read the organization's documents, which exist from the start, sends no version.
    if new.version is None and resource.singleton and previous.version == 1:
        return
    if new.version is None:
        raise EntityInvalid.of("version", f"version is required to update a {resource.kind}; the stored version is {previous.version}")
    raise VersionConflict(
        f"{resource.kind} {_label(previous)} has version {previous.version}, not {new.version}: read it again and repeat the change"
    )


def checked(connection: Connection, org_id: str, one: E, previous: E | None) -> E:
    """The entity as it would be stored: references looked up, its own check passed, read-only fields filled in.

    Raises:
        EntityInvalid: A reference that does not exist, or a rule between entities that it breaks.
    """
    resource = BY_KIND[type(one).__name__]
    problems = tuple(_broken_references(connection, org_id, one))
    if problems:
        raise invalid(resource.kind, problems)
    accepted: E = resource.check(one, StoredNeighbours(connection, org_id), previous)
    return accepted


def _broken_references(connection: Connection, org_id: str, one: Entity) -> Iterator[FieldProblem]:
    for f in fields(type(one)).values():
        value = getattr(one, f.name)
        if value is None or f.is_read_only:
            continue
        if f.references is not None:
            known_ids = by_ids(connection, org_id, BY_KIND[f.references].entity, value)
            for index, listed_id in enumerate(value):
                if listed_id not in known_ids:
                    yield FieldProblem(f"{f.wire}[{index}]", f"there is no {f.references} {listed_id} in this organization")
        if f.reference is not None:
            target = TABLES[f.reference]
            if connection.execute(select(target.c.id).where(target.c.org_id == org_id, target.c.id == value)).first() is None:
                yield FieldProblem(f.wire, f"there is no {f.reference} {value} in this organization")
        elif f.code_reference is not None:
            target = TABLES[f.code_reference]
            known = list(connection.execute(select(target.c.code).where(target.c.org_id == org_id).order_by(target.c.code)).scalars())
            if value not in known:
                yield FieldProblem(
                    f.wire,
                    f"there is no {f.code_reference} with code {value!r} in this organization (there are {', '.join(known[:20])}); create it first",
                )


def _id_users(connection: Connection, org_id: str, resource: Resource, entity_id: str) -> Iterator[str]:
    for kind, column in REFERRERS[resource.kind]:
        yield from _users(connection, org_id, kind, column, entity_id)
    for kind, column in LIST_REFERRERS[resource.kind]:
        yield from _users(connection, org_id, kind, column, [entity_id])
    if resource.kind in _FUNDS:
        draws = f"""SELECT DISTINCT e.entity_id FROM ledger_entries e
            WHERE e.org_id = :org_id AND e.fund_id = :fund_id AND e.entity_type = 'BILL' AND {STANDS} ORDER BY 1 LIMIT 4"""
        bill_ids = connection.scalars(text(draws), {"org_id": org_id, "fund_id": entity_id, "as_of": None})
        yield from (f"Bill {bill_id} (draws from it)" for bill_id in bill_ids)


def _code_users(connection: Connection, org_id: str, resource: Resource, code: str | None) -> Iterator[str]:
    if code is not None:
        for kind, column in CODE_REFERRERS[resource.kind]:
            yield from _users(connection, org_id, kind, column, code)


def _users(connection: Connection, org_id: str, kind: str, column: str, value: str | list[str]) -> Iterator[str]:
    """``Plan basic (planTemplateId)``, at most three of a kind and the number of the others; a list: those whose list has it."""
    table = TABLES[kind]
    condition = (table.c.org_id == org_id, table.c[column].contains(value) if isinstance(value, list) else table.c[column] == value)
    rows = connection.execute(select(table).where(*condition).order_by(table.c.sequence).limit(4)).mappings().all()
    wire = fields(BY_KIND[kind].entity)[column].wire
    for row in rows[:3]:
        yield f"{kind} {row.get('code') or row.get('name') or row['id']} ({wire})"
    if len(rows) > 3:
        total = connection.execute(select(func.count()).select_from(table).where(*condition)).scalar_one()
        yield f"{total - 3} more of kind {kind}"


def _listing(users: list[str]) -> str:
    return f"it is used by {', '.join(users)}"


def _label(one: Entity) -> str:
    return getattr(one, "code", None) or one.id


def _domain_error(resource: Resource, one: Entity, error: IntegrityError) -> Exception:
    """What a constraint's violation means to the client; a race that the lock can't exclude ends here too."""
    name = getattr(getattr(error.orig, "diag", None), "constraint_name", None) or ""
    prefix = f"uq_{TABLES[resource.kind].name}_"
    for key in resource.unique:
        if name == prefix + "_".join(key):
            wires = [fields(type(one))[k].wire for k in key]
            values = ", ".join(f"{w} '{getattr(one, k)}'" for w, k in zip(wires, key, strict=True))
            return DuplicateKey(f"another {resource.kind} of this organization has {values}")
    if name.startswith("fk_"):
        other = getattr(getattr(error.orig, "diag", None), "table_name", None)
        if other == TABLES[resource.kind].name:
            return Refused(f"{resource.kind} {_label(one)} refers to something that is not there any more; read it again")
        return Refused(f"{resource.kind} {_label(one)} can't be deleted: it is used by {other}")
    return error


def _record(connection: Connection, org_id: str, one: Entity, change: str, *, now: datetime, actor: str) -> None:
    derived = {f.wire for f in fields(type(one)).values() if f.is_derived}
    body = {wire: value for wire, value in document(one).items() if wire not in derived}
    if type(one).__name__ == "Account":
        table: Table = TABLES["Account"]
        body["accountNumber"] = connection.execute(select(table.c.account_number).where(table.c.org_id == org_id, table.c.id == one.id)).scalar_one()
    version = (one.version or 0) + (1 if change == "DELETED" else 0)
    connection.execute(
        insert(ENTITY_VERSIONS).values(
            org_id=org_id, kind=type(one).__name__, id=one.id, version=version, changed_at=now, changed_by=actor, change=change, body=body
        )
    )
