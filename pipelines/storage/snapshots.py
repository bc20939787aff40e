"""The configuration of an organization as of now or of an instant in the past.

Small kinds are read as entities. Accounts and what belongs to one account each may be many: their columns are read as
arrays, never as rows, so that 100,000 accounts take well under a second. Put here how a snapshot is read; keep out what is
done with it.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import LiteralString, cast

import polars as pl
from psycopg import sql
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import distinct_on

from pipelines.storage.config_rows import from_row
from pipelines.storage.config_store import locked
from pipelines.storage.entity_tables import ENTITY_VERSIONS, TABLES, snake_case
from pipelines.storage.sql_columns import Schema, frame_of
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, FRAMES, Configuration
from transforms.entities.fields import fields
from transforms.entities.organization import CustomFields, OrganizationConfig
from transforms.entities.registry import BY_KIND, RESOURCES
from transforms.entities.resource import Entity, Resource

#: Kinds that no bill depends on: what their schedules make is in the configuration when it is made.
_OF_NO_BILL = ("BalanceTransactionSchedule", "BalanceChargeSchedule")
#: Kind -> columns of its frame.
_SCHEMAS: Mapping[str, Schema] = {"Account": ACCOUNTS_SCHEMA, "AccountPlan": ACCOUNT_PLANS_SCHEMA, **FRAMES}
_LATEST: LiteralString = """
    WITH latest AS (
        SELECT * FROM (
            SELECT DISTINCT ON (id) id, version, change, body FROM entity_versions
            WHERE org_id = %(org_id)s AND kind = %(kind)s AND changed_at <= %(as_of)s ORDER BY id, version DESC
        ) every WHERE change <> 'DELETED'
    )"""
_CASTS: Mapping[type, LiteralString] = {bool: "boolean", int: "bigint", date: "date", datetime: "timestamptz"}


def configuration(connection: Connection, org_id: str, as_of: datetime | None = None) -> Configuration:
    """The organization's configuration.

    Args:
        connection: An open transaction; until it ends nobody can change the organization's configuration, so keep it short.
        org_id: The organization.
        as_of: The instant whose versions are wanted; None for now. The snapshot names the instant, and asking for that
            instant again, at any later time, gives the same snapshot with the same hash.
    """
    now = locked(connection, org_id, shared=True)
    instant = as_of if as_of is not None else now
    small = {r.kind: _entities(connection, org_id, r, as_of) for r in RESOURCES if r.kind not in _SCHEMAS and r.kind not in _OF_NO_BILL}
    frames = {kind: _frame(connection, org_id, kind, schema, as_of=as_of) for kind, schema in _SCHEMAS.items()}
    unversioned = {kind: frame.drop("version") for kind, frame in frames.items()}
    return Configuration(
        organization_id=org_id,
        as_of=instant,
        organization=cast(OrganizationConfig, next(iter(small["OrganizationConfig"].values()), OrganizationConfig())),
        custom_fields=cast(CustomFields, next(iter(small["CustomFields"].values()), CustomFields())),
        small=small,
        accounts=unversioned.pop("Account"),
        account_plans=unversioned.pop("AccountPlan"),
        hash=_hash(small, frames),
        frames=unversioned,
    )


def account_codes(connection: Connection, org_id: str) -> pl.DataFrame:
    """One row per account: account_id, account_number (Int32), account_code, custom_fields (JSON object)."""
    columns = ("account_id", "account_number", "account_code", "custom_fields")
    return _frame(connection, org_id, "Account", {name: ACCOUNTS_SCHEMA[name] for name in columns}).drop("version")


def _entities(connection: Connection, org_id: str, resource: Resource, as_of: datetime | None) -> dict[str, Entity]:
    table = TABLES[resource.kind]
    if as_of is None:
        rows = connection.execute(select(table).where(table.c.org_id == org_id).order_by(table.c.sequence)).mappings()
        return {row["id"]: from_row(resource.entity, row) for row in rows}
    versions = ENTITY_VERSIONS
    query = (
        select(versions.c.id, versions.c.change, versions.c.body)
        .where(versions.c.org_id == org_id, versions.c.kind == resource.kind, versions.c.changed_at <= as_of)
        .ext(distinct_on(versions.c.id))
        .order_by(versions.c.id, versions.c.version.desc())
    )
    found = [resource.entity.model_validate(row.body) for row in connection.execute(query) if row.change != "DELETED"]
    return {one.id: one for one in sorted(found, key=lambda one: (str(one.dt_created), one.id))}


def _frame(connection: Connection, org_id: str, kind: str, schema: Schema, *, as_of: datetime | None = None) -> pl.DataFrame:
    """The kind's rows in the columns of the schema, with their ``version``; accounts by number, others by id."""
    is_past = as_of is not None
    columns = {name: _column(kind, name, is_past=is_past) for name in schema}
    values = sql.SQL(", ").join(sql.SQL("{} AS {}").format(value, sql.Identifier(name)) for name, value in columns.items())
    source = sql.SQL("latest r") if is_past else sql.SQL("{} r WHERE r.org_id = %(org_id)s").format(sql.Identifier(TABLES[kind].name))
    order = sql.SQL("account_number" if kind == "Account" else "r.id")
    query = sql.SQL("SELECT {}, r.version AS version FROM {} ORDER BY {}").format(values, source, order)
    parameters = {"org_id": org_id, "kind": kind, "as_of": as_of}
    return frame_of(connection, query, {**schema, "version": pl.Int64}, parameters, head=sql.SQL(_LATEST) if is_past else None)


def _column(kind: str, name: str, *, is_past: bool) -> sql.Composable:
    """A column of a frame as SQL over the kind's table, or over the bodies of its history, ``r``; decimals and nested parts as text.

    A column has the name of its field, with the kind in front for id, code and the like; ``created_at`` is ``dt_created``.
    """
    declared = fields(BY_KIND[kind].entity)
    own = name if name in declared else "dt_created" if name == "created_at" else name.removeprefix(f"{snake_case(kind)}_")
    if own == "id":
        return sql.SQL("r.id")
    # The number of an account is no field: clients never see it.
    spec = declared.get(own)
    wire, kind_of_value, stored = (spec.wire, spec.type, own) if spec is not None else ("accountNumber", int, "account_number")
    if not is_past:
        return sql.SQL("r.{}::text" if kind_of_value in (object, Decimal) else "r.{}").format(sql.Identifier(stored))
    if kind_of_value is object:
        return sql.SQL("(r.body->{})::text").format(sql.Literal(wire))
    text = sql.SQL("(r.body->>{})").format(sql.Literal(wire))
    return text if kind_of_value not in _CASTS else sql.SQL("{}::{}").format(text, sql.SQL(_CASTS[kind_of_value]))


def _hash(small: Mapping[str, Mapping[str, Entity]], frames: Mapping[str, pl.DataFrame]) -> str:
    """sha256 over the sorted ``kind id version`` of everything in the snapshot."""
    lines: list[str] = [f"{kind} {one.id} {one.version}" for kind, entities in small.items() for one in entities.values()]
    for kind, frame in frames.items():
        line = pl.format(kind + " {} {}", pl.col(f"{snake_case(kind)}_id"), pl.col("version"))
        lines.extend(frame.select(line.alias("line"))["line"])
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
