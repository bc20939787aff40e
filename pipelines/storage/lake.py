"""The lake: Delta tables by dataset and organization, how they are read, added to and replaced.

Put here what is true of every table: its place, its commits, its cached handle. Keep out what the rows mean
(transforms/datasets.py) and when they are written (ingest.py, bill_store.py).

Every commit is one atomic transaction. An app id and version make it idempotent: a commit whose version the table has
already seen is skipped, so that a crashed writer repeats its work from a manifest (DECISIONS 16).
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction, write_deltalake
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from pipelines.storage.lake_files import AddFile, delta_schema, written_files
from pipelines.storage.lake_tables import Handle, Handles, folder_name
from pipelines.storage.lake_upkeep import SHORTEST_HISTORY, Cleaned, cleaned
from pipelines.storage.object_store import check_conditional_writes
from transforms.datasets import Dataset
from transforms.errors import Unavailable, VersionGone

ATTEMPTS = 20
CONFIGURATION: dict[str, str | None] = {
    # What deltalake deletes by itself at a checkpoint; versions that bills were computed from may become this old.
    "delta.logRetentionDuration": "interval 400 days",
    "delta.deletedFileRetentionDuration": f"interval {SHORTEST_HISTORY.days} days",
    "delta.checkpointInterval": "50",
}


def _new_fields(schema: Schema, files: Sequence[AddFile]) -> list[Field]:
    known = {f.name for f in schema.fields}
    return list({f.name: f for text in dict.fromkeys(a.fields for a in files) for f in Schema.from_json(text).fields if f.name not in known}.values())


def _files_in(values: Mapping[str, str | None], handle: Handle) -> Sequence[AddAction]:
    return handle.files_in(values)


class Lake:
    """All tables below one root, a folder or ``s3://bucket/prefix``.

    Args:
        root: Where the tables are.
        storage_options: Access to an object store, as deltalake and Polars spell it; None for a folder.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = root.rstrip("/") if "://" in root else str(Path(root).absolute())
        self.storage_options = dict(storage_options) if storage_options else None
        self._handles = Handles(self.storage_options)
        self._is_probed = "://" not in root

    def table(self, dataset: Dataset, org_id: str, *parts: str) -> str:
        """The uri of one table."""
        return "/".join((self.root, f"org={org_id}", dataset.name, *map(folder_name, parts)))

    def exists(self, dataset: Dataset, org_id: str, *parts: str) -> bool:
        """True when the table has been created."""
        return self._handles.newest(self.table(dataset, org_id, *parts)) is not None

    def version(self, dataset: Dataset, org_id: str, *parts: str) -> int | None:
        """The table's newest version; None when there is no table."""
        handle = self._handles.newest(self.table(dataset, org_id, *parts))
        return handle.version if handle else None

    def scan(
        self,
        dataset: Dataset,
        org_id: str,
        *parts: str,
        columns: Mapping[str, pl.DataType | type[pl.DataType]] | None = None,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """The rows of one table: declared columns, then ``columns``.

        Args:
            dataset: The dataset.
            org_id: The organization.
            parts: What further names the table (meter id, state key).
            columns: Open columns wanted, with their types; null where the table or a file does not have them.
            version: A pinned version; the newest by default.

        Raises:
            VersionGone: The pinned version is no longer kept.
        """
        return self._scanned(dataset, self._handle(version, dataset, org_id, *parts), columns or {}, None)

    def _handle(self, version: int | None, dataset: Dataset, org_id: str, *parts: str) -> Handle | None:
        """The table as of a version; of the newest one, None when there is no table."""
        uri = self.table(dataset, org_id, *parts)
        if version is None:
            return self._handles.newest(uri)
        try:
            handle = self._handles.pinned(uri, version)
        except DeltaError as error:
            raise VersionGone("/".join((dataset.name, *parts)), version) from error
        if handle is None:
            raise VersionGone("/".join((dataset.name, *parts)), version)
        return handle

    def files(self, dataset: Dataset, org_id: str, *parts: str, version: int | None = None) -> list[AddAction]:
        """The files of the table's newest version, or of a pinned one; none when there is no table."""
        handle = self._handle(version, dataset, org_id, *parts)
        return handle.files if handle else []

    def scan_files(
        self,
        dataset: Dataset,
        org_id: str,
        *parts: str,
        paths: Sequence[str],
        columns: Mapping[str, pl.DataType | type[pl.DataType]] | None = None,
    ) -> pl.LazyFrame:
        """As :meth:`scan`, of some of the table's files: what :meth:`files` told of them holds, whatever is committed since."""
        handle = self._handles.newest(self.table(dataset, org_id, *parts))
        return self._scanned(dataset, handle, columns or {}, paths)

    def _scanned(
        self, dataset: Dataset, handle: Handle | None, columns: Mapping[str, pl.DataType | type[pl.DataType]], paths: Sequence[str] | None
    ) -> pl.LazyFrame:
        wanted = {**dataset.schema, **columns}
        if handle is None:
            return pl.LazyFrame(schema=wanted)
        stored = pl.Schema(handle.schema.to_arrow()) if columns else {}
        # A field that changed its category is read as its table has it and cast, until ingest has rewritten the table.
        other = {name: stored[name] for name, dtype in columns.items() if name in stored and stored[name] != dtype}
        rows = handle.scanned({**wanted, **other}, dataset.partition_by, self.storage_options, paths=paths)
        return rows.with_columns(pl.col(name).cast(wanted[name], strict=False) for name in other) if other else rows

    def columns(self, dataset: Dataset, org_id: str, *parts: str) -> dict[str, pl.DataType]:
        """The open columns of the table's newest version, with their types."""
        handle = self._handles.newest(self.table(dataset, org_id, *parts))
        return {name: dtype for name, dtype in pl.Schema(handle.schema.to_arrow()).items() if name not in dataset.columns} if handle else {}

    def written(self, dataset: Dataset, org_id: str, *parts: str, frame: pl.DataFrame, level: int = 1) -> list[AddFile]:
        """Durable Parquet files of the rows, one per partition, visible only after :meth:`commit`; none for an empty frame."""
        if frame.is_empty():
            return []
        uri = self.table(dataset, org_id, *parts)
        return written_files(uri, dataset.checked(frame), partition_by=dataset.partition_by, storage_options=self.storage_options, level=level)

    def commit(self, dataset: Dataset, org_id: str, *parts: str, files: Sequence[AddFile], app_id: str, app_version: int) -> int:
        """Add the files to the table, creating it and its new columns as needed; the version that has them.

        Idempotent: skipped when the table has seen ``app_version`` (or a later one) of ``app_id``.
        """
        return self._committed(dataset, org_id, parts, files, removed=(), transaction=(app_id, app_version))

    def replace(
        self,
        dataset: Dataset,
        org_id: str,
        *parts: str,
        frame: pl.DataFrame,
        predicate: Mapping[str, Any] | None = None,
        transaction: tuple[str, int] | None = None,
    ) -> int:
        """Put the frame in the place of the rows that the predicate names, in one commit; the new version.

        Args:
            dataset: The dataset.
            org_id: The organization.
            parts: What further names the table.
            frame: The new rows; they must lie in the partitions that the predicate names.
            predicate: Partition column -> value; None replaces the whole table.
            transaction: (app id, version) that makes the replacement idempotent.
        """
        text = {name: None if value is None else str(value) for name, value in (predicate or {}).items()}
        if set(text) - set(dataset.partition_by):
            raise ValueError(f"{dataset.name} is partitioned by {dataset.partition_by}, not {sorted(text)}")
        files = self.written(dataset, org_id, *parts, frame=frame)
        outside = [f.path for f in files if any(f.partition_values[name] != value for name, value in text.items())]
        if outside:
            raise ValueError(f"rows outside of {text}: {outside}")
        return self._committed(dataset, org_id, parts, files, removed=partial(_files_in, text), transaction=transaction)

    def retype(self, dataset: Dataset, org_id: str, *parts: str, columns: Mapping[str, pl.DataType | type[pl.DataType]]) -> int | None:
        """Rewrite a table in which one of these open columns has another type; the new version, None when none has.

        Values that the new type can't hold become null. Earlier versions stay as they were.
        """
        stored = self.columns(dataset, org_id, *parts)
        changed = {name: dtype for name, dtype in columns.items() if name in stored and stored[name] != dtype}
        if not changed:
            return None
        rows = self.scan(dataset, org_id, *parts, columns=stored)
        frame = rows.with_columns(pl.col(name).cast(dtype, strict=False) for name, dtype in changed.items()).collect()
        uri = self.table(dataset, org_id, *parts)
        write_deltalake(
            uri, frame, mode="overwrite", schema_mode="overwrite", partition_by=list(dataset.partition_by), storage_options=self.storage_options
        )
        return self.version(dataset, org_id, *parts)

    def compact(
        self,
        dataset: Dataset,
        org_id: str,
        *parts: str,
        merged: Callable[[pl.LazyFrame], pl.LazyFrame],
        small_files: int = 8,
        small_bytes: int = 32 * 1024 * 1024,
        where: Callable[[Mapping[str, str | None]], bool] = lambda _: True,
        level: int = 1,
    ) -> list[dict[str, str | None]]:
        """Rewrite the small files of every partition that has at least ``small_files`` of them; the partitions rewritten.

        Args:
            dataset: The dataset.
            org_id: The organization.
            parts: What further names the table.
            merged: From the rows of a partition with all the table's columns to the rows as they shall be stored: sorted, or
                reduced to one row per key. It must keep the meaning of the rows.
            small_files: Number of small files that makes a partition worth the work.
            small_bytes: Files below this size are small.
            where: Which partitions to look at, by their values.
            level: zstd level of the new files.
        """
        uri = self.table(dataset, org_id, *parts)
        handle = self._handles.newest(uri)
        if handle is None:
            return []
        wanted = {**dataset.schema, **self.columns(dataset, org_id, *parts)}
        crowded = [(values, small) for values, small in handle.crowded(small_files, small_bytes) if where(values)]
        for _, small in crowded:
            frame = merged(handle.scanned(wanted, dataset.partition_by, self.storage_options, paths=[f.path for f in small])).collect()
            files = written_files(uri, dataset.checked(frame), partition_by=dataset.partition_by, storage_options=self.storage_options, level=level)
            self._committed(dataset, org_id, parts, files, removed=small, data_change=False)
        return [values for values, _ in crowded]

    def cleaned(self, dataset: Dataset, org_id: str, *parts: str, pinned: Collection[int], history: timedelta) -> Cleaned:
        """Delete the table's files that neither a version of the history needs nor a pinned one; see ``lake_upkeep.cleaned``."""
        uri = self.table(dataset, org_id, *parts)
        return cleaned(uri, self.storage_options, pinned=pinned, history=history) if self._handles.newest(uri) is not None else Cleaned()

    def _committed(
        self,
        dataset: Dataset,
        org_id: str,
        parts: Sequence[str],
        files: Sequence[AddFile],
        *,
        removed: Sequence[AddAction] | Callable[[Handle], Sequence[AddAction]],
        transaction: tuple[str, int] | None = None,
        data_change: bool = True,
    ) -> int:
        if not self._is_probed:
            check_conditional_writes(self.root, self.storage_options)
            self._is_probed = True
        uri = self.table(dataset, org_id, *parts)
        properties = CommitProperties(app_transactions=[Transaction(*transaction)] if transaction else None)
        for attempt in range(ATTEMPTS):
            try:
                handle = self._handles.newest(uri) or self._created(dataset, uri, files)
                if transaction and (handle.delta.transaction_version(transaction[0]) or -1) >= transaction[1]:
                    return handle.version
                handle = self._widened(uri, handle, files)
                old = [
                    RemoveAction(a.path, data_change, int(time.time() * 1000), a.size, dict(a.partition_values))
                    for a in (removed(handle) if callable(removed) else removed)
                ]
                new = [f.action(data_change=data_change) for f in files]
                if not old and not new and not transaction:
                    return handle.version
                # A handle of our own: a cached one must not move under a concurrent reader.
                delta = DeltaTable(uri, storage_options=self.storage_options)
                if delta.version() != handle.version:
                    continue
                delta.create_write_transaction([*new, *old], "append", handle.schema, list(dataset.partition_by), commit_properties=properties)
                delta.update_incremental()
                self._flush(uri, *range(handle.version + 1, delta.version() + 1))
                return delta.version()
            except DeltaError as error:
                if attempt == ATTEMPTS - 1:
                    raise Unavailable(f"{dataset.name} of organization {org_id} could not be committed: {error}") from error
                time.sleep(min(0.005 * 2**attempt, 0.5))
        raise Unavailable(f"{dataset.name} of organization {org_id} could not be committed: other writers won {ATTEMPTS} times")

    def _created(self, dataset: Dataset, uri: str, files: Sequence[AddFile]) -> Handle:
        declared = delta_schema(pl.Schema(dataset.schema))
        schema = Schema([*declared.fields, *_new_fields(declared, files)])
        DeltaTable.create(
            uri,
            schema,
            mode="ignore",
            partition_by=list(dataset.partition_by),
            name=dataset.name,
            description=f"One row per {dataset.grain}."[:4000],
            configuration=CONFIGURATION,
            storage_options=self.storage_options,
        )
        self._flush(uri, 0)
        handle = self._handles.newest(uri)
        assert handle is not None, f"{uri} was just created"
        return handle

    def _widened(self, uri: str, handle: Handle, files: Sequence[AddFile]) -> Handle:
        new = _new_fields(handle.schema, files)
        if not new:
            return handle
        delta = DeltaTable(uri, storage_options=self.storage_options)
        delta.alter.add_columns(new)
        delta.update_incremental()
        self._flush(uri, *range(handle.version + 1, delta.version() + 1))
        widened = self._handles.newest(uri)
        assert widened is not None, f"{uri} was just altered"
        return widened

    def _flush(self, uri: str, *versions: int) -> None:
        """Make commits of a local table survive a power cut, as its data files do."""
        if "://" in uri:
            return
        log = Path(uri) / "_delta_log"
        for path in (*(log / f"{version:020}.json" for version in versions), log):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
