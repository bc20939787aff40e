"""The ledger of funds: what was put into commitments and balances, and what bills drew from them.

Append-only: a draw that no longer holds is taken back by an entry that reverses it, so the sum of all entries is the sum of
those that stand, and the past can be read as it was. Everything that writes here holds the lock of bill_locks.py, so entries
become visible in the order of their ``sequence``. Put here draws of bills and the books' check. Keep out transactions that
people and schedules make (balance_transactions.py) and what a bill draws (transforms). Source: billing.md 5.2, 5.7; DECISIONS 29.
"""

from collections.abc import Sequence

import polars as pl
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import Connection

from pipelines.storage import bill_locks
from pipelines.storage.ledger_tables import DRIVER_STANDS, LEDGER_ENTRIES, STANDS
from pipelines.storage.sql_columns import copied, frame_of
from transforms.rating.run import DRAWS, LEDGER

#: Entries are looked up by account up to so many accounts; beyond that the organization's are read through.
NAMED_ACCOUNTS_MAX = 2_000
#: The bills that the calculation wrote, among those that it computed (the temporary table of bill_writes.py).
WRITTEN = "(SELECT c.id FROM computed_bills c JOIN bills b ON b.org_id = :org_id AND b.id = c.id AND b.calculation_id = :calculation_id)"
_ACCOUNTS = "(CAST(%(account_ids)s AS text[]) IS NULL OR e.account_id = ANY(%(account_ids)s))"


def last_sequence(connection: Connection, org_id: str) -> int:
    """The number of the organization's last entry, 0 without any."""
    return connection.scalar(sa.select(sa.func.max(LEDGER_ENTRIES.c.sequence)).where(LEDGER_ENTRIES.c.org_id == org_id)) or 0


def standing(
    connection: Connection,
    org_id: str,
    account_ids: Sequence[str] | None = None,
    *,
    as_of_sequence: int | None = None,
) -> pl.DataFrame:
    """The entries that stand, see LEDGER; in the order of fund and sequence.

    Args:
        connection: An open transaction.
        org_id: The organization.
        account_ids: Only these accounts'; None is all.
        as_of_sequence: As they stood after that entry; None is now. What is locked is always said as of now.
    """
    lock_date = bill_locks.lock_date(connection, org_id)
    query = sql.SQL(
        f"""
        SELECT e.fund_id, e.applied_date AS applied_at, e.amount::text AS amount,
               CASE e.entity_type WHEN 'BILL' THEN e.entity_id END AS bill_id, e.bill_date,
               coalesce(b.locked OR b.end_date <= CAST(%(lock_date)s AS date), false) AS is_locked
        FROM ledger_entries e LEFT JOIN bills b ON e.entity_type = 'BILL' AND b.org_id = e.org_id AND b.id = e.entity_id
        WHERE e.org_id = %(org_id)s AND {_ACCOUNTS} AND {DRIVER_STANDS}
        ORDER BY e.fund_id, e.sequence"""
    )
    parameters = {
        "org_id": org_id,
        "as_of": as_of_sequence,
        "lock_date": lock_date,
        "account_ids": None if account_ids is None else list(account_ids),
    }
    return frame_of(connection, query, LEDGER, parameters)


def standing_of(connection: Connection, org_id: str, funds: pl.DataFrame, *, as_of_sequence: int | None = None) -> pl.DataFrame:
    """The entries of these funds that stand, as :func:`standing`.

    Args:
        connection: An open transaction.
        org_id: The organization.
        funds: See ``replay.OWNERS``.
        as_of_sequence: As they stood after that entry; None is now.
    """
    if funds.is_empty():
        return pl.DataFrame(schema=LEDGER)
    accounts = funds["account_id"].unique()
    account_ids = accounts.to_list() if accounts.len() <= NAMED_ACCOUNTS_MAX else None
    entries = standing(connection, org_id, account_ids, as_of_sequence=as_of_sequence)
    return entries.join(funds, on="fund_id", how="semi", maintain_order="left")


