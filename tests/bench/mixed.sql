-- What sets the accounts of the mixed organization apart, by account number n: who is whose child, which plan or plan group under which
-- contract, commitments, balances with their ledger, adjustments of counters, charges. Parameters: the organization, and who made all this.

CREATE TEMP TABLE numbered ON COMMIT DROP AS
SELECT id AS owner_id, account_number AS n FROM accounts WHERE org_id = :org_id;

-- Nobody has looked at these rows yet, and without figures the joins below would be nested loops.
ANALYZE numbered, accounts;

-- A tenth are children of a twentieth.
UPDATE accounts a SET parent_account_id = p.owner_id
FROM numbered c JOIN numbered p ON p.n = c.n - c.n % 20 + 1
WHERE a.org_id = :org_id AND a.id = c.owner_id AND c.n % 20 IN (2, 3);

-- A tenth of the accounts has a contract; its bills are apart by an exclusive key, by a shared one, or not.
INSERT INTO contracts (org_id, id, version, dt_created, dt_last_modified, created_by, last_modified_by, custom_fields,
                       account_id, name, apply_contract_period_limits, usage_filters, bill_grouping_key_id, start_date, end_date)
SELECT :org_id, md5('contract' || n), 1, now(), now(), :actor, :actor, '{}', owner_id, 'Contract', n % 20 = 4, '[]', k.id, '2025-01-01', '2027-01-01'
FROM numbered LEFT JOIN bill_grouping_keys k ON k.org_id = :org_id AND k.code = (ARRAY['exclusive', 'shared'])[n / 10 % 3 + 1]
WHERE n % 10 = 4;

-- Of the children one in two has a plan of its own. A tenth of the accounts has a plan group.
INSERT INTO account_plans (org_id, id, version, dt_created, dt_last_modified, created_by, last_modified_by, custom_fields,
                           account_id, plan_id, plan_group_id, product_id, start_date, contract_id, child_billing_mode)
SELECT :org_id, md5('account plan' || n), 1, now(), now(), :actor, :actor, '{}', owner_id,
       CASE WHEN n % 10 <> 7 THEN p.id END, CASE WHEN n % 10 = 7 THEN g.id END, CASE WHEN n % 10 <> 7 THEN p.product_id END,
       timestamptz '2025-01-01 00:00Z', CASE WHEN n % 10 = 4 THEN md5('contract' || n) END,
       CASE WHEN n % 20 IN (1, 3) THEN (ARRAY['PARENT_BREAKDOWN', 'PARENT_SUMMARY', 'CHILD'])[n / 20 % 3 + 1] END
FROM numbered, plans p, plan_groups g
WHERE p.org_id = :org_id AND p.code = 'plan' AND g.org_id = :org_id AND g.code = 'together' AND n % 20 <> 2;

-- Half of the accounts and all parents have a commitment: with a surcharge, with overage apart, or neither, and fees with the plan or on
-- dates. A few end in the month, a few are for a contract alone.
INSERT INTO commitments (org_id, id, version, dt_created, dt_last_modified, created_by, last_modified_by, account_id, billing_plan_id, product_ids,
                         line_item_types, start_date, end_date, currency, amount, amount_pre_paid, overage_surcharge_percent,
                         separate_overage_usage, fee_dates, contract_id)
SELECT :org_id, md5('commitment' || n), 1, now(), now(), :actor, :actor, owner_id, CASE WHEN n % 4 = 2 AND n % 10 <> 7 THEN p.id END,
       CASE WHEN n % 3 = 1 THEN jsonb_build_array(p.product_id) ELSE '[]' END,
       CASE WHEN n % 6 = 2 THEN '["USAGE", "MINIMUM_SPEND"]'::jsonb ELSE '[]' END, '2025-07-01',
       CASE WHEN n % 50 = 0 THEN date '2026-01-16' ELSE date '2026-07-01' END, 'USD', 20 + n % 97, 5, CASE WHEN n % 4 = 0 THEN 10 END, n % 4 = 2,
       CASE WHEN n % 4 = 2 AND n % 10 <> 7 THEN '[]' ELSE (
           SELECT jsonb_agg(jsonb_build_object('date', to_char(month, 'YYYY-MM-DD'), 'amount', 1.25 + n % 7,
                                               'servicePeriodStartDate', to_char(month - interval '1 month', 'YYYY-MM-DD"T00:00:00Z"'),
                                               'servicePeriodEndDate', to_char(month, 'YYYY-MM-DD"T00:00:00Z"')) ORDER BY month)
           FROM generate_series(timestamp '2025-08-01', timestamp '2026-07-01', interval '1 month') month) END,
       CASE WHEN n % 100 = 4 THEN md5('contract' || n) END
