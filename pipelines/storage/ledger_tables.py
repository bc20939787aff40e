"""Tables of funds: the ledger of commitments and balances, its totals, and which bill a charge stands on.

A fund is a commitment or a balance. The ledger is append-only: an entry is never changed nor deleted, what was wrong is taken
back by an entry that reverses it. Put here what happened to money; keep out funds themselves (entities).
"""

from typing import Any

import sqlalchemy as sa

from pipelines.storage.bill_tables import ID, INSTANT, MONEY
from pipelines.storage.metadata import METADATA

#: One row per movement of a fund. An entry *stands* when nothing reverses it and it reverses nothing.
LEDGER_ENTRIES = sa.Table(
    "ledger_entries",
    METADATA,
    sa.Column("org_id", ID, sa.ForeignKey("organizations.id"), primary_key=True),
    sa.Column("id", ID, primary_key=True),
    # The order of writing, within an organization also that of becoming visible.
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("fund_kind", sa.Text, nullable=False),
    sa.Column("fund_id", ID, nullable=False),
    sa.Column("account_id", ID, nullable=False),
    # Positive into the fund, negative out of it; in its currency (of a grant, its quantity).
    sa.Column("amount", MONEY, nullable=False),
    # Who or what did it, and the id of that: the bill, the schedule, the user.
    sa.Column("entity_type", sa.Text, nullable=False),
    sa.Column("entity_id", ID),
    sa.Column("reverses", ID, comment="The entry that this one takes back."),
    sa.Column("applied_date", INSTANT, nullable=False),
    sa.Column("transaction_date", INSTANT, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("transaction_type_id", ID),
    sa.Column("paid", MONEY),
    sa.Column("currency_paid", sa.Text),
    # Of a draw: the bill's date and the calculation that drew (or gave back).
    sa.Column("bill_date", sa.Date),
    sa.Column("calculation_id", ID),
    sa.Column("dt_created", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("created_by", sa.Text),
    sa.ForeignKeyConstraint(["org_id", "transaction_type_id"], ["transaction_types.org_id", "transaction_types.id"]),
    sa.CheckConstraint("fund_kind IN ('COMMITMENT', 'BALANCE')", name="fund_kind"),
    sa.CheckConstraint("entity_type IN ('BILL', 'COMMITMENT', 'USER', 'SERVICE_USER', 'SCHEDULER')", name="entity_type"),
    sa.Index("ix_ledger_entries_sequence", "org_id", "sequence", unique=True),
    sa.Index("ix_ledger_entries_fund", "org_id", "fund_id", "sequence"),
    sa.Index("ix_ledger_entries_account", "org_id", "account_id"),
    sa.Index("ix_ledger_entries_transaction_type", "org_id", "transaction_type_id"),
    sa.Index("ix_ledger_entries_entity", "org_id", "entity_id"),
    # An entry is taken back once at most.
    sa.Index("uq_ledger_entries_reverses", "org_id", "reverses", unique=True, postgresql_where=sa.text("reverses IS NOT NULL")),
    # A schedule runs once for a date, whoever runs it.
    sa.Index(
        "uq_ledger_entries_run",
        "org_id",
        "entity_id",
        "applied_date",
        unique=True,
        postgresql_where=sa.text("entity_type = 'SCHEDULER' AND reverses IS NULL"),
    ),
)

#: One row per fund with entries: the sum of them all (which is that of the standing ones). Written with the entries.
LEDGER_TOTALS = sa.Table(
    "ledger_totals",
    METADATA,
    sa.Column("org_id", ID, primary_key=True),
    sa.Column("fund_id", ID, primary_key=True),
    sa.Column("amount", MONEY, nullable=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
)

#: One row per charge that stands on a bill. Written with the bill.
BILLED_CHARGES = sa.Table(
    "billed_charges",
    METADATA,
    sa.Column("org_id", ID, primary_key=True),
    sa.Column("charge_id", ID, primary_key=True),
    sa.Column("bill_id", ID, nullable=False),
    sa.Index("ix_billed_charges_bill", "org_id", "bill_id"),
)

#: Condition on an entry e that it stands, as of a sequence number (``:as_of``; null is now).
STANDS = """
    e.reverses IS NULL AND e.sequence <= coalesce(CAST(:as_of AS bigint), e.sequence) AND NOT EXISTS (
        SELECT FROM ledger_entries r
        WHERE r.org_id = e.org_id AND r.reverses = e.id AND r.sequence <= coalesce(CAST(:as_of AS bigint), r.sequence))"""
#: The same with the parameter as psycopg writes it.
DRIVER_STANDS: Any = STANDS.replace(":as_of", "%(as_of)s")
