"""The table of statement jobs: what was ordered, who makes it, and where the document is.

The documents themselves lie beside the lake's tables (statement_files.py); a row names its document by its own id, so the
transaction that completes the row is the moment at which a statement is there.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from pipelines.storage.bill_tables import ID, INSTANT, MONEY
from pipelines.storage.metadata import METADATA

#: One row per statement job. No foreign key to the bill: a bill may be deleted, what was told of it stays readable.
STATEMENT_JOBS = sa.Table(
    "statement_jobs",
    METADATA,
    sa.Column("org_id", ID, sa.ForeignKey("organizations.id"), primary_key=True),
    sa.Column("id", ID, primary_key=True),
    # The order of creation, which lists and their page tokens follow.
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("bill_id", ID, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("include_csv_format", sa.Boolean, nullable=False),
    # Only usage of these meters; null for all.
    sa.Column("meter_ids", ARRAY(ID)),
    # The bill as the document tells it: it is stale as soon as the bill is another.
    sa.Column("calculation_id", ID),
    sa.Column("line_count", sa.Integer),
    sa.Column("bill_total", MONEY),
    # Why it FAILED.
    sa.Column("reason", sa.Text),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("dt_created", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("dt_last_modified", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("created_by", sa.Text),
    sa.Column("last_modified_by", sa.Text),
    # The session of the worker that runs it (job_claims.py), and how often it was started.
    sa.Column("claimed_by", sa.Integer),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.CheckConstraint("status IN ('PENDING', 'RUNNING', 'COMPLETE', 'CANCELLED', 'FAILED')", name="status"),
    sa.Index("ix_statement_jobs_sequence", "org_id", "sequence", unique=True),
    sa.Index("ix_statement_jobs_bill", "org_id", "bill_id", "sequence"),
    sa.Index("ix_statement_jobs_unfinished", "sequence", postgresql_where=sa.text("status IN ('PENDING', 'RUNNING')")),
)
