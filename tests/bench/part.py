"""One competitor's run in a process of its own, so that its peak memory is its own: ``python -m tests.bench.part NAME FOLDER``.

Prints one JSON object: seconds, peak memory and what came out. Every run also leaves ``<FOLDER>/out/<name>.parquet``, the
lines by account, code and segment, for the comparison to the last digit.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tests.bench import workload

if TYPE_CHECKING:
    from pipelines.storage.bill_inputs import Inputs
    from transforms.billing.job_requests import BillJobRequest
    from transforms.rating.run import BillRunResult

LINE = ("account_id", "line_item_type", "code", "segment", "quantity", "subtotal", "converted_subtotal")
LAST_DATE = date(2026, 1, 31)


def peak_mib() -> float:
    """The process's largest resident memory so far. Not ru_maxrss, which starts with what the parent had at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _run(
    folder: Path, org_id: str, *, name: str, columns: Sequence[str], from_detail: bool = False
) -> tuple[dict[str, Any], "Inputs", list["BillRunResult"]]:
    """The bill run as the worker does it, up to line items in Delta Lake and bills in a Parquet file (as the SQL does).

    Returns:
        What was measured; what the bills were computed from; the shards' results with these columns of their line items.
    """
    from pipelines.storage import bill_lines
    from pipelines.storage.bill_inputs import Inputs, results, with_ledger
    from pipelines.storage.bill_scopes import created_scope
    from pipelines.storage.database import connected
    from pipelines.storage.ingest import meter_usage
    from pipelines.storage.lake import Lake
    from pipelines.storage.settings import settings_of
    from pipelines.storage.snapshots import configuration

    settings = settings_of(folder / "home")
    database, lake = connected(settings), Lake(settings.lake_root)
    started = time.perf_counter()
    with database.transaction() as connection:
        found = configuration(connection, org_id)
    read = time.perf_counter() - started
    usage = meter_usage(database, lake, found)
    if from_detail:
        usage = {meter_id: replace(one, states={}) for meter_id, one in usage.items()}
    scope = created_scope(_request(), today=LAST_DATE)
    given = with_ledger(Inputs(began_at=found.as_of, configuration=found, usage=usage, versions={}), database, [scope])
    files, kept = [], []
    for result in results(given, scope, shard_done=lambda _: None):
        assert result.failures.is_empty(), result.failures
        files += bill_lines.written(lake, org_id, f"bench-{name}", result.line_items)
        kept.append(replace(result, line_items=result.line_items.select(columns)))
        del result  # as the job does
    bill_lines.committed(lake, org_id, f"bench-{name}", files)
    pl.concat(one.bills for one in kept).write_parquet(folder / "out" / "our_bills.parquet")
    seconds = time.perf_counter() - started
    measured = {"seconds": seconds, "of which configuration": read, "cpu_seconds": time.process_time(), "peak_mib": peak_mib()}
    database.close()
    return {**measured, "lines": sum(one.line_items.height for one in kept), "bills": sum(one.bills.height for one in kept)}, given, kept


def _request() -> "BillJobRequest":
    from transforms.billing.job_requests import BillJobRequest
    from transforms.entities.resource import BillingFrequency

    return BillJobRequest(last_date_in_billing_period=LAST_DATE, billing_frequency=BillingFrequency.MONTHLY)


def plain(folder: Path, facts: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """The run on plain plans, from states or from detail; it leaves its lines for the comparison."""
    from transforms.entities.usage import Aggregation, CompoundAggregation

    columns = ("account_id", "line_item_type", "aggregation_id", "compound_aggregation_id", *LINE[3:])
    measured, given, kept = _run(folder, facts["org_id"], name=name, columns=columns, from_detail=name == "detail")
    codes = {one.id: one.code for kind in (Aggregation, CompoundAggregation) for one in given.configuration.entities(kind).values()}
    numbered = {json.dumps(s, sort_keys=True, separators=(",", ":")): i for i, s in enumerate(workload.SEGMENTS)}
    spaced = {json.dumps(s, sort_keys=True): i for i, s in enumerate(workload.SEGMENTS)}
    code = pl.coalesce("aggregation_id", "compound_aggregation_id").replace_strict(codes, default=None, return_dtype=pl.String).alias("code")
    segment = pl.col("segment").replace_strict(numbered | spaced, default=None, return_dtype=pl.Int32)
    frame = pl.concat(one.line_items for one in kept).select("account_id", "line_item_type", code, segment, *LINE[4:])
    frame.write_parquet(folder / "out" / f"{name}.parquet")
    return measured


def mixed(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The run on mixed terms, from states; with ``problems``, what does not hold of it."""
    from tests.bench.mixed_checks import problems

    columns = ("bill_id", "line_item_type", "commitment_id", "balance_id", "subtotal", "converted_subtotal")
    measured, given, kept = _run(folder, facts["mixed_org_id"], name="mixed", columns=columns)
    bills, lines, draws = (pl.concat(getattr(one, name) for one in kept) for name in ("bills", "line_items", "draws"))
    return {**measured, "draws": draws.height, "problems": problems(given.configuration, given.ledger, bills=bills, lines=lines, draws=draws)}


def job(folder: Path, org_id: str) -> dict[str, Any]:
    """The whole bill job: the above with every header, certificate, draw and calculation in PostgreSQL."""
    from pipelines.storage.bill_runs import ran_inline
    from pipelines.storage.database import connected
    from pipelines.storage.lake import Lake
    from pipelines.storage.settings import settings_of

    settings = settings_of(folder / "home")
    database, lake = connected(settings), Lake(settings.lake_root)
    summary = ran_inline(database, lake, settings.landing_root, org_id, request=_request())
    peak, cpu = peak_mib(), time.process_time()
    database.close()
    assert summary.failures == 0
    return {"seconds": summary.seconds, "cpu_seconds": cpu, "peak_mib": peak, "lines": summary.line_items, "bills": summary.bills}


def duckdb(folder: Path, facts: Mapping[str, Any], *, script: str) -> dict[str, Any]:
    """The hand-written SQL on the same Parquet files, two threads."""
    import duckdb as engine

    sql = Path(__file__).with_name(f"{script}.sql").read_text()
    names = {"accounts": folder / "accounts.parquet", "segments": folder / "segments.parquet", "out": folder / "out", "measurements": facts["files"]}
    for name, value in names.items():
        sql = sql.replace(f"{{{name}}}", str(value))
    connection = engine.connect(config={"threads": 2})
    connection.execute("SET TimeZone = 'UTC'")
    started = time.perf_counter()
    connection.execute(sql)
    seconds = time.perf_counter() - started
    peak, cpu = peak_mib(), time.process_time()
    frame = pl.read_parquet(folder / "out" / "line_items.parquet").select(LINE)
    frame.write_parquet(folder / "out" / f"{script}.parquet")
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak, "lines": frame.height}


def main() -> None:
    """Run one part and print what it measured."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    facts = json.loads((folder / "facts.json").read_text())
    if name in ("states", "detail"):
        measured = plain(folder, facts, name=name)
    elif name == "mixed":
        measured = mixed(folder, facts)
    elif name in ("job", "mixed_job"):
        measured = job(folder, facts["org_id" if name == "job" else "mixed_org_id"])
    else:
        measured = duckdb(folder, facts, script=name)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
