"""``meterhouse status``: what is running and what is stored."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from api.commands.context import HomeOption, opened

if TYPE_CHECKING:
    from pipelines.storage.settings import Settings


def status(home: Annotated[Path | None, HomeOption] = None) -> None:
    """Show what is running, what landed and what became of it, the bill jobs, and the size of each dataset."""
    import sqlalchemy as sa
    from rich.markup import escape
    from rich.table import Table

    from api.commands.context import console
    from api.commands.counts import counted
    from pipelines.storage.bill_tables import BILL_JOBS, BILLS
    from pipelines.storage.entity_tables import ORGANIZATIONS

    terminal = console()
    with opened(home) as (settings, database):
        for name, value in _running(settings):
            terminal.print(f"{name:<12} {value}")
        with database.transaction() as connection:
            organizations = connection.execute(sa.select(ORGANIZATIONS.c.id, ORGANIZATIONS.c.name).order_by(ORGANIZATIONS.c.name)).all()
            jobs = _grouped(connection.execute(sa.select(BILL_JOBS.c.org_id, BILL_JOBS.c.status, sa.func.count()).group_by(sa.text("1, 2"))).all())
            bills = _grouped(connection.execute(sa.select(BILLS.c.org_id, BILLS.c.status, sa.func.count()).group_by(sa.text("1, 2"))).all())
        for row in organizations:
            terminal.print(f"organization {row.id} {escape(row.name)}")
            for name, value in (
                ("measurements", counted(database, row.id).balance),
                ("bill jobs", jobs.get(row.id, "none")),
                ("bills", bills.get(row.id, "none")),
            ):
                terminal.print(f"  {name:<12} {value}")
        sizes = Table("dataset", header_style="bold")
        sizes.add_column("files", justify="right")
        sizes.add_column("MiB", justify="right")
        for name, (files, size) in sorted(dataset_sizes(settings).items()):
            sizes.add_row(name, f"{files:,}", f"{size / 2**20:,.1f}")
        if sizes.row_count:
            terminal.print(sizes)


def _running(settings: "Settings") -> Iterator[tuple[str, str]]:
    from pipelines.storage.settings import served_addresses
    from pipelines.storage.supervision import is_served

    yield "home", str(settings.home)
    yield "database", "external (METERHOUSE_DATABASE_URL)" if settings.database_url else "embedded PostgreSQL"
    yield "lake", settings.lake_root
    addresses = served_addresses(settings) if is_served(settings) else None
    if addresses is None:
        yield "server", "not running; start it with: meterhouse serve"
        return
    yield "server", f"running, process {addresses['pid']}"
    yield "API", addresses["base_url"]
    if "dagster_url" in addresses:
        yield "Dagster UI", addresses["dagster_url"]


def _grouped(rows: "object") -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for org_id, name, number in rows:  # type: ignore[attr-defined]
        found.setdefault(str(org_id), []).append(f"{number:,} {str(name).lower()}")
    return {org_id: ", ".join(parts) for org_id, parts in found.items()}


def dataset_sizes(settings: "Settings") -> dict[str, tuple[int, int]]:
    """Files and bytes of each dataset of a lake on this machine, old versions included; empty for one elsewhere."""
    root = Path(settings.lake_root)
    sizes: dict[str, tuple[int, int]] = {}
    if "://" in settings.lake_root or not root.is_dir():
        return sizes
    for organization in root.iterdir():
        for dataset in organization.iterdir() if organization.is_dir() else ():
            files, size = sizes.get(dataset.name, (0, 0))
            for folder, _, names in os.walk(dataset):
                for name in names:
                    if name.endswith(".parquet"):
                        files, size = files + 1, size + (Path(folder) / name).stat().st_size
            sizes[dataset.name] = (files, size)
    return sizes
