"""``meterhouse demo``: 16 airlines billed for every flight that left New York in 2013."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from api.commands.context import HomeOption, opened
from api.dagster_programs import PREPARATION, REPOSITORY, backfill, home_environment, printed_variables

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console
    from rich.progress import Progress

    from pipelines.storage.database import Database
    from pipelines.storage.settings import Settings

ORGANIZATION = "New York flights 2013"
YEAR = 2013
#: Measurements delivered a second time, as a client does whose connection broke: they must not be billed twice.
SENT_TWICE = 1000


def demo(home: Annotated[Path | None, HomeOption] = None) -> None:
    """Bill 16 airlines for every flight that left New York in 2013: 336,776 real flights, twelve months.

    The tariff is made up: tiered, volume and stairstep prices, segments, a compound aggregation, a minimum spend, euros.
    """
    from api.commands.context import console
    from api.commands.counts import counted
    from api.demo.flights import flights, flights_file
    from api.demo.results import billed_months, largest_bills_table, months_table

    terminal = console()
    file = flights_file()
    with opened(home) as (settings, database):
        org_id, is_new = _organization(settings, database)
        changed = _configured(database, org_id)
        terminal.print(f"[bold]{ORGANIZATION}[/], organization {org_id}: {'created' if is_new else 'found'}, configuration {changed}")
        rows = flights(file)
        are_in = counted(database, org_id).accepted >= rows.height
        if are_in and changed == "unchanged" and len(billed_months(database, org_id, YEAR)) == 12:
            terminal.print("Everything is done already: all flights are in and all twelve months are billed.")
        else:
            with _prepared_dagster(settings) as prepared, _progress(terminal) as progress:
                if not are_in:
                    _ingested(progress, settings, database, org_id, rows)
                _billed(progress, settings, org_id, prepared)
        terminal.print(months_table(database, org_id, YEAR))
        terminal.print(largest_bills_table(database, org_id, YEAR))
        counts = counted(database, org_id)
        terminal.print(f"Every measurement is accounted for: {counts.balance}.")
        addresses = f"[bold]{settings.public_base_url}/docs[/] (the API) and [bold]http://{settings.host}:{settings.dagster_port}[/] (Dagster)"
        terminal.print(f"Next: run [bold]make serve[/] and open {addresses}.")
        terminal.print(f"The API's credentials are in {_credentials_file(settings)}.")


def _credentials_file(settings: "Settings") -> Path:
    return settings.home / "demo-credentials.json"


def _organization(settings: "Settings", database: "Database") -> tuple[str, bool]:
    """The demo's organization and whether it is new."""
    import os

    import sqlalchemy as sa

    from pipelines.storage.entity_tables import ORGANIZATIONS
    from pipelines.storage.organizations import created

    with database.transaction() as connection:
        found = connection.scalar(sa.select(ORGANIZATIONS.c.id).where(ORGANIZATIONS.c.name == ORGANIZATION).order_by(ORGANIZATIONS.c.id).limit(1))
        if found is not None:
            return str(found), False
        credentials = created(connection, ORGANIZATION)
        file = _credentials_file(settings)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            keys = {"org_id": credentials.org_id, "api_key": credentials.api_key, "api_secret": credentials.api_secret}
            written.write(json.dumps({"base_url": settings.public_base_url, **keys}) + "\n")
    return credentials.org_id, True


def _configured(database: "Database", org_id: str) -> str:
    from api.commands.apply import summary
    from pipelines.storage.apply import applied
    from pipelines.storage.yaml_documents import yaml_document

    document = yaml_document((REPOSITORY / "api/demo/airlines.yaml").read_text())
    with database.transaction() as connection:
        changes = applied(document, connection, org_id, actor="meterhouse demo")
    return summary(changes, dry_run=False) if any(change.action != "unchanged" for change in changes) else "unchanged"


@contextmanager
def _prepared_dagster(settings: "Settings") -> "Iterator[subprocess.Popen[str]]":
    """Dagster's instance on its way: it is prepared while the flights are taken in."""
    environment = home_environment(settings)
    with subprocess.Popen(PREPARATION, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process


def _progress(terminal: "Console") -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=terminal)


def _ingested(progress: "Progress", settings: "Settings", database: "Database", org_id: str, rows: "pl.DataFrame") -> None:
    """Land all flights, some of them twice, the way the API does, and take them in."""
    from datetime import UTC, datetime

    import polars as pl

    from api.demo.flights import bodies
    from pipelines.storage.ingest import drained
    from pipelines.storage.lake import Lake
    from pipelines.storage.landing import Landing

    landed = pl.concat([rows, rows.head(SENT_TWICE)])
    task = progress.add_task("flights landed", total=landed.height)
    landing = Landing(settings.landing_root)
    try:
        for body, number in bodies(landed):
            landing.append_all(org_id, [body], datetime.now(UTC))
            progress.advance(task, number)
    finally:
        landing.close()
    task = progress.add_task("flights taken in", total=landed.height)
    for result in drained(database, Lake(settings.lake_root, settings.lake_options), settings.landing_root):
        progress.advance(task, sum(batch.landed for batch in result.batches))
    progress.update(task, completed=landed.height)


def _billed(progress: "Progress", settings: "Settings", org_id: str, prepared: "subprocess.Popen[str]") -> None:
    """Bill the twelve months as one Dagster backfill, in a process of its own."""
    from transforms.errors import Unavailable

    task = progress.add_task("billed by Dagster", total=12)
    output, errors = prepared.communicate()
    if prepared.returncode != 0:
        raise Unavailable(f"Dagster's instance can't be prepared: {errors.strip()[-2000:]}")
    environment = {**home_environment(settings), **printed_variables(output)}
    command = backfill(f"{YEAR}-01", f"{YEAR}-12", org_id)
    log = settings.home / "demo-backfill.log"
    with log.open("w") as written:
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=written, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"the backfill failed; the end of its log {log} is:\n{log.read_text()[-2000:]}")
    result: Mapping[str, object] = json.loads(done.stdout.splitlines()[-1])
    progress.update(task, completed=12, description=f"billed by Dagster (run {str(result['run_id'])[:8]})")
