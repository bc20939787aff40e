-- The bench's bill run as a good SQL author would write it: two scans of the detail, exact decimals, no engine of ours.
-- It yields the same rows with the same columns as our line items (ids by md5, bands as a list), so that both do the same work.
-- Parameters: {measurements} a Parquet glob with hive partitions, {accounts} and {segments} Parquet files, {out} a folder.
-- Every amount is DECIMAL(38,12) until a line is rounded to 2 places, half away from zero, in its own currency.
CREATE OR REPLACE TEMP TABLE per_account AS
SELECT account_number,
       sum(tokens) AS tokens_sum,
       max(latency) AS latency_max,
       count(tokens) AS requests_count,
       sum(latency) AS latency_sum,
       count(latency) AS latency_count,
       arg_max(level, (ts, received_at, uid)) AS level_latest,
       count(DISTINCT end_user) AS users_unique
FROM read_parquet('{measurements}', hive_partitioning = true)
WHERE ts >= TIMESTAMPTZ '2026-01-01 00:00:00+00' AND ts < TIMESTAMPTZ '2026-02-01 00:00:00+00'
GROUP BY account_number;

CREATE OR REPLACE TEMP TABLE quantities AS
-- A mean is the exact quotient at 12 digits, ties to even: whole-number arithmetic, since decimal division is a double here.
WITH mean AS (
  SELECT account_number, (latency_sum * 1000)::HUGEINT * 1000000000 AS n, latency_count::HUGEINT AS d FROM per_account
), rounded_mean AS (
  SELECT account_number, n // d + CASE WHEN 2 * (n % d) > d OR (2 * (n % d) = d AND (n // d) % 2 = 1) THEN 1 ELSE 0 END AS m FROM mean
)
SELECT account_number, 'tokens_sum' AS code, NULL::INTEGER AS segment, tokens_sum::DECIMAL(38, 12) AS quantity FROM per_account
UNION ALL SELECT account_number, 'latency_max', NULL, latency_max FROM per_account
UNION ALL SELECT account_number, 'requests_count', NULL, requests_count::DECIMAL(38, 12) FROM per_account
UNION ALL SELECT account_number, 'latency_mean', NULL, m::DECIMAL(26, 0)::DECIMAL(25, 0) * 0.000000000001::DECIMAL(13, 12) FROM rounded_mean
UNION ALL SELECT account_number, 'level_latest', NULL, level_latest FROM per_account
UNION ALL SELECT account_number, 'users_unique', NULL, users_unique::DECIMAL(38, 12) FROM per_account
UNION ALL SELECT account_number, 'compound', NULL, greatest(0, tokens_sum - 1000 * users_unique)::DECIMAL(38, 12) FROM per_account
UNION ALL
SELECT m.account_number, 'by_segment', s.segment, sum(m.tokens_in)
FROM read_parquet('{measurements}', hive_partitioning = true) m
JOIN read_parquet('{segments}') s ON m.region = s.region AND m.model = s.model AND m.tier = s.tier
WHERE m.ts >= TIMESTAMPTZ '2026-01-01 00:00:00+00' AND m.ts < TIMESTAMPTZ '2026-02-01 00:00:00+00'
GROUP BY m.account_number, s.segment;

-- The price list, bands by aggregation: a segment has one band.
CREATE OR REPLACE TEMP TABLE bands AS
SELECT code, cumulative, position, lower_limit::DECIMAL(24, 6) AS lower_limit,
       coalesce(lead(lower_limit) OVER (PARTITION BY code ORDER BY position), 999999999999)::DECIMAL(24, 6) AS upper_limit,
       fixed_price::DECIMAL(12, 6) AS fixed_price, unit_price::DECIMAL(10, 6) AS unit_price, md5(code || position) AS pricing_band_id
FROM (VALUES
  ('tokens_sum', true, 0, 0, 0, 0.0002), ('tokens_sum', true, 1, 100000, 0, 0.00015), ('tokens_sum', true, 2, 1000000, 0, 0.0001),
  ('latency_max', false, 0, 0, 1, 0), ('latency_max', false, 1, 20000, 2, 0), ('latency_max', false, 2, 29000, 5, 0),
  ('requests_count', false, 0, 0, 0, 0.01), ('requests_count', false, 1, 1000, 0, 0.008), ('requests_count', false, 2, 10000, 0, 0.005),
  ('latency_mean', true, 0, 0, 0, 0.0001),
  ('level_latest', true, 0, 0, 0.5, 0.02), ('level_latest', true, 1, 50, 1, 0.01),
  ('users_unique', true, 0, 0, 0, 0.1), ('users_unique', true, 1, 20, 0, 0.05),
  ('compound', true, 0, 0, 0, 0.00001), ('by_segment', true, 0, 0, 0, 0.0003)
) AS b(code, cumulative, position, lower_limit, fixed_price, unit_price);