def drawn(connection: Connection, org_id: str, calculation_id: str, draws: pl.DataFrame, *, actor: str | None) -> int:
    """Make the draws of the bills that the calculation wrote what it computed; the number of the last entry.

    Draws that are the same stay as they are, others are taken back, new ones are written. Call it in the transaction that writes the
    headers, after them and under their lock: bills that the calculation computed but did not write keep their draws.

    Args:
        connection: The transaction.
        org_id: The organization.
        calculation_id: The calculation that the written headers carry.
        draws: See DRAWS; one row per bill and fund.
        actor: Who stands in the audit fields.
    """
    connection.exec_driver_sql(
        "CREATE TEMP TABLE IF NOT EXISTS computed_draws (bill_id text, bill_date date, account_id text, fund_kind text, fund_id text,"
        " amount numeric, applied_at timestamptz) ON COMMIT DROP"
    )
    connection.exec_driver_sql("TRUNCATE computed_draws")
    copied(connection, "computed_draws", draws, list(DRAWS))
    parameters = {"org_id": org_id, "calculation_id": calculation_id, "actor": actor, "as_of": None}
    connection.execute(_ENTER, parameters)
    connection.execute(_TAKE_BACK, parameters)
    return last_sequence(connection, org_id)


def given_back(connection: Connection, org_id: str, bill_ids: Sequence[str], *, actor: str | None) -> None:
    """Take back everything that the bills drew: they are deleted. Their charges may be billed again."""
    bill_locks.held(connection, org_id, shared=False)
    ids = {"org_id": org_id, "bill_ids": list(bill_ids)}
    connection.execute(_GIVE_BACK, {**ids, "actor": actor, "calculation_id": None, "as_of": None})
    connection.execute(sa.text("DELETE FROM billed_charges WHERE org_id = :org_id AND bill_id = ANY(:bill_ids)"), ids)


def charges_billed(connection: Connection, org_id: str, calculation_id: str, charges: pl.DataFrame) -> None:
    """Note on which of the calculation's written bills charges stand.

    Args:
        connection: The transaction that wrote the headers.
        org_id: The organization.
        calculation_id: The calculation that the written headers carry.
        charges: One row per charge on a bill: bill_id, charge_id.
    """
    own = {"org_id": org_id, "calculation_id": calculation_id}
    connection.execute(sa.text(f"DELETE FROM billed_charges WHERE org_id = :org_id AND bill_id IN {WRITTEN}"), own)
    if charges.is_empty():
        return
    connection.exec_driver_sql("CREATE TEMP TABLE computed_charges (bill_id text, charge_id text) ON COMMIT DROP")
    copied(connection, "computed_charges", charges, ["bill_id", "charge_id"])
    connection.execute(
        sa.text(
            f"""
            INSERT INTO billed_charges (org_id, charge_id, bill_id)
            SELECT DISTINCT ON (charge_id) :org_id, charge_id, bill_id FROM computed_charges WHERE bill_id IN {WRITTEN} ORDER BY charge_id, bill_id
            ON CONFLICT (org_id, charge_id) DO UPDATE SET bill_id = excluded.bill_id
            """
        ),
        own,
    )


def problems(connection: Connection, org_id: str) -> list[str]:
    """What is wrong with the books (nothing, when the list is empty): every total must be the fold of its entries.

    Also: the entries that stand sum to the same, no bill draws twice from a fund, every standing draw is of a bill that exists.
    """
    rows = connection.execute(
        sa.text(
            f"""
            WITH folds AS (
                SELECT e.fund_id, sum(e.amount) AS amount, count(*) AS entries, coalesce(sum(e.amount) FILTER (WHERE {STANDS}), 0) AS standing
                FROM ledger_entries e WHERE e.org_id = :org_id GROUP BY e.fund_id
            )
            SELECT fund_id, f.amount, f.standing, t.amount AS stated, f.entries, t.entries AS stated_entries
            FROM folds f FULL JOIN (SELECT * FROM ledger_totals WHERE org_id = :org_id) t USING (fund_id)
            WHERE (f.amount, f.standing, f.entries) IS DISTINCT FROM (t.amount, t.amount, t.entries)
            """
        ),
        {"org_id": org_id, "as_of": None},
    )
    found = [
        f"fund {row.fund_id}: {row.entries} entries sum to {row.amount}, the standing ones to {row.standing}, "
        f"but {row.stated_entries} and {row.stated} are stated"
        for row in rows
    ]
    draws = connection.execute(
        sa.text(
            f"""
            SELECT e.fund_id, e.entity_id, count(*) AS draws, bool_and(b.id IS NOT NULL) AS has_bill
            FROM ledger_entries e LEFT JOIN bills b ON b.org_id = e.org_id AND b.id = e.entity_id
            WHERE e.org_id = :org_id AND e.entity_type = 'BILL' AND {STANDS}
            GROUP BY e.fund_id, e.entity_id HAVING count(*) > 1 OR NOT bool_and(b.id IS NOT NULL)
            """
        ),
        {"org_id": org_id, "as_of": None},
    )
    return found + [
        f"fund {row.fund_id}: bill {row.entity_id} " + (f"draws {row.draws} times" if row.has_bill else "draws, but there is no such bill")
        for row in draws
    ]


