"""Bill headers: found, listed, approved, locked, deleted.

Put here the decisions about bills that exist. Keep out how a calculation writes them (bill_writes.py) and their line items
(bill_lines.py). Source: billing.md 3.2, 3.5, DECISIONS 32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, RowMapping, Select
from sqlalchemy.dialects.postgresql import ARRAY

from pipelines.storage import ledger, memo_lines, statement_jobs
from pipelines.storage.bill_locks import held, is_locked
from pipelines.storage.bill_tables import BILL_CALCULATIONS, BILL_JOBS, BILLS
from transforms.errors import NotFound, Refused

#: A header with the provenance of its calculation (DECISIONS 33); ``locked`` says whether it counts as locked.
HEADERS = sa.select(
    *(is_locked().label("locked") if column.name == "locked" else column for column in BILLS.c),
    BILL_CALCULATIONS.c.configuration_hash,
    BILL_CALCULATIONS.c.configuration_as_of,
    BILL_CALCULATIONS.c.software_version,
    BILL_CALCULATIONS.c.dataset_versions,
    BILL_CALCULATIONS.c.certificates,
).join_from(BILLS, BILL_CALCULATIONS, sa.and_(BILLS.c.org_id == BILL_CALCULATIONS.c.org_id, BILLS.c.calculation_id == BILL_CALCULATIONS.c.id))


#: One row of HEADERS by column.
Header = dict[str, Any]


def headers(connection: Connection, query: Select[Any]) -> list[Header]:
    """The rows of a query on HEADERS, with their memo lines (see memo_lines.py)."""
    found = [dict(row) for row in connection.execute(query).mappings()]
    memo_lines.attached(connection, found)
    return found


@dataclass(frozen=True, kw_only=True)
class BillFilter:
    """Which bills; None does not restrict. Starts are inclusive, ends exclusive."""

    ids: Sequence[str] | None = None
    account_ids: Sequence[str] | None = None
    bill_date: date | None = None
    bill_date_start: date | None = None
    bill_date_end: date | None = None
    external_invoice_date_start: date | None = None
    external_invoice_date_end: date | None = None
    end_date: date | None = None
    end_date_start: date | None = None
    end_date_end: date | None = None
    billing_frequency: str | None = None
    bill_job_id: str | None = None
    status: str | None = None
    locked: bool | None = None

    def conditions(self, org_id: str) -> list[ColumnElement[bool]]:
        """The SQL conditions on ``bills``."""
        c = BILLS.c
        given: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
            (self.ids, c.id.in_),
            (self.account_ids, c.account_id.in_),
            (self.bill_date, c.bill_date.__eq__),
            (self.bill_date_start, c.bill_date.__ge__),
            (self.bill_date_end, c.bill_date.__lt__),
            (self.external_invoice_date_start, c.external_invoice_date.__ge__),
            (self.external_invoice_date_end, c.external_invoice_date.__lt__),
            (self.end_date, c.end_date.__eq__),
            (self.end_date_start, c.end_date.__ge__),
            (self.end_date_end, c.end_date.__lt__),
            (self.billing_frequency, c.billing_frequency.__eq__),
            (self.bill_job_id, lambda job_id: _of_job(org_id, job_id)),
            (self.status, c.status.__eq__),
            (self.locked, is_locked().__eq__),
        ]
        return [c.org_id == org_id, *(condition(value) for value, condition in given if value is not None)]


def _of_job(org_id: str, job_id: str) -> ColumnElement[bool]:
    """That the job calculated the bill last; found by the job's list, so that every recalculation need not change an index."""
    ids = sa.select(sa.func.unnest(BILL_JOBS.c.bill_ids)).where(BILL_JOBS.c.org_id == org_id, BILL_JOBS.c.id == job_id)
    return sa.and_(BILLS.c.id.in_(ids.scalar_subquery()), BILLS.c.bill_job_id == job_id)


def bill(connection: Connection, org_id: str, bill_id: str) -> Header:
    """The header of an id; raises NotFound."""
    found = headers(connection, HEADERS.where(BILLS.c.org_id == org_id, BILLS.c.id == bill_id))
    if not found:
        raise NotFound("Bill", bill_id)
    return found[0]


