"""Lists of entities: the declared filters, newest first, in pages.

A page token names the last row shown, so that paging neither skips nor repeats rows that others add meanwhile. Put here
how a query parameter becomes a condition. Keep out search (entity_search.py).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, and_, func, or_, select
from sqlalchemy.sql import ColumnElement

from pipelines.storage.config_rows import columns_of, equal_to, from_row
from pipelines.storage.entity_tables import TABLES
from transforms.entities.accounts import Account
from transforms.entities.fields import fields
from transforms.entities.organization import time_zone
from transforms.entities.registry import BY_KIND
from transforms.entities.resource import Entity, Filter
from transforms.errors import EntityInvalid

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True)
class Page(Generic[E]):
    """Some entities of a list, and the token of the next page, None when there is none."""

    data: list[E]
    next_token: str | None


def page_token(sequence: int) -> str:
    """The opaque token that continues a list after the row with this sequence number."""
    return base64.urlsafe_b64encode(f"s{sequence}".encode()).decode().rstrip("=")


def sequence_of(token: str) -> int:
    """The sequence number that a page token carries.

    Raises:
        EntityInvalid: When no list ever gave that token.
    """
    try:
        plain = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
        if plain[:1] == "s" and plain[1:].isdigit() and len(plain) < 20:
            return int(plain[1:])
    except (binascii.Error, ValueError):
        pass
    raise EntityInvalid.of("nextToken", "nextToken is not one that a list answered with; leave it out to start at the first page")


def page_size(given: int | None, largest: int) -> int:
    """The number of rows of a page; the largest when nothing is given.

    Raises:
        EntityInvalid: When it is out of range.
    """
    if given is None:
        return largest
    if not 1 <= given <= largest:
        raise EntityInvalid.of("pageSize", f"pageSize is {given}; it must be from 1 to {largest} here")
    return given


def listed(
    connection: Connection,
    org_id: str,
    kind: type[E],
    parameters: Mapping[str, str] | None = None,
    *,
    size: int | None = None,
    token: str | None = None,
    **equal: Any,
) -> Page[E]:
    """A page of the kind's entities, newest first unless a parameter says otherwise.

    Args:
        connection: An open transaction.
        org_id: The organization.
        kind: The declaration.
        parameters: Query parameters; those that are no filter of the kind are ignored.
        size: Page size; default and limit are the declaration's.
        token: Token of the page before.
        equal: Values (by snake_case field) that all of them must have.

    Raises:
        EntityInvalid: A filter's value, the size or the token can't be; also a parameter that the list needs and has not got.
    """
    resource = BY_KIND[kind.__name__]
    given = parameters or {}
    conditions = [equal_to(TABLES[kind.__name__], fields(kind)[name], value) for name, value in equal.items()]
    conditions += [c for name in resource.filters for c in _filter_conditions(connection, org_id, kind, name, parameters=given)]
    is_ascending = any(f.match == "order" and _is_ascending(name, given[name]) for name, f in resource.filters.items() if given.get(name))
    size = page_size(size, resource.page_size_max)
    return _page(connection, org_id, kind, conditions, size=size, token=token, is_ascending=is_ascending)


def children(connection: Connection, org_id: str, account_id: str, *, size: int | None = None, token: str | None = None) -> Page[Account]:
    """A page of an account's child accounts, newest first."""
    condition = TABLES["Account"].c.parent_account_id == account_id
    return _page(connection, org_id, Account, [condition], size=page_size(size, 200), token=token)


def _page(
    connection: Connection,
    org_id: str,
    kind: type[E],
    conditions: list[ColumnElement[bool]],
    *,
    size: int,
    token: str | None,
    is_ascending: bool = False,
) -> Page[E]:
    table = TABLES[kind.__name__]
    sequence = table.c.sequence
    query = select(*columns_of(kind), table.c.sequence.label("row_sequence")).where(table.c.org_id == org_id, *conditions)
    if token:
        query = query.where(sequence > sequence_of(token) if is_ascending else sequence < sequence_of(token))
    # One row more than the page holds tells whether another page follows: no page with a token is ever empty.
    rows = connection.execute(query.order_by(sequence if is_ascending else sequence.desc()).limit(size + 1)).mappings().all()
    shown = rows[:size]
    following = page_token(shown[-1]["row_sequence"]) if len(rows) > size else None
    return Page([from_row(kind, row) for row in shown], following)


