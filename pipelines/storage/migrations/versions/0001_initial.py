"""The first schema, written by regenerate.py from the declarations; do not edit."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table('installation',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('token_secret', sa.LargeBinary(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_installation_only_one')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_installation'))
    )
    op.create_table('landing_positions',
    sa.Column('writer', sa.Text(), nullable=False),
    sa.Column('segment', sa.BigInteger(), nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=False, comment='Byte offset within the segment.'),
    sa.PrimaryKeyConstraint('writer', name=op.f('pk_landing_positions'))
    )
    op.create_table('organizations',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), server_default='ACTIVE', nullable=False),
    sa.Column('version', sa.BigInteger(), server_default='1', nullable=False),
    sa.Column('next_account_number', sa.Integer(), server_default='0', nullable=False, comment='Account number of the next new account.'),
    sa.Column('dt_created', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.CheckConstraint("status IN ('ACTIVE', 'ARCHIVED')", name=op.f('ck_organizations_status')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_organizations'))
    )
    op.create_table('accounts',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('custom_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('email_address', sa.Text(), nullable=False),
    sa.Column('address', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('parent_account_id', sa.Text(), nullable=True),
    sa.Column('bill_epoch', sa.Date(), nullable=True),
    sa.Column('purchase_order_number', sa.Text(), nullable=True),
    sa.Column('currency', sa.Text(), nullable=True),
    sa.Column('statement_definition_id', sa.Text(), nullable=True),
    sa.Column('auto_generate_statement_mode', sa.Text(), nullable=True),
    sa.Column('credit_application_order', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('days_before_bill_due', sa.Integer(), nullable=True),
    sa.Column('account_number', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['org_id', 'parent_account_id'], ['accounts.org_id', 'accounts.id'], name='fk_accounts_parent_account_id_accounts'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_accounts_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_accounts')),
    sa.UniqueConstraint('org_id', 'account_number', name='uq_accounts_account_number'),
    sa.UniqueConstraint('org_id', 'code', name='uq_accounts_code')
    )
    op.create_index('ix_accounts_currency', 'accounts', ['org_id', 'currency'], unique=False)
    op.create_index('ix_accounts_parent_account_id', 'accounts', ['org_id', 'parent_account_id'], unique=False)
    op.create_index('ix_accounts_sequence', 'accounts', ['org_id', 'sequence'], unique=True)
    op.create_table('aggregate_states',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('meter_id', sa.Text(), nullable=False),
    sa.Column('spec_key', sa.Text(), nullable=False),
    sa.Column('fields', postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment='Field code -> category, as the states know them; others mean a rebuild.'),
    sa.Column('is_complete', sa.Boolean(), nullable=False, comment='True once the states cover all measurements; every later batch adds to them.'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_aggregate_states_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'meter_id', 'spec_key', name=op.f('pk_aggregate_states'))
    )
    op.create_table('bill_jobs',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('request', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('total', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('pending', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('bill_ids', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('failures', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('dt_created', sa.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('dt_last_modified', sa.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('dt_completed', sa.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('created_by', sa.Text(), nullable=True),
    sa.Column('last_modified_by', sa.Text(), nullable=True),
    sa.Column('claimed_by', sa.Integer(), nullable=True),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.CheckConstraint("status IN ('PENDING', 'INITIALIZING', 'RUNNING', 'COMPLETE', 'CANCELLED')", name=op.f('ck_bill_jobs_status')),
    sa.CheckConstraint("type IN ('CREATE', 'RECALCULATE')", name=op.f('ck_bill_jobs_type')),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_bill_jobs_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_bill_jobs'))
    )
    op.create_index('ix_bill_jobs_sequence', 'bill_jobs', ['org_id', 'sequence'], unique=True)
    op.create_index('ix_bill_jobs_unfinished', 'bill_jobs', ['dt_created'], unique=False, postgresql_where=sa.text("status IN ('PENDING', 'INITIALIZING', 'RUNNING')"))
    op.create_table('bill_sequences',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('start_number', sa.BigInteger(), nullable=False),
    sa.Column('last_number', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_bill_sequences_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', name=op.f('pk_bill_sequences'))
    )
    op.create_table('currencies',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=True),
    sa.Column('archived', sa.Boolean(), nullable=False),
    sa.Column('max_decimal_places', sa.Integer(), nullable=True),
    sa.Column('rounding_mode', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_currencies_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_currencies')),
    sa.UniqueConstraint('org_id', 'code', name='uq_currencies_code')
    )
    op.create_index('ix_currencies_sequence', 'currencies', ['org_id', 'sequence'], unique=True)
    op.create_table('custom_fields',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('organization', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('account', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('account_plan', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('meter', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('product', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('plan', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('plan_template', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('aggregation', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('compound_aggregation', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('contract', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_custom_fields_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_custom_fields')),
    sa.UniqueConstraint('org_id', name='uq_custom_fields_org_id')
    )
    op.create_index('ix_custom_fields_sequence', 'custom_fields', ['org_id', 'sequence'], unique=True)
    op.create_table('entity_versions',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('changed_by', sa.Text(), nullable=False),
    sa.Column('change', sa.Text(), nullable=False),
    sa.Column('body', postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Wire form; an account's also carries accountNumber."),
    sa.CheckConstraint("change IN ('CREATED', 'UPDATED', 'DELETED')", name=op.f('ck_entity_versions_change')),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_entity_versions_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'kind', 'id', 'version', name=op.f('pk_entity_versions'))
    )
    op.create_table('ingest_batches',
    sa.Column('batch_id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False, comment='PLANNED until every table of the manifest is committed, then APPLIED.'),
    sa.Column('kind', sa.Text(), nullable=False, comment='LANDED: new usage. REBUILT: states or days computed again from the detail.'),
    sa.Column('manifest', postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment='Tables with the files that the batch adds; emptied when APPLIED.'),
    sa.Column('landed', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('accepted', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('duplicates', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('rejected', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('received_from', sa.DateTime(timezone=True), nullable=True, comment='Earliest receipt.'),
    sa.Column('received_until', sa.DateTime(timezone=True), nullable=True, comment='Latest receipt.'),
    sa.Column('planned_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('applied_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("kind IN ('LANDED', 'REBUILT')", name=op.f('ck_ingest_batches_kind')),
    sa.CheckConstraint("status IN ('PLANNED', 'APPLIED')", name=op.f('ck_ingest_batches_status')),
    sa.CheckConstraint('landed = accepted + duplicates + rejected', name=op.f('ck_ingest_batches_balance')),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_ingest_batches_org_id_organizations')),
    sa.PrimaryKeyConstraint('batch_id', name=op.f('pk_ingest_batches'))
    )
    op.create_index('ix_ingest_batches_org_id_batch_id', 'ingest_batches', ['org_id', 'batch_id'], unique=False)
    op.create_index('ix_ingest_batches_planned', 'ingest_batches', ['batch_id'], unique=False, postgresql_where="status = 'PLANNED'")
    op.create_table('ingest_calendars',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('time_zone', sa.Text(), nullable=False, comment='tz database name.'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_ingest_calendars_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', name=op.f('pk_ingest_calendars'))
    )
    op.create_table('measurement_counts',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('date', sa.Date(), nullable=False),
    sa.Column('landed', sa.BigInteger(), nullable=False),
    sa.Column('accepted', sa.BigInteger(), nullable=False),
    sa.Column('duplicates', sa.BigInteger(), nullable=False),
    sa.Column('rejected', sa.BigInteger(), nullable=False),
    sa.Column('dropped_fields', sa.BigInteger(), nullable=False, comment='Values of fields that the meter does not define.'),
    sa.Column('calculation_errors', sa.BigInteger(), nullable=False, comment='Derived fields that could not be computed.'),
    sa.CheckConstraint('landed = accepted + duplicates + rejected', name=op.f('ck_measurement_counts_balance')),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_measurement_counts_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'date', name=op.f('pk_measurement_counts'))
    )
    op.create_table('organization_configs',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('timezone', sa.Text(), nullable=False),
    sa.Column('year_epoch', sa.Date(), nullable=False),
    sa.Column('month_epoch', sa.Date(), nullable=False),
    sa.Column('week_epoch', sa.Date(), nullable=False),
    sa.Column('day_epoch', sa.Date(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('currency_conversions', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('days_before_bill_due', sa.Integer(), nullable=False),
    sa.Column('scheduled_bill_interval', sa.Numeric(precision=38, scale=12), nullable=True),
    sa.Column('scheduled_bill_offset', sa.Integer(), nullable=True),
    sa.Column('standing_charge_bill_in_advance', sa.Boolean(), nullable=False),
    sa.Column('commitment_fee_bill_in_advance', sa.Boolean(), nullable=False),
    sa.Column('minimum_spend_bill_in_advance', sa.Boolean(), nullable=False),
    sa.Column('auto_approve_bills_grace_period', sa.Integer(), nullable=True),
    sa.Column('auto_approve_bills_grace_period_unit', sa.Text(), nullable=True),
    sa.Column('external_invoice_date', sa.Text(), nullable=False),
    sa.Column('suppressed_empty_bills', sa.Boolean(), nullable=False),
    sa.Column('consolidate_bills', sa.Boolean(), nullable=False),
    sa.Column('default_statement_definition_id', sa.Text(), nullable=True),
    sa.Column('auto_generate_statement_mode', sa.Text(), nullable=False),
    sa.Column('credit_application_order', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('allow_negative_balances', sa.Boolean(), nullable=False),
    sa.Column('allow_overlapping_plans', sa.Boolean(), nullable=False),
    sa.Column('bill_prefix', sa.Text(), nullable=True),
    sa.Column('sequence_start_number', sa.Integer(), nullable=True),
    sa.Column('late_usage', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_organization_configs_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_organization_configs')),
    sa.UniqueConstraint('org_id', name='uq_organization_configs_org_id')
    )
    op.create_index('ix_organization_configs_currency', 'organization_configs', ['org_id', 'currency'], unique=False)
    op.create_index('ix_organization_configs_sequence', 'organization_configs', ['org_id', 'sequence'], unique=True)
    op.create_table('products',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('custom_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_products_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_products')),
    sa.UniqueConstraint('org_id', 'code', name='uq_products_code')
    )
    op.create_index('ix_products_sequence', 'products', ['org_id', 'sequence'], unique=True)
    op.create_table('service_users',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_service_users_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_service_users'))
    )
    op.create_table('users',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('first_name', sa.Text(), nullable=False),
    sa.Column('last_name', sa.Text(), nullable=False),
    sa.Column('role', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.CheckConstraint("role IN ('ADMINISTRATOR', 'READ_ONLY')", name=op.f('ck_users_role')),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_users_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_users')),
    sa.UniqueConstraint('org_id', 'email', name='uq_users_email')
    )
    op.create_table('access_keys',
    sa.Column('api_key', sa.Text(), nullable=False),
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('service_user_id', sa.Text(), nullable=False),
    sa.Column('secret_hash', sa.Text(), nullable=False, comment='argon2id.'),
    sa.Column('status', sa.Text(), server_default='ACTIVE', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("status IN ('ACTIVE', 'INACTIVE')", name=op.f('ck_access_keys_status')),
    sa.ForeignKeyConstraint(['org_id', 'service_user_id'], ['service_users.org_id', 'service_users.id'], name='fk_access_keys_service_user_id_service_users'),
    sa.PrimaryKeyConstraint('api_key', name=op.f('pk_access_keys'))
    )
    op.create_table('bill_calculations',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('bill_job_id', sa.Text(), nullable=False),
    sa.Column('calculated_at', sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('configuration_as_of', sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('configuration_hash', sa.Text(), nullable=False),
    sa.Column('software_version', sa.Text(), nullable=False),
    sa.Column('dataset_versions', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('certificates', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['org_id', 'bill_job_id'], ['bill_jobs.org_id', 'bill_jobs.id'], name=op.f('fk_bill_calculations_org_id_bill_job_id_bill_jobs')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_bill_calculations'))
    )
    op.create_table('bills',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('account_id', sa.Text(), nullable=False),
    sa.Column('account_code', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), server_default='PENDING', nullable=False),
    sa.Column('locked', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('billing_frequency', sa.Text(), nullable=False),
    sa.Column('bill_frequency_interval', sa.Integer(), nullable=True),
    sa.Column('start_date', sa.Date(), nullable=False),
    sa.Column('end_date', sa.Date(), nullable=False),
    sa.Column('start_at', sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('end_at', sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('bill_date', sa.Date(), nullable=False),
    sa.Column('due_date', sa.Date(), nullable=True),
    sa.Column('external_invoice_date', sa.Date(), nullable=True),
    sa.Column('external_invoice_reference', sa.Text(), nullable=True),
    sa.Column('timezone', sa.Text(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('currency_conversions', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('bill_total', sa.Numeric(precision=38, scale=12), nullable=False),
    sa.Column('line_count', sa.Integer(), nullable=False),
    sa.Column('unmatched', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('purchase_order_number', sa.Text(), nullable=True),
    sa.Column('sequential_invoice_number', sa.Text(), nullable=True),
    sa.Column('json_statement_generated', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('csv_statement_generated', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('statement_stale', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('calculation_id', sa.Text(), nullable=False),
    sa.Column('bill_job_id', sa.Text(), nullable=False),
    sa.Column('overrides', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('last_calculated_at', sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('dt_created', sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=True),
    sa.Column('last_modified_by', sa.Text(), nullable=True),
    sa.Column('approved_by', sa.Text(), nullable=True),
    sa.Column('dt_approved', sa.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('locked_by', sa.Text(), nullable=True),
    sa.Column('dt_locked', sa.TIMESTAMP(timezone=True), nullable=True),
    sa.CheckConstraint("NOT locked OR status = 'APPROVED'", name=op.f('ck_bills_locked_is_approved')),
    sa.CheckConstraint("status IN ('PENDING', 'APPROVED')", name=op.f('ck_bills_status')),
    sa.ForeignKeyConstraint(['org_id', 'account_id'], ['accounts.org_id', 'accounts.id'], name=op.f('fk_bills_org_id_account_id_accounts')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_bills'))
    )
    op.create_index('ix_bills_account', 'bills', ['org_id', 'account_id', 'bill_date'], unique=False)
    op.create_index('ix_bills_bill_date', 'bills', ['org_id', 'bill_date'], unique=False)
    op.create_index('ix_bills_sequence', 'bills', ['org_id', 'sequence'], unique=True)
    op.create_table('compound_aggregations',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('custom_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=True),
    sa.Column('product_id', sa.Text(), nullable=True),
    sa.Column('calculation', sa.Text(), nullable=False),
    sa.Column('quantity_per_unit', sa.Numeric(precision=38, scale=12), nullable=False),
    sa.Column('rounding', sa.Text(), nullable=False),
    sa.Column('unit', sa.Text(), nullable=False),
    sa.Column('evaluate_null_aggregations', sa.Boolean(), nullable=False),
    sa.Column('accounting_product_id', sa.Text(), nullable=True),
    sa.Column('segments', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.ForeignKeyConstraint(['org_id', 'accounting_product_id'], ['products.org_id', 'products.id'], name='fk_compound_aggregations_accounting_product_id_products'),
    sa.ForeignKeyConstraint(['org_id', 'product_id'], ['products.org_id', 'products.id'], name='fk_compound_aggregations_product_id_products'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_compound_aggregations_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_compound_aggregations')),
    sa.UniqueConstraint('org_id', 'code', name='uq_compound_aggregations_code')
    )
    op.create_index('ix_compound_aggregations_accounting_product_id', 'compound_aggregations', ['org_id', 'accounting_product_id'], unique=False)
    op.create_index('ix_compound_aggregations_product_id', 'compound_aggregations', ['org_id', 'product_id'], unique=False)
    op.create_index('ix_compound_aggregations_sequence', 'compound_aggregations', ['org_id', 'sequence'], unique=True)
    op.create_table('ingest_failures',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('batch_id', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('meter_code', sa.Text(), nullable=False),
    sa.Column('field_code', sa.Text(), nullable=True, comment='The derived field, for CalculationError.'),
    sa.Column('measurements', sa.BigInteger(), nullable=False),
    sa.Column('sample', postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment='Up to ten of them: uid, account, message.'),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['ingest_batches.batch_id'], name=op.f('fk_ingest_failures_batch_id_ingest_batches')),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_ingest_failures_org_id_organizations')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ingest_failures'))
    )
    op.create_index('ix_ingest_failures_org_id_id', 'ingest_failures', ['org_id', 'id'], unique=False)
    op.create_table('meters',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('custom_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('product_id', sa.Text(), nullable=True),
    sa.Column('group_id', sa.Text(), nullable=True),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('data_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('derived_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['org_id', 'product_id'], ['products.org_id', 'products.id'], name='fk_meters_product_id_products'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_meters_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_meters')),
    sa.UniqueConstraint('org_id', 'code', name='uq_meters_code')
    )
    op.create_index('ix_meters_product_id', 'meters', ['org_id', 'product_id'], unique=False)
    op.create_index('ix_meters_sequence', 'meters', ['org_id', 'sequence'], unique=True)
    op.create_table('plan_templates',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('custom_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('product_id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=True),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('standing_charge', sa.Numeric(precision=38, scale=12), nullable=False),
    sa.Column('standing_charge_description', sa.Text(), nullable=True),
    sa.Column('standing_charge_interval', sa.Integer(), nullable=True),
    sa.Column('standing_charge_offset', sa.Integer(), nullable=True),
    sa.Column('bill_frequency', sa.Text(), nullable=False),
    sa.Column('bill_frequency_interval', sa.Integer(), nullable=True),
    sa.Column('ordinal', sa.BigInteger(), nullable=True),
    sa.Column('minimum_spend', sa.Numeric(precision=38, scale=12), nullable=True),
    sa.Column('minimum_spend_description', sa.Text(), nullable=True),
    sa.Column('standing_charge_bill_in_advance', sa.Boolean(), nullable=True),
    sa.Column('minimum_spend_bill_in_advance', sa.Boolean(), nullable=True),
    sa.ForeignKeyConstraint(['org_id', 'product_id'], ['products.org_id', 'products.id'], name='fk_plan_templates_product_id_products'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_plan_templates_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_plan_templates')),
    sa.UniqueConstraint('org_id', 'code', name='uq_plan_templates_code')
    )
    op.create_index('ix_plan_templates_currency', 'plan_templates', ['org_id', 'currency'], unique=False)
    op.create_index('ix_plan_templates_product_id', 'plan_templates', ['org_id', 'product_id'], unique=False)
    op.create_index('ix_plan_templates_sequence', 'plan_templates', ['org_id', 'sequence'], unique=True)
    op.create_table('aggregations',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('custom_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=True),
    sa.Column('meter_id', sa.Text(), nullable=False),
    sa.Column('target_field', sa.Text(), nullable=False),
    sa.Column('aggregation', sa.Text(), nullable=False),
    sa.Column('quantity_per_unit', sa.Numeric(precision=38, scale=12), nullable=False),
    sa.Column('rounding', sa.Text(), nullable=False),
    sa.Column('unit', sa.Text(), nullable=False),
    sa.Column('default_value', sa.Numeric(precision=38, scale=12), nullable=True),
    sa.Column('segmented_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('segments', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('custom_sql', sa.Text(), nullable=True),
    sa.Column('accounting_product_id', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['org_id', 'accounting_product_id'], ['products.org_id', 'products.id'], name='fk_aggregations_accounting_product_id_products'),
    sa.ForeignKeyConstraint(['org_id', 'meter_id'], ['meters.org_id', 'meters.id'], name='fk_aggregations_meter_id_meters'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_aggregations_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_aggregations')),
    sa.UniqueConstraint('org_id', 'code', name='uq_aggregations_code')
    )
    op.create_index('ix_aggregations_accounting_product_id', 'aggregations', ['org_id', 'accounting_product_id'], unique=False)
    op.create_index('ix_aggregations_meter_id', 'aggregations', ['org_id', 'meter_id'], unique=False)
    op.create_index('ix_aggregations_sequence', 'aggregations', ['org_id', 'sequence'], unique=True)
    op.create_table('plans',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('custom_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('plan_template_id', sa.Text(), nullable=False),
    sa.Column('product_id', sa.Text(), nullable=True),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('standing_charge', sa.Numeric(precision=38, scale=12), nullable=True),
    sa.Column('standing_charge_description', sa.Text(), nullable=True),
    sa.Column('ordinal', sa.BigInteger(), nullable=True),
    sa.Column('bespoke', sa.Boolean(), nullable=True),
    sa.Column('minimum_spend', sa.Numeric(precision=38, scale=12), nullable=True),
    sa.Column('minimum_spend_description', sa.Text(), nullable=True),
    sa.Column('standing_charge_bill_in_advance', sa.Boolean(), nullable=True),
    sa.Column('minimum_spend_bill_in_advance', sa.Boolean(), nullable=True),
    sa.Column('minimum_spend_accounting_product_id', sa.Text(), nullable=True),
    sa.Column('standing_charge_accounting_product_id', sa.Text(), nullable=True),
    sa.Column('account_id', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['org_id', 'account_id'], ['accounts.org_id', 'accounts.id'], name='fk_plans_account_id_accounts'),
    sa.ForeignKeyConstraint(['org_id', 'minimum_spend_accounting_product_id'], ['products.org_id', 'products.id'], name='fk_plans_minimum_spend_accounting_product_id_products'),
    sa.ForeignKeyConstraint(['org_id', 'plan_template_id'], ['plan_templates.org_id', 'plan_templates.id'], name='fk_plans_plan_template_id_plan_templates'),
    sa.ForeignKeyConstraint(['org_id', 'product_id'], ['products.org_id', 'products.id'], name='fk_plans_product_id_products'),
    sa.ForeignKeyConstraint(['org_id', 'standing_charge_accounting_product_id'], ['products.org_id', 'products.id'], name='fk_plans_standing_charge_accounting_product_id_products'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_plans_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_plans')),
    sa.UniqueConstraint('org_id', 'code', name='uq_plans_code')
    )
    op.create_index('ix_plans_account_id', 'plans', ['org_id', 'account_id'], unique=False)
    op.create_index('ix_plans_minimum_spend_accounting_product_id', 'plans', ['org_id', 'minimum_spend_accounting_product_id'], unique=False)
    op.create_index('ix_plans_plan_template_id', 'plans', ['org_id', 'plan_template_id'], unique=False)
    op.create_index('ix_plans_product_id', 'plans', ['org_id', 'product_id'], unique=False)
    op.create_index('ix_plans_sequence', 'plans', ['org_id', 'sequence'], unique=True)
    op.create_index('ix_plans_standing_charge_accounting_product_id', 'plans', ['org_id', 'standing_charge_accounting_product_id'], unique=False)
    op.create_table('account_plans',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('custom_fields', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('account_id', sa.Text(), nullable=False),
    sa.Column('plan_id', sa.Text(), nullable=True),
    sa.Column('plan_group_id', sa.Text(), nullable=True),
    sa.Column('product_id', sa.Text(), nullable=True),
    sa.Column('start_date', sa.DateTime(timezone=True), nullable=False),
    sa.Column('end_date', sa.DateTime(timezone=True), nullable=True),
    sa.Column('code', sa.Text(), nullable=True),
    sa.Column('bill_epoch', sa.Date(), nullable=True),
    sa.Column('contract_id', sa.Text(), nullable=True),
    sa.Column('child_billing_mode', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['org_id', 'account_id'], ['accounts.org_id', 'accounts.id'], name='fk_account_plans_account_id_accounts'),
    sa.ForeignKeyConstraint(['org_id', 'plan_id'], ['plans.org_id', 'plans.id'], name='fk_account_plans_plan_id_plans'),
    sa.ForeignKeyConstraint(['org_id', 'product_id'], ['products.org_id', 'products.id'], name='fk_account_plans_product_id_products'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_account_plans_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_account_plans'))
    )
    op.create_index('ix_account_plans_account_id', 'account_plans', ['org_id', 'account_id'], unique=False)
    op.create_index('ix_account_plans_plan_id', 'account_plans', ['org_id', 'plan_id'], unique=False)
    op.create_index('ix_account_plans_product_id', 'account_plans', ['org_id', 'product_id'], unique=False)
    op.create_index('ix_account_plans_sequence', 'account_plans', ['org_id', 'sequence'], unique=True)
    op.create_table('pricings',
    sa.Column('org_id', sa.Text(), nullable=False),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('dt_created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('dt_last_modified', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_modified_by', sa.Text(), nullable=False),
    sa.Column('plan_id', sa.Text(), nullable=True),
    sa.Column('plan_template_id', sa.Text(), nullable=True),
    sa.Column('aggregation_id', sa.Text(), nullable=True),
    sa.Column('compound_aggregation_id', sa.Text(), nullable=True),
    sa.Column('aggregation_type', sa.Text(), nullable=True),
    sa.Column('code', sa.Text(), nullable=True),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('cumulative', sa.Boolean(), nullable=False),
    sa.Column('tiers_span_plan', sa.Boolean(), nullable=False),
    sa.Column('segment', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('segment_string', sa.Text(), nullable=True),
    sa.Column('start_date', sa.DateTime(timezone=True), nullable=False),
    sa.Column('end_date', sa.DateTime(timezone=True), nullable=True),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('minimum_spend', sa.Numeric(precision=38, scale=12), nullable=True),
    sa.Column('minimum_spend_description', sa.Text(), nullable=True),
    sa.Column('minimum_spend_bill_in_advance', sa.Boolean(), nullable=True),
    sa.Column('pricing_bands', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('overage_pricing_bands', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('accounting_product_id', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['org_id', 'accounting_product_id'], ['products.org_id', 'products.id'], name='fk_pricings_accounting_product_id_products'),
    sa.ForeignKeyConstraint(['org_id', 'aggregation_id'], ['aggregations.org_id', 'aggregations.id'], name='fk_pricings_aggregation_id_aggregations'),
    sa.ForeignKeyConstraint(['org_id', 'compound_aggregation_id'], ['compound_aggregations.org_id', 'compound_aggregations.id'], name='fk_pricings_compound_aggregation_id_compound_aggregations'),
    sa.ForeignKeyConstraint(['org_id', 'plan_id'], ['plans.org_id', 'plans.id'], name='fk_pricings_plan_id_plans'),
    sa.ForeignKeyConstraint(['org_id', 'plan_template_id'], ['plan_templates.org_id', 'plan_templates.id'], name='fk_pricings_plan_template_id_plan_templates'),
    sa.ForeignKeyConstraint(['org_id'], ['organizations.id'], name=op.f('fk_pricings_org_id_organizations')),
    sa.PrimaryKeyConstraint('org_id', 'id', name=op.f('pk_pricings'))
    )
    op.create_index('ix_pricings_accounting_product_id', 'pricings', ['org_id', 'accounting_product_id'], unique=False)
    op.create_index('ix_pricings_aggregation_id', 'pricings', ['org_id', 'aggregation_id'], unique=False)
    op.create_index('ix_pricings_compound_aggregation_id', 'pricings', ['org_id', 'compound_aggregation_id'], unique=False)
    op.create_index('ix_pricings_plan_id', 'pricings', ['org_id', 'plan_id'], unique=False)
    op.create_index('ix_pricings_plan_template_id', 'pricings', ['org_id', 'plan_template_id'], unique=False)
    op.create_index('ix_pricings_sequence', 'pricings', ['org_id', 'sequence'], unique=True)


def downgrade() -> None:
    """Drop every table."""
    op.drop_table('pricings')
    op.drop_table('account_plans')
    op.drop_table('plans')
    op.drop_table('aggregations')
    op.drop_table('plan_templates')
    op.drop_table('meters')
    op.drop_table('ingest_failures')
    op.drop_table('compound_aggregations')
    op.drop_table('bills')
    op.drop_table('bill_calculations')
    op.drop_table('access_keys')
    op.drop_table('users')
    op.drop_table('service_users')
    op.drop_table('products')
    op.drop_table('organization_configs')
    op.drop_table('measurement_counts')
    op.drop_table('ingest_calendars')
    op.drop_table('ingest_batches')
    op.drop_table('entity_versions')
    op.drop_table('custom_fields')
    op.drop_table('currencies')
    op.drop_table('bill_sequences')
    op.drop_table('bill_jobs')
    op.drop_table('aggregate_states')
    op.drop_table('accounts')
    op.drop_table('organizations')
    op.drop_table('landing_positions')
    op.drop_table('installation')
