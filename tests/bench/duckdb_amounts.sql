-- The amounts of the bench's bill run alone: no ids, descriptions, periods or bands, prices written into the query.
-- The cheapest SQL that gives the money to the last digit; duckdb_bill.sql gives the whole line items. Exact decimals.
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

CREATE OR REPLACE TEMP TABLE usage_lines AS
WITH q AS (SELECT *, quantity::DECIMAL(24, 6) AS u FROM quantities)
SELECT account_number, code, segment, quantity,
       round(CASE code
         WHEN 'tokens_sum' THEN least(u, 100000) * 0.0002::DECIMAL(10, 6) + greatest(least(u, 1000000) - 100000, 0) * 0.00015::DECIMAL(10, 6)
                                + greatest(u - 1000000, 0) * 0.0001::DECIMAL(10, 6)
         WHEN 'latency_max' THEN CASE WHEN u > 29000 THEN 5 WHEN u > 20000 THEN 2 ELSE 1 END
         WHEN 'requests_count' THEN u * CASE WHEN u > 10000 THEN 0.005::DECIMAL(10, 6) WHEN u > 1000 THEN 0.008 ELSE 0.01 END
         WHEN 'latency_mean' THEN quantity::DECIMAL(26, 12) * 0.0001::DECIMAL(5, 4)
         WHEN 'level_latest' THEN 0.5 + least(u, 50) * 0.02::DECIMAL(10, 6) + CASE WHEN u > 50 THEN 1 + (u - 50) * 0.01::DECIMAL(10, 6) ELSE 0 END
         WHEN 'users_unique' THEN least(u, 20) * 0.1::DECIMAL(10, 6) + greatest(u - 20, 0) * 0.05::DECIMAL(10, 6)
         WHEN 'compound' THEN u * 0.00001::DECIMAL(10, 6)
         ELSE u * 0.0003::DECIMAL(10, 6)
       END, 2)::DECIMAL(38, 2) AS subtotal
FROM q;

CREATE OR REPLACE TEMP TABLE lines AS
WITH spent AS (SELECT account_number, sum(subtotal) AS s FROM usage_lines GROUP BY account_number),
topped AS (
  SELECT a.account_number, greatest(5 - coalesce(s, 0), 0)::DECIMAL(38, 2) AS top_up
  FROM read_parquet('{accounts}') a LEFT JOIN spent USING (account_number)
),
all_lines AS (
  SELECT account_number, 'USAGE' AS line_item_type, code, segment, quantity, subtotal FROM usage_lines
  UNION ALL SELECT account_number, 'STANDING_CHARGE', NULL, NULL, 1, 1 FROM read_parquet('{accounts}')
  UNION ALL SELECT account_number, 'MINIMUM_SPEND', NULL, NULL, 1, top_up FROM topped WHERE top_up > 0
)
SELECT l.*, a.account_id, a.currency,
       CASE WHEN a.currency = 'EUR' THEN round(l.subtotal::DECIMAL(20, 2) * 0.9137::DECIMAL(6, 4), 2)::DECIMAL(38, 2) ELSE l.subtotal END AS converted_subtotal
FROM all_lines l JOIN read_parquet('{accounts}') a USING (account_number);

COPY (SELECT * FROM lines ORDER BY account_id, line_item_type, code, segment) TO '{out}/line_items.parquet' (FORMAT parquet, COMPRESSION zstd);
COPY (SELECT account_id, any_value(currency) AS currency, sum(converted_subtotal) AS bill_total, count(*) AS line_count FROM lines GROUP BY account_id ORDER BY account_id)
  TO '{out}/bills.parquet' (FORMAT parquet, COMPRESSION zstd);
