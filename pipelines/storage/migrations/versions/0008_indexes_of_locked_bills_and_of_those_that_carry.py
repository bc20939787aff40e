"""Indexes of locked bills and of those that carry."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Indexes of locked bills and of those that carry."""
    op.create_index("ix_bills_carrying", "bills", ["org_id", "account_id"], unique=False, postgresql_where=sa.text("carried_from <> '{}'"))
    op.create_index("ix_bills_locked", "bills", ["org_id"], unique=False, postgresql_where=sa.text("locked"))


def downgrade() -> None:
    """Undo it; what the new columns and tables held is lost."""
    op.drop_index("ix_bills_locked", table_name="bills", postgresql_where=sa.text("locked"))
    op.drop_index("ix_bills_carrying", table_name="bills", postgresql_where=sa.text("carried_from <> '{}'"))
