"""Late usage of locked bills."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Late usage of locked bills."""
    op.add_column("bills", sa.Column("memo_changed_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("bills", sa.Column("carried_from", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.create_index("ix_bills_memo_changed_at", "bills", ["memo_changed_at"], unique=False, postgresql_where=sa.text("memo_changed_at IS NOT NULL"))
    op.add_column(
        "measurement_counts",
        sa.Column(
            "last_received_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="No accepted measurement of the day was received later; null: not known.",
        ),
    )


def downgrade() -> None:
    """Undo it; what the new columns and tables held is lost."""
    op.drop_column("measurement_counts", "last_received_at")
    op.drop_index("ix_bills_memo_changed_at", table_name="bills", postgresql_where=sa.text("memo_changed_at IS NOT NULL"))
    op.drop_column("bills", "carried_from")
    op.drop_column("bills", "memo_changed_at")
