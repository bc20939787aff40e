"""Which bills are locked: those that somebody locked, and those whose period ends on or before the bill lock date.

The date is asked for wherever a bill is, so moving it back unlocks what it alone had locked (billing.md 3.2). Nothing that
writes bills may cross a change of it: see header_lock.py. Put here the condition and the change of the date; keep out what is
refused for a locked bill (bill_store.py, bill_writes.py, memo_store.py).
"""

from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from pipelines.storage import config_store
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.header_lock import WRITES, held
from transforms.entities.bill_config import BillConfig
from transforms.errors import EntityInvalid

__all__ = ["WRITES", "held", "is_locked", "lock_date", "lock_date_set"]


def lock_date(connection: Connection, org_id: str) -> date | None:
    """The organization's bill lock date."""
    configs = TABLES["BillConfig"].c
    return connection.scalar(sa.select(configs.bill_lock_date).where(configs.org_id == org_id))


def is_locked() -> ColumnElement[bool]:
    """The condition, on a row of ``bills``, that the bill counts as locked."""
    configs = TABLES["BillConfig"].c
    of_date = sa.select(configs.bill_lock_date).where(configs.org_id == BILLS.c.org_id).scalar_subquery()
    return BILLS.c.locked | sa.func.coalesce(BILLS.c.end_date <= of_date, sa.false())


def lock_date_set(connection: Connection, org_id: str, new: BillConfig, actor: str) -> BillConfig:
    """The bill config as stored.

    Raises:
        EntityInvalid: A bill whose period ends on or before the date is PENDING; the message counts them and names one.
        VersionConflict: As for every entity.
    """
    held(connection, org_id, shared=False)
    stored = config_store.singleton(connection, org_id, BillConfig)
    if new.bill_lock_date is not None:
        _refuse_pending(connection, org_id, new.bill_lock_date)
    return config_store.updated(connection, org_id, stored.id, new, actor)


def _refuse_pending(connection: Connection, org_id: str, day: date) -> None:
    c = BILLS.c
    pending = (c.org_id == org_id, c.status == "PENDING", c.end_date <= day)
    example: Any = connection.execute(sa.select(c.id, c.account_code, c.end_date).where(*pending).order_by(c.end_date, c.id).limit(1)).first()
    if example is None:
        return
    count = connection.scalar(sa.select(sa.func.count()).select_from(BILLS).where(*pending)) or 0
    named = f"bill {example.id} of account {example.account_code}, whose period ends on {example.end_date.isoformat()}"
    whole = f"{count} bills are PENDING, for example {named}" if count > 1 else f"{named} is PENDING"
    raise EntityInvalid.of(
        "billLockDate", f"{whole}: approve what ends on or before the lock date {day.isoformat()} first, or choose an earlier date"
    )
