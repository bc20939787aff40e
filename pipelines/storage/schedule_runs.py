"""Schedules of balances as they run: what is due becomes transactions and charges, once for each date, whoever runs them.

A schedule is run under the organization's locks and remembers its last run in the same transaction; its next run is in
``next_run``. Put here what runs make. Keep out when they are (transforms/billing/balance_schedules.py). Source: billing.md 5.9.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage import bill_locks, config_store, ledger
from pipelines.storage.database import Database
from pipelines.storage.entity_tables import TABLES
from transforms.billing.balance_schedules import Run, runs
from transforms.entities.balances import Balance, BalanceChargeSchedule, BalanceTransaction, BalanceTransactionSchedule, TransactionSource
from transforms.entities.charges import Charge, ChargeEntityType, ChargeLineItemType
from transforms.entities.organization import OrganizationConfig

Schedule = BalanceTransactionSchedule | BalanceChargeSchedule
KINDS: tuple[type[BalanceTransactionSchedule] | type[BalanceChargeSchedule], ...] = (BalanceTransactionSchedule, BalanceChargeSchedule)
#: Schedules that are run under one hold of the organization's locks: while it lasts, nobody can change its configuration or bills.
SCHEDULES_AT_ONCE = 100
#: Who stands in the audit fields of what schedules make.
ACTOR = "SCHEDULER"
_INSERT = sa.text(
    ledger.totalled(
        """
        INSERT INTO ledger_entries (org_id, id, fund_kind, fund_id, account_id, amount, entity_type, entity_id, applied_date, transaction_date,
                                    description, transaction_type_id, paid, currency_paid, created_by)
        SELECT :org_id, gen_random_uuid()::text, 'BALANCE', :fund_id, :account_id, CAST(:amount AS numeric), 'SCHEDULER', :entity_id, run.at, run.at,
               :description, :transaction_type_id, CAST(:paid AS numeric), CAST(:currency_paid AS text), :created_by
        FROM unnest(CAST(:runs AS timestamptz[])) WITH ORDINALITY AS run(at, number) ORDER BY run.number
        """
    )
)


def ran_due(database: Database, org_id: str | None = None) -> int:
    """Run everything that is due, of one organization or of all; how many transactions and charges were made."""
    with database.transaction() as connection:
        org_ids = _due_organizations(connection, org_id)
    made = 0
    for one in org_ids:
        is_through = False
        while not is_through:
            with database.transaction() as connection:
                more, is_through = _ran(connection, one)
            made += more
    return made


def scheduled_transaction(schedule: BalanceTransactionSchedule, run: Run) -> BalanceTransaction:
    """What a run puts on the balance."""
    return BalanceTransaction(
        amount=schedule.amount,
        description=schedule.transaction_description,
        transaction_type_id=schedule.transaction_type_id,
        paid=schedule.paid,
        currency_paid=schedule.currency_paid,
        applied_date=run.at,
        transaction_date=run.at,
        entity_type=TransactionSource.SCHEDULER,
        entity_id=schedule.id or None,
    )


def scheduled_charge(schedule: BalanceChargeSchedule, balance: Balance, run: Run, *, code: str | None = None) -> Charge:
    """What a run bills for the balance."""
    assert run.until is not None, "a run of a charge schedule is for a time"
    return Charge(
        name=schedule.name,
        code=code or f"{schedule.code[:69]} {run.at.date().isoformat()}",
        description=schedule.charge_description,
        account_id=balance.account_id,
        bill_date=run.bill_date,
        amount=schedule.amount,
        units=schedule.units,
        unit_price=schedule.unit_price,
        currency=schedule.currency,
        entity_type=ChargeEntityType.BALANCE,
        line_item_type=ChargeLineItemType.BALANCE_FEE,
        entity_id=balance.id,
        service_period_start_date=run.at,
        service_period_end_date=run.until,
        contract_id=balance.contract_id,
        schedule_id=schedule.id or None,
    )


def _due_organizations(connection: Connection, org_id: str | None) -> Sequence[str]:
    queries = []
    for kind in KINDS:
        table = TABLES[kind.__name__]
        due = sa.select(table.c.org_id).where(table.c.next_run <= sa.func.clock_timestamp())
        queries.append(due if org_id is None else due.where(table.c.org_id == org_id))
    return connection.scalars(sa.union(*queries)).all()


def _ran(connection: Connection, org_id: str) -> tuple[int, bool]:
    """What some schedules made, and whether no more are due."""
    bill_locks.held(connection, org_id, shared=False)
    now = config_store.locked(connection, org_id)
    organization = next(iter(config_store.entities(connection, org_id, OrganizationConfig)), OrganizationConfig())
    made, left = 0, SCHEDULES_AT_ONCE
    for kind in KINDS:
        table = TABLES[kind.__name__]
        query = sa.select(table.c.id).where(table.c.org_id == org_id, table.c.next_run <= now).order_by(table.c.sequence).limit(left)
        for schedule_id in connection.scalars(query).all():
            left -= 1
            made += _run(connection, org_id, config_store.entity(connection, org_id, kind, schedule_id), organization, now)
    return made, left > 0


def _run(connection: Connection, org_id: str, schedule: Schedule, organization: OrganizationConfig, now: datetime) -> int:
    """Make what the schedule owes up to now, and remember that; how much was made."""
    balance = config_store.entity(connection, org_id, Balance, schedule.balance_id)
    first = schedule.next_run
    assert first is not None, "a schedule that is through is not due"
    due = [run for run in runs(schedule, organization) if first <= run.at <= now]
    if isinstance(schedule, BalanceTransactionSchedule):
        _put_in(connection, org_id, schedule, balance, due)
    else:
        for run in due:
            _charged(connection, org_id, schedule, balance, run)
    done = schedule.model_copy(update={"previous_run": due[-1].at if due else schedule.previous_run})
    table = TABLES[type(schedule).__name__]
    # Neither a version nor a row of history: nobody has changed the schedule.
    connection.execute(
        sa.update(table)
        .where(table.c.org_id == org_id, table.c.id == schedule.id)
        .values(previous_run=done.previous_run, next_run=next((run.at for run in runs(schedule, organization) if run.at > now), None))
    )
    return len(due)


def _put_in(connection: Connection, org_id: str, schedule: BalanceTransactionSchedule, balance: Balance, due: Sequence[Run]) -> None:
    connection.execute(
        _INSERT,
        {
            "org_id": org_id,
            "fund_id": balance.id,
            "account_id": balance.account_id,
            "amount": schedule.amount,
            "entity_id": schedule.id,
            "description": schedule.transaction_description,
            "transaction_type_id": schedule.transaction_type_id,
            "paid": schedule.paid,
            "currency_paid": schedule.currency_paid,
            "created_by": ACTOR,
            "runs": [run.at for run in due],
        },
    )


def _charged(connection: Connection, org_id: str, schedule: BalanceChargeSchedule, balance: Balance, run: Run) -> None:
    charge = scheduled_charge(schedule, balance, run)
    if config_store.count(connection, org_id, Charge, account_id=balance.account_id, code=charge.code):
        charge = scheduled_charge(schedule, balance, run, code=f"{schedule.code[:43]} {uuid.uuid4()}")
    config_store.created(connection, org_id, charge, ACTOR)
