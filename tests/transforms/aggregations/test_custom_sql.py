"""The CUSTOM_SQL sandbox: what may run runs exactly, everything else is refused, nothing reads a file."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.transforms.aggregations.frames import aggregation, configuration, measurements, meter
from transforms.aggregations.aggregate import WINDOW, quantities
from transforms.aggregations.custom_sql import checked_sql, runnable_sql
from transforms.aggregations.usage import MeterUsage
from transforms.errors import EntityInvalid

METER = meter(numeric=("qty", "price"), strings=("region", "ts"))
START, END = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)
ROWS = [
    {"account": 1, "ts": datetime(2025, 3, day, day, tzinfo=UTC), "region": region, "qty": qty, "price": Decimal("0.1")}
    for day, region, qty in ((1, "eu", Decimal(1)), (2, "us", Decimal("2.000000000001")), (3, "eu", Decimal(4)), (4, None, None))
] + [
    {"account": 2, "ts": datetime(2025, 3, 5, tzinfo=UTC), "region": "eu", "qty": Decimal(0), "price": Decimal(0)},
    {"account": 2, "ts": datetime(2025, 4, 1, tzinfo=UTC), "region": "eu", "qty": Decimal(99), "price": Decimal(0)},
]


def answers(sql: str, **more: Any) -> dict[tuple[int, int | None], tuple[Decimal | None, str | None]]:
    of = aggregation("sql", "CUSTOM_SQL", "qty", customSql=sql, **more)
    windows = [{"aggregation_id": "sql", "account_number": n, "window_start": START, "window_end": END} for n in (1, 2, 3)]
    rows = [row | {"field ts": "x"} for row in ROWS]
    frame = measurements(rows, meter(numeric=("qty", "price"), strings=("region",))).lazy().with_columns(pl.lit("x").alias("ts.value"))
    found = quantities(
        pl.DataFrame(windows, schema=WINDOW), configuration=configuration(METER, of), usage={"meter": MeterUsage(METER, frame)}
    ).collect(engine="streaming")
    return {(row["account_number"], row["segment_index"]): (row["quantity"], row["failure"]) for row in found.iter_rows(named=True)}


@pytest.mark.parametrize(
    ("sql", "first", "second"),
    [
        ("SELECT SUM(qty) FROM measurements", "7.000000000001", "0"),
        ("select sum(qty) from measurements -- total", "7.000000000001", "0"),
        ("SELECT COUNT(*) FROM measurements", "4", "1"),
        ("SELECT COUNT(DISTINCT region) FROM measurements", "2", "1"),
        ("SELECT AVG(qty) FROM measurements", "2.333333333334", "0"),
        ("SELECT COUNT(*) / 3 FROM measurements", "1.333333333333", "0.333333333333"),
        ("SELECT SUM(qty * price) FROM measurements", "0.7000000000001", "0"),
        ("SELECT SUM(CASE WHEN region = 'eu' THEN qty ELSE 0 END) * 0.5 FROM measurements", "2.5", "0"),
        ("SELECT MAX(s) FROM (SELECT region, SUM(qty) AS s FROM measurements GROUP BY region) t", "5", "0"),
        ("WITH t AS (SELECT region, SUM(qty) s FROM measurements GROUP BY region) SELECT MIN(s) FROM t", "2.000000000001", "0"),
        # The 95th percentile of bandwidth billing: the second largest of 4.
        ("SELECT qty FROM measurements WHERE qty IS NOT NULL ORDER BY qty DESC LIMIT 1 OFFSET 1", "2.000000000001", None),
        ("SELECT COUNT(*) FROM measurements WHERE ts >= '2025-03-02T00:00:00Z'", "3", "1"),
        ("SELECT COUNT(*) FROM measurements WHERE EXTRACT(hour FROM ts) >= 3", "2", "0"),
        ('SELECT COUNT("ts.value") FROM measurements', "4", "1"),
        ("SELECT qty FROM measurements WHERE region = 'nowhere'", None, None),
    ],
)
def test_what_may_run_is_exact(sql: str, first: str | None, second: str | None) -> None:
    checked_sql(sql, METER)
    found = answers(sql)
    assert found[(1, None)] == (None if first is None else Decimal(first).quantize(Decimal("1e-12")), None)
    assert found[(2, None)] == (None if second is None else Decimal(second), None)
    assert found[(3, None)] == (None, None)


def test_no_usage_and_null_take_the_default() -> None:
    found = answers("SELECT qty FROM measurements WHERE region = 'us'", defaultValue=9)
    assert found == {(1, None): (Decimal("2.000000000001"), None), (2, None): (Decimal(9), None), (3, None): (Decimal(9), None)}


def test_segments_are_filtered_before() -> None:
    found = answers("SELECT SUM(qty) FROM measurements", segmentedFields=["region"], segments=[{"region": "us"}, {"region": "*"}])
    assert found == {(1, 0): (Decimal("2.000000000001"), None), (1, 1): (Decimal(5), None), (2, 1): (Decimal(0), None)}


def test_an_error_fails_that_account_only() -> None:
    found = answers("SELECT 1 / SUM(qty) FROM measurements")
    assert found[(1, None)][0] is not None
    assert found[(1, None)][1] is None
    quantity, failure = found[(2, None)]
    assert quantity is None
    assert str(failure).startswith("aggregation sql: its customSql failed: division by zero")


def test_several_rows_are_a_failure() -> None:
    found = answers("SELECT qty FROM measurements")
    assert found[(1, None)] == (None, "aggregation sql: its customSql gives 4 rows of 1 columns; it must give one number")
    assert found[(2, None)] == (Decimal(0), None)


FILE_READS = [
    "SELECT COUNT(*) FROM read_csv('{path}')",
    "SELECT COUNT(*) FROM READ_PARQUET('{path}')",
    "SELECT COUNT(*) FROM read_json('{path}')",
    "SELECT COUNT(*) FROM read_ipc('{path}')",
    "SELECT COUNT(*) FROM scan_csv('{path}')",
    "SELECT COUNT(*) FROM parquet_scan('{path}')",
    "SELECT COUNT(*) FROM read_text('{path}')",
    "SELECT COUNT(*) FROM glob('{path}')",
    "SELECT COUNT(*) FROM \"read_csv\"('{path}')",
    "SELECT COUNT(*) FROM pg_read_file('{path}')",
    "SELECT COUNT(*) FROM '{path}'",
    'SELECT COUNT(*) FROM "{path}"',
    "SELECT COUNT(*) FROM `{path}`",
    "SELECT COUNT(*) FROM [{path}]",
    "SELECT COUNT(*) FROM {path}",
    "SELECT COUNT(*) FROM read_csv(/* hidden */ '{path}')",
    "SELECT COUNT(*) FROM /**/read_csv/**/('{path}')",
    "SELECT COUNT(*) FROM measurements, read_csv('{path}')",
    "SELECT COUNT(*) FROM measurements CROSS JOIN read_csv('{path}') x",
    "SELECT COUNT(*) FROM measurements, LATERAL read_csv('{path}') x",
    "SELECT (SELECT COUNT(*) FROM read_csv('{path}')) FROM measurements LIMIT 1",
    "SELECT COUNT(*) FROM measurements WHERE qty IN (SELECT 1 FROM read_csv('{path}'))",
    "SELECT COUNT(*) FROM measurements WHERE EXISTS (SELECT 1 FROM read_csv('{path}'))",
    "SELECT COUNT(*) FROM (SELECT * FROM (SELECT * FROM read_csv('{path}')) a) b",
    "WITH t AS (SELECT * FROM read_csv('{path}')) SELECT COUNT(*) FROM t",
    "WITH measurements AS (SELECT * FROM read_csv('{path}')) SELECT COUNT(*) FROM measurements",
    'WITH "{path}" AS (SELECT 1 AS n FROM measurements) SELECT COUNT(*) FROM "{path}"',
    "SELECT COUNT(*) FROM measurements UNION SELECT COUNT(*) FROM read_csv('{path}')",
    "SELECT COUNT(*) FROM measurements ORDER BY (SELECT 1 FROM read_csv('{path}'))",
    "SELECT COUNT(*) FROM measurements GROUP BY (SELECT 1 FROM read_csv('{path}'))",
    "SELECT COUNT(*) FROM measurements HAVING COUNT(*) > (SELECT COUNT(*) FROM read_csv('{path}'))",
    "SELECT COUNT(*) FROM measurements LIMIT (SELECT COUNT(*) FROM read_csv('{path}'))",
    "SELECT SUM(qty) OVER (ORDER BY (SELECT 1 FROM read_csv('{path}'))) FROM measurements LIMIT 1",
    "SELECT SUM(qty) FILTER (WHERE qty IN (SELECT 1 FROM read_csv('{path}'))) FROM measurements",
    "SELECT COUNT(*) FROM ｒｅａｄ＿ｃｓｖ('{path}')",
    "SELECT COUNT(*) FROM \u200bread_csv('{path}')",
    "SELECT COUNT(*) FROM measurements; SELECT COUNT(*) FROM read_csv('{path}')",
    "COPY measurements TO '{path}'",
    "COPY measurements FROM '{path}'",
    "ATTACH '{path}' AS other",
    "CREATE TABLE t AS SELECT * FROM read_csv('{path}')",
    "INSERT INTO measurements SELECT * FROM read_csv('{path}')",
    "EXPLAIN SELECT * FROM read_csv('{path}')",
    "DESCRIBE read_csv('{path}')",
    "SELECT * FROM TABLE(read_csv('{path}'))",
    "FROM read_csv('{path}')",
    'TABLE "{path}"',
    "VALUES ((SELECT COUNT(*) FROM read_csv('{path}')))",
]


@pytest.mark.parametrize("sql", FILE_READS)
def test_no_statement_reads_a_file(sql: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("n\n1\n2\n3\n")
    written = sql.replace("{path}", str(secret))
    with pytest.raises(EntityInvalid) as refused:
        checked_sql(written, METER)
    assert refused.value.problems[0].field == "customSql"
    # What slipped in before a rule existed is still not run.
    found = answers(written)
    assert all(quantity is None and failure is not None for (account, _), (quantity, failure) in found.items() if account != 3)
    assert secret.read_text() == "n\n1\n2\n3\n"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", "exactly one SELECT over measurements; it is nothing"),
        ("DELETE FROM measurements", "exactly one SELECT over measurements; it is DELETE"),
        ("SELECT COUNT(*) FROM measurements; SELECT 1", "it is SELECT, SELECT"),
        ("SELECT COUNT(*) FROM", "does not parse"),
        ("SELECT COUNT(*) FROM accounts", "reads 'accounts'; it may only read the view measurements"),
        ("SELECT COUNT(*) FROM public.measurements", "reads public.measurements"),
        ("SELECT COUNT(*) FROM measurements a JOIN measurements b ON a.uid = b.uid", "uses JOIN"),
        ("SELECT MEDIAN(qty) FROM measurements", "calls MEDIAN, which is not allowed; allowed are SUM, AVG"),
        ("SELECT pg_sleep(10) FROM measurements", "calls PG_SLEEP"),
        ("SELECT SUM(qt) FROM measurements", "names the column 'qt'; the view measurements has ts, ets, uid, received_at, qty, price, region"),
        ("SELECT SUM(m.qty) FROM measurements", "names m.qty"),
        ("SELECT $1 FROM measurements", "uses PARAMETER"),
        ("SELECT ? FROM measurements", "uses PLACEHOLDER"),
        ("WITH RECURSIVE t AS (SELECT 1 AS n) SELECT n FROM t", "uses WITH RECURSIVE"),
        ("SELECT CAST(SUM(qty) AS DOUBLE PRECISION) FROM measurements", "casts to DOUBLE"),
        ("SELECT region FROM measurements LIMIT 1", "must give a number; it gives a String"),
        ("SELECT SUM(qty), COUNT(*) FROM measurements", "must give one column; it gives 2"),
        ("SELECT SUM(region + 1) FROM measurements", "can't run"),
        ("SELECT " + "(" * 500 + "1" + ")" * 500 + " FROM measurements", "nested too deeply"),
        ("SELECT " + "-" * 2000 + "1 FROM measurements", ""),
    ],
)
def test_refusals_name_the_piece(sql: str, words: str) -> None:
    with pytest.raises(EntityInvalid) as refused:
        checked_sql(sql, METER)
    assert words in refused.value.message


def test_what_runs_is_written_anew() -> None:
    assert runnable_sql("select /* x */ sum(qty) -- y\n from measurements;", METER) == 'SELECT SUM("qty") FROM "measurements"'
