"""A statement job from its claim to its end, and the same statement for whoever wants it without a job.

Everything is read as the bill's calculation read it: the configuration of its instant, usage at its versions (DECISIONS
33). Only the definition, which says how to show it, is today's. The documents are kept first, then the job is completed
in one transaction; killed before it, a job has changed nothing but files that nobody refers to, and is run again.

Put here the order of a job's work. Keep out the numbers and layouts (transforms/statements). Source: billing.md 8.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from pipelines.storage import bill_lines, bill_store, statement_files, statement_jobs
from pipelines.storage.bill_store import Header
from pipelines.storage.config_rows import by_ids, entities
from pipelines.storage.database import Database
from pipelines.storage.job_claims import new_session, session_key
from pipelines.storage.lake import Lake
from pipelines.storage.pinned_usage import pinned_usage
from pipelines.storage.snapshots import configuration
from pipelines.storage.statement_files import StatementFile
from pipelines.storage.statement_jobs import StatementJob
from transforms.entities.accounts import Account
from transforms.entities.documents import plain_numbers
from transforms.entities.organization import OrganizationConfig
from transforms.entities.statements import StatementDefinition
from transforms.statements.statement import DEFAULT, statement
from transforms.statements.tables import statement_csv

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def definition_of(connection: Connection, org_id: str, account_id: str) -> StatementDefinition:
    """The account's statement definition, else the organization's, else the default."""
    account = by_ids(connection, org_id, Account, {account_id}).get(account_id)
    organization = next(iter(entities(connection, org_id, OrganizationConfig)), OrganizationConfig())
    chosen = (account.statement_definition_id if account else None) or organization.default_statement_definition_id
    return by_ids(connection, org_id, StatementDefinition, {chosen}).get(chosen, DEFAULT) if chosen else DEFAULT


def made(
    database: Database,
    lake: Lake,
    org_id: str,
    bill_id: str,
    *,
    meter_ids: Sequence[str] | None = None,
    definition: Callable[[Header], StatementDefinition] | None = None,
    line_item_id: str | None = None,
) -> tuple[Header, dict[str, Any]]:
    """The bill's header and its statement as it would be written now.

    Args:
        database: PostgreSQL.
        lake: Where line items and usage are.
        org_id: The organization.
        bill_id: The bill.
        meter_ids: Only usage of these meters; None for all.
        definition: Of the bill's header; None for the one that the account or the organization chose.
        line_item_id: Only the usage behind this line.

    Raises:
        NotFound: No such bill.
        Unavailable: The database or the lake is away.
        VersionGone: What the bill was computed from is no longer kept.
    """
    with database.transaction() as connection:
        header = bill_store.bill(connection, org_id, bill_id)
        chosen = definition(header) if definition else definition_of(connection, org_id, header["account_id"])
    with database.transaction() as connection:
        known = configuration(connection, org_id, header["configuration_as_of"])
    lines = bill_lines.scanned(lake, org_id, [header]).sort("sequence_number").collect()
    usage = pinned_usage(lake, known, header["dataset_versions"], kept_for=known)
    return header, statement(header, lines, chosen, configuration=known, usage=usage, meter_ids=meter_ids, line_item_id=line_item_id)


def encoded(document: dict[str, Any]) -> bytes:
    """The document as JSON: exact numbers, instants with Z."""
    return _ENCODER.encode(plain_numbers(document))


def ran(database: Database, lake: Lake, claim: StatementJob) -> None:
    """Run the claimed job to its end.

    Raises:
        JobLost: It was cancelled or claimed anew meanwhile; nothing was stored.
        NotFound: The bill was deleted.
        Unavailable: The database or the lake is away; the job stays claimed and can be run again.
    """
    header, document = made(database, lake, claim.org_id, claim.bill_id, meter_ids=claim.meter_ids)
    statement_files.kept(lake, StatementFile(claim.org_id, claim.bill_id, claim.id, "json"), encoded(document))
    if claim.include_csv_format:
        statement_files.kept(lake, StatementFile(claim.org_id, claim.bill_id, claim.id, "csv"), statement_csv(document).encode())
    with database.transaction() as connection:
        statement_jobs.completed(connection, claim, header)


def ran_inline(database: Database, lake: Lake, org_id: str, bill_id: str, *, include_csv_format: bool, created_by: str | None) -> StatementJob:
    """Create a job and run it in this process; a worker takes it over only if this process dies.

    Raises:
        EntityInvalid: No such bill.
    """
    session = new_session()
    with database.session_lock(session_key(session)) as is_ours:
        assert is_ours, f"the new session {session} is already taken"
        with database.transaction() as connection:
            (claim,) = statement_jobs.created(
                connection, org_id, [bill_id], include_csv_format=include_csv_format, meter_ids=None, created_by=created_by, session=session
            )
        ran(database, lake, claim)
    return claim
