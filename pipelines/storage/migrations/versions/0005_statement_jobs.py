"""Statement jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Statement jobs."""
    op.create_table(
        "statement_jobs",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("bill_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("include_csv_format", sa.Boolean(), nullable=False),
        sa.Column("meter_ids", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("calculation_id", sa.Text(), nullable=True),
        sa.Column("line_count", sa.Integer(), nullable=True),
        sa.Column("bill_total", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("dt_created", sa.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("dt_last_modified", sa.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("last_modified_by", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("status IN ('PENDING', 'RUNNING', 'COMPLETE', 'CANCELLED', 'FAILED')", name=op.f("ck_statement_jobs_status")),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_statement_jobs_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_statement_jobs")),
    )
    op.create_index("ix_statement_jobs_bill", "statement_jobs", ["org_id", "bill_id", "sequence"], unique=False)
    op.create_index("ix_statement_jobs_sequence", "statement_jobs", ["org_id", "sequence"], unique=True)
    op.create_index(
        "ix_statement_jobs_unfinished", "statement_jobs", ["sequence"], unique=False, postgresql_where=sa.text("status IN ('PENDING', 'RUNNING')")
    )


def downgrade() -> None:
    """Undo it; what the new columns and tables held is lost."""
    op.drop_index("ix_statement_jobs_unfinished", table_name="statement_jobs", postgresql_where=sa.text("status IN ('PENDING', 'RUNNING')"))
    op.drop_index("ix_statement_jobs_sequence", table_name="statement_jobs")
    op.drop_index("ix_statement_jobs_bill", table_name="statement_jobs")
    op.drop_table("statement_jobs")
