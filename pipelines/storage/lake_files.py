"""Parquet files of a Delta table before they are committed: how they are laid out, written and described.

Put here what concerns one file: its path, row groups, statistics, durability. Keep out tables and commits (lake.py).
"""

import io
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from deltalake import Schema
from deltalake._internal import DeltaFileSystemHandler
from deltalake.transaction import AddAction

ROW_GROUP_ROWS = 100_000
#: Strings longer than this carry no statistics: they would bloat the log and skip nothing.
LONGEST_STATISTIC = 32


@dataclass(frozen=True)
class AddFile:
    """A Parquet file that is written but not yet visible; all values are JSON, so that a manifest can hold it.

    Attributes:
        path: Relative to the table, ``date=2025-01-01/<uuid>.parquet``.
        size: Bytes.
        partition_values: Partition column -> value as text, null for none.
        stats: Delta statistics (numRecords, minValues, maxValues, nullCount) as JSON text.
        fields: Delta schema (JSON text) of all the table's columns that the file's writer knew.
        row_count: Number of rows.
    """

    path: str
    size: int
    partition_values: dict[str, str | None]
    stats: str
    fields: str
    row_count: int

    def as_json(self) -> dict[str, Any]:
        """The file as plain JSON values; ``AddFile(**value)`` reads it back."""
        return asdict(self)

    def action(self, *, data_change: bool = True) -> AddAction:
        """The add action of a Delta commit."""
        return AddAction(self.path, self.size, self.partition_values, int(time.time() * 1000), data_change, self.stats)


def delta_schema(schema: pl.Schema) -> Schema:
    """The Delta schema of a Polars schema."""
    return Schema.from_arrow(pl.DataFrame(schema=schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema)


def _partition_text(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, date) else None if value is None else str(value)


def _has_statistics(dtype: pl.DataType) -> bool:
    return dtype.is_integer() or dtype in (pl.Date, pl.String)


def statistics(frame: pl.DataFrame) -> str:
    """Delta statistics of a file's columns: counts of nulls for all, least and greatest of dates, integers and short strings."""
    columns = [name for name, dtype in frame.schema.items() if _has_statistics(dtype)]
    row = frame.select(
        *(pl.col(c).min().name.prefix("min:") for c in columns),
        *(pl.col(c).max().name.prefix("max:") for c in columns),
        *(pl.col(c).str.len_bytes().max().name.prefix("len:") for c in columns if frame.schema[c] == pl.String),
    ).row(0, named=True)
    kept = [c for c in columns if row[f"min:{c}"] is not None and (row.get(f"len:{c}") or 0) <= LONGEST_STATISTIC]
    return msgspec.json.encode(
        {
            "numRecords": frame.height,
            "minValues": {c: row[f"min:{c}"] for c in kept},
            "maxValues": {c: row[f"max:{c}"] for c in kept},
            "nullCount": {c: n for c, n in zip(frame.columns, frame.null_count().row(0), strict=True) if not frame.schema[c].is_nested()},
        }
    ).decode()


def partitions(frame: pl.DataFrame, partition_by: Sequence[str]) -> Iterator[tuple[dict[str, str | None], pl.DataFrame]]:
    """The frame's partitions, each without its partition columns and in the frame's order."""
    if not partition_by:
        yield {}, frame
        return
    for key, part in frame.partition_by(*partition_by, as_dict=True, include_key=False, maintain_order=True).items():
        yield dict(zip(partition_by, map(_partition_text, key), strict=True)), part


def _durable(path: Path, content: pl.DataFrame, level: int) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        content.write_parquet(file, compression="zstd", compression_level=level, row_group_size=ROW_GROUP_ROWS, statistics=True)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _uploaded(handler: DeltaFileSystemHandler, path: str, content: pl.DataFrame, level: int) -> int:
    buffer = io.BytesIO()
    content.write_parquet(buffer, compression="zstd", compression_level=level, row_group_size=ROW_GROUP_ROWS, statistics=True)
    # The wrapper in deltalake.fs hands over buffers that this stream does not take.
    stream = handler.open_output_stream(path)
    stream.write(buffer.getvalue())
    stream.close()  # type: ignore[attr-defined]  # it has one, its stub has not
    return buffer.getbuffer().nbytes


def written_files(
    uri: str, frame: pl.DataFrame, *, partition_by: Sequence[str], storage_options: dict[str, str] | None, level: int = 1
) -> list[AddFile]:
    """One durable Parquet file per partition below ``uri``; nothing refers to them yet.

    Args:
        uri: The table.
        frame: Rows with the partition columns, in the order that they shall have inside each file.
        partition_by: Partition columns, in the order of the folders.
        storage_options: For object stores; None for a folder.
        level: zstd level, 1 for hot data.
    """
    fields = delta_schema(frame.schema).to_json()
    handler = DeltaFileSystemHandler(uri, storage_options) if "://" in uri else None

    def one(item: tuple[dict[str, str | None], pl.DataFrame]) -> AddFile:
        values, part = item
        folder = "".join(f"{name}={value or '__HIVE_DEFAULT_PARTITION__'}/" for name, value in values.items())
        path = f"{folder}{uuid.uuid4()}.parquet"
        size = _uploaded(handler, path, part, level) if handler else _durable(Path(uri) / path, part, level)
        return AddFile(path, size, values, statistics(part), fields, part.height)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, partitions(frame, partition_by)))
