"""Measurements in files: JSON array, ``{"measurements": [...]}``, NDJSON, CSV and Parquet, as bodies for the landing log.

A file is read in chunks of at most 1000 measurements, each checked exactly as a call is (transforms/measurements/wire.py),
so whatever is refused over HTTP is refused here, with the row's number. Put here formats; the check is not here.

CSV and Parquet have the columns account, meter, ts, optionally uid and ets, and ``<category>.<code>`` for each field
(usage.md 2.10); an empty cell is a field that is not given.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from transforms.entities.usage import Category
from transforms.errors import EntityInvalid, FieldProblem, SchemaMismatch
from transforms.measurements.problems import MOST_ITEMS
from transforms.measurements.wire import BODY_LIMIT, checked

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_SYSTEM = ("account", "meter", "ts", "uid", "ets")
_CATEGORIES = {c.value.lower(): c for c in Category}


@dataclass(frozen=True)
class Chunk:
    """A body that is acceptable, ready for the landing log.

    Attributes:
        body: ``{"measurements": [...]}``.
        count: Number of measurements.
        first_row: Number of the first one in the file, from 1.
    """

    body: bytes
    count: int
    first_row: int


def file_bodies(path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[Chunk]:
    """The file's measurements, chunk by chunk.

    Args:
        path: A file; its format is told by its ending (.csv, .parquet, .ndjson, .jsonl) or, for others, by its content.
        now: The present instant, against which time stamps are checked.

    Raises:
        EntityInvalid: A measurement is not acceptable; the message names its row. Chunks before it were given out.
        SchemaMismatch: The file's form or columns are not those of its format.
    """
    for first_row, items in _chunked(_items(path)):
        yield from _bodies(items, first_row, now())


def row_count(path: Path) -> int | None:
    """How many measurements the file has where that is told without reading it (Parquet); for progress bars."""
    return int(pl.scan_parquet(path).select(pl.len()).collect().item()) if path.suffix.lower() in (".parquet", ".pq") else None


def _chunked(items: Iterable[Any]) -> Iterator[tuple[int, list[Any]]]:
    iterator, first_row = iter(items), 1
    while chunk := list(islice(iterator, MOST_ITEMS)):
        yield first_row, chunk
        first_row += len(chunk)


def _bodies(items: list[Any], first_row: int, now: datetime) -> Iterator[Chunk]:
    body = b'{"measurements":[' + b",".join([item if isinstance(item, bytes) else _ENCODER.encode(item) for item in items]) + b"]}"
    if len(body) >= BODY_LIMIT and len(items) > 1:
        half = len(items) // 2
        yield from _bodies(items[:half], first_row, now)
        yield from _bodies(items[half:], first_row + half, now)
        return
    try:
        yield Chunk(body, checked(body, now=now), first_row)
    except EntityInvalid as error:
        raise (_by_row(error, first_row) if error.problems else _unreadable(items, first_row, error)) from None


def _unreadable(items: list[Any], first_row: int, error: EntityInvalid) -> EntityInvalid:
    """The error for the first line that is no JSON by itself."""
    for row, item in enumerate(items, start=first_row):
        if isinstance(item, bytes):
            try:
                json.loads(item)
            except ValueError as problem:
                return EntityInvalid.of(f"row {row}", f"row {row}: is not valid JSON: {problem}")
    return error


def _by_row(error: EntityInvalid, first_row: int) -> EntityInvalid:
    """The error with the file's row numbers in the place of the chunk's indexes."""

    def renamed(text: str) -> str:
        return re.sub(r"measurements\[(\d+)\]", lambda found: f"row {first_row + int(found[1])}", text)

    return EntityInvalid(renamed(error.message), tuple(FieldProblem(renamed(p.field), p.message) for p in error.problems))


def _items(path: Path) -> Iterator[Any]:
    match path.suffix.lower():
        case ".csv":
            return _csv_items(path)
        case ".parquet" | ".pq":
            return _parquet_items(path)
        case ".ndjson" | ".jsonl":
            return _lines(path)
    with path.open("rb") as file:
        start = file.read(4096).lstrip()
    if start.startswith(b"["):
        return _json_items(path)
    # A line that is a whole measurement is NDJSON; an object that goes on is the body of a call.
    first_line = start.split(b"\n", 1)[0]
    return _lines(path) if b'"account"' in first_line and b'"measurements"' not in first_line else _json_items(path)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if stripped := line.strip():
                yield stripped


def _json_items(path: Path) -> Iterator[bytes]:
    """The elements of a JSON array, or of the list in ``{"measurements": [...]}``, as they are written."""
    content = path.read_bytes()
    try:
        if content.lstrip().startswith(b"["):
            raws = msgspec.json.decode(content, type=list[msgspec.Raw])
        else:
            raws = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
            raws = msgspec.json.decode(bytes(raws.get("measurements", msgspec.Raw(b"null"))), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SchemaMismatch(
            f"{path.name} is neither a JSON list of measurements nor an object with the list measurements: {_json_problem(content, error)}"
        ) from None
    return (bytes(raw) for raw in raws)


def _json_problem(content: bytes, error: Exception) -> str:
    try:
        json.loads(content)
    except json.JSONDecodeError as found:
        return f"{found.msg} at line {found.lineno}, column {found.colno}"
    except UnicodeDecodeError as found:
        return f"not UTF-8 at byte {found.start}"
    return str(error)


def _checked_columns(path: Path, columns: Iterable[str]) -> dict[str, tuple[Category, str]]:
    """Column -> category and field code, of the columns that are fields."""
    names = list(columns)
    fields: dict[str, tuple[Category, str]] = {}
    for name in names:
        category, dot, code = name.partition(".")
        if name in _SYSTEM:
            continue
        if not dot or category not in _CATEGORIES or not code:
            right = f"{', '.join(_SYSTEM)} and <category>.<code> with a category of {', '.join(_CATEGORIES)}"
            raise SchemaMismatch(f"{path.name} has the column {name!r}; the columns are {right}")
        fields[name] = (_CATEGORIES[category], code)
    missing = [name for name in ("account", "meter", "ts") if name not in names]
    if missing or len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        said = f"lacks the columns {', '.join(missing)}" if missing else f"has the columns {', '.join(twice)} more than once"
        raise SchemaMismatch(f"{path.name} {said}")
    return fields


def _csv_items(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from _csv_rows(path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise SchemaMismatch(f"{path.name} is not a CSV file in UTF-8: {error}") from None


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader, [])]
        fields = _checked_columns(path, header)
        for number, cells in enumerate(filter(None, reader), start=1):
            if len(cells) != len(header):
                raise EntityInvalid(f"row {number}: has {len(cells)} cells; the header of {path.name} has {len(header)}")
            yield _measurement(dict(zip(header, cells, strict=True)), fields, number)


def _parquet_items(path: Path) -> Iterator[dict[str, Any]]:
    frame = pl.scan_parquet(path)
    try:
        fields = _checked_columns(path, frame.collect_schema().names())
    except pl.exceptions.PolarsError as error:
        raise SchemaMismatch(f"{path.name} is not a Parquet file: {error}") from None
    total, number = row_count(path) or 0, 0
    for start in range(0, total, 50_000):
        try:
            rows = frame.slice(start, 50_000).collect()
        except pl.exceptions.PolarsError as error:
            raise SchemaMismatch(f"{path.name} is damaged after row {number}: {error}") from None
        for row in rows.iter_rows(named=True):
            number += 1
            yield _measurement(row, fields, number)


def _measurement(row: Mapping[str, Any], fields: Mapping[str, tuple[Category, str]], number: int) -> dict[str, Any]:
    item: dict[str, Any] = {name: _system(name, row[name]) for name in _SYSTEM if row.get(name) not in (None, "")}
    for name, (category, code) in fields.items():
        value = row[name]
        if value is None or (value == "" and category.is_numeric):
            continue
        item.setdefault(category.value.lower(), {})[code] = _number(value, name, number) if category.is_numeric else _text(value)
    return item


def _system(name: str, value: Any) -> Any:
    if name in ("ts", "ets"):
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return value  # the check names what is wrong
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return str(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date) else str(value)


def _number(value: Any, name: str, row: int) -> Any:
    """The number with exactly the digits given; a float has the fewest digits that mean it."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return value
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise EntityInvalid.of(
            f"row {row}.{name}", f"row {row}.{name}: is {value!r}; it must be a number with a point, without thousands separators"
        ) from None
    if not number.is_finite():
        raise EntityInvalid.of(f"row {row}.{name}", f"row {row}.{name}: is {value!r}; it must be a finite number")
    return number
