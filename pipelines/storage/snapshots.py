"""The configuration of an organization as of now or of an instant in the past.

Small kinds are read as entities. Accounts and account plans may be many: their columns are read as arrays, never as
rows, so that 100,000 accounts take well under a second. Put here how a snapshot is read; keep out what is done with it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, LiteralString, cast

import polars as pl
import psycopg
from psycopg import sql
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import distinct_on

from pipelines.storage.config_rows import from_row
from pipelines.storage.config_store import locked
from pipelines.storage.entity_tables import ENTITY_VERSIONS, TABLES
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, Configuration
from transforms.entities.organization import CustomFields, OrganizationConfig
from transforms.entities.registry import RESOURCES
from transforms.entities.resource import Entity, Resource

#: Frame column -> SQL over the kind's table (`r`).
_ACCOUNT_COLUMNS: Mapping[str, LiteralString] = {
    "account_id": "r.id",
    "account_number": "r.account_number",
    "account_code": "r.code",
    "parent_account_id": "r.parent_account_id",
    "bill_epoch": "r.bill_epoch",
    "currency": "r.currency",
    "days_before_bill_due": "r.days_before_bill_due",
    "purchase_order_number": "r.purchase_order_number",
    "custom_fields": "r.custom_fields::text",
    "version": "r.version",
}
_ACCOUNT_PLAN_COLUMNS: Mapping[str, LiteralString] = {
    "account_plan_id": "r.id",
    "account_id": "r.account_id",
    "plan_id": "r.plan_id",
    "plan_group_id": "r.plan_group_id",
    "start_date": "r.start_date",
    "end_date": "r.end_date",
    "bill_epoch": "r.bill_epoch",
    "contract_id": "r.contract_id",
    "child_billing_mode": "r.child_billing_mode",
    "custom_fields": "r.custom_fields::text",
    "version": "r.version",
}
#: The same rows out of the history: columns of the body, named and typed as in the table.
_ACCOUNT_HISTORY: LiteralString = """
    SELECT id, version, (body->>'accountNumber')::integer AS account_number, body->>'code' AS code, body->>'parentAccountId' AS parent_account_id,
           (body->>'billEpoch')::date AS bill_epoch, body->>'currency' AS currency, (body->>'daysBeforeBillDue')::integer AS days_before_bill_due,
           body->>'purchaseOrderNumber' AS purchase_order_number, body->'customFields' AS custom_fields
    FROM latest"""
_ACCOUNT_PLAN_HISTORY: LiteralString = """
    SELECT id, version, body->>'accountId' AS account_id, body->>'planId' AS plan_id, body->>'planGroupId' AS plan_group_id,
           (body->>'startDate')::timestamptz AS start_date, (body->>'endDate')::timestamptz AS end_date, (body->>'billEpoch')::date AS bill_epoch,
           body->>'contractId' AS contract_id, body->>'childBillingMode' AS child_billing_mode, body->'customFields' AS custom_fields
    FROM latest"""
_HISTORIES: Mapping[str, LiteralString] = {"Account": _ACCOUNT_HISTORY, "AccountPlan": _ACCOUNT_PLAN_HISTORY}
_LATEST: LiteralString = """
    WITH latest AS (
        SELECT * FROM (
            SELECT DISTINCT ON (id) id, version, change, body FROM entity_versions
            WHERE org_id = %(org_id)s AND kind = %(kind)s AND changed_at <= %(as_of)s ORDER BY id, version DESC
        ) every WHERE change <> 'DELETED'
    )"""


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
    small: dict[str, dict[str, Entity]] = {}
    for resource in RESOURCES:
        if resource.kind not in ("Account", "AccountPlan"):
            small[resource.kind] = _entities(connection, org_id, resource, as_of)
    accounts = _frame(connection, org_id, "Account", _ACCOUNT_COLUMNS, order="r.account_number", as_of=as_of)
    account_plans = _frame(connection, org_id, "AccountPlan", _ACCOUNT_PLAN_COLUMNS, order="r.id", as_of=as_of)
    accounts, account_plans = _typed(accounts, ACCOUNTS_SCHEMA), _typed(account_plans, ACCOUNT_PLANS_SCHEMA)
    return Configuration(
        organization_id=org_id,
        as_of=instant,
        organization=cast(OrganizationConfig, next(iter(small["OrganizationConfig"].values()), OrganizationConfig())),
        custom_fields=cast(CustomFields, next(iter(small["CustomFields"].values()), CustomFields())),
        small=small,
        accounts=accounts.drop("version"),
        account_plans=account_plans.drop("version"),
        hash=_hash(small, {"Account": accounts, "AccountPlan": account_plans}),
    )


def account_codes(connection: Connection, org_id: str) -> pl.DataFrame:
    """One row per account: account_id, account_number (Int32), account_code, custom_fields (JSON object)."""
    columns = {name: _ACCOUNT_COLUMNS[name] for name in ("account_id", "account_number", "account_code", "custom_fields")}
    frame = _frame(connection, org_id, "Account", columns, order="r.account_number")
    return frame.cast({"account_id": pl.String, "account_number": pl.Int32, "account_code": pl.String, "custom_fields": pl.String})


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


def _frame(
    connection: Connection,
    org_id: str,
    kind: str,
    columns: Mapping[str, LiteralString],
    *,
    order: LiteralString,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """The kind's rows with the given columns, read column by column."""
    table = sql.Identifier(TABLES[kind].name)
    source: sql.Composable = sql.SQL("(SELECT * FROM {} WHERE org_id = %(org_id)s)").format(table)
    head: sql.Composable = sql.SQL("")
    if as_of is not None:
        source, head = sql.SQL("(" + _HISTORIES[kind] + ")"), sql.SQL(_LATEST)
    arrays = sql.SQL(", ").join(sql.SQL("array_agg({})").format(sql.Identifier(name)) for name in columns)
    values = sql.SQL(", ").join(sql.SQL(expression + " AS {}").format(sql.Identifier(name)) for name, expression in columns.items())
    ordered = sql.SQL("SELECT {} FROM {} r ORDER BY {}").format(values, source, sql.SQL(order))
    query = sql.SQL("{} SELECT {} FROM ({}) ordered").format(head, arrays, ordered)
    driver = cast("psycopg.Connection[tuple[Any, ...]]", connection.connection.driver_connection)
    with driver.cursor(binary=True) as cursor:
        row = cursor.execute(query, {"org_id": org_id, "kind": kind, "as_of": as_of}).fetchone()
    assert row is not None, "an aggregate without GROUP BY has one row"
    return pl.DataFrame({name: pl.Series(name, array if array is not None else []) for name, array in zip(columns, row, strict=True)})


def _typed(frame: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The frame in the declared types; a column that holds only nulls has none of its own."""
    return frame.select(*(pl.col(name).cast(dtype) for name, dtype in schema.items()), pl.col("version").cast(pl.Int64))


def _hash(small: Mapping[str, Mapping[str, Entity]], frames: Mapping[str, pl.DataFrame]) -> str:
    """sha256 over the sorted ``kind id version`` of everything in the snapshot."""
    ids = {"Account": "account_id", "AccountPlan": "account_plan_id"}
    lines: list[str] = [f"{kind} {one.id} {one.version}" for kind, entities in small.items() for one in entities.values()]
    for kind, frame in frames.items():
        lines.extend(_lines(frame.select(pl.format(kind + " {} {}", pl.col(ids[kind]), pl.col("version")).alias("line"))["line"]))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _lines(series: pl.Series) -> Iterable[str]:
    return cast(list[str], series.to_list())
