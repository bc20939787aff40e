"""A table's log and files are thinned: the newest, the recent and the pinned versions stay readable by any Delta reader."""

import os
import re
import shutil
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from pipelines.storage.lake import CONFIGURATION
from pipelines.storage.lake_upkeep import Cleaned, cleaned

WEEK = timedelta(days=7)
TOMBSTONES = "delta.deletedFileRetentionDuration"


def aged(folder: Path, *, days: float, versions: range | None = None) -> None:
    """Let the table's files (or only the commits of these versions) be so old."""
    at = time.time() - days * 86_400
    commits = [] if versions is None else [folder / "_delta_log" / f"{version:020}.json" for version in versions]
    for path in commits or [path for path in folder.rglob("*") if path.is_file()]:
        os.utime(path, (at, at))


def log(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "_delta_log").iterdir())


def numbers(folder: Path, version: int | None = None) -> list[int]:
    """As a program that knows nothing of us reads it."""
    return sorted(pl.scan_delta(DeltaTable(str(folder), version=version)).collect()["n"].to_list())


def appended(folder: Path, *values: int) -> None:
    for n in values:
        write_deltalake(folder, pl.DataFrame({"n": [n]}), mode="append", configuration=CONFIGURATION)


@pytest.fixture(scope="module")
def trickle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 300 commits, to be copied: version n holds the numbers 0 to n."""
    folder = tmp_path_factory.mktemp("trickle") / "table"
    appended(folder, *range(300))
    return folder


@pytest.fixture
def table(trickle: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "table"
    shutil.copytree(trickle, folder)
    return folder


def test_pinned_versions_and_the_newest_stay_and_the_log_is_small(table: Path) -> None:
    aged(table, days=8)
    done = cleaned(str(table), None, pinned=[133, 171], history=WEEK)
    assert done.log_files > 290
    assert len(log(table)) <= 10
    assert numbers(table, 133) == list(range(134))
    assert numbers(table, 171) == list(range(172))
    assert numbers(table) == list(range(300))
    for version in (5, 134, 170, 250):
        with pytest.raises((DeltaError, FileNotFoundError)):
            numbers(table, version)
    # A second round, and a table that went on, are as good.
    before = log(table)
    assert cleaned(str(table), None, pinned=[133, 171], history=WEEK) == Cleaned()
    assert log(table) == before
    appended(table, 300, 301)
    assert numbers(table) == list(range(302))
    assert numbers(table, 133) == list(range(134))


def test_a_handle_of_before_finds_the_newest_version_beyond_the_gap(table: Path) -> None:
    handle = DeltaTable(str(table), version=20)
    aged(table, days=8)
    cleaned(str(table), None, pinned=[133], history=WEEK)
    handle.update_incremental()
    assert sorted(pl.scan_delta(handle).collect()["n"].to_list()) == list(range(300))


def test_every_version_of_the_history_stays_also_the_one_in_force_at_its_beginning(table: Path) -> None:
    aged(table, days=8)
    aged(table, days=1, versions=range(231, 300))
    cleaned(str(table), None, pinned=[], history=WEEK)
    for version in range(230, 300):
        assert DeltaTable(str(table), version=version).version() == version
    assert numbers(table, 230) == list(range(231))
    assert numbers(table) == list(range(300))
    assert not any(name.startswith(f"{100:020}") for name in log(table))


def test_neighbours_share_a_checkpoint(table: Path) -> None:
    aged(table, days=8)
    cleaned(str(table), None, pinned=range(120, 128), history=WEEK)
    assert [name for name in log(table) if "checkpoint.parquet" in name and name < f"{130:020}"] == [f"{120:020}.checkpoint.parquet"]
    for version in range(120, 128):
        assert numbers(table, version) == list(range(version + 1))


def test_replaced_files_go_after_the_history_unless_a_pinned_version_has_them(table: Path) -> None:
    write_deltalake(table, pl.DataFrame({"n": list(range(300))}), mode="overwrite")
    aged(table, days=8)
    assert cleaned(str(table), None, pinned=[10], history=WEEK).data_files == 0, "they were replaced today"
    commit = table / "_delta_log" / f"{300:020}.json"
    of_today = re.search(r'"deletionTimestamp":(\d+)', commit.read_text())
    assert of_today is not None
    commit.write_text(re.sub(r'"deletionTimestamp":\d+', f'"deletionTimestamp":{int(of_today[1]) - 8 * 86_400_000}', commit.read_text()))
    aged(table, days=8)
    assert cleaned(str(table), None, pinned=[10], history=WEEK).data_files == 300 - 11
    assert numbers(table, 10) == list(range(11))
    assert numbers(table) == list(range(300))


def test_a_pinned_version_that_is_gone_does_not_hold_up_the_rest(table: Path) -> None:
    aged(table, days=8)
    cleaned(str(table), None, pinned=[], history=WEEK)
    appended(table, *range(300, 420))
    aged(table, days=8)
    assert cleaned(str(table), None, pinned=[40, 320, 9999], history=WEEK).log_files > 100
    assert numbers(table, 320) == list(range(321))
    assert numbers(table) == list(range(420))


def test_checkpoints_tell_of_replaced_files_as_long_as_the_history(table: Path) -> None:
    cleaned(str(table), None, pinned=[], history=timedelta(days=30))
    assert DeltaTable(str(table)).metadata().configuration[TOMBSTONES] == "interval 30 days"
    version = DeltaTable(str(table)).version()
    cleaned(str(table), None, pinned=[], history=timedelta(days=30))
    assert DeltaTable(str(table)).version() == version


def test_a_short_history_is_refused(table: Path) -> None:
    with pytest.raises(ValueError, match="running readers and batches would lose their files"):
        cleaned(str(table), None, pinned=[], history=timedelta(days=6))
