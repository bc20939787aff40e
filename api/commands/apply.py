"""``meterhouse apply``: configuration as code."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.context import HomeOption, OrgOption, opened, organization_id

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.storage.apply import Change

_STYLES = {"create": "green", "update": "yellow", "unchanged": "dim"}
_LONGEST_VALUE = 60


def apply(
    file: Annotated[Path, typer.Argument(help="YAML file with the configuration.", exists=True, dir_okay=False, readable=True)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would change.")] = False,
    org: Annotated[str | None, OrgOption] = None,
    home: Annotated[Path | None, HomeOption] = None,
) -> None:
    """Make the configuration what a YAML file says: any entity, references by code.

    All of the file is applied or nothing. Applying it twice changes nothing the second time.
    """
    from api.commands.context import console
    from pipelines.storage.apply import applied, plan
    from pipelines.storage.yaml_documents import yaml_document

    document = yaml_document(file.read_bytes())
    with opened(home) as (_, database):
        org_id = organization_id(database, org)
        with database.transaction() as connection:
            changes = plan(document, connection, org_id) if dry_run else applied(document, connection, org_id, actor="meterhouse apply")
    terminal = console()
    if any(change.action != "unchanged" for change in changes):
        terminal.print(changes_table(changes))
    terminal.print(summary(changes, dry_run=dry_run))


def summary(changes: "Sequence[Change]", *, dry_run: bool) -> str:
    """How many entities were (or would be) created, updated and left alone."""
    numbers = [sum(change.action == action for change in changes) for action in _STYLES]
    verb = "would be " if dry_run else ""
    return f"{numbers[0]} {verb}created, {numbers[1]} {verb}updated, {numbers[2]} unchanged"


def changes_table(changes: "Sequence[Change]") -> "Table":
    """One row per entity that changes, with each field's value before and after for an update."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "collection", "entity", "changes", header_style="bold")
    for change in changes:
        if change.action == "unchanged":
            continue
        style = _STYLES[change.action]
        shown = change.differences if change.action == "update" else ()
        lines = "\n".join(f"{name}: {_short(before)} → {_short(after)}" for name, before, after in shown)
        table.add_row(f"[{style}]{change.action}[/]", change.collection, escape(change.name), escape(lines))
    return table


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
