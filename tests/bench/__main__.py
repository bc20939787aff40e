"""``make bench``: ingest over HTTP, bill runs beside hand-written DuckDB SQL and on mixed terms, the Data Explorer. Ratios of one run.

Options: ``--rows`` and ``--accounts`` of the month (10 million, 100,000), ``--folder`` to keep and use it again.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from pipelines.storage import apply, organizations
from pipelines.storage.database import connected, migrated
from pipelines.storage.ingest import backlog, drained
from pipelines.storage.lake import Lake
from pipelines.storage.settings import settings_of
from tests.bench import explorer, http_ingest, mixed, workload
from tests.bench.installation import account_file, installed
from tests.bench.part import LINE
from transforms.datasets import MEASUREMENTS

OUT = Console()
GOALS = {"states": 0.5, "detail": 0.8}
COMPETITORS = {
    "states": "from states by month and day",
    "detail": "from detail",
    "duckdb_bill": "DuckDB, the same line items",
    "duckdb_amounts": "DuckDB, amounts only",
}


def prepared(folder: Path, rows: int, accounts: int) -> dict[str, Any]:
    """The installation's facts; it is made when the folder is new."""
    known = folder / "facts.json"
    if known.exists():
        return dict(json.loads(known.read_text()))
    (folder / "out").mkdir(parents=True)
    settings = settings_of(folder / "home")
    started = time.perf_counter()
    database, lake = connected(settings), Lake(settings.lake_root)
    migrated(database)
    credentials, meter_id = installed(database, lake, rows=rows, accounts=accounts)
    mixed_org_id = mixed.installed(database, lake, plain_org_id=credentials.org_id, plain_meter_id=meter_id, accounts=accounts)
    account_file(database, credentials.org_id, folder / "accounts.parquet")
    pl.DataFrame(workload.SEGMENTS).with_row_index("segment").with_columns(pl.col("segment").cast(pl.Int32)).write_parquet(
        folder / "segments.parquet"
    )
    database.close()
    facts = {
        "org_id": credentials.org_id,
        "api_key": credentials.api_key,
        "api_secret": credentials.api_secret,
        "meter_id": meter_id,
        "mixed_org_id": mixed_org_id,
        "files": f"{lake.table(MEASUREMENTS, credentials.org_id, meter_id)}/date=*/*.parquet",
    }
    known.write_text(json.dumps(facts))
    OUT.print(f"{rows:,} measurements of {accounts:,} accounts and their states in place after {time.perf_counter() - started:.0f} s")
    return facts