def listed(connection: Connection, org_id: str, bills: BillFilter, *, before: int | None, limit: int) -> list[Header]:
    """At most ``limit`` headers, newest first, with a sequence number below ``before``."""
    query = HEADERS.where(*bills.conditions(org_id))
    if before is not None:
        query = query.where(BILLS.c.sequence < before)
    return headers(connection, query.order_by(BILLS.c.sequence.desc()).limit(limit))


def latest(connection: Connection, org_id: str, account_id: str) -> Header:
    """The account's bill with the latest bill date (of several, the newest); raises NotFound when it has none."""
    query = HEADERS.where(BILLS.c.org_id == org_id, BILLS.c.account_id == account_id)
    found = headers(connection, query.order_by(BILLS.c.bill_date.desc(), BILLS.c.sequence.desc()).limit(1))
    if not found:
        raise NotFound("A bill of account", account_id)
    return found[0]


def exists(connection: Connection, org_id: str, bill_id: str) -> bool:
    """Whether the organization has the bill."""
    return connection.scalar(sa.select(BILLS.c.id).where(BILLS.c.org_id == org_id, BILLS.c.id == bill_id)) is not None


def open_bill(connection: Connection, org_id: str, bill_id: str) -> RowMapping:
    """The bill's own row, which nobody else changes until the transaction ends.

    Raises:
        NotFound: No such bill.
        Refused: It is locked.
    """
    row = _locked_row(connection, org_id, bill_id)
    if row["is_locked"]:
        raise Refused(f"bill {bill_id} is locked; its lines stay as they are")
    return row


def _locked_rows(connection: Connection, org_id: str, ids: Sequence[str], columns: Sequence[ColumnElement[Any]]) -> dict[str, RowMapping]:
    """Id -> columns of the bill; nobody else changes it, nor the bill lock date, until the transaction ends."""
    held(connection, org_id)
    query = sa.select(*columns).where(BILLS.c.org_id == org_id, _among(ids)).order_by(BILLS.c.id).with_for_update(of=BILLS)
    return {row["id"]: row for row in connection.execute(query).mappings()}


def _among(ids: Sequence[str]) -> ColumnElement[bool]:
    """That the bill is one of any number of ids: one parameter, where ``in_`` takes one for each and 65,535 are the most."""
    return BILLS.c.id == sa.any_(sa.literal(list(ids), ARRAY(sa.Text)))


def _locked_row(connection: Connection, org_id: str, bill_id: str) -> RowMapping:
    """The bill's row, with ``is_locked``; raises NotFound."""
    rows = _locked_rows(connection, org_id, [bill_id], (*BILLS.c, is_locked().label("is_locked")))
    if not rows:
        raise NotFound("Bill", bill_id)
    return rows[bill_id]


def _changed(connection: Connection, org_id: str, ids: Sequence[str], actor: str, **values: Any) -> None:
    touched = {"version": BILLS.c.version + 1, "dt_last_modified": sa.func.clock_timestamp(), "last_modified_by": actor}
    connection.execute(sa.update(BILLS).where(BILLS.c.org_id == org_id, _among(ids)).values(**touched, **values))


def _approval(actor: str) -> dict[str, Any]:
    """What every approval writes, whoever approves."""
    now = sa.func.clock_timestamp()
    return {"status": "APPROVED", "approved_by": actor, "dt_approved": now, "approved_calculation_id": BILLS.c.calculation_id}


def approved(connection: Connection, org_id: str, ids: Sequence[str], *, actor: str) -> int:
    """Approve the bills that are not approved yet; the number of those.

    Raises:
        NotFound: A bill that the organization does not have; nothing is changed then.
    """
    rows = _locked_rows(connection, org_id, ids, (BILLS.c.id, BILLS.c.status))
    for missing in (i for i in ids if i not in rows):
        raise NotFound("Bill", missing)
    pending = [i for i, row in rows.items() if row["status"] == "PENDING"]
    _changed(connection, org_id, pending, actor, **_approval(actor))
    statement_jobs.ordered_automatically(connection, org_id, pending, actor=actor)
    return len(pending)


