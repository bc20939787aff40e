"""``meterhouse org``: organizations."""

import json
from pathlib import Path
from typing import Annotated

import typer

from api.commands.context import HomeOption, choose_home, opened

app = typer.Typer(help="Create and list organizations.", no_args_is_help=True)


@app.callback()
def _group(home: Annotated[Path | None, HomeOption] = None) -> None:
    choose_home(home)


@app.command("create")
def create(name: Annotated[str, typer.Argument(help="Name of the new organization.")], home: Annotated[Path | None, HomeOption] = None) -> None:
    """Create an organization with its first administrator; prints one JSON line with the credentials of its API.

    The secret is shown this once.
    """
    from pipelines.storage.organizations import created

    with opened(home) as (settings, database):
        with database.transaction() as connection:
            credentials = created(connection, name)
        document = {
            "base_url": settings.public_base_url,
            "org_id": credentials.org_id,
            "api_key": credentials.api_key,
            "api_secret": credentials.api_secret,
        }
    typer.echo(json.dumps(document))


@app.command("list")
def listing(home: Annotated[Path | None, HomeOption] = None) -> None:
    """List the organizations: id and name."""
    from sqlalchemy import select

    from pipelines.storage.entity_tables import ORGANIZATIONS

    with opened(home) as (_, database), database.transaction() as connection:
        for row in connection.execute(select(ORGANIZATIONS.c.id, ORGANIZATIONS.c.name).order_by(ORGANIZATIONS.c.name)):
            typer.echo(f"{row.id}  {row.name}")