def totalled(insertion: str, *, columns: str = "org_id, fund_id, amount", shown: str = "count(*)") -> str:
    """The statement that inserts entries and adds them to the totals.

    Args:
        insertion: ``INSERT INTO ledger_entries ...`` without RETURNING.
        columns: What is kept of the entries that it wrote, at least what the totals need.
        shown: What is selected of that; their number by default.
    """
    return f"""
        WITH written AS ({insertion} RETURNING {columns}), totals AS (
            INSERT INTO ledger_totals AS t (org_id, fund_id, amount, entries)
            SELECT org_id, fund_id, sum(amount), count(*) FROM written GROUP BY org_id, fund_id
            ON CONFLICT (org_id, fund_id) DO UPDATE SET amount = t.amount + excluded.amount, entries = t.entries + excluded.entries
        )
        SELECT {shown} FROM written
        """


#: A draw that the calculation computed, d, and an entry that says the same, e.
_IS_SAME = """
    e.org_id = :org_id AND e.entity_type = 'BILL' AND e.entity_id = d.bill_id AND e.fund_id = d.fund_id
    AND e.amount = -d.amount AND e.bill_date = d.bill_date AND e.applied_date = d.applied_at"""
_REVERSED = """
    INSERT INTO ledger_entries (org_id, id, fund_kind, fund_id, account_id, amount, entity_type, entity_id, reverses, applied_date, transaction_date,
                                description, bill_date, calculation_id, created_by)
    SELECT e.org_id, gen_random_uuid()::text, e.fund_kind, e.fund_id, e.account_id, -e.amount, e.entity_type, e.entity_id, e.id, e.applied_date,
           now(), e.description, e.bill_date, CAST(:calculation_id AS text), CAST(:actor AS text)
    FROM ledger_entries e"""

_ENTER = sa.text(
    totalled(
        f"""
        INSERT INTO ledger_entries (org_id, id, fund_kind, fund_id, account_id, amount, entity_type, entity_id, applied_date, transaction_date,
                                    description, bill_date, calculation_id, created_by)
        SELECT :org_id, gen_random_uuid()::text, d.fund_kind, d.fund_id, d.account_id, -d.amount, 'BILL', d.bill_id, d.applied_at, now(),
               'Bill of ' || d.bill_date, d.bill_date, :calculation_id, CAST(:actor AS text)
        FROM computed_draws d
        WHERE d.bill_id IN {WRITTEN} AND NOT EXISTS (SELECT FROM ledger_entries e WHERE {_IS_SAME} AND {STANDS})
        ORDER BY d.bill_date, d.bill_id, d.fund_id"""
    )
)
_TAKE_BACK = sa.text(
    totalled(
        f"""{_REVERSED}
        WHERE e.org_id = :org_id AND e.entity_type = 'BILL' AND e.entity_id IN {WRITTEN} AND {STANDS}
          AND NOT EXISTS (SELECT FROM computed_draws d WHERE {_IS_SAME})
        ORDER BY e.sequence"""
    )
)
_GIVE_BACK = sa.text(
    totalled(f"{_REVERSED} WHERE e.org_id = :org_id AND e.entity_type = 'BILL' AND e.entity_id = ANY(:bill_ids) AND {STANDS} ORDER BY e.sequence")
)
