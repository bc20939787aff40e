"""Transactions of balances: entries of the ledger as clients write and read them.

Put here what people and API clients put on a balance, and what is shown of its ledger. Draws of bills are ledger.py, schedules
schedule_runs.py. Source: billing.md 5.7.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import Connection

from pipelines.storage import bill_locks, config_store, ledger
from pipelines.storage.config_lists import Page, page_size, page_token, sequence_of
from pipelines.storage.ledger_tables import DRIVER_STANDS, STANDS
from pipelines.storage.sql_columns import frame_of
from transforms.billing.balance_summary import ENTRIES, BalanceTransactionsSummary, summary
from transforms.entities.balances import Balance, BalanceTransaction, TransactionSource
from transforms.entities.organization import OrganizationConfig
from transforms.entities.picklists import TransactionType
from transforms.errors import EntityInvalid
from transforms.money import wire_number

PAGE_SIZE_MAX = 200
#: Query parameter of the list -> column.
_FILTERS = {"transactionTypeId": "transaction_type_id", "entityType": "entity_type", "entityId": "entity_id"}
_COPIED = ("description", "amount", "paid", "currency_paid", "transaction_type_id", "applied_date", "transaction_date", "entity_type", "entity_id")
_INSERT = sa.text(
    ledger.totalled(
        """
        INSERT INTO ledger_entries (org_id, id, fund_kind, fund_id, account_id, amount, entity_type, entity_id, applied_date, transaction_date,
                                    description, transaction_type_id, paid, currency_paid, created_by)
        VALUES (:org_id, :id, 'BALANCE', :fund_id, :account_id, :amount, :entity_type, :entity_id, :applied_date, :transaction_date,
                CAST(:description AS text), CAST(:transaction_type_id AS text), CAST(:paid AS numeric), CAST(:currency_paid AS text), :created_by)
        """,
        columns="*",
        shown="*",
    )
)

_ENTRIES = sql.SQL(
    f"""
    SELECT e.amount::text AS amount, e.applied_date AS applied_at, b.start_at AS period_start
    FROM ledger_entries e LEFT JOIN bills b ON e.entity_type = 'BILL' AND b.org_id = e.org_id AND b.id = e.entity_id
    WHERE e.org_id = %(org_id)s AND e.fund_id = %(fund_id)s AND {DRIVER_STANDS} ORDER BY e.sequence"""
)


def created(connection: Connection, org_id: str, balance_id: str, new: BalanceTransaction, actor: str) -> BalanceTransaction:
    """The transaction as it stands on the balance.

    Without an applied date it counts from now, or from the balance's start when it is not alive now.

    Raises:
        NotFound: No such balance.
        EntityInvalid: A transaction type that does not exist; a debit below zero of a balance that has no overdraft.
    """
    bill_locks.held(connection, org_id, shared=False)
    balance = config_store.entity(connection, org_id, Balance, balance_id)
    if new.transaction_type_id is not None and config_store.found(connection, org_id, TransactionType, new.transaction_type_id) is None:
        raise EntityInvalid.of("transactionTypeId", f"there is no TransactionType {new.transaction_type_id} in this organization")
    _refuse_overdraft(connection, org_id, balance, new.amount)
    now: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    is_alive = balance.start_date <= now < (balance.rollover_end_date or balance.end_date)
    source = TransactionSource.SERVICE_USER if actor.startswith("SERVICE_USER_") else TransactionSource.USER
    values = {
        "id": str(uuid.uuid4()),
        "entity_type": source.value,
        "entity_id": actor.removeprefix("SERVICE_USER_"),
        "applied_date": new.applied_date or (now if is_alive else balance.start_date),
        "transaction_date": new.transaction_date or now,
        **{name: getattr(new, name) for name in ("amount", "description", "transaction_type_id", "paid", "currency_paid")},
    }
    own = {"org_id": org_id, "fund_id": balance.id, "account_id": balance.account_id, "created_by": actor}
    return _transaction(connection.execute(_INSERT, {**values, **own}).mappings().one())


def _refuse_overdraft(connection: Connection, org_id: str, balance: Balance, amount: Decimal) -> None:
    left = balance.amount or Decimal(0)
    if amount >= 0 or left + amount >= 0 or balance.allow_overdraft:
        return
    if any(config.allow_negative_balances for config in config_store.entities(connection, org_id, OrganizationConfig)):
        return
    taken = f"balance {balance.code} has {wire_number(left)} left, so {wire_number(-amount)} can't be taken out"
    raise EntityInvalid.of("amount", f"{taken}; allowOverdraft on the balance would let it go below zero")


def listed(
    connection: Connection, org_id: str, balance_id: str, parameters: Mapping[str, str], *, size: int | None = None, token: str | None = None
) -> Page[BalanceTransaction]:
    """A page of the transactions that stand, newest first.

    Raises:
        NotFound: No such balance.
        EntityInvalid: A filter's value, the size or the token can't be.
    """
    balance = config_store.entity(connection, org_id, Balance, balance_id)
    wanted = {column: parameters[name] for name, column in _FILTERS.items() if parameters.get(name)}
    if wanted.get("entity_type") not in (None, *TransactionSource):
        raise EntityInvalid.of("entityType", f"entityType is {wanted['entity_type']!r}; it must be one of {', '.join(TransactionSource)}")
    rows_per_page = page_size(size, PAGE_SIZE_MAX)
    before = "AND e.sequence < :before" if token else ""
    equal = " ".join(f"AND e.{column} = :{column}" for column in wanted)
    query = f"""SELECT * FROM ledger_entries e WHERE e.org_id = :org_id AND e.fund_id = :fund_id AND {STANDS} {equal} {before}
                ORDER BY e.sequence DESC LIMIT :limit"""
    own = {"org_id": org_id, "fund_id": balance.id, "as_of": None, "limit": rows_per_page + 1}
    following = {"before": sequence_of(token)} if token else {}
    rows = connection.execute(sa.text(query), {**own, **wanted, **following}).mappings().all()
    shown = rows[:rows_per_page]
    return Page([_transaction(row) for row in shown], page_token(shown[-1]["sequence"]) if len(rows) > rows_per_page else None)


def summarized(connection: Connection, org_id: str, balance_id: str) -> BalanceTransactionsSummary:
    """The sums of a balance's transactions as of now.

    Raises:
        NotFound: No such balance.
    """
    balance = config_store.entity(connection, org_id, Balance, balance_id)
    now: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    entries = frame_of(connection, _ENTRIES, ENTRIES, {"org_id": org_id, "fund_id": balance.id, "as_of": None})
    return summary(entries, balance, now)


def _transaction(row: Mapping[Any, Any]) -> BalanceTransaction:
    written = {name: row[name] for name in _COPIED if row[name] is not None}
    audit = {"dt_created": row["dt_created"], "dt_last_modified": row["dt_created"], "created_by": row["created_by"]}
    return BalanceTransaction.model_validate({**written, **audit, "last_modified_by": row["created_by"], "id": row["id"], "version": 1})
