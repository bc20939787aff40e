"""What the commands share: the home folder, the organization to work for, and the terminal to write to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.storage.database import Database
    from pipelines.storage.settings import Settings

#: A file or another program wraps no lines.
_FILE_WIDTH = 1000

HomeOption: Any = typer.Option("--home", help="Folder for everything that Meterhouse keeps; METERHOUSE_HOME, else ./.meterhouse.", show_default=False)
OrgOption: Any = typer.Option(
    "--org", envvar="METERHOUSE_ORG", help="Id or name of the organization; not needed when there is only one.", show_default=False
)


def choose_home(home: Path | None) -> None:
    """Work in this home folder from now on, as every program that is started does; None leaves it as it is."""
    if home is not None:
        os.environ["METERHOUSE_HOME"] = str(home.expanduser().absolute())


def command_settings(home: Path | None) -> "Settings":
    """The settings for a command."""
    from pipelines.storage.settings import settings_of

    choose_home(home)
    return settings_of()


@contextmanager
def opened(home: Path | None) -> "Iterator[tuple[Settings, Database]]":
    """The settings and the migrated database, closed at the end of the command."""
    from pipelines.storage.database import connected, migrated

    settings = command_settings(home)
    database = connected(settings)
    try:
        migrated(database)
        yield settings, database
    finally:
        database.close()


def organization_id(database: "Database", named: str | None) -> str:
    """The id of the organization to work for: named by id or name, or the only one.

    Raises:
        EntityInvalid: There is none, the name fits none or several, or there are several and none is named.
    """
    from sqlalchemy import or_, select

    from pipelines.storage.entity_tables import ORGANIZATIONS
    from transforms.errors import EntityInvalid

    query = select(ORGANIZATIONS.c.id, ORGANIZATIONS.c.name).order_by(ORGANIZATIONS.c.name)
    if named is not None:
        query = query.where(or_(ORGANIZATIONS.c.id == named, ORGANIZATIONS.c.name == named))
    with database.transaction() as connection:
        rows = connection.execute(query.limit(11)).all()
    if len(rows) == 1:
        return str(rows[0].id)
    if not rows:
        raise EntityInvalid(
            f"there is no organization {named!r}" if named else "there is no organization yet; make one with: meterhouse org create NAME"
        )
    choices = ", ".join(f"{row.id} ({row.name})" for row in rows[:10]) + (", ..." if len(rows) > 10 else "")
    raise EntityInvalid(f"name one organization with --org or METERHOUSE_ORG: {choices}")


def console(*, to_error: bool = False) -> "Console":
    """The terminal; plain text when the output is not one, in lines as long as they need to be."""
    from rich.console import Console

    made = Console(stderr=to_error, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _FILE_WIDTH
    return made
