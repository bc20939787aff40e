"""Tables of the lake: idempotent commits, new columns, pinned versions, replacement, compaction, concurrent writers."""

import json
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from pipelines.storage.lake import Lake
from pipelines.storage.lake_files import AddFile
from pipelines.storage.lake_tables import folder_name
from transforms.datasets import BILL_LINE_ITEMS, DAILY_AGGREGATES, MEASUREMENTS
from transforms.errors import SchemaMismatch
from transforms.money import DECIMAL

ORG = "0d6f1c1e-6f34-4a8f-9d55-0f8c8e0a1b2c"
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {"qty": DECIMAL, "region": pl.String}


@pytest.fixture
def tables(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "a lake=of mine"))


def rows(*numbers: int, day: date = date(2025, 1, 1), **extra: pl.Series) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "date": [day] * len(numbers),
            "account_number": list(numbers),
            "ts": [None] * len(numbers),
            "ets": [None] * len(numbers),
            "uid": [f"u{n}" for n in numbers],
            "received_at": [None] * len(numbers),
            "qty": [Decimal(n) / 7 for n in numbers],
        },
        schema={**MEASUREMENTS.schema, "qty": DECIMAL},
    ).with_columns(**extra)


def add(tables: Lake, frame: pl.DataFrame, version: int, part: str = "m") -> int:
    files = tables.written(MEASUREMENTS, ORG, part, frame=frame)
    manifest = json.loads(json.dumps([f.as_json() for f in files]))
    return tables.commit(MEASUREMENTS, ORG, part, files=[AddFile(**m) for m in manifest], app_id="ingest", app_version=version)


def numbers(tables: Lake, part: str = "m", version: int | None = None) -> list[int]:
    return sorted(tables.scan(MEASUREMENTS, ORG, part, columns=COLUMNS, version=version).collect()["account_number"].to_list())


def test_a_table_that_was_never_written_is_empty_with_its_columns(tables: Lake) -> None:
    frame = tables.scan(MEASUREMENTS, ORG, "m", columns=COLUMNS).collect()
    assert frame.is_empty()
    assert dict(frame.schema) == {**MEASUREMENTS.schema, **COLUMNS}
    assert tables.version(MEASUREMENTS, ORG, "m") is None
    assert not tables.exists(MEASUREMENTS, ORG, "m")


def test_a_commit_is_visible_at_once_and_not_before(tables: Lake) -> None:
    files = tables.written(MEASUREMENTS, ORG, "m", frame=rows(1, 2))
    assert not tables.exists(MEASUREMENTS, ORG, "m")
    tables.commit(MEASUREMENTS, ORG, "m", files=files, app_id="ingest", app_version=1)
    frame = tables.scan(MEASUREMENTS, ORG, "m", columns=COLUMNS).collect()
    assert frame["qty"].to_list() == [Decimal("0.142857142857"), Decimal("0.285714285714")]
    assert frame["date"].to_list() == [date(2025, 1, 1)] * 2
    assert frame["region"].to_list() == [None, None]


def test_the_same_batch_committed_again_changes_nothing(tables: Lake) -> None:
    first = add(tables, rows(1), 1)
    assert add(tables, rows(1), 1) == first
    add(tables, rows(2), 2)
    add(tables, rows(1), 1)
    assert numbers(tables) == [1, 2]
    # Another process sees the same.
    assert add(Lake(tables.root), rows(2), 2) == tables.version(MEASUREMENTS, ORG, "m")


def test_new_columns_join_the_table_and_are_null_in_older_files(tables: Lake) -> None:
    add(tables, rows(1), 1)
    add(tables, rows(2, region=pl.Series(["eu"])), 2)
    frame = tables.scan(MEASUREMENTS, ORG, "m", columns=COLUMNS).sort("account_number").collect()
    assert frame["region"].to_list() == [None, "eu"]


