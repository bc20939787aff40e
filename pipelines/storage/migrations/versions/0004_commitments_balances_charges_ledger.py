"""Commitments balances charges ledger."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Commitments balances charges ledger."""
    op.create_table(
        "billed_charges",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=False),
        sa.Column("bill_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "charge_id", name=op.f("pk_billed_charges")),
    )
    op.create_index("ix_billed_charges_bill", "billed_charges", ["org_id", "bill_id"], unique=False)
    op.create_table(
        "ledger_totals",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("fund_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "fund_id", name=op.f("pk_ledger_totals")),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("fund_kind", sa.Text(), nullable=False),
        sa.Column("fund_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=True),
        sa.Column("reverses", sa.Text(), nullable=True, comment="The entry that this one takes back."),
        sa.Column("applied_date", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("transaction_date", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("transaction_type_id", sa.Text(), nullable=True),
        sa.Column("paid", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("currency_paid", sa.Text(), nullable=True),
        sa.Column("bill_date", sa.Date(), nullable=True),
        sa.Column("calculation_id", sa.Text(), nullable=True),
        sa.Column("dt_created", sa.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.CheckConstraint("entity_type IN ('BILL', 'COMMITMENT', 'USER', 'SERVICE_USER', 'SCHEDULER')", name=op.f("ck_ledger_entries_entity_type")),
        sa.CheckConstraint("fund_kind IN ('COMMITMENT', 'BALANCE')", name=op.f("ck_ledger_entries_fund_kind")),
        sa.ForeignKeyConstraint(
            ["org_id", "transaction_type_id"],
            ["transaction_types.org_id", "transaction_types.id"],
            name=op.f("fk_ledger_entries_org_id_transaction_type_id_transaction_types"),
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_ledger_entries_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_ledger_entries")),
    )
    op.create_index("ix_ledger_entries_account", "ledger_entries", ["org_id", "account_id"], unique=False)
    op.create_index("ix_ledger_entries_entity", "ledger_entries", ["org_id", "entity_id"], unique=False)
    op.create_index("ix_ledger_entries_fund", "ledger_entries", ["org_id", "fund_id", "sequence"], unique=False)
    op.create_index("ix_ledger_entries_sequence", "ledger_entries", ["org_id", "sequence"], unique=True)
    op.create_index("ix_ledger_entries_transaction_type", "ledger_entries", ["org_id", "transaction_type_id"], unique=False)
    op.create_index(
        "uq_ledger_entries_reverses", "ledger_entries", ["org_id", "reverses"], unique=True, postgresql_where=sa.text("reverses IS NOT NULL")
    )
    op.create_index(
        "uq_ledger_entries_run",
        "ledger_entries",
        ["org_id", "entity_id", "applied_date"],
        unique=True,
        postgresql_where=sa.text("entity_type = 'SCHEDULER' AND reverses IS NULL"),
    )
    op.create_table(
        "counter_adjustments",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("counter_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("purchase_order_number", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["org_id", "account_id"], ["accounts.org_id", "accounts.id"], name="fk_counter_adjustments_account_id_accounts"),
        sa.ForeignKeyConstraint(["org_id", "counter_id"], ["counters.org_id", "counters.id"], name="fk_counter_adjustments_counter_id_counters"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_counter_adjustments_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_counter_adjustments")),
        sa.UniqueConstraint("org_id", "counter_id", "account_id", "date", name="uq_counter_adjustments_counter_id_account_id_date"),
    )
    op.create_index("ix_counter_adjustments_account_id", "counter_adjustments", ["org_id", "account_id"], unique=False)
    op.create_index("ix_counter_adjustments_counter_id", "counter_adjustments", ["org_id", "counter_id"], unique=False)
    op.create_index("ix_counter_adjustments_sequence", "counter_adjustments", ["org_id", "sequence"], unique=True)
    op.create_table(
        "balances",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("custom_fields", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("start_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("rollover_amount", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("rollover_end_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("balance_draw_down_description", sa.Text(), nullable=True),
        sa.Column("overage_surcharge_percent", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("overage_description", sa.Text(), nullable=True),
        sa.Column("product_ids", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("line_item_types", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=True),
        sa.Column("consumptions_accounting_product_id", sa.Text(), nullable=True),
        sa.Column("fees_accounting_product_id", sa.Text(), nullable=True),
        sa.Column("allow_overdraft", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(["org_id", "account_id"], ["accounts.org_id", "accounts.id"], name="fk_balances_account_id_accounts"),
        sa.ForeignKeyConstraint(
            ["org_id", "consumptions_accounting_product_id"],
            ["products.org_id", "products.id"],
            name="fk_balances_consumptions_accounting_product_id_products",
        ),
        sa.ForeignKeyConstraint(["org_id", "contract_id"], ["contracts.org_id", "contracts.id"], name="fk_balances_contract_id_contracts"),
        sa.ForeignKeyConstraint(
            ["org_id", "fees_accounting_product_id"], ["products.org_id", "products.id"], name="fk_balances_fees_accounting_product_id_products"
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_balances_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_balances")),
        sa.UniqueConstraint("org_id", "account_id", "code", name="uq_balances_account_id_code"),
    )
    op.create_index("ix_balances_account_id", "balances", ["org_id", "account_id"], unique=False)
    op.create_index("ix_balances_consumptions_accounting_product_id", "balances", ["org_id", "consumptions_accounting_product_id"], unique=False)
    op.create_index("ix_balances_contract_id", "balances", ["org_id", "contract_id"], unique=False)
    op.create_index("ix_balances_currency", "balances", ["org_id", "currency"], unique=False)
    op.create_index("ix_balances_fees_accounting_product_id", "balances", ["org_id", "fees_accounting_product_id"], unique=False)
    op.create_index("ix_balances_sequence", "balances", ["org_id", "sequence"], unique=True)
    op.create_table(
        "commitments",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("billing_plan_id", sa.Text(), nullable=True),
        sa.Column("product_ids", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("amount_pre_paid", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("amount_first_bill", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("overage_surcharge_percent", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("separate_overage_usage", sa.Boolean(), nullable=True),
        sa.Column("billing_interval", sa.Integer(), nullable=True),
        sa.Column("billing_offset", sa.Integer(), nullable=True),
        sa.Column("commitment_fee_description", sa.Text(), nullable=True),
        sa.Column("commitment_usage_description", sa.Text(), nullable=True),
        sa.Column("overage_description", sa.Text(), nullable=True),
        sa.Column("commitment_fee_bill_in_advance", sa.Boolean(), nullable=True),
        sa.Column("bill_epoch", sa.Date(), nullable=True),
        sa.Column("contract_id", sa.Text(), nullable=True),
        sa.Column("accounting_product_id", sa.Text(), nullable=True),
        sa.Column("fees_accounting_product_id", sa.Text(), nullable=True),
        sa.Column("drawdowns_accounting_product_id", sa.Text(), nullable=True),
        sa.Column("fee_dates", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("child_billing_mode", sa.Text(), nullable=True),
        sa.Column("line_item_types", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["org_id", "account_id"], ["accounts.org_id", "accounts.id"], name="fk_commitments_account_id_accounts"),
        sa.ForeignKeyConstraint(
            ["org_id", "accounting_product_id"], ["products.org_id", "products.id"], name="fk_commitments_accounting_product_id_products"
        ),
        sa.ForeignKeyConstraint(["org_id", "billing_plan_id"], ["plans.org_id", "plans.id"], name="fk_commitments_billing_plan_id_plans"),
        sa.ForeignKeyConstraint(["org_id", "contract_id"], ["contracts.org_id", "contracts.id"], name="fk_commitments_contract_id_contracts"),
        sa.ForeignKeyConstraint(
            ["org_id", "drawdowns_accounting_product_id"],
            ["products.org_id", "products.id"],
            name="fk_commitments_drawdowns_accounting_product_id_products",
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "fees_accounting_product_id"], ["products.org_id", "products.id"], name="fk_commitments_fees_accounting_product_id_products"
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_commitments_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_commitments")),
    )
    op.create_index("ix_commitments_account_id", "commitments", ["org_id", "account_id"], unique=False)
    op.create_index("ix_commitments_accounting_product_id", "commitments", ["org_id", "accounting_product_id"], unique=False)
    op.create_index("ix_commitments_billing_plan_id", "commitments", ["org_id", "billing_plan_id"], unique=False)
    op.create_index("ix_commitments_contract_id", "commitments", ["org_id", "contract_id"], unique=False)
    op.create_index("ix_commitments_currency", "commitments", ["org_id", "currency"], unique=False)
    op.create_index("ix_commitments_drawdowns_accounting_product_id", "commitments", ["org_id", "drawdowns_accounting_product_id"], unique=False)
    op.create_index("ix_commitments_fees_accounting_product_id", "commitments", ["org_id", "fees_accounting_product_id"], unique=False)
    op.create_index("ix_commitments_sequence", "commitments", ["org_id", "sequence"], unique=True)
    op.create_table(
        "balance_charge_schedules",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("custom_fields", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("balance_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("units", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("unit_price", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("service_period_start_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service_period_end_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bill_epoch", sa.Date(), nullable=True),
        sa.Column("bill_frequency", sa.Text(), nullable=False),
        sa.Column("bill_frequency_interval", sa.Integer(), nullable=False),
        sa.Column("bill_in_advance", sa.Boolean(), nullable=False),
        sa.Column("charge_description", sa.Text(), nullable=False),
        sa.Column("next_run", sa.DateTime(timezone=True), nullable=True),
        sa.Column("previous_run", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["org_id", "balance_id"], ["balances.org_id", "balances.id"], name="fk_balance_charge_schedules_balance_id_balances"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_balance_charge_schedules_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_balance_charge_schedules")),
        sa.UniqueConstraint("org_id", "balance_id", "code", name="uq_balance_charge_schedules_balance_id_code"),
    )
    op.create_index("ix_balance_charge_schedules_balance_id", "balance_charge_schedules", ["org_id", "balance_id"], unique=False)
    op.create_index("ix_balance_charge_schedules_currency", "balance_charge_schedules", ["org_id", "currency"], unique=False)
    op.create_index("ix_balance_charge_schedules_sequence", "balance_charge_schedules", ["org_id", "sequence"], unique=True)
    op.create_table(
        "balance_transaction_schedules",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("custom_fields", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("balance_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("transaction_description", sa.Text(), nullable=False),
        sa.Column("paid", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("currency_paid", sa.Text(), nullable=True),
        sa.Column("transaction_type_id", sa.Text(), nullable=False),
        sa.Column("start_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("frequency", sa.Text(), nullable=False),
        sa.Column("frequency_interval", sa.Integer(), nullable=False),
        sa.Column("next_run", sa.DateTime(timezone=True), nullable=True),
        sa.Column("previous_run", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "balance_id"], ["balances.org_id", "balances.id"], name="fk_balance_transaction_schedules_balance_id_balances"
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "transaction_type_id"],
            ["transaction_types.org_id", "transaction_types.id"],
            name="fk_balance_transaction_schedules_transaction_type_id",
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_balance_transaction_schedules_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_balance_transaction_schedules")),
        sa.UniqueConstraint("org_id", "balance_id", "code", name="uq_balance_transaction_schedules_balance_id_code"),
    )
    op.create_index("ix_balance_transaction_schedules_balance_id", "balance_transaction_schedules", ["org_id", "balance_id"], unique=False)
    op.create_index("ix_balance_transaction_schedules_sequence", "balance_transaction_schedules", ["org_id", "sequence"], unique=True)
    op.create_index(
        "ix_balance_transaction_schedules_transaction_type_id", "balance_transaction_schedules", ["org_id", "transaction_type_id"], unique=False
    )
    op.create_table(
        "charges",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("bill_date", sa.Date(), nullable=True),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("units", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("unit_price", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("line_item_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=True),
        sa.Column("accounting_product_id", sa.Text(), nullable=True),
        sa.Column("service_period_start_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service_period_end_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("contract_id", sa.Text(), nullable=True),
        sa.Column("schedule_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["org_id", "account_id"], ["accounts.org_id", "accounts.id"], name="fk_charges_account_id_accounts"),
        sa.ForeignKeyConstraint(
            ["org_id", "accounting_product_id"], ["products.org_id", "products.id"], name="fk_charges_accounting_product_id_products"
        ),
        sa.ForeignKeyConstraint(["org_id", "contract_id"], ["contracts.org_id", "contracts.id"], name="fk_charges_contract_id_contracts"),
        sa.ForeignKeyConstraint(["org_id", "entity_id"], ["balances.org_id", "balances.id"], name="fk_charges_entity_id_balances"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_charges_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_charges")),
        sa.UniqueConstraint("org_id", "account_id", "code", name="uq_charges_account_id_code"),
        sa.UniqueConstraint("org_id", "schedule_id", "service_period_start_date", name="uq_charges_schedule_id_service_period_start_date"),
    )
    op.create_index("ix_charges_account_id", "charges", ["org_id", "account_id"], unique=False)
    op.create_index("ix_charges_accounting_product_id", "charges", ["org_id", "accounting_product_id"], unique=False)
    op.create_index("ix_charges_contract_id", "charges", ["org_id", "contract_id"], unique=False)
    op.create_index("ix_charges_currency", "charges", ["org_id", "currency"], unique=False)
    op.create_index("ix_charges_entity_id", "charges", ["org_id", "entity_id"], unique=False)
    op.create_index("ix_charges_sequence", "charges", ["org_id", "sequence"], unique=True)


def downgrade() -> None:
    """Undo it; what the new columns and tables held is lost."""
    op.drop_index("ix_charges_sequence", table_name="charges")
    op.drop_index("ix_charges_entity_id", table_name="charges")
    op.drop_index("ix_charges_currency", table_name="charges")
    op.drop_index("ix_charges_contract_id", table_name="charges")
    op.drop_index("ix_charges_accounting_product_id", table_name="charges")
    op.drop_index("ix_charges_account_id", table_name="charges")
    op.drop_table("charges")
    op.drop_index("ix_balance_transaction_schedules_transaction_type_id", table_name="balance_transaction_schedules")
    op.drop_index("ix_balance_transaction_schedules_sequence", table_name="balance_transaction_schedules")
    op.drop_index("ix_balance_transaction_schedules_balance_id", table_name="balance_transaction_schedules")
    op.drop_table("balance_transaction_schedules")
    op.drop_index("ix_balance_charge_schedules_sequence", table_name="balance_charge_schedules")
    op.drop_index("ix_balance_charge_schedules_currency", table_name="balance_charge_schedules")
    op.drop_index("ix_balance_charge_schedules_balance_id", table_name="balance_charge_schedules")
    op.drop_table("balance_charge_schedules")
    op.drop_index("ix_commitments_sequence", table_name="commitments")
    op.drop_index("ix_commitments_fees_accounting_product_id", table_name="commitments")
    op.drop_index("ix_commitments_drawdowns_accounting_product_id", table_name="commitments")
    op.drop_index("ix_commitments_currency", table_name="commitments")
    op.drop_index("ix_commitments_contract_id", table_name="commitments")
    op.drop_index("ix_commitments_billing_plan_id", table_name="commitments")
    op.drop_index("ix_commitments_accounting_product_id", table_name="commitments")
    op.drop_index("ix_commitments_account_id", table_name="commitments")
    op.drop_table("commitments")
    op.drop_index("ix_balances_sequence", table_name="balances")
    op.drop_index("ix_balances_fees_accounting_product_id", table_name="balances")
    op.drop_index("ix_balances_currency", table_name="balances")
    op.drop_index("ix_balances_contract_id", table_name="balances")
    op.drop_index("ix_balances_consumptions_accounting_product_id", table_name="balances")
    op.drop_index("ix_balances_account_id", table_name="balances")
    op.drop_table("balances")
    op.drop_index("ix_counter_adjustments_sequence", table_name="counter_adjustments")
    op.drop_index("ix_counter_adjustments_counter_id", table_name="counter_adjustments")
    op.drop_index("ix_counter_adjustments_account_id", table_name="counter_adjustments")
    op.drop_table("counter_adjustments")
    op.drop_index("uq_ledger_entries_run", table_name="ledger_entries", postgresql_where=sa.text("entity_type = 'SCHEDULER' AND reverses IS NULL"))
    op.drop_index("uq_ledger_entries_reverses", table_name="ledger_entries", postgresql_where=sa.text("reverses IS NOT NULL"))
    op.drop_index("ix_ledger_entries_transaction_type", table_name="ledger_entries")
    op.drop_index("ix_ledger_entries_sequence", table_name="ledger_entries")
    op.drop_index("ix_ledger_entries_fund", table_name="ledger_entries")
    op.drop_index("ix_ledger_entries_entity", table_name="ledger_entries")
    op.drop_index("ix_ledger_entries_account", table_name="ledger_entries")
    op.drop_table("ledger_entries")
    op.drop_table("ledger_totals")
    op.drop_index("ix_billed_charges_bill", table_name="billed_charges")
    op.drop_table("billed_charges")
