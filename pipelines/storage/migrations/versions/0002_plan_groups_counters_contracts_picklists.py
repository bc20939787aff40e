"""Plan groups, counters, contracts, picklists, statement definitions and the bill config."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Plan groups, counters, contracts, picklists, statement definitions and the bill config."""
    op.create_table(
        "bill_configs",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("bill_lock_date", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_bill_configs_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_bill_configs")),
        sa.UniqueConstraint("org_id", name="uq_bill_configs_org_id"),
    )
    op.create_index("ix_bill_configs_sequence", "bill_configs", ["org_id", "sequence"], unique=True)
    op.create_table(
        "bill_grouping_keys",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_bill_grouping_keys_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_bill_grouping_keys")),
        sa.UniqueConstraint("org_id", "code", name="uq_bill_grouping_keys_code"),
    )
    op.create_index("ix_bill_grouping_keys_sequence", "bill_grouping_keys", ["org_id", "sequence"], unique=True)
    op.create_table(
        "credit_reasons",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_credit_reasons_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_credit_reasons")),
        sa.UniqueConstraint("org_id", "code", name="uq_credit_reasons_code"),
    )
    op.create_index("ix_credit_reasons_sequence", "credit_reasons", ["org_id", "sequence"], unique=True)
    op.create_table(
        "debit_reasons",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_debit_reasons_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_debit_reasons")),
        sa.UniqueConstraint("org_id", "code", name="uq_debit_reasons_code"),
    )
    op.create_index("ix_debit_reasons_sequence", "debit_reasons", ["org_id", "sequence"], unique=True)
    op.create_table(
        "statement_definitions",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("aggregation_frequency", sa.Text(), nullable=False),
        sa.Column("include_price_per_unit", sa.Boolean(), nullable=False),
        sa.Column("dimensions", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("measures", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("generate_slim_statements", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_statement_definitions_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_statement_definitions")),
    )
    op.create_index("ix_statement_definitions_sequence", "statement_definitions", ["org_id", "sequence"], unique=True)
    op.create_table(
        "transaction_types",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_transaction_types_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_transaction_types")),
        sa.UniqueConstraint("org_id", "code", name="uq_transaction_types_code"),
    )
    op.create_index("ix_transaction_types_sequence", "transaction_types", ["org_id", "sequence"], unique=True)
    op.create_table(
        "counters",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("product_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["org_id", "product_id"], ["products.org_id", "products.id"], name="fk_counters_product_id_products"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_counters_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_counters")),
        sa.UniqueConstraint("org_id", "code", name="uq_counters_code"),
    )
    op.create_index("ix_counters_product_id", "counters", ["org_id", "product_id"], unique=False)
    op.create_index("ix_counters_sequence", "counters", ["org_id", "sequence"], unique=True)
    op.create_table(
        "contracts",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("custom_fields", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("purchase_order_number", sa.Text(), nullable=True),
        sa.Column("apply_contract_period_limits", sa.Boolean(), nullable=False),
        sa.Column("usage_filters", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("bill_grouping_key_id", sa.Text(), nullable=True),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(["org_id", "account_id"], ["accounts.org_id", "accounts.id"], name="fk_contracts_account_id_accounts"),
        sa.ForeignKeyConstraint(
            ["org_id", "bill_grouping_key_id"],
            ["bill_grouping_keys.org_id", "bill_grouping_keys.id"],
            name="fk_contracts_bill_grouping_key_id_bill_grouping_keys",
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_contracts_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_contracts")),
        sa.UniqueConstraint("org_id", "code", name="uq_contracts_code"),
    )
    op.create_index("ix_contracts_account_id", "contracts", ["org_id", "account_id"], unique=False)
    op.create_index("ix_contracts_bill_grouping_key_id", "contracts", ["org_id", "bill_grouping_key_id"], unique=False)
    op.create_index("ix_contracts_sequence", "contracts", ["org_id", "sequence"], unique=True)
    op.create_table(
        "plan_groups",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("custom_fields", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("minimum_spend", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("minimum_spend_description", sa.Text(), nullable=True),
        sa.Column("standing_charge", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("standing_charge_description", sa.Text(), nullable=True),
        sa.Column("standing_charge_bill_in_advance", sa.Boolean(), nullable=True),
        sa.Column("minimum_spend_bill_in_advance", sa.Boolean(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("minimum_spend_accounting_product_id", sa.Text(), nullable=True),
        sa.Column("standing_charge_accounting_product_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["org_id", "account_id"], ["accounts.org_id", "accounts.id"], name="fk_plan_groups_account_id_accounts"),
        sa.ForeignKeyConstraint(
            ["org_id", "minimum_spend_accounting_product_id"],
            ["products.org_id", "products.id"],
            name="fk_plan_groups_minimum_spend_accounting_product_id_products",
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "standing_charge_accounting_product_id"],
            ["products.org_id", "products.id"],
            name="fk_plan_groups_standing_charge_accounting_product_id_products",
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_plan_groups_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_plan_groups")),
        sa.UniqueConstraint("org_id", "code", name="uq_plan_groups_code"),
    )
    op.create_index("ix_plan_groups_account_id", "plan_groups", ["org_id", "account_id"], unique=False)
    op.create_index("ix_plan_groups_currency", "plan_groups", ["org_id", "currency"], unique=False)
    op.create_index(
        "ix_plan_groups_minimum_spend_accounting_product_id", "plan_groups", ["org_id", "minimum_spend_accounting_product_id"], unique=False
    )
    op.create_index("ix_plan_groups_sequence", "plan_groups", ["org_id", "sequence"], unique=True)
    op.create_index(
        "ix_plan_groups_standing_charge_accounting_product_id", "plan_groups", ["org_id", "standing_charge_accounting_product_id"], unique=False
    )
    op.create_table(
        "counter_pricings",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=True),
        sa.Column("plan_template_id", sa.Text(), nullable=True),
        sa.Column("counter_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("cumulative", sa.Boolean(), nullable=False),
        sa.Column("start_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("pricing_bands", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("accounting_product_id", sa.Text(), nullable=True),
        sa.Column("running_total_bill_in_advance", sa.Boolean(), nullable=False),
        sa.Column("pro_rate_running_total", sa.Boolean(), nullable=False),
        sa.Column("pro_rate_adjustment_debit", sa.Boolean(), nullable=False),
        sa.Column("pro_rate_adjustment_credit", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "accounting_product_id"], ["products.org_id", "products.id"], name="fk_counter_pricings_accounting_product_id_products"
        ),
        sa.ForeignKeyConstraint(["org_id", "counter_id"], ["counters.org_id", "counters.id"], name="fk_counter_pricings_counter_id_counters"),
        sa.ForeignKeyConstraint(["org_id", "plan_id"], ["plans.org_id", "plans.id"], name="fk_counter_pricings_plan_id_plans"),
        sa.ForeignKeyConstraint(
            ["org_id", "plan_template_id"], ["plan_templates.org_id", "plan_templates.id"], name="fk_counter_pricings_plan_template_id_plan_templates"
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_counter_pricings_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_counter_pricings")),
    )
    op.create_index("ix_counter_pricings_accounting_product_id", "counter_pricings", ["org_id", "accounting_product_id"], unique=False)
    op.create_index("ix_counter_pricings_counter_id", "counter_pricings", ["org_id", "counter_id"], unique=False)
    op.create_index("ix_counter_pricings_plan_id", "counter_pricings", ["org_id", "plan_id"], unique=False)
    op.create_index("ix_counter_pricings_plan_template_id", "counter_pricings", ["org_id", "plan_template_id"], unique=False)
    op.create_index("ix_counter_pricings_sequence", "counter_pricings", ["org_id", "sequence"], unique=True)
    op.create_table(
        "plan_group_links",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dt_created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dt_last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_modified_by", sa.Text(), nullable=False),
        sa.Column("plan_group_id", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "plan_group_id"], ["plan_groups.org_id", "plan_groups.id"], name="fk_plan_group_links_plan_group_id_plan_groups"
        ),
        sa.ForeignKeyConstraint(["org_id", "plan_id"], ["plans.org_id", "plans.id"], name="fk_plan_group_links_plan_id_plans"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_plan_group_links_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_plan_group_links")),
        sa.UniqueConstraint("org_id", "plan_group_id", "plan_id", name="uq_plan_group_links_plan_group_id_plan_id"),
    )
    op.create_index("ix_plan_group_links_plan_group_id", "plan_group_links", ["org_id", "plan_group_id"], unique=False)
    op.create_index("ix_plan_group_links_plan_id", "plan_group_links", ["org_id", "plan_id"], unique=False)
    op.create_index("ix_plan_group_links_sequence", "plan_group_links", ["org_id", "sequence"], unique=True)
    # Every organization has its documents from the start, with their history: those that exist get the new one.
    op.execute("""
        INSERT INTO bill_configs (org_id, id, version, dt_created, dt_last_modified, created_by, last_modified_by)
        SELECT id, gen_random_uuid()::text, 1, clock_timestamp(), clock_timestamp(), 'SYSTEM', 'SYSTEM' FROM organizations ORDER BY dt_created, id
    """)
    op.execute("""
        INSERT INTO entity_versions (org_id, kind, id, version, changed_at, changed_by, change, body)
        SELECT org_id, 'BillConfig', id, version, dt_created, created_by, 'CREATED',
               jsonb_build_object('id', id, 'version', version, 'dtCreated', dt_created, 'dtLastModified', dt_last_modified,
                                  'createdBy', created_by, 'lastModifiedBy', last_modified_by)
        FROM bill_configs
    """)
    # There were no statement definitions yet, so whatever stands here names none.
    op.execute("UPDATE accounts SET statement_definition_id = NULL WHERE statement_definition_id IS NOT NULL")
    op.execute("UPDATE organization_configs SET default_statement_definition_id = NULL WHERE default_statement_definition_id IS NOT NULL")
    op.create_index("ix_account_plans_contract_id", "account_plans", ["org_id", "contract_id"], unique=False)
    op.create_index("ix_account_plans_plan_group_id", "account_plans", ["org_id", "plan_group_id"], unique=False)
    op.create_foreign_key("fk_account_plans_contract_id_contracts", "account_plans", "contracts", ["org_id", "contract_id"], ["org_id", "id"])
    op.create_foreign_key("fk_account_plans_plan_group_id_plan_groups", "account_plans", "plan_groups", ["org_id", "plan_group_id"], ["org_id", "id"])
    op.create_index("ix_accounts_statement_definition_id", "accounts", ["org_id", "statement_definition_id"], unique=False)
    op.create_foreign_key(
        "fk_accounts_statement_definition_id_statement_definitions",
        "accounts",
        "statement_definitions",
        ["org_id", "statement_definition_id"],
        ["org_id", "id"],
    )
    op.create_index(
        "ix_organization_configs_default_statement_definition_id", "organization_configs", ["org_id", "default_statement_definition_id"], unique=False
    )
    op.create_foreign_key(
        "fk_organization_configs_default_statement_definition_id",
        "organization_configs",
        "statement_definitions",
        ["org_id", "default_statement_definition_id"],
        ["org_id", "id"],
    )


def downgrade() -> None:
    """Undo it; what the new columns and tables held is lost."""
    op.drop_constraint("fk_organization_configs_default_statement_definition_id", "organization_configs", type_="foreignkey")
    op.drop_index("ix_organization_configs_default_statement_definition_id", table_name="organization_configs")
    op.drop_constraint("fk_accounts_statement_definition_id_statement_definitions", "accounts", type_="foreignkey")
    op.drop_index("ix_accounts_statement_definition_id", table_name="accounts")
    op.drop_constraint("fk_account_plans_plan_group_id_plan_groups", "account_plans", type_="foreignkey")
    op.drop_constraint("fk_account_plans_contract_id_contracts", "account_plans", type_="foreignkey")
    op.drop_index("ix_account_plans_plan_group_id", table_name="account_plans")
    op.drop_index("ix_account_plans_contract_id", table_name="account_plans")
    op.drop_index("ix_plan_group_links_sequence", table_name="plan_group_links")
    op.drop_index("ix_plan_group_links_plan_id", table_name="plan_group_links")
    op.drop_index("ix_plan_group_links_plan_group_id", table_name="plan_group_links")
    op.drop_table("plan_group_links")
    op.drop_index("ix_counter_pricings_sequence", table_name="counter_pricings")
    op.drop_index("ix_counter_pricings_plan_template_id", table_name="counter_pricings")
    op.drop_index("ix_counter_pricings_plan_id", table_name="counter_pricings")
    op.drop_index("ix_counter_pricings_counter_id", table_name="counter_pricings")
    op.drop_index("ix_counter_pricings_accounting_product_id", table_name="counter_pricings")
    op.drop_table("counter_pricings")
    op.drop_index("ix_plan_groups_standing_charge_accounting_product_id", table_name="plan_groups")
    op.drop_index("ix_plan_groups_sequence", table_name="plan_groups")
    op.drop_index("ix_plan_groups_minimum_spend_accounting_product_id", table_name="plan_groups")
    op.drop_index("ix_plan_groups_currency", table_name="plan_groups")
    op.drop_index("ix_plan_groups_account_id", table_name="plan_groups")
    op.drop_table("plan_groups")
    op.drop_index("ix_contracts_sequence", table_name="contracts")
    op.drop_index("ix_contracts_bill_grouping_key_id", table_name="contracts")
    op.drop_index("ix_contracts_account_id", table_name="contracts")
    op.drop_table("contracts")
    op.drop_index("ix_counters_sequence", table_name="counters")
    op.drop_index("ix_counters_product_id", table_name="counters")
    op.drop_table("counters")
    op.drop_index("ix_transaction_types_sequence", table_name="transaction_types")
    op.drop_table("transaction_types")
    op.drop_index("ix_statement_definitions_sequence", table_name="statement_definitions")
    op.drop_table("statement_definitions")
    op.drop_index("ix_debit_reasons_sequence", table_name="debit_reasons")
    op.drop_table("debit_reasons")
    op.drop_index("ix_credit_reasons_sequence", table_name="credit_reasons")
    op.drop_table("credit_reasons")
    op.drop_index("ix_bill_grouping_keys_sequence", table_name="bill_grouping_keys")
    op.drop_table("bill_grouping_keys")
    op.drop_index("ix_bill_configs_sequence", table_name="bill_configs")
    op.drop_table("bill_configs")
