"""SIGKILL under load: what was acknowledged is there exactly once, whatever process dies at whatever moment."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pipelines.storage import config_store
from pipelines.storage.database import Database
from pipelines.storage.ingest import drained, meter_usage
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from pipelines.storage.snapshots import configuration
from transforms.aggregations.states import merged_states
from transforms.aggregations.usage import StateSpec
from transforms.entities.usage import Meter

#: Appends measurements without uid (de-duplication must not help) from four threads; a line per acknowledged number.
WRITER = """
import json, sys, threading
from datetime import UTC, datetime
from pathlib import Path
from pipelines.storage.landing import Landing
root, org_id, start = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
landing = Landing(root, segment_bytes=20_000)
lock = threading.Lock()
def run(thread):
    number = start + thread * 100_000
    while True:
        batch = range(number, number + 3)
        items = [{"account": f"a{n % 7}", "meter": "calls", "ts": f"2025-01-{1 + n % 28:02}T10:00:00Z", "measure": {"qty": n}} for n in batch]
        landing.append_all(org_id, [json.dumps({"measurements": items}).encode()], datetime.now(UTC))
        with lock:
            print(*batch, flush=True)
        number += 3
for thread in range(4):
    threading.Thread(target=run, args=(thread,)).start()
"""

#: Ingests until its n-th fsync, and dies there.
INGESTER = """
import os, signal, sys
from pathlib import Path
url, lake_root, root, deadly = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
calls, fsync = 0, os.fsync
def counted(descriptor):
    global calls
    calls += 1
    if calls == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
os.fsync = counted
from pipelines.storage.database import Database
from pipelines.storage.ingest import ingested
from pipelines.storage.lake import Lake
database, lake = Database(url), Lake(lake_root)
while True:
    ingested(database, lake, root, limit_bytes=4000)
"""


def started(source: str, *arguments: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", source, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


def test_whatever_is_killed_acknowledged_usage_is_in_exactly_once(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> None:
    org_id, root = organization.org_id, tmp_path / "landing"
    fields = {"dataFields": [{"category": "MEASURE", "code": "qty", "name": "qty", "unit": "1"}], "derivedFields": []}
    with database.transaction() as connection:
        meter = config_store.created(connection, org_id, Meter.model_validate({"name": "calls", "code": "calls", **fields}), "test")
    acknowledged: set[int] = set()
    for round_, deadly in enumerate((3, 17, 40, 90)):
        writer = started(WRITER, root, org_id, round_ * 1_000_000)
        ingester = started(INGESTER, database.url, lake.root, root, deadly)
        assert writer.stdout is not None
        assert ingester.stdout is not None
        # The ingester dies by its own hand while the writer is at work; then the writer is killed.
        died = False
        while not died or len(acknowledged) < 300 * (round_ + 1):
            line = writer.stdout.readline()
            assert line, "the writer ended by itself"
            acknowledged.update(map(int, line.split()))
            died = ingester.poll() is not None
        assert ingester.returncode == -signal.SIGKILL
        os.kill(writer.pid, signal.SIGKILL)
        for line in writer.stdout:
            acknowledged.update(map(int, line.split() if line.endswith("\n") else []))
        for process in (writer, ingester):
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]
    drained(database, lake, root)
    with database.transaction() as connection:
        usage = meter_usage(database, lake, configuration(connection, org_id))[meter.id]
    numbers = Counter(map(int, usage.measurements.select("qty").collect()["qty"]))
    assert [n for n, times in numbers.items() if times != 1] == []
    assert acknowledged - set(numbers) == set()
    # What was not acknowledged may be in as well, but only whole calls.
    assert all(n + 1 in numbers and n + 2 in numbers for n in numbers if n % 100_000 % 3 == 0)
    states = merged_states(StateSpec(meter.id), meter, usage.states[StateSpec(meter.id)]).collect()
    assert (states["rows"].sum(), states["qty.sum"].sum()) == (len(numbers), sum(numbers))
    assert list(root.iterdir()) == []