def _filter_conditions(
    connection: Connection, org_id: str, kind: type[Entity], name: str, *, parameters: Mapping[str, str]
) -> list[ColumnElement[bool]]:
    table, declared = TABLES[kind.__name__], BY_KIND[kind.__name__].filters[name]
    value = parameters.get(name)
    has_companion = not declared.beside or any(parameters.get(other) for other in declared.beside)
    if declared.match == "include_all":
        filters = BY_KIND[kind.__name__].filters
        has_day = any(parameters.get(other) for other, f in filters.items() if f.match == "active")
        wanted = value is not None and _flag(name, value)
        now = func.clock_timestamp()
        return [_active(table, declared.field, now, now)] if has_companion and not has_day and not wanted else []
    if value is None:
        if declared.is_required:
            raise EntityInvalid.of(name, f"{name} is required to list {BY_KIND[kind.__name__].path}")
        return []
    if not has_companion:
        raise EntityInvalid.of(name, f"{name} works only together with {' or '.join(declared.beside)}")
    if declared.match == "flag":
        return [] if _flag(name, value) else [table.c[declared.field].is_not(True)]
    if declared.match == "order":
        return []
    if declared.match == "active":
        if fields(kind)[declared.field].type is date:
            day = _moment(name, value[:10], date)
            return [_active(table, declared.field, day, day)]
        start, end = _day(connection, org_id, name, value)
        return [_active(table, declared.field, start, end)]
    if declared.match == "in":
        return [_in(org_id, table, kind, declared.field, [item.strip() for item in value.split(",")])]
    return [_compared(table, kind, name, declared, value)]


def _compared(table: Table, kind: type[Entity], name: str, declared: Filter, value: str) -> ColumnElement[bool]:
    column: ColumnElement[Any] = table.c[declared.field]
    if declared.match == "contains":
        return column.contains([value])
    wanted = fields(kind)[declared.field].type
    operand: Any = value if wanted not in (date, datetime) or (declared.match == "equal" and not value) else _moment(name, value, wanted)
    if declared.match == "equal":
        return equal_to(table, fields(kind)[declared.field], operand if value else None)
    compared: ColumnElement[Any] = func.coalesce(column, table.c[declared.otherwise]) if declared.otherwise else column
    is_within: ColumnElement[bool] = compared >= operand if declared.match == "from" else compared < operand
    return is_within


def _in(org_id: str, table: Table, kind: type[Entity], path: str, values: list[str]) -> ColumnElement[bool]:
    if "." not in path:
        return table.c[path].in_(values)
    own, other = path.split(".", 1)
    reference = fields(kind)[own].reference
    assert reference is not None, f"{own} of {kind.__name__} is not a reference"
    target = TABLES[reference]
    ids = select(target.c.id).where(target.c.org_id == org_id, _in(org_id, target, BY_KIND[reference].entity, other, values))
    return table.c[own].in_(ids)


def _active(table: Table, start_field: str, start: Any, end: Any) -> ColumnElement[bool]:
    ends = table.c.end_date
    return and_(table.c[start_field] <= end, or_(ends.is_(None), ends > start))


def _is_ascending(name: str, value: str) -> bool:
    if value.upper() not in ("ASC", "DESC"):
        raise EntityInvalid.of(name, f"{name} is {value!r}; it must be ASC or DESC")
    return value.upper() == "ASC"


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise EntityInvalid.of(name, f"{name} is {value!r}; it must be true or false")
    return value.lower() == "true"


def _moment(name: str, value: str, wanted: type) -> date | datetime:
    try:
        if wanted is date:
            return date.fromisoformat(value.split("T", maxsplit=1)[0])
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        raise EntityInvalid.of(name, f"{name} is {value!r}; it must be a date such as 2025-01-31") from None


def _day(connection: Connection, org_id: str, name: str, value: str) -> tuple[datetime, datetime]:
    """First and last instant of a day in the organization's time zone."""
    day = _moment(name, value[:10], date)
    configs = TABLES["OrganizationConfig"]
    zone = ZoneInfo(time_zone(connection.execute(select(configs.c.timezone).where(configs.c.org_id == org_id)).scalar_one()))
    start = datetime.combine(day, time(), zone)
    end = datetime.combine(day, time.max, zone)
    try:
        return start.astimezone(UTC), end.astimezone(UTC)
    except OverflowError:
        raise EntityInvalid.of(name, f"{name} is {value!r}; it must lie in the years 1 to 9999 in every time zone") from None
