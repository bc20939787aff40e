"""Bills as a calculation stores them: all headers of a job and its end in one transaction.

The line items are in the lake before; the transaction here is the moment at which bills change, so a reader sees a bill
either as it was or as it is, never half of it. Locked bills are never touched, an APPROVED bill goes back to PENDING
(DECISIONS 32), and of two calculations of one bill the one that *began* later stands, whichever ends last: it knows all that
the other knew (DECISIONS 41).

Put here how headers are written. Keep out what they say (transforms) and what clients do with them (bill_store.py).
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipelines.storage import bill_jobs, bill_locks, ledger, memo_store
from pipelines.storage.bill_jobs import BillJob
from pipelines.storage.bill_tables import BILL_CALCULATIONS, BILL_SEQUENCES, BILLS
from pipelines.storage.sql_columns import copied
from transforms.configuration import Configuration
from transforms.rating.replay import OWNERS
from transforms.rating.run import DRAWS, LEDGER

WRITES = bill_locks.WRITES

#: Columns of a bill that its calculation decides, other than its key.
_CALCULATED = (
    "account_code",
    "start_date",
    "end_date",
    "start_at",
    "end_at",
    "due_date",
    "external_invoice_date",
    "timezone",
    "currency",
    "currency_conversions",
    "bill_total",
    "line_count",
    "carried_from",
    "unmatched",
    "purchase_order_number",
    "overrides",
)
#: Condition on a row c of computed_bills.
_IS_NEW = "NOT EXISTS (SELECT FROM bills e WHERE e.org_id = :org_id AND e.id = c.id)"
_KEY = ("id", "account_id", "billing_frequency", "bill_frequency_interval", "bill_date")
_COPIED = (*_KEY, *_CALCULATED)
#: Condition that a stored bill b counts as locked; see bill_locks.py.
_LOCKED = "(b.locked OR coalesce(b.end_date <= CAST(:lock_date AS date), false))"
#: The constraint that a bill's account exists.
_ACCOUNT_KEY = "fk_bills_org_id_account_id_accounts"
#: Whether a fund that is drawn from does not exist any more; none is deleted under the lock that is held here.
_IS_FUND_GONE = sa.text(
    """
    SELECT EXISTS (SELECT FROM computed_draws d WHERE NOT EXISTS (SELECT FROM commitments f WHERE f.org_id = :org_id AND f.id = d.fund_id)
                                                  AND NOT EXISTS (SELECT FROM balances f WHERE f.org_id = :org_id AND f.id = d.fund_id))
    """
)
_JOB_COLUMNS = ("calculation_id", "bill_job_id", "last_calculated_at")


@dataclass(frozen=True, kw_only=True)
class Calculation:
    """One attempt of a bill job and what it computed from (DECISIONS 33); see ``bill_calculations``.

    Attributes:
        began_at: The database's clock before the job looked at anything.
    """

    id: str
    began_at: datetime
    configuration: Configuration
    software_version: str
    dataset_versions: dict[str, int]
    certificates: list[dict[str, Any]]


class GroundMoved(Exception):  # noqa: N818 - the job computes again
    """What the job computed from is no longer so; nothing of the job is stored.

    Somebody put money on a fund, locked or deleted a bill, or deleted an account or a fund that bills refer to.
    """


@dataclass(frozen=True)
class Drawings:
    """What the bills draw and charge, and from which ledger they were computed.

    Attributes:
        ledger: The ledger as the job read it, see LEDGER.
        funds: The funds whose entries it holds, see ``replay.OWNERS``.
        draws: See DRAWS.
        charges: bill_id and charge_id of the charges that stand on the bills.
        untouchable: Bills that were taken for locked.
        known: Bills that were computed because they were there.
    """

    ledger: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEDGER))
    funds: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OWNERS))
    draws: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DRAWS))
    charges: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"bill_id": pl.String, "charge_id": pl.String}))
    untouchable: AbstractSet[str] = frozenset()
    known: AbstractSet[str] = frozenset()


def stored(
    connection: Connection,
    claim: BillJob,
    calculation: Calculation,
    bills: pl.DataFrame,
    failures: list[dict[str, str | None]],
    *,
    drawings: Drawings | None = None,
) -> int:
    """Write the headers and complete the job; the number of the job's bills.

    Args:
        connection: An open transaction; nothing is visible before it commits.
        claim: The job as claimed.
        calculation: What the bills were computed from.
        bills: One row per bill with the columns ``_COPIED``; JSON columns as text.
        failures: See ``BillJob.failures``.
        drawings: What they draw; nothing where no account has a commitment, a balance or a charge.

    Raises:
        JobLost: The claim no longer stands; the transaction must be rolled back.
        GroundMoved: The bills must be computed again; the transaction must be rolled back.
    """
    bill_locks.held(connection, claim.org_id, shared=False)
    drawings = drawings or Drawings()
    _refuse_moved(connection, claim.org_id, drawings)
    lock_date = bill_locks.lock_date(connection, claim.org_id)
    connection.execute(
        sa.insert(BILL_CALCULATIONS).values(
            org_id=claim.org_id,
            id=calculation.id,
            bill_job_id=claim.id,
            calculated_at=calculation.began_at,
            configuration_as_of=calculation.configuration.as_of,
            configuration_hash=calculation.configuration.hash,
            software_version=calculation.software_version,
            dataset_versions=calculation.dataset_versions,
            certificates=calculation.certificates,
            ledger_sequence=ledger.last_sequence(connection, claim.org_id),
        )
    )
    _copied(connection, bills)
    _refuse_deleted(connection, claim.org_id, drawings.known)
    if calculation.configuration.organization.suppressed_empty_bills:
        # A bill that exists and has become empty stays, with nothing on it: its old lines must not stand (billing.md 2.9).
        connection.execute(sa.text(f"DELETE FROM computed_bills c WHERE line_count = 0 AND {_IS_NEW}"), {"org_id": claim.org_id})
    own = {"org_id": claim.org_id, "lock_date": lock_date}
    unchanged = _refused_new(connection, claim.org_id, lock_date)
    unchanged += memo_store.converted_anew(connection, claim.org_id, calculation.configuration, began_at=calculation.began_at, lock_date=lock_date)
    _write(connection, {**_parameters(connection, claim, calculation), "lock_date": lock_date})
    _drawn(connection, claim, calculation, drawings)
    stored_bills = "FROM computed_bills c JOIN bills b ON b.org_id = :org_id AND b.id = c.id"
    kept = connection.execute(sa.text(f"SELECT c.id, c.account_id, c.account_code {stored_bills} WHERE {_LOCKED} ORDER BY c.id"), own).all()
    ids = sa.text(f"(SELECT coalesce(array_agg(c.id ORDER BY c.id), '{{}}') {stored_bills} WHERE NOT {_LOCKED})").bindparams(**own)
    count = int(connection.scalar(sa.text(f"SELECT count(*) {stored_bills} WHERE NOT {_LOCKED}"), own) or 0)
    unchanged += [_locked_failure(row) for row in kept]
    bill_jobs.advanced(
        connection,
        claim,
        status="COMPLETE",
        bill_ids=ids,
        failures=failures + unchanged,
        total=count + len(failures) + len(unchanged),
        pending=0,
        dt_completed=sa.func.clock_timestamp(),
    )
    return count


def _refuse_moved(connection: Connection, org_id: str, drawings: Drawings) -> None:
    if drawings.funds.is_empty():
        return
    if not ledger.standing_of(connection, org_id, drawings.funds).equals(drawings.ledger):
        raise GroundMoved


def _refuse_deleted(connection: Connection, org_id: str, known: AbstractSet[str]) -> None:
    query = f"SELECT EXISTS (SELECT FROM computed_bills c WHERE c.id = ANY(:known) AND {_IS_NEW})"
    if known and connection.scalar(sa.text(query), {"org_id": org_id, "known": list(known)}):
        raise GroundMoved


def _write(connection: Connection, parameters: dict[str, Any]) -> None:
    try:
        connection.execute(_WRITE, parameters)
    except IntegrityError as error:
        if getattr(getattr(error.orig, "diag", None), "constraint_name", None) == _ACCOUNT_KEY:
            raise GroundMoved from error  # an account that had no bill yet was deleted
        raise


def _drawn(connection: Connection, claim: BillJob, calculation: Calculation, drawings: Drawings) -> None:
    """Write what the written bills draw and charge, and up to which entry of the ledger the calculation goes."""
    own = {"org_id": claim.org_id, "calculation_id": calculation.id}
    ledger.charges_billed(connection, claim.org_id, calculation.id, drawings.charges)
    if drawings.funds.is_empty():
        return
    sequence = ledger.drawn(connection, claim.org_id, calculation.id, drawings.draws, actor=claim.created_by)
    unwritten = set(connection.scalars(sa.text(f"SELECT bill_id FROM computed_draws WHERE bill_id NOT IN {ledger.WRITTEN}"), own))
    if unwritten != drawings.untouchable & set(drawings.draws["bill_id"]) or connection.scalar(_IS_FUND_GONE, own):
        raise GroundMoved
    where = (BILL_CALCULATIONS.c.org_id == claim.org_id, BILL_CALCULATIONS.c.id == calculation.id)
    connection.execute(sa.update(BILL_CALCULATIONS).where(*where).values(ledger_sequence=sequence))


def _locked_failure(row: Any) -> dict[str, str | None]:
    reason = f"bill {row.id} is locked and was not calculated again"
    return {"accountId": row.account_id, "accountCode": row.account_code, "billId": row.id, "reason": reason}


def _refused_new(connection: Connection, org_id: str, lock_date: date | None) -> list[dict[str, str | None]]:
    """A failure per computed bill that does not exist and would be locked from its birth; it is not written."""
    statement = (
        f"DELETE FROM computed_bills c WHERE c.end_date <= CAST(:lock_date AS date) AND {_IS_NEW} RETURNING account_id, account_code, end_date"
    )
    rows = connection.execute(sa.text(statement), {"org_id": org_id, "lock_date": lock_date}).all()
    return [
        {
            "accountId": row.account_id,
            "accountCode": row.account_code,
            "reason": f"the period that ends on {row.end_date} is locked by the bill lock date {lock_date}: no new bill was made of it",
        }
        for row in sorted(rows, key=lambda row: (row.account_id, row.end_date))
    ]


def _copied(connection: Connection, bills: pl.DataFrame) -> None:
    """The frame as the temporary table ``computed_bills`` of this transaction."""
    columns = ", ".join(_COPIED)
    connection.exec_driver_sql(f"CREATE TEMP TABLE computed_bills ON COMMIT DROP AS SELECT {columns} FROM bills WITH NO DATA")
    copied(connection, "computed_bills", bills, _COPIED)


def _parameters(connection: Connection, claim: BillJob, calculation: Calculation) -> dict[str, Any]:
    organization = calculation.configuration.organization
    first = None
    if organization.bill_prefix:
        first = _first_number(connection, claim.org_id, organization.sequence_start_number or 0)
    return {
        "org_id": claim.org_id,
        "calculation_id": calculation.id,
        "bill_job_id": claim.id,
        "last_calculated_at": calculation.began_at,
        "actor": claim.created_by,
        "prefix": organization.bill_prefix,
        "first_number": first,
    }


def _first_number(connection: Connection, org_id: str, start: int) -> int:
    """The sequential invoice number of the first new bill; the sequence is moved behind the last (billing.md 2.9)."""
    new = connection.scalar(sa.text(f"SELECT count(*) FROM computed_bills c WHERE {_IS_NEW}"), {"org_id": org_id})
    query = sa.select(BILL_SEQUENCES.c.start_number, BILL_SEQUENCES.c.last_number).where(BILL_SEQUENCES.c.org_id == org_id).with_for_update()
    row = connection.execute(query).one_or_none()
    last = row.last_number if row is not None and row.start_number == start else start
    values = {"start_number": start, "last_number": last + (new or 0)}
    if row is None:
        connection.execute(sa.insert(BILL_SEQUENCES).values(org_id=org_id, **values))
    else:
        connection.execute(sa.update(BILL_SEQUENCES).where(BILL_SEQUENCES.c.org_id == org_id).values(values))
    return int(last + 1)


def _write_statement() -> sa.TextClause:
    columns = ", ".join(_COPIED)
    qualified = ", ".join(f"c.{name}" for name in _COPIED)
    job = ", ".join(_JOB_COLUMNS)
    # The memo lines of a bill stay on it, whatever is calculated.
    with_memos = {"bill_total": "memo_total", "line_count": "memo_count"}
    values = {name: f"excluded.{name} + b.{with_memos[name]}" if name in with_memos else f"excluded.{name}" for name in (*_CALCULATED, *_JOB_COLUMNS)}
    changed = ", ".join(f"{name} = {value}" for name, value in values.items())
    assert set(_COPIED) <= set(BILLS.c.keys())
    # New bills are numbered in the order of their account codes and inserted by account, which is also the order of their lines.
    return sa.text(
        f"""
        INSERT INTO bills AS b (org_id, {columns}, {job}, sequential_invoice_number, dt_created, dt_last_modified, created_by, last_modified_by)
        SELECT :org_id, {qualified}, :calculation_id, :bill_job_id, CAST(:last_calculated_at AS timestamptz),
               CAST(:prefix AS text) || (CAST(:first_number AS bigint) + n.position),
               now(), now(), CAST(:actor AS text), CAST(:actor AS text)
        FROM computed_bills c
        LEFT JOIN (
            SELECT c.id, row_number() OVER (ORDER BY c.bill_date, c.account_code, c.id) - 1 AS position FROM computed_bills c WHERE {_IS_NEW}
        ) n ON n.id = c.id
        ORDER BY c.account_id COLLATE "C", c.id
        ON CONFLICT (org_id, id) DO UPDATE SET {changed},
            status = 'PENDING', approved_by = NULL, dt_approved = NULL,
            statement_stale = b.json_statement_generated OR b.csv_statement_generated,
            version = b.version + 1, dt_last_modified = clock_timestamp(), last_modified_by = excluded.last_modified_by
        WHERE NOT {_LOCKED} AND b.last_calculated_at <= excluded.last_calculated_at
        """
    )


_WRITE = _write_statement()
