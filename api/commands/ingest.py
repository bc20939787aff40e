"""``meterhouse ingest``: measurements from files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.context import HomeOption, OrgOption, opened, organization_id

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.storage.lake import Lake

_SHOWN_REASONS = 10


def ingest(
    files: Annotated[list[Path], typer.Argument(help="JSON array, NDJSON, per-meter CSV or Parquet.", exists=True, dir_okay=False, readable=True)],
    org: Annotated[str | None, OrgOption] = None,
    home: Annotated[Path | None, HomeOption] = None,
) -> None:
    """Take in measurements from files, as if they were submitted to the API.

    Every file is checked as a whole before anything of any is kept. Giving a file again changes nothing: measurements
    with a known uid are counted as duplicates.
    """
    from datetime import UTC, datetime

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from api.commands.context import console
    from api.commands.counts import Counts, counted
    from pipelines.storage.files import file_bodies
    from pipelines.storage.ingest import drained
    from pipelines.storage.lake import Lake
    from pipelines.storage.landing import Landing
    from transforms.errors import EntityInvalid

    with opened(home) as (settings, database):
        org_id = organization_id(database, org)
        before = counted(database, org_id)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console(to_error=True)) as progress:
            rows: dict[Path, int] = {}
            for file in files:
                checking = progress.add_task(f"check {file.name}", total=None)
                try:
                    for chunk in file_bodies(file):
                        rows[file] = rows.get(file, 0) + chunk.count
                        progress.update(checking, completed=rows[file])
                except EntityInvalid as error:
                    raise EntityInvalid(f"{file.name}: {error}") from None
                progress.update(checking, total=rows.get(file, 0))
            since = datetime.now(UTC)
            landing = Landing(settings.landing_root)
            try:
                sending = progress.add_task("land", total=sum(rows.values()))
                for file in files:
                    for chunk in file_bodies(file):
                        landing.append_all(org_id, [chunk.body], datetime.now(UTC))
                        progress.advance(sending, chunk.count)
            finally:
                landing.close()
            taking = progress.add_task("ingest", total=None)
            lake = Lake(settings.lake_root, settings.lake_options)
            drained(database, lake, settings.landing_root)
            progress.update(taking, total=1, completed=1)
        taken: Counts = counted(database, org_id) - before
    console().print(f"{sum(rows.values()):,} measurements from {len(files)} file{'s' if len(files) > 1 else ''}: {taken.balance}")
    if taken.rejected:
        for reason, number in _reasons(lake, org_id, since):
            console().print(f"  {number:,} rejected: {reason}", markup=False, soft_wrap=True)
        console().print("Rejected measurements are kept with their reasons in the dataset rejected_measurements.")


def _reasons(lake: "Lake", org_id: str, since: "datetime") -> "list[tuple[str, int]]":
    """The most frequent reasons of rejection among measurements received since, with how many each refused."""
    import polars as pl

    from transforms.datasets import REJECTED_MEASUREMENTS

    rows = lake.scan(REJECTED_MEASUREMENTS, org_id).filter(pl.col("received_at") >= since, pl.col("reason") != "DuplicateUid")
    counted = rows.group_by(reason=pl.format("{}: {}", "reason", "message")).len("number").sort(["number", "reason"], descending=[True, False])
    return counted.head(_SHOWN_REASONS).collect().rows()
