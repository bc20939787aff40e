"""Accounts created in bulk by ingest, for usage of account codes that nobody created (usage.md 2.6).

Put here the bulk path only; one account at a time goes through config_store.py.
"""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
import polars as pl
import psycopg
from sqlalchemy import Connection, Text, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from pipelines.storage.config_store import locked, next_account_numbers
from pipelines.storage.entity_tables import TABLES

_JSON = msgspec.json.Encoder()
#: Columns of a new account, in the order in which they are copied.
_COLUMNS = (
    "org_id",
    "id",
    "version",
    "dt_created",
    "dt_last_modified",
    "created_by",
    "last_modified_by",
    "custom_fields",
    "name",
    "code",
    "email_address",
    "account_number",
)


def accounts_created(connection: Connection, org_id: str, codes: Sequence[str], actor: str) -> pl.DataFrame:
    """The accounts of these codes, those that did not exist created.

    Args:
        connection: An open transaction; it holds the organization's configuration lock from here on.
        org_id: The organization.
        codes: Account codes as sent, distinct and valid as codes.
        actor: Who stands in the audit fields.

    Returns:
        One row per code: account_code, account_id, account_number (Int32), is_new.
    """
    now = locked(connection, org_id)
    accounts = TABLES["Account"].c
    query = select(accounts.code, accounts.id, accounts.account_number).where(
        accounts.org_id == org_id, accounts.code == any_(bindparam("codes", list(codes), ARRAY(Text)))
    )
    known = {row.code: (row.id, row.account_number) for row in connection.execute(query)}
    missing = [code for code in codes if code not in known]
    first = next_account_numbers(connection, org_id, len(missing)) if missing else 0
    new = [(str(uuid.uuid4()), code, first + position) for position, code in enumerate(missing)]
    _written(connection, org_id, new, now, actor)
    rows = [(code, *known[code], False) for code in codes if code in known] + [(code, one, number, True) for one, code, number in new]
    schema = {"account_code": pl.String, "account_id": pl.String, "account_number": pl.Int32, "is_new": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _written(connection: Connection, org_id: str, new: Sequence[tuple[str, str, int]], now: datetime, actor: str) -> None:
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    with driver.cursor() as cursor:
        columns = ", ".join(_COLUMNS)
        with cursor.copy(f"COPY accounts ({columns}) FROM STDIN") as copy:
            for account_id, code, number in new:
                copy.write_row((org_id, account_id, 1, now, now, actor, actor, "{}", f"{code}-autocreated", code, _email(org_id, code), number))
        with cursor.copy("COPY entity_versions (org_id, kind, id, version, changed_at, changed_by, change, body) FROM STDIN") as copy:
            for account_id, code, number in new:
                body = {
                    "id": account_id,
                    "version": 1,
                    "dtCreated": now,
                    "dtLastModified": now,
                    "createdBy": actor,
                    "lastModifiedBy": actor,
                    "customFields": {},
                    "name": f"{code}-autocreated",
                    "code": code,
                    "emailAddress": _email(org_id, code),
                    "accountNumber": number,
                }
                copy.write_row((org_id, "Account", account_id, 1, now, actor, "CREATED", _JSON.encode(body).decode()))


def _email(org_id: str, code: str) -> str:
    digest = hashlib.sha256(f"{org_id} {code}".encode()).hexdigest()[:32]
    return f"{digest}-autocreated@example.com"
