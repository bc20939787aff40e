"""Tables of bills: headers and their state, the calculations behind them, and bill jobs.

Put here what a person or client decided about bills (ARCHITECTURE: decisions). Keep out line items: they are facts and
live in the lake (dataset ``bill_line_items``); a header names the calculation whose rows are its lines, so the
transaction that writes headers is the moment at which a bill changes.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pipelines.storage.metadata import METADATA

ID = sa.Text()
INSTANT = sa.TIMESTAMP(timezone=True)
MONEY = sa.Numeric(38, 12)


def _sequence() -> sa.Column[int]:
    """The order of creation, which lists and their page tokens follow."""
    return sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False)


#: One row per bill job. ``request`` holds the body as it was accepted (wire names), ``accounts`` and ``bills`` are its scope.
BILL_JOBS = sa.Table(
    "bill_jobs",
    METADATA,
    sa.Column("org_id", ID, sa.ForeignKey("organizations.id"), primary_key=True),
    sa.Column("id", ID, primary_key=True),
    _sequence(),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("request", JSONB, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("pending", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("bill_ids", ARRAY(ID), nullable=False, server_default="{}"),
    # [{"accountId", "accountCode", "reason"}]; accountId is null where the job as a whole could not run.
    sa.Column("failures", JSONB, nullable=False, server_default="[]"),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("dt_created", INSTANT, nullable=False, server_default=sa.func.now()),
    sa.Column("dt_last_modified", INSTANT, nullable=False, server_default=sa.func.now()),
    sa.Column("dt_completed", INSTANT),
    sa.Column("created_by", sa.Text),
    sa.Column("last_modified_by", sa.Text),
    # The session of the worker that runs it (an advisory lock that it holds), and how often it was started.
    sa.Column("claimed_by", sa.Integer),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.CheckConstraint("type IN ('CREATE', 'RECALCULATE')", name="type"),
    sa.CheckConstraint("status IN ('PENDING', 'INITIALIZING', 'RUNNING', 'COMPLETE', 'CANCELLED')", name="status"),
    sa.Index("ix_bill_jobs_sequence", "org_id", "sequence", unique=True),
    sa.Index("ix_bill_jobs_unfinished", "dt_created", postgresql_where=sa.text("status IN ('PENDING', 'INITIALIZING', 'RUNNING')")),
)

#: One row per calculation: one attempt of one bill job that came to its end. What its bills were computed from (DECISIONS 33).
BILL_CALCULATIONS = sa.Table(
    "bill_calculations",
    METADATA,
    sa.Column("org_id", ID, primary_key=True),
    sa.Column("id", ID, primary_key=True),
    sa.Column("bill_job_id", ID, nullable=False),
    sa.Column("calculated_at", INSTANT, nullable=False),
    # The instant whose configuration was used, and the hash of it.
    sa.Column("configuration_as_of", INSTANT, nullable=False),
    sa.Column("configuration_hash", sa.Text, nullable=False),
    sa.Column("software_version", sa.Text, nullable=False),
    # {"measurements/<meter id>": version, ...}
    sa.Column("dataset_versions", JSONB, nullable=False),
    # The last entry of the ledger that it knew or wrote.
    sa.Column("ledger_sequence", sa.BigInteger, nullable=False, server_default="0"),
    # [{"startDate", "endDate", "landed", "accepted", "duplicates", "rejected"}], one per billing period; days inclusive.
    sa.Column("certificates", JSONB, nullable=False),
    sa.ForeignKeyConstraint(["org_id", "bill_job_id"], ["bill_jobs.org_id", "bill_jobs.id"]),
)

#: One row per bill; its key is (account, bill date, grouping, frequency and interval), hashed into its id (DECISIONS 32).
BILLS = sa.Table(
    "bills",
    METADATA,
    sa.Column("org_id", ID, primary_key=True),
    sa.Column("id", ID, primary_key=True),
    _sequence(),
    sa.Column("account_id", ID, nullable=False),
    sa.Column("account_code", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default="PENDING"),
    sa.Column("locked", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("billing_frequency", sa.Text, nullable=False),
    sa.Column("bill_frequency_interval", sa.Integer),
    sa.Column("start_date", sa.Date, nullable=False),
    sa.Column("end_date", sa.Date, nullable=False),
    sa.Column("start_at", INSTANT, nullable=False),
    sa.Column("end_at", INSTANT, nullable=False),
    sa.Column("bill_date", sa.Date, nullable=False),
    sa.Column("due_date", sa.Date),
    sa.Column("external_invoice_date", sa.Date),
    sa.Column("external_invoice_reference", sa.Text),
    sa.Column("timezone", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    # The rates that its lines were converted with: [{"from", "to", "multiplier"}].
    sa.Column("currency_conversions", JSONB, nullable=False, server_default="[]"),
    sa.Column("bill_total", MONEY, nullable=False),
    sa.Column("line_count", sa.Integer, nullable=False),
    # The credit and debit lines among them (memo_lines), which no calculation changes: line_count and bill_total include them.
    sa.Column("memo_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("memo_total", MONEY, nullable=False, server_default="0"),
    # When such a line last came, changed or went.
    sa.Column("memo_changed_at", INSTANT),
    # The bills whose late usage its lines carry (carried_forward.py).
    sa.Column("carried_from", ARRAY(ID), nullable=False, server_default="{}"),
    # Usage that no segment matched, for its certificate: [{"aggregationId", "aggregationCode", "measurements"}].
    sa.Column("unmatched", JSONB, nullable=False, server_default="[]"),
    sa.Column("purchase_order_number", sa.Text),
    sa.Column("sequential_invoice_number", sa.Text),
    sa.Column("json_statement_generated", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("csv_statement_generated", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("statement_stale", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("calculation_id", ID, nullable=False),
    sa.Column("bill_job_id", ID, nullable=False),
    # The job's departures from the organization's settings (time zone, epochs, currency ...): a recalculation repeats them.
    sa.Column("overrides", JSONB, nullable=False, server_default="{}"),
    sa.Column("last_calculated_at", INSTANT, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("dt_created", INSTANT, nullable=False),
    sa.Column("dt_last_modified", INSTANT, nullable=False),
    sa.Column("created_by", sa.Text),
    sa.Column("last_modified_by", sa.Text),
    sa.Column("approved_by", sa.Text),
    sa.Column("dt_approved", INSTANT),
    # The last calculation that anybody approved: no calculation is approved automatically a second time.
    sa.Column("approved_calculation_id", ID),
    sa.Column("locked_by", sa.Text),
    sa.Column("dt_locked", INSTANT),
    sa.ForeignKeyConstraint(["org_id", "account_id"], ["accounts.org_id", "accounts.id"]),
    # No foreign keys to the calculation and the job: both are written in the transaction that writes the bill and are never
    # deleted, and checking them for each of 100,000 bills took half of that transaction's time.
    sa.CheckConstraint("status IN ('PENDING', 'APPROVED')", name="status"),
    sa.CheckConstraint("NOT locked OR status = 'APPROVED'", name="locked_is_approved"),
    sa.Index("ix_bills_sequence", "org_id", "sequence", unique=True),
    sa.Index("ix_bills_account", "org_id", "account_id", "bill_date"),
    sa.Index("ix_bills_bill_date", "org_id", "bill_date"),
    sa.Index("ix_bills_memo_changed_at", "memo_changed_at", postgresql_where=sa.text("memo_changed_at IS NOT NULL")),
    # What late usage looks at: mostly there are none of either.
    sa.Index("ix_bills_locked", "org_id", postgresql_where=sa.text("locked")),
    sa.Index("ix_bills_carrying", "org_id", "account_id", postgresql_where=sa.text("carried_from <> '{}'")),
    # What automatic approval and the bill lock date look at.
    sa.Index("ix_bills_pending", "org_id", "bill_date", postgresql_where=sa.text("status = 'PENDING'")),
)

#: One row per credit or debit line that a person put on a bill: a decision, so it lives beside the bill and not in the lake,
#: and stays as it is when the bill is calculated again. ``pipelines/storage/memo_lines.py`` makes lines of the bill of them.
MEMO_LINES = sa.Table(
    "memo_lines",
    METADATA,
    sa.Column("org_id", ID, primary_key=True),
    sa.Column("id", ID, primary_key=True),
    _sequence(),
    sa.Column("bill_id", ID, nullable=False),
    # CREDIT takes off the bill, DEBIT puts on it.
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("line_item_type", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    # As given, above zero, in ``currency``; amount_to_apply_on_bill is the part of it that this bill carries, null for all of it.
    sa.Column("amount", MONEY, nullable=False),
    sa.Column("amount_to_apply_on_bill", MONEY),
    sa.Column("currency", sa.Text, nullable=False),
    # Signed and rounded, in ``currency`` and in the bill's.
    sa.Column("subtotal", MONEY, nullable=False),
    sa.Column("conversion_rate", MONEY, nullable=False),
    sa.Column("converted_subtotal", MONEY, nullable=False),
    sa.Column("product_id", ID, nullable=False),
    sa.Column("accounting_product_id", ID, nullable=False),
    sa.Column("reason_id", ID),
    sa.Column("referenced_bill_id", ID),
    sa.Column("referenced_line_item_id", ID),
    sa.Column("service_period_start_date", INSTANT, nullable=False),
    sa.Column("service_period_end_date", INSTANT, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("dt_created", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("dt_last_modified", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("last_modified_by", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["org_id", "bill_id"], ["bills.org_id", "bills.id"], ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["org_id", "product_id"], ["products.org_id", "products.id"]),
    sa.ForeignKeyConstraint(["org_id", "accounting_product_id"], ["products.org_id", "products.id"]),
    sa.CheckConstraint("side IN ('CREDIT', 'DEBIT')", name="side"),
    sa.Index("ix_memo_lines_bill", "org_id", "bill_id", "sequence"),
)

#: The last sequential invoice number of an organization; ``start_number`` is the setting that it counts from.
BILL_SEQUENCES = sa.Table(
    "bill_sequences",
    METADATA,
    sa.Column("org_id", ID, sa.ForeignKey("organizations.id"), primary_key=True),
    sa.Column("start_number", sa.BigInteger, nullable=False),
    sa.Column("last_number", sa.BigInteger, nullable=False),
)
