"""Credit and debit lines of bills."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Credit and debit lines of bills."""
    op.create_table(
        "memo_lines",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("bill_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("line_item_type", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("amount_to_apply_on_bill", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("subtotal", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("conversion_rate", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("converted_subtotal", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("accounting_product_id", sa.Text(), nullable=False),
        sa.Column("reason_id", sa.Text(), nullable=True),
        sa.Column("referenced_bill_id", sa.Text(), nullable=True),
        sa.Column("referenced_line_item_id", sa.Text(), nullable=True),
        sa.Column("service_period_start_date", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("service_period_end_date", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("dt_created", sa.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("dt_last_modified", sa.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.CheckConstraint("side IN ('CREDIT', 'DEBIT')", name=op.f("ck_memo_lines_side")),
        sa.ForeignKeyConstraint(
            ["org_id", "accounting_product_id"], ["products.org_id", "products.id"], name=op.f("fk_memo_lines_org_id_accounting_product_id_products")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "bill_id"], ["bills.org_id", "bills.id"], name=op.f("fk_memo_lines_org_id_bill_id_bills"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["org_id", "product_id"], ["products.org_id", "products.id"], name=op.f("fk_memo_lines_org_id_product_id_products")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_memo_lines")),
    )
    op.create_index("ix_memo_lines_bill", "memo_lines", ["org_id", "bill_id", "sequence"], unique=False)
    op.add_column("bills", sa.Column("memo_count", sa.Integer(), server_default="0", nullable=False))
    op.add_column("bills", sa.Column("memo_total", sa.Numeric(precision=38, scale=12), server_default="0", nullable=False))
    op.add_column("bills", sa.Column("approved_calculation_id", sa.Text(), nullable=True))
    op.create_index("ix_bills_pending", "bills", ["org_id", "bill_date"], unique=False, postgresql_where=sa.text("status = 'PENDING'"))


def downgrade() -> None:
    """Undo it; what the new columns and tables held is lost."""
    op.drop_index("ix_bills_pending", table_name="bills", postgresql_where=sa.text("status = 'PENDING'"))
    op.drop_column("bills", "approved_calculation_id")
    op.drop_column("bills", "memo_total")
    op.drop_column("bills", "memo_count")
    op.drop_index("ix_memo_lines_bill", table_name="memo_lines")
    op.drop_table("memo_lines")
