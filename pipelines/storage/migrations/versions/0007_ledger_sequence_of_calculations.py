"""Ledger sequence of calculations."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Ledger sequence of calculations."""
    op.add_column("bill_calculations", sa.Column("ledger_sequence", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """Undo it; what the new columns and tables held is lost."""
    op.drop_column("bill_calculations", "ledger_sequence")
