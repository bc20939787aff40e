"""Entities as rows: reading, finding and listing them. The one place that turns columns into entities.

Put here queries that any kind shares. Keep out writing (config_store.py) and rules.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, Table, func, select
from sqlalchemy.sql import ColumnElement

from pipelines.storage.entity_tables import TABLES
from pipelines.storage.ledger_tables import BILLED_CHARGES, LEDGER_TOTALS
from transforms.entities.fields import FieldSpec, fields
from transforms.entities.resource import Entity
from transforms.errors import NotFound

E = TypeVar("E", bound=Entity)


def _derived_values() -> dict[tuple[str, str], ColumnElement[Any]]:
    """(Kind, derived field) -> its value for a row of the kind's table."""

    def total(kind: str) -> ColumnElement[Any]:
        fund = TABLES[kind]
        of_fund = (LEDGER_TOTALS.c.org_id == fund.c.org_id, LEDGER_TOTALS.c.fund_id == fund.c.id)
        return func.coalesce(select(LEDGER_TOTALS.c.amount).where(*of_fund).scalar_subquery(), 0)

    charge = TABLES["Charge"]
    on_bill = (BILLED_CHARGES.c.org_id == charge.c.org_id, BILLED_CHARGES.c.charge_id == charge.c.id)
    return {
        ("Balance", "amount"): total("Balance"),
        ("Commitment", "amount_spent"): -total("Commitment"),
        ("Charge", "bill_id"): select(BILLED_CHARGES.c.bill_id).where(*on_bill).scalar_subquery(),
    }


_DERIVED = _derived_values()


def from_row(kind: type[E], row: RowMapping) -> E:
    """The entity that a row of its table holds."""
    return kind.model_validate({name: row[name] for name in fields(kind) if row[name] is not None})


def row_values(entity: Entity) -> dict[str, Any]:
    """Column -> value of the entity; nested parts in their wire form."""
    plain = entity.model_dump(by_alias=True)
    return {f.name: plain[f.wire] for f in fields(type(entity)).values() if not f.is_derived}


def columns_of(kind: type[Entity]) -> list[ColumnElement[Any]]:
    """The columns of the kind's own fields, derived ones worked out."""
    table = TABLES[kind.__name__]
    return [_DERIVED[kind.__name__, f.name].label(f.name) if f.is_derived else table.c[f.name] for f in fields(kind).values()]


def equal_to(table: Table, field: FieldSpec, value: Any) -> ColumnElement[bool]:
    """The condition that a column equals a value, None meaning that nothing is there."""
    column = table.c[field.name]
    return column.is_(None) if value is None else column == value


def _conditions(org_id: str, kind: type[Entity], equal: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    table = TABLES[kind.__name__]
    return [table.c.org_id == org_id, *(equal_to(table, fields(kind)[name], value) for name, value in equal.items())]


def found(connection: Connection, org_id: str, kind: type[E], entity_id: str) -> E | None:
    """The entity of that id, or None."""
    rows = entities(connection, org_id, kind, id=entity_id)
    return rows[0] if rows else None


def entity(connection: Connection, org_id: str, kind: type[E], entity_id: str) -> E:
    """The entity of that id.

    Raises:
        NotFound: When the organization has none.
    """
    one = found(connection, org_id, kind, entity_id)
    if one is None:
        raise NotFound(kind.__name__, entity_id)
    return one


def entities(connection: Connection, org_id: str, kind: type[E], **equal: Any) -> list[E]:
    """All entities of the kind whose fields (snake_case) equal the given values, in the order of their creation."""
    table = TABLES[kind.__name__]
    query = select(*columns_of(kind)).where(*_conditions(org_id, kind, equal)).order_by(table.c.sequence)
    return [from_row(kind, row) for row in connection.execute(query).mappings()]


def by_ids(connection: Connection, org_id: str, kind: type[E], ids: Iterable[str]) -> dict[str, E]:
    """Id -> entity, of those ids that exist."""
    table = TABLES[kind.__name__]
    query = select(*columns_of(kind)).where(table.c.org_id == org_id, table.c.id.in_(list(ids)))
    return {row["id"]: from_row(kind, row) for row in connection.execute(query).mappings()}


def count(connection: Connection, org_id: str, kind: type[Entity], **equal: Any) -> int:
    """How many entities of the kind have those values."""
    query = select(func.count()).select_from(TABLES[kind.__name__]).where(*_conditions(org_id, kind, equal))
    return int(connection.execute(query).scalar_one())


class StoredNeighbours:
    """The ``Neighbours`` of a check: the other entities of the organization, within the same transaction."""

    def __init__(self, connection: Connection, org_id: str) -> None:
        self._connection = connection
        self._org_id = org_id

    def entity(self, kind: type[E], entity_id: str) -> E | None:
        """The entity of that kind, or None."""
        return found(self._connection, self._org_id, kind, entity_id)

    def entities(self, kind: type[E], **equal: Any) -> list[E]:
        """All entities of the kind with those values."""
        return entities(self._connection, self._org_id, kind, **equal)

    def count(self, kind: type[Entity], **equal: Any) -> int:
        """How many :meth:`entities` there are."""
        return count(self._connection, self._org_id, kind, **equal)
