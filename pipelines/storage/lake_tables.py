"""Open Delta tables: cached handles, so that a query finds a table's files within a millisecond.

Put here how a table is opened and scanned. Keep out writing (lake.py).
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property

import polars as pl
from deltalake import DeltaTable, Schema
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction

LONGEST_FOLDER = 120


def folder_name(part: str) -> str:
    """An injective spelling of any text as one folder name that needs no escaping in a uri."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else f"~{ord(c):x}~" for c in part)
    return plain if len(plain) <= LONGEST_FOLDER else f"{plain[:80]}~{hashlib.sha256(part.encode()).hexdigest()[:32]}"


class Handle:
    """One version of one table. Immutable: a newer version is another handle."""

    def __init__(self, uri: str, delta: DeltaTable) -> None:
        self.delta = delta
        self.version = delta.version()
        self.schema: Schema = delta.schema()
        self._uri = uri
        # Taken now: ``delta`` moves on when the next handle is made from it.
        self._actions = pl.DataFrame(delta.get_add_actions(flatten=True))

    @cached_property
    def files(self) -> list[AddAction]:
        """The version's files, by path."""
        prefix = "partition."
        keys = [c for c in self._actions.columns if c.startswith(prefix)]
        rows = self._actions.select("path", "size_bytes", pl.col(keys).cast(pl.String)).sort("path").iter_rows()
        names = [k.removeprefix(prefix) for k in keys]
        return [AddAction(path, size, dict(zip(names, values, strict=True)), 0, True, "{}") for path, size, *values in rows]

    def files_in(self, values: Mapping[str, str | None]) -> list[AddAction]:
        """The files of the partitions with these values."""
        return [f for f in self.files if all(f.partition_values[name] == value for name, value in values.items())]

    def crowded(self, small_files: int, small_bytes: int) -> list[tuple[dict[str, str | None], list[AddAction]]]:
        """Partitions with at least ``small_files`` files below ``small_bytes``, with those files."""
        groups: dict[tuple[tuple[str, str | None], ...], list[AddAction]] = {}
        for file in self.files:
            if file.size < small_bytes:
                groups.setdefault(tuple(file.partition_values.items()), []).append(file)
        return [(dict(key), group) for key, group in groups.items() if len(group) >= small_files]

    def scanned(
        self,
        wanted: Mapping[str, pl.DataType | type[pl.DataType]],
        partition_by: Sequence[str],
        storage_options: dict[str, str] | None,
        *,
        paths: Sequence[str] | None = None,
    ) -> pl.LazyFrame:
        """The wanted columns of the version's files (or of some of them); null where a file lacks one."""
        names = self._actions["path"].sort().to_list() if paths is None else list(paths)
        if not names:
            return pl.LazyFrame(schema=dict(wanted))
        # Polars takes every key=value folder for a partition, also those above the table; select drops them again.
        above = {part.partition("=")[0]: pl.String for part in self._uri.split("/") if "=" in part}
        hive = {**above, **{name: wanted[name] for name in partition_by}}
        return pl.scan_parquet(
            [f"{self._uri}/{name}" for name in names],
            glob=False,
            hive_partitioning=True,
            hive_schema=hive,
            schema={**hive, **wanted},
            missing_columns="insert",
            extra_columns="ignore",
            storage_options=storage_options,
        ).select(*wanted)


class Handles:
    """The handles of a process, one per table and a few pinned ones; safe between threads."""

    PINNED = 256

    def __init__(self, storage_options: dict[str, str] | None) -> None:
        self._storage_options = storage_options
        self._newest: dict[str, Handle] = {}
        self._pinned: dict[tuple[str, int], Handle] = {}
        self._locks: dict[str, threading.Lock] = {}

    def newest(self, uri: str) -> Handle | None:
        """The table as it is now; None when there is none."""
        with self._locks.setdefault(uri, threading.Lock()):
            known = self._newest.get(uri)
            if known is None:
                known = self._opened(uri, None)
            else:
                known.delta.update_incremental()
                if known.delta.version() != known.version:
                    known = Handle(uri, known.delta)
            if known is not None:
                self._newest[uri] = known
            return known

    def pinned(self, uri: str, version: int) -> Handle | None:
        """The table as of a version."""
        with self._locks.setdefault(uri, threading.Lock()):
            known = self._pinned.pop((uri, version), None) or self._opened(uri, version)
            if known is not None:
                self._pinned[uri, version] = known
            for key in list(self._pinned)[: -self.PINNED]:
                self._pinned.pop(key, None)
            return known

    def _opened(self, uri: str, version: int | None) -> Handle | None:
        try:
            return Handle(uri, DeltaTable(uri, version=version, storage_options=self._storage_options))
        except TableNotFoundError:
            return None