def approved_where(connection: Connection, org_id: str, bills: BillFilter, *, actor: str) -> int:
    """Approve all pending bills of the filter; their number."""
    held(connection, org_id)  # or one of them could be deleted, or calculated again, between the search and the approval
    ids = connection.scalars(sa.select(BILLS.c.id).where(*bills.conditions(org_id), BILLS.c.status == "PENDING")).all()
    return approved(connection, org_id, ids, actor=actor)


def with_status(connection: Connection, org_id: str, bill_id: str, status: str, *, actor: str) -> Header:
    """The bill with the status APPROVED or PENDING.

    Raises:
        NotFound: No such bill.
        Refused: It is locked and the status is another.
    """
    row = _locked_row(connection, org_id, bill_id)
    if row["status"] != status:
        if row["is_locked"]:
            raise Refused(f"bill {bill_id} is locked; its status stays {row['status']}")
        if status == "APPROVED":
            _changed(connection, org_id, [bill_id], actor, **_approval(actor))
            statement_jobs.ordered_automatically(connection, org_id, [bill_id], actor=actor)
        else:
            _changed(connection, org_id, [bill_id], actor, status=status, approved_by=None, dt_approved=None)
    return bill(connection, org_id, bill_id)


def locked(connection: Connection, org_id: str, bill_id: str, *, actor: str) -> Header:
    """The bill, locked for good; locking twice changes nothing.

    Raises:
        NotFound: No such bill.
        Refused: It is PENDING.
    """
    row = _locked_row(connection, org_id, bill_id)
    if row["status"] != "APPROVED":
        raise Refused(f"bill {bill_id} is {row['status']}; approve it first, only an APPROVED bill can be locked")
    if not row["locked"]:
        _changed(connection, org_id, [bill_id], actor, locked=True, locked_by=actor, dt_locked=sa.func.clock_timestamp())
        statement_jobs.ordered_automatically(connection, org_id, [bill_id], actor=actor)
    return bill(connection, org_id, bill_id)


def deleted(connection: Connection, org_id: str, bill_id: str, *, actor: str | None = None) -> Header:
    """The bill as it was; what it drew is given back. Its line items stay in the lake, where nothing refers to them any more.

    Raises:
        NotFound: No such bill.
        Refused: It is locked.
    """
    held(connection, org_id, shared=False)  # the ledger's lock comes before that of the row
    if _locked_row(connection, org_id, bill_id)["is_locked"]:
        raise Refused(f"bill {bill_id} is locked and can't be deleted")
    last = bill(connection, org_id, bill_id)
    ledger.given_back(connection, org_id, [bill_id], actor=actor)
    connection.execute(sa.delete(BILLS).where(BILLS.c.org_id == org_id, BILLS.c.id == bill_id))
    return last


def line_owners(connection: Connection, org_id: str, *, bill_id: str | None, after: tuple[int, int] | None, lines: int | None) -> list[Header]:
    """Bills whose lines come next in the list of all line items, newest first; only what names their lines and goes with them.

    Args:
        connection: An open transaction.
        org_id: The organization.
        bill_id: Only this bill.
        after: (sequence of a bill, sequence number of its line) that the list has shown last.
        lines: Enough bills for so many lines; None is all of them.
    """
    columns = (*memo_lines.NEEDED, "sequence", "last_calculated_at", "last_modified_by")
    query = sa.select(*(BILLS.c[name] for name in columns)).where(BILLS.c.org_id == org_id, BILLS.c.line_count > 0)
    if bill_id is not None:
        query = query.where(BILLS.c.id == bill_id)
    if after is not None:
        query = query.where(BILLS.c.sequence <= after[0])
    # Every bill here has a line at least, and the first may be shown to its end already.
    limited = query.order_by(BILLS.c.sequence.desc()).limit(None if lines is None else lines + 1)
    return headers(connection, limited)