CREATE OR REPLACE TEMP TABLE usage_lines AS
WITH banded AS (
  -- only the band units keep 12 digits, which the mean needs
  SELECT q.account_number, q.code, q.segment, q.quantity, b.*,
         CASE WHEN b.cumulative THEN greatest(least(q.quantity::DECIMAL(26, 12), b.upper_limit) - b.lower_limit, 0)
              ELSE q.quantity::DECIMAL(26, 12) END::DECIMAL(26, 12) AS band_units
  FROM quantities q JOIN bands b ON q.code = b.code
   AND (b.cumulative OR ((b.position = 0 OR q.quantity > b.lower_limit) AND q.quantity <= b.upper_limit))
), charged AS (
  SELECT *, (band_units::DECIMAL(28, 12) * unit_price)::DECIMAL(38, 12) AS unit_subtotal,
         CASE WHEN NOT cumulative OR position = 0 OR band_units > 0 THEN fixed_price ELSE 0 END::DECIMAL(12, 6) AS entered_fixed_price
  FROM banded
)
SELECT account_number, code, segment, any_value(quantity) AS quantity, round(sum(unit_subtotal + entered_fixed_price), 2)::DECIMAL(38, 2) AS subtotal,
       list(struct_pack(pricing_band_id, lower_limit, fixed_price, unit_price, band_quantity := band_units, band_units, unit_subtotal := round(unit_subtotal, 2),
                        band_subtotal := round(unit_subtotal + entered_fixed_price, 2)) ORDER BY position) AS bands
FROM charged GROUP BY account_number, code, segment;

CREATE OR REPLACE TEMP TABLE lines AS
WITH spent AS (SELECT account_number, sum(subtotal) AS s FROM usage_lines GROUP BY account_number),
topped AS (
  SELECT a.account_number, greatest(5 - coalesce(s, 0), 0)::DECIMAL(38, 2) AS top_up
  FROM read_parquet('{accounts}') a LEFT JOIN spent USING (account_number)
),
all_lines AS (
  SELECT account_number, 'USAGE' AS line_item_type, code, segment, quantity, subtotal, bands FROM usage_lines
  UNION ALL SELECT account_number, 'STANDING_CHARGE', NULL, NULL, 1, 1, NULL FROM read_parquet('{accounts}')
  UNION ALL SELECT account_number, 'MINIMUM_SPEND', NULL, NULL, 1, top_up, NULL FROM topped WHERE top_up > 0
)
SELECT DATE '2026-02-01' AS bill_date, md5(a.account_id || '2026-02-01' || 'MONTHLY') AS bill_id,
       md5(a.account_id || '2026-02-01' || line_item_type || coalesce(code, '') || coalesce(segment::VARCHAR, '')) AS line_item_id,
       row_number() OVER (PARTITION BY l.account_number ORDER BY line_item_type DESC, code, segment)::INTEGER AS sequence_number,
       a.account_id, l.line_item_type, coalesce(l.code, l.line_item_type) || coalesce(' (' || l.segment || ')', '') AS description,
       md5('inference') AS product_id, md5('inference') AS accounting_product_id, md5('plan' || a.account_id) AS account_plan_id, md5('plan') AS plan_id,
       md5('pricing' || l.code || coalesce(l.segment, 0)) AS pricing_id, md5('aggregation' || l.code) AS aggregation_id, md5('meter') AS meter_id, l.code, l.segment,
       TIMESTAMPTZ '2026-01-01 00:00:00+00' AS service_period_start, TIMESTAMPTZ '2026-02-01 00:00:00+00' AS service_period_end,
       l.quantity, l.quantity AS units, '1' AS unit,
       CASE WHEN l.quantity = 0 THEN 0 ELSE l.subtotal / l.quantity END AS average_unit_price, l.subtotal, 'USD' AS currency,
       CASE WHEN a.currency = 'EUR' THEN 0.9137 ELSE 1 END AS conversion_rate, a.currency AS bill_currency,
       CASE WHEN a.currency = 'EUR' THEN round(l.subtotal::DECIMAL(20, 2) * 0.9137::DECIMAL(6, 4), 2)::DECIMAL(38, 2) ELSE l.subtotal END AS converted_subtotal,
       l.bands
FROM all_lines l JOIN read_parquet('{accounts}') a USING (account_number);

COPY (SELECT * FROM lines ORDER BY account_id, sequence_number) TO '{out}/line_items.parquet' (FORMAT parquet, COMPRESSION zstd);
COPY (SELECT account_id, any_value(bill_id) AS bill_id, any_value(bill_currency) AS currency, sum(converted_subtotal) AS bill_total, count(*) AS line_count FROM lines GROUP BY account_id ORDER BY account_id)
  TO '{out}/bills.parquet' (FORMAT parquet, COMPRESSION zstd);
