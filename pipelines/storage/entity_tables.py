"""The tables of the config entities, generated from their declarations.

One table per kind: scalars are typed columns, nested parts JSONB, references composite foreign keys on (org_id, id), so
that no row can point into another organization. Beside them the organizations and the history of every entity. Put
here what follows from a declaration; keep out queries.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from pipelines.storage.metadata import METADATA
from transforms.entities.fields import FieldSpec, fields
from transforms.entities.registry import RESOURCES
from transforms.entities.resource import Resource

ORGANIZATIONS = Table(
    "organizations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="ACTIVE"),
    Column("version", BigInteger, nullable=False, server_default="1"),
    Column("next_account_number", Integer, nullable=False, server_default="0", comment="Account number of the next new account."),
    Column("dt_created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Text, nullable=False),
    CheckConstraint("status IN ('ACTIVE', 'ARCHIVED')", name="status"),
)

#: One row per version of an entity; the row of a deletion has the next version and the last body.
ENTITY_VERSIONS = Table(
    "entity_versions",
    METADATA,
    Column("org_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("body", JSONB, nullable=False, comment="Wire form; an account's also carries accountNumber."),
    CheckConstraint("change IN ('CREATED', 'UPDATED', 'DELETED')", name="change"),
)


def snake_case(kind: str) -> str:
    """``AccountPlan`` -> ``account_plan``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()


def table_name(kind: str) -> str:
    """``AccountPlan`` -> ``account_plans``, ``Currency`` -> ``currencies``, ``BillGroupingKey`` -> ``bill_grouping_keys``."""
    snake = snake_case(kind)
    if re.search(r"[^aeiou]y$", snake):
        return f"{snake[:-1]}ies"
    return snake if snake.endswith("s") else f"{snake}s"


def _column_type(field: FieldSpec) -> TypeEngine[Any]:
    if field.type is int:
        return BigInteger() if field.is_wide else Integer()
    types: dict[type, TypeEngine[Any]] = {
        str: Text(),
        bool: Boolean(),
        Decimal: Numeric(38, 12),
        date: Date(),
        datetime: DateTime(timezone=True),
        object: JSONB(none_as_null=True),
    }
    return types[field.type]


#: Columns that an entity has in the database only.
_HIDDEN: Mapping[str, tuple[tuple[str, TypeEngine[Any]], ...]] = {"Account": (("account_number", Integer()),)}
_MANDATORY = ("version", "dt_created", "dt_last_modified", "created_by", "last_modified_by")


def _foreign_key_name(table: str, column: str, target: str) -> str:
    """With the target, unless that makes a longer name than PostgreSQL keeps (63 characters)."""
    name = f"fk_{table}_{column}_{target}"
    return name if len(name) <= 63 else f"fk_{table}_{column}"


def entity_table(resource: Resource, metadata: MetaData) -> Table:
    """The table of one kind."""
    name = table_name(resource.kind)
    declared = fields(resource.entity)
    columns: list[Any] = [
        Column("org_id", Text, ForeignKey("organizations.id"), primary_key=True),
        Column("id", Text, primary_key=True),
        # The order of creation, which lists and their page tokens follow.
        Column("sequence", BigInteger, Identity(always=True), nullable=False),
    ]
    stored = [f for f in declared.values() if f.name != "id" and not f.is_derived]
    columns += [Column(f.name, _column_type(f), nullable=f.is_nullable and f.name not in _MANDATORY) for f in stored]
    columns += [Column(hidden, column_type, nullable=False) for hidden, column_type in _HIDDEN.get(resource.kind, ())]
    constraints: list[Any] = [UniqueConstraint("org_id", *key, name=f"uq_{name}_{'_'.join(key)}") for key in resource.unique]
    constraints += [UniqueConstraint("org_id", hidden, name=f"uq_{name}_{hidden}") for hidden, _ in _HIDDEN.get(resource.kind, ())]
    if resource.singleton:
        constraints.append(UniqueConstraint("org_id", name=f"uq_{name}_org_id"))
    for f in declared.values():
        if f.reference is not None:
            target = table_name(f.reference)
            key_name = _foreign_key_name(name, f.name, target)
            constraints.append(ForeignKeyConstraint(["org_id", f.name], [f"{target}.org_id", f"{target}.id"], name=key_name))
            columns.append(Index(f"ix_{name}_{f.name}", "org_id", f.name))
        elif f.code_reference is not None:
            columns.append(Index(f"ix_{name}_{f.name}", "org_id", f.name))
    return Table(name, metadata, *columns, Index(f"ix_{name}_sequence", "org_id", "sequence", unique=True), *constraints)


#: Kind -> table.
TABLES: Mapping[str, Table] = {r.kind: entity_table(r, METADATA) for r in RESOURCES}

#: Kind -> the (kind, field) pairs that hold its id.
REFERRERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    target.kind: tuple((r.kind, f.name) for r in RESOURCES for f in fields(r.entity).values() if f.reference == target.kind) for target in RESOURCES
}

#: Kind -> the (kind, field) pairs that hold a list of ids of it.
LIST_REFERRERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    target.kind: tuple((r.kind, f.name) for r in RESOURCES for f in fields(r.entity).values() if f.references == target.kind) for target in RESOURCES
}

#: Kind -> the (kind, field) pairs that hold its code.
CODE_REFERRERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    target.kind: tuple((r.kind, f.name) for r in RESOURCES for f in fields(r.entity).values() if f.code_reference == target.kind)
    for target in RESOURCES
}