def part(name: str, folder: Path) -> dict[str, Any]:
    """What one competitor measured, in a process of its own."""
    printed = subprocess.run([sys.executable, "-m", "tests.bench.part", name, str(folder)], stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(json.loads(printed.splitlines()[-1]))


def equal(folder: Path) -> bool:
    """True when all competitors wrote the same lines, to the last digit."""
    frames = [
        pl.read_parquet(folder / "out" / f"{name}.parquet").with_columns(
            pl.col("quantity", "subtotal", "converted_subtotal").cast(pl.Decimal(38, 12))
        )
        for name in COMPETITORS
    ]
    # Charges that are not usage carry a quantity of 1 on both sides.
    first, *others = (f.select(LINE).sort(LINE[:4]) for f in frames)
    return all(first.equals(other) for other in others)


@contextmanager
def served(home: Path) -> Iterator[str]:
    """A running server's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "api.cli", "--home", str(home), "serve", "--port", str(port), "--no-dagster"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def main() -> int:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--ingest-seconds", type=float, default=8.0)
    parser.add_argument("--only", choices=("ingest", "bills", "explorer"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="meterhouse-bench-") as temporary:
        folder = options.folder or Path(temporary)
        facts = prepared(folder, options.rows, options.accounts)
        if options.only in (None, "bills"):
            bills(folder, options)
        if options.only in (None, "ingest", "explorer"):
            with served(folder / "home") as address:
                credentials = {"base_url": address, **{k: facts[k] for k in ("org_id", "api_key", "api_secret")}}
                if options.only != "ingest":
                    queries(folder, facts, credentials)
                if options.only != "explorer":
                    ingest(folder, address, options.ingest_seconds)
    return 0


def bills(folder: Path, options: argparse.Namespace) -> None:
    """A bill run from states, from detail and by hand-written SQL, alternating; then a whole job."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in COMPETITORS}
    for _ in range(2):
        for name, measured in runs.items():
            measured.append(part(name, folder))
    best = {name: min(measured, key=lambda m: m["seconds"]) for name, measured in runs.items()}
    best["job"] = part("job", folder)
    base = best["duckdb_bill"]
    table = Table(
        title=f"Bill run: {options.rows:,} measurements, {options.accounts:,} accounts, {best['states']['lines']:,} lines (better of two runs)"
    )
    for column in ("", "seconds", "CPU seconds", "of DuckDB's time", "goal", "peak MiB"):
        table.add_column(column, justify="right" if column else "left")
    for name, label in (COMPETITORS | {"job": "whole job, headers in PostgreSQL"}).items():
        one = best[name]
        ratio = f"{one['seconds'] / base['seconds']:.2f}"
        table.add_row(label, f"{one['seconds']:.2f}", f"{one['cpu_seconds']:.2f}", ratio, str(GOALS.get(name, "")), f"{one['peak_mib']:.0f}")
    OUT.print(table)
    OUT.print(f"The results are {'equal to the last digit' if equal(folder) else 'DIFFERENT'}.")
    mixed_bills(folder, options, {"states": best["states"], "job": best["job"]})


def mixed_bills(folder: Path, options: argparse.Namespace, plain: dict[str, dict[str, Any]]) -> None:
    """The same accounts and measurements on mixed terms, beside the plain run."""
    run = min((part("mixed", folder) for _ in range(2)), key=lambda m: m["seconds"])
    measured = {"states": run, "job": part("mixed_job", folder)}
    table = Table(
        title=f"Mixed terms: {options.accounts:,} accounts, {run['bills']:,} bills, {run['draws']:,} draws; in brackets times the plain run"
    )
    for column in ("", "seconds", "CPU seconds", "lines", "CPU µs per line", "peak MiB"):
        table.add_column(column, justify="right" if column else "left")
    for name, label in (("states", "from states by month and day"), ("job", "whole job, headers and ledger in PostgreSQL")):
        one, base = measured[name], plain[name]
        cells = [f"{one[key]:,.{places}f} ({one[key] / base[key]:.2f})" for key, places in (("seconds", 2), ("cpu_seconds", 2), ("lines", 0))]
        per_line, base_per_line = (m["cpu_seconds"] / m["lines"] * 1e6 for m in (one, base))
        cells += [f"{per_line:.1f} ({per_line / base_per_line:.2f})", f"{one['peak_mib']:.0f} ({one['peak_mib'] / base['peak_mib']:.2f})"]
        table.add_row(label, *cells)
    OUT.print(table)
    held = "Every bill is the sum of its lines, every draw has its line, and no fund is drawn beyond what is in it."
    OUT.print(held if not run["problems"] else f"WRONG: {'; '.join(run['problems'])}")


def queries(folder: Path, facts: dict[str, Any], credentials: dict[str, str]) -> None:
    """The Data Explorer over HTTP."""
    account_id = pl.read_parquet(folder / "accounts.parquet").sort("account_number")["account_id"][0]
    table = Table(title="Usage queries over HTTP (goal: p50 below 100 ms)")
    table.add_column("query")
    table.add_column("p50 ms", justify="right")
    for name, milliseconds in explorer.medians(credentials, facts["meter_id"], account_id, times=15).items():
        table.add_row(name, f"{milliseconds:.0f}")
    OUT.print(table)


def ingest(folder: Path, address: str, seconds: float) -> None:
    """Measurements per second acknowledged over HTTP, client on the same machine; then how far behind the worker is."""
    settings = settings_of(folder / "home")
    database = connected(settings)
    with database.transaction() as connection:
        made = organizations.created(connection, "ingest")
        apply.applied(http_ingest.DOCUMENT, connection, made.org_id, actor="bench")
    credentials = {"base_url": address, "org_id": made.org_id, "api_key": made.api_key, "api_secret": made.api_secret}
    runs = [http_ingest.acknowledged(credentials, seconds=seconds, connections=n) for n in (4, 8, 16)]
    waiting = backlog(database, settings.landing_root)
    started = time.perf_counter()
    drained(database, Lake(settings.lake_root), settings.landing_root)
    taken = time.perf_counter() - started
    with database.transaction() as connection:
        counts = connection.execute(sa.text("SELECT sum(landed), sum(accepted) FROM measurement_counts WHERE org_id = :o"), {"o": made.org_id}).one()
    database.close()
    result, sent = max(runs, key=lambda r: r.per_second), sum(r.measurements for r in runs)
    OUT.print(f"Ingest over HTTP, durable and authenticated: {result.per_second:,.0f} measurements/s acknowledged")
    OUT.print(f"({sum(r.refused for r in runs)} calls refused; goal 500,000)")
    OUT.print(f"After {len(runs)} runs {waiting / 2**20:,.0f} MiB waited for the worker, {taken:.0f} s more.")
    OUT.print(f"{sent:,} acknowledged, {counts[0]:,} landed, {counts[1]:,} accepted")


if __name__ == "__main__":
    sys.exit(main())
