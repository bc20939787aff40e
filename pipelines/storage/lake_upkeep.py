"""How one Delta table is kept small: log files and data files that no version worth keeping needs are deleted.

Worth keeping is every version of the last days (the history), and older ones that something was computed from (pinned). A
worker that takes in a trickle commits every two seconds, some 43,000 log files a day and table, so the log must be thinned,
and with it the files that compaction replaced.

A version can be opened when a checkpoint at or before it is there and every commit in between. So each pinned version
gets a checkpoint of its own, after which the log around it may go; deltalake's own ``cleanup_metadata`` knows only an age.
A checkpoint of an old version leaves ``_last_checkpoint`` as it is. The data files of pinned versions are named to
``vacuum`` (keep_versions): a vacuum by any other program deletes them.

Put here what is true of any Delta table. Keep out which versions are pinned (maintenance.py).
"""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deltalake import DeltaTable
from deltalake._internal import DeltaFileSystemHandler
from deltalake.exceptions import DeltaError

from transforms.errors import Unavailable

#: Shorter, and running readers and batches would lose their files.
SHORTEST_HISTORY = timedelta(days=7)
#: Commits between a checkpoint and a pinned version from which a checkpoint of its own is less than the commits.
COMMITS_MAX = 10
_CHECKPOINT = ".checkpoint.parquet"
_COMMIT = ".json"
_TOMBSTONES = "delta.deletedFileRetentionDuration"


@dataclass(frozen=True)
class Cleaned:
    """How many files were deleted."""

    data_files: int = 0
    log_files: int = 0

    def __add__(self, other: "Cleaned") -> "Cleaned":
        return Cleaned(self.data_files + other.data_files, self.log_files + other.log_files)


@dataclass(frozen=True)
class _Log:
    """The files of ``_delta_log`` that belong to one version each.

    Attributes:
        files: (version, path, when it was written), sorted.
        commits: Versions whose commit is there, sorted.
        checkpoints: Versions with a checkpoint, sorted.
    """

    files: Sequence[tuple[int, str, datetime]]
    commits: Sequence[int]
    checkpoints: Sequence[int]

    def base(self, version: int) -> int | None:
        """The newest checkpoint at or before the version."""
        position = bisect_right(self.checkpoints, version)
        return self.checkpoints[position - 1] if position else None

    def has_commits(self, first: int, last: int) -> bool:
        """Whether every commit from ``first`` to ``last`` is there."""
        return bisect_right(self.commits, last) - bisect_right(self.commits, first - 1) == last - first + 1

    def is_readable(self, version: int) -> bool:
        """Whether the version can be opened."""
        base = self.base(version)
        return self.has_commits((base if base is not None else -1) + 1, version)

    def in_force(self, at: datetime) -> int | None:
        """The newest version written before the instant."""
        return max((version for version, path, written_at in self.files if path.endswith(_COMMIT) and written_at < at), default=None)


def _log(handler: DeltaFileSystemHandler) -> _Log:
    found = handler.get_file_info_selector("_delta_log", False, False)
    files = sorted((int(name[:20]), one.path, one.mtime) for one in found if (name := one.path.rsplit("/", 1)[-1])[:20].isdigit())

    def versions(suffix: str) -> list[int]:
        return [version for version, path, _ in files if path.endswith(f"{version:020}{suffix}")]

    return _Log(files=files, commits=versions(_COMMIT), checkpoints=versions(_CHECKPOINT))


def cleaned(uri: str, storage_options: dict[str, str] | None, *, pinned: Collection[int], history: timedelta) -> Cleaned:
    """Delete what neither a pinned version needs nor one of the history; what was deleted.

    Args:
        uri: The table; it must exist.
        storage_options: For object stores; None for a folder.
        pinned: Versions to keep at any age; those that can't be read any more are passed over.
        history: Versions replaced longer ago are not kept, at least 7 days.

    Raises:
        Unavailable: The store is away, or another writer came in between too often.
    """
    if history < SHORTEST_HISTORY:
        raise ValueError(f"a history of {history} is below {SHORTEST_HISTORY}: running readers and batches would lose their files")
    handler = DeltaFileSystemHandler(uri, storage_options)
    before = datetime.now(UTC) - history
    try:
        _keep_tombstones(DeltaTable(uri, storage_options=storage_options), history)
        log = _log(handler)
        kept = sorted(version for version in set(pinned) if log.is_readable(version))
        # A handle of our own, as for commits.
        delta = DeltaTable(uri, storage_options=storage_options)
        deleted = delta.vacuum(
            int(history.total_seconds() // 3600), dry_run=False, enforce_retention_duration=False, full=True, keep_versions=kept or None
        )
        return Cleaned(len(deleted), _thinned(delta, handler, log, kept, before))
    except DeltaError as error:
        raise Unavailable(f"{uri} could not be cleaned: {error}") from error


def _keep_tombstones(delta: DeltaTable, history: timedelta) -> None:
    """Have the table's checkpoints tell of deleted files for as long as the history, and no longer: there is one per small file."""
    wanted = f"interval {history.days} days"
    if delta.metadata().configuration.get(_TOMBSTONES) != wanted:
        delta.alter.set_table_properties({_TOMBSTONES: wanted})


def _thinned(delta: DeltaTable, handler: DeltaFileSystemHandler, log: _Log, pinned: Sequence[int], before: datetime) -> int:
    """Delete the log files that no version in force since ``before`` needs and no pinned one; their number."""
    in_force = log.in_force(before)
    oldest = None if in_force is None else log.base(in_force)
    if oldest is None:
        return 0
    needed: set[int] = set()
    base: int | None = None
    for version in (v for v in pinned if v < oldest):
        if version in log.checkpoints:
            base = version
        elif base is None or version - base > COMMITS_MAX or not log.has_commits(base + 1, version):
            delta.load_as_version(version)
            delta.create_checkpoint()
            base = version
        needed |= set(range(base, version + 1))
    unneeded = [path for version, path, _ in log.files if version < oldest and version not in needed]
    for path in unneeded:
        handler.delete_file(path)
    return len(unneeded)
