"""What a usage query needs of an organization: its meters, the states kept for them, and accounts by id or number.

Put here small reads, since a query has to be quick with any number of accounts. Keep out whole snapshots (snapshots.py).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl
from sqlalchemy import ARRAY, Connection, Integer, Text, any_, cast, select

from pipelines.storage.config_rows import entities
from pipelines.storage.entity_tables import TABLES
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, Configuration
from transforms.entities.organization import CustomFields, OrganizationConfig
from transforms.entities.usage import Aggregation, Meter


def usage_configuration(connection: Connection, org_id: str) -> Configuration:
    """The organization's meters, simple aggregations and time zone; no accounts, no plans, no hash."""
    meters = {one.id: one for one in entities(connection, org_id, Meter)}
    aggregations = {one.id: one for one in entities(connection, org_id, Aggregation)}
    return Configuration(
        organization_id=org_id,
        as_of=datetime.now(UTC),
        organization=next(iter(entities(connection, org_id, OrganizationConfig)), OrganizationConfig()),
        custom_fields=CustomFields(),
        small={"Meter": meters, "Aggregation": aggregations},
        accounts=pl.DataFrame(schema=ACCOUNTS_SCHEMA),
        account_plans=pl.DataFrame(schema=ACCOUNT_PLANS_SCHEMA),
        hash="",
    )


def account_numbers(connection: Connection, org_id: str, account_ids: Sequence[str]) -> dict[str, int]:
    """Account id -> account number, of those ids that exist."""
    accounts = TABLES["Account"]
    wanted = any_(cast(list(account_ids), ARRAY(Text)))
    rows = connection.execute(select(accounts.c.id, accounts.c.account_number).where(accounts.c.org_id == org_id, accounts.c.id == wanted))
    return {row.id: row.account_number for row in rows}


def account_labels(connection: Connection, org_id: str, numbers: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Account number -> (id, code)."""
    accounts = TABLES["Account"]
    wanted = any_(cast(list(numbers), ARRAY(Integer)))
    query = select(accounts.c.account_number, accounts.c.id, accounts.c.code).where(accounts.c.org_id == org_id, accounts.c.account_number == wanted)
    return {row.account_number: (row.id, row.code) for row in connection.execute(query)}