FROM numbered, plans p WHERE p.org_id = :org_id AND p.code = 'plan' AND (n % 2 = 0 OR n % 20 = 1);

-- A third have a balance: some in a currency that is not the account's, some that have ended and roll over, some of units instead of money.
INSERT INTO balances (org_id, id, version, dt_created, dt_last_modified, created_by, last_modified_by, custom_fields, code, name, account_id,
                      start_date, end_date, currency, rollover_amount, rollover_end_date, overage_surcharge_percent, product_ids, line_item_types,
                      allow_overdraft)
SELECT :org_id, md5('balance' || n), 1, now(), now(), :actor, :actor, '{}', 'balance-' || n, 'Prepaid', owner_id, timestamptz '2025-07-01 00:00Z',
       CASE WHEN n % 9 = 0 THEN timestamptz '2026-01-01 00:00Z' ELSE timestamptz '2026-07-01 00:00Z' END,
       CASE WHEN n % 30 = 0 THEN 'calls' WHEN n % 6 = 0 THEN 'EUR' ELSE 'USD' END,
       CASE WHEN n % 9 = 0 THEN 15 END, CASE WHEN n % 9 = 0 THEN timestamptz '2026-04-01 00:00Z' END, CASE WHEN n % 12 = 3 THEN 5 END, '[]',
       CASE WHEN n % 6 = 3 AND n % 30 <> 0 THEN '["USAGE", "AD_HOC"]'::jsonb ELSE '[]' END, n % 99 = 0
FROM numbered WHERE n % 3 = 0;

-- What was put in, what December's bills drew.
INSERT INTO ledger_entries (org_id, id, fund_kind, fund_id, account_id, amount, entity_type, entity_id, applied_date, transaction_date, bill_date)
SELECT :org_id, md5(f.id || kind), fund_kind, f.id, f.account_id, amount, entity_type, md5('december' || f.account_id), applied, applied, bill_date
FROM (SELECT id, account_id, 'BALANCE' AS fund_kind FROM balances WHERE org_id = :org_id
      UNION ALL SELECT id, account_id, 'COMMITMENT' FROM commitments WHERE org_id = :org_id) f
JOIN numbered ON owner_id = account_id
JOIN (VALUES ('opening', 'USER', timestamptz '2025-07-01 00:00Z', NULL::date), ('top-up', 'USER', timestamptz '2026-01-15 00:00Z', NULL),
             ('draw', 'BILL', timestamptz '2026-01-01 00:00Z', date '2026-01-01')) entry (kind, entity_type, applied, bill_date)
  ON (fund_kind = 'BALANCE' OR entity_type = 'BILL') AND (kind <> 'top-up' OR n % 2 = 0) AND (kind <> 'draw' OR n % 4 <> 3)
CROSS JOIN LATERAL (SELECT CASE kind WHEN 'opening' THEN 15 + n % 41 WHEN 'top-up' THEN 5 ELSE -7.5 END AS amount) amounts;
INSERT INTO ledger_totals SELECT org_id, fund_id, sum(amount), count(*) FROM ledger_entries WHERE org_id = :org_id GROUP BY org_id, fund_id;

-- A quarter count seats, which changed twice in the month.
INSERT INTO counter_adjustments (org_id, id, version, dt_created, dt_last_modified, created_by, last_modified_by, account_id, counter_id, date, value)
SELECT :org_id, md5('adjustment' || n || day), 1, now(), now(), :actor, :actor, owner_id, c.id, day, n % 50 + change
FROM numbered, counters c, (VALUES (date '2025-12-10', 3), (date '2026-01-11', 8), (date '2026-01-20', 6)) entry (day, change)
WHERE c.org_id = :org_id AND n % 4 = 1;

-- An eighth have a charge, some of these a fee of their balance too.
INSERT INTO charges (org_id, id, version, dt_created, dt_last_modified, created_by, last_modified_by, name, code, account_id, bill_date, amount, units,
                     unit_price, currency, entity_type, line_item_type, entity_id, service_period_start_date, service_period_end_date)
SELECT :org_id, md5(entity_type || n), 1, now(), now(), :actor, :actor, 'Work', 'work-' || lower(entity_type) || n, owner_id, '2026-02-01',
       CASE WHEN n % 16 = 0 THEN 12.34 END, CASE WHEN n % 16 <> 0 THEN 3 END, CASE WHEN n % 16 <> 0 THEN 1.5 END, 'USD', entity_type, line_item_type,
       CASE WHEN entity_type = 'BALANCE' THEN md5('balance' || n) END, timestamptz '2026-01-01 00:00Z', timestamptz '2026-02-01 00:00Z'
FROM numbered, (VALUES ('AD_HOC', 'AD_HOC', 8), ('BALANCE', 'BALANCE_FEE', 24)) kind (entity_type, line_item_type, every)
WHERE n % every = 0;
