"""Measurements in files: every format gives the same measurements, digits stay exact, and bad rows are named."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.storage.files import Chunk, file_bodies, row_count
from transforms.errors import EntityInvalid, SchemaMismatch
from transforms.money import DECIMAL

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
ITEMS: list[dict[str, Any]] = [
    {"account": "acme", "meter": "calls", "ts": "2025-01-05T10:00:00Z", "uid": "a", "where": {"region": "eu"}, "measure": {"qty": Decimal("0.10")}},
    {
        "account": "b, c",
        "meter": "calls",
        "ts": "2025-01-06T10:00:00Z",
        "uid": "b",
        "where": {"region": "ü"},
        "measure": {"qty": Decimal("12345678901234567890.123")},
    },
]
TEXTS = [
    '{"account":"acme","meter":"calls","ts":"2025-01-05T10:00:00Z","uid":"a","where":{"region":"eu"},"measure":{"qty":0.10}}',
    '{"account":"b, c","meter":"calls","ts":"2025-01-06T10:00:00Z","uid":"b","where":{"region":"ü"},"measure":{"qty":12345678901234567890.123}}',
]
CSV = """account,meter,uid,ts,where.region,measure.qty
acme,calls,a,2025-01-05T10:00:00Z,eu,0.10
"b, c",calls,b,2025-01-06 10:00:00,ü,12345678901234567890.123
"""


def chunks(path: Path) -> list[Chunk]:
    return list(file_bodies(path, now=lambda: NOW))


def items(path: Path) -> list[Any]:
    return [item for chunk in chunks(path) for item in json.loads(chunk.body, parse_float=Decimal)["measurements"]]


def file(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.json", "[" + ",\n".join(TEXTS) + "]"),
        ("call.json", '{"measurements": [\n' + ",".join(TEXTS) + "]}"),
        ("lines.ndjson", "\n".join(TEXTS) + "\n\n"),
        ("lines.txt", "\n".join(TEXTS)),
        ("table.csv", CSV),
        ("marked.csv", "\ufeff" + CSV),
    ],
)
def test_every_text_format_gives_the_same_measurements(tmp_path: Path, name: str, content: str) -> None:
    assert items(file(tmp_path, name, content)) == ITEMS


@pytest.mark.parametrize("is_text", [True, False])
def test_parquet_gives_the_same_measurements(tmp_path: Path, is_text: bool) -> None:
    frame = pl.DataFrame(
        {
            "account": ["acme", "b, c"],
            "meter": ["calls", "calls"],
            "uid": ["a", "b"],
            "ts": pl.Series(["2025-01-05T10:00:00", "2025-01-06T10:00:00"]).str.to_datetime(),
            "where.region": ["eu", "ü"],
            "measure.qty": ["0.10", "12345678901234567890.123"],
        }
    )
    path = tmp_path / "usage.parquet"
    frame.with_columns(pl.col("measure.qty") if is_text else pl.col("measure.qty").cast(DECIMAL)).write_parquet(path)
    assert items(path) == ITEMS
    assert row_count(path) == 2


def test_numbers_and_empty_cells_of_parquet_and_csv(tmp_path: Path) -> None:
    path = tmp_path / "usage.parquet"
    pl.DataFrame(
        {"account": [7], "meter": ["m"], "ts": ["2025-01-05T10:00:00+02:00"], "measure.a": [0.1], "measure.b": [2], "who.c": [None], "what.d": [3]}
    ).write_parquet(path)
    assert items(path) == [
        {"account": "7", "meter": "m", "ts": "2025-01-05T10:00:00+02:00", "measure": {"a": Decimal("0.1"), "b": 2}, "what": {"d": "3"}}
    ]
    csv = file(tmp_path, "t.csv", "account,meter,ts,measure.a,what.d\nx,m,2025-01-05T10:00:00Z,,\n")
    assert items(csv) == [{"account": "x", "meter": "m", "ts": "2025-01-05T10:00:00Z", "what": {"d": ""}}]


def test_files_come_in_chunks_of_a_thousand_and_under_the_limit(tmp_path: Path) -> None:
    path = file(tmp_path, "many.ndjson", "\n".join([TEXTS[0]] * 2500))
    assert [(c.count, c.first_row) for c in chunks(path)] == [(1000, 1), (1000, 1001), (500, 2001)]
    long = TEXTS[0][:-1] + ',"what":{"x":"' + "y" * 800 + '"}}'
    found = chunks(file(tmp_path, "long.ndjson", "\n".join([long] * 1000)))
    assert [(c.count, c.first_row) for c in found] == [(500, 1), (500, 501)]
    assert max(len(c.body) for c in found) < 512_000


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "account,meter,ts,qty\n", "column 'qty'"),
        ("a.csv", "account,ts\n", "lacks the columns meter"),
        ("a.csv", "account,meter,ts,ts\n", "has the columns ts more than once"),
        ("a.json", '{"usage": []}', "neither a JSON list"),
        ("a.json", '[{"account": "a",]', "line 1, column"),
        ("a.json", "", "neither a JSON list"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    with pytest.raises(SchemaMismatch) as refused:
        chunks(file(tmp_path, name, content))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", CSV + "x,calls,c,2025-01-06,eu,1e\n", "row 3.measure.qty: is '1e'; it must be a number"),
        ("a.csv", CSV + "x,calls,c,2025-01-06,eu\n", "row 3: has 5 cells"),
        ("a.csv", CSV + "x,calls,c,soon,eu,1\n", 'row 3.ts: is "soon"; it must be an ISO 8601'),
        ("a.csv", CSV + "x,,c,2025-01-06,eu,1\n", "row 3.meter: is missing"),
        (
            "a.ndjson",
            "\n".join([*[TEXTS[0]] * 1200, '{"account":"a","meter":"m","ts":"2025-01-05T10:00:00Z","measure":{"q":"1"}}']),
            "row 1201.measure.q",
        ),
        ("a.ndjson", TEXTS[0] + "\nnot json\n", "row 2: is not valid JSON"),
        ("a.csv", CSV + "x,calls,c,2025-01-06,\x00,1\n".replace("2025-01-06", "soon"), "row 3.ts"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    with pytest.raises(EntityInvalid) as refused:
        chunks(file(tmp_path, name, content))
    assert words in refused.value.message


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    frame = pl.DataFrame({"account": ["a"] * 9, "meter": ["m"] * 9, "ts": ["2025-01-05T10:00:00Z"] * 9, "measure.n": [1.5] * 9})
    frame.write_parquet(path, compression="uncompressed")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 60 + content[64:])
    with pytest.raises(SchemaMismatch, match=r"damaged\.parquet is damaged after row 0"):
        chunks(path)