def test_a_pinned_version_stays_readable_after_compaction(tables: Lake) -> None:
    for n in range(1, 10):
        add(tables, rows(n), n)
    version = tables.version(MEASUREMENTS, ORG, "m")
    before = len(list(Path(tables.table(MEASUREMENTS, ORG, "m")).glob("date=*/*.parquet")))
    done = tables.compact(MEASUREMENTS, ORG, "m", merged=lambda f: f.sort("account_number"))
    assert done == [{"date": "2025-01-01"}]
    assert before == 9
    assert numbers(tables) == numbers(tables, version=version) == list(range(1, 10))
    assert len(tables._handles.newest(tables.table(MEASUREMENTS, ORG, "m")).files) == 1  # type: ignore[union-attr]
    assert tables.compact(MEASUREMENTS, ORG, "m", merged=lambda f: f) == []
    assert add(tables, rows(1), 9) == tables.version(MEASUREMENTS, ORG, "m")


def test_replace_touches_only_the_partition_named(tables: Lake) -> None:
    add(tables, pl.concat([rows(1, 2), rows(3, day=date(2025, 1, 2))]), 1)
    tables.replace(MEASUREMENTS, ORG, "m", frame=rows(7), predicate={"date": date(2025, 1, 1)})
    assert numbers(tables) == [3, 7]
    tables.replace(MEASUREMENTS, ORG, "m", frame=rows(8, day=date(2025, 1, 3)))
    assert numbers(tables) == [8]
    tables.replace(MEASUREMENTS, ORG, "m", frame=rows(), predicate={"date": date(2025, 1, 3)})
    assert numbers(tables) == []


def test_replace_refuses_rows_and_columns_outside_of_its_predicate(tables: Lake) -> None:
    with pytest.raises(ValueError, match="partitioned by"):
        tables.replace(MEASUREMENTS, ORG, "m", frame=rows(1), predicate={"uid": "u1"})
    with pytest.raises(ValueError, match="rows outside"):
        tables.replace(MEASUREMENTS, ORG, "m", frame=rows(1), predicate={"date": date(2025, 1, 2)})


def test_concurrent_writers_all_succeed(tables: Lake) -> None:
    def write(writer: int) -> None:
        own = Lake(tables.root)
        for n in range(5):
            files = own.written(MEASUREMENTS, ORG, "m", frame=rows(writer * 10 + n))
            own.commit(MEASUREMENTS, ORG, "m", files=files, app_id=f"writer-{writer}", app_version=n + 1)

    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert numbers(tables) == [w * 10 + n for w in range(4) for n in range(5)]


def test_tables_of_other_organizations_and_parts_are_apart(tables: Lake) -> None:
    add(tables, rows(1), 1, part="m")
    add(tables, rows(2), 1, part="numeric.größe.$x")
    assert numbers(tables, "m") == [1]
    assert numbers(tables, "numeric.größe.$x") == [2]
    assert tables.scan(MEASUREMENTS, "11111111-1111-4111-8111-111111111111", "m").collect().is_empty()


def test_folder_names_are_plain_short_and_distinct() -> None:
    names = ["a.b", "a~b", "a b", "aéb", "x" * 400, "x" * 401, "a/../b"]
    assert len({folder_name(n) for n in names}) == len(names)
    assert all(len(folder_name(n)) <= 120 and "/" not in folder_name(n) for n in names)


def test_nested_columns_and_statistics_survive(tables: Lake) -> None:
    frame = pl.DataFrame(schema=BILL_LINE_ITEMS.schema)
    row = frame.clear(1).with_columns(bill_date=pl.lit(date(2025, 2, 1)), bill_id=pl.lit("b"))
    files = tables.written(BILL_LINE_ITEMS, ORG, frame=row)
    assert json.loads(files[0].stats)["numRecords"] == 1
    tables.commit(BILL_LINE_ITEMS, ORG, files=files, app_id="bills", app_version=1)
    assert tables.scan(BILL_LINE_ITEMS, ORG).collect().equals(row)


def test_rows_of_the_wrong_shape_are_refused(tables: Lake) -> None:
    with pytest.raises(SchemaMismatch, match="account_number"):
        tables.written(DAILY_AGGREGATES, ORG, "m", "numeric", frame=pl.DataFrame({"date": [date(2025, 1, 1)], "month": [date(2025, 1, 1)]}))
