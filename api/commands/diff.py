"""``meterhouse diff``: what two calculations of a bill state differently, and what caused it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.context import HomeOption, OrgOption, opened, organization_id

if TYPE_CHECKING:
    from decimal import Decimal

    from pipelines.storage.calculation_differences import ChangedLine, Comparison

_CAUSES = {"SOFTWARE": "software", "CONFIGURATION": "configuration", "DATA": "data"}


def diff(
    bill: Annotated[str, typer.Argument(help="Id of the bill.", metavar="BILL")],
    before: Annotated[str | None, typer.Argument(help="A calculation of it: its number from 1, or its id.", metavar="[A]")] = None,
    after: Annotated[str | None, typer.Argument(help="Another; without A and B, the last two.", metavar="[B]")] = None,
    org: Annotated[str | None, OrgOption] = None,
    home: Annotated[Path | None, HomeOption] = None,
) -> None:
    """List the lines that two calculations of a bill state differently, and say of each what caused it: data, configuration or software."""
    from api.commands.context import console
    from pipelines.storage import bill_store, calculations
    from pipelines.storage.calculation_differences import compared
    from pipelines.storage.lake import Lake
    from transforms.errors import EntityInvalid

    if before is not None and after is None:
        raise EntityInvalid("name two calculations, or none for the last two")
    terminal = console()
    with opened(home) as (settings, database):
        org_id = organization_id(database, org)
        with database.transaction() as connection:
            header = bill_store.bill(connection, org_id, bill)
            every = calculations.calculations_of(connection, header)
        if before is None and len(every) == 1:
            only = every[0]
            terminal.print(f"Bill {bill} was calculated once, at {only.calculated_at:%Y-%m-%d %H:%M:%S} UTC; there is nothing to compare it with.")
            return
        one, other = calculations.pair(every, before, after)
        found = compared(database, Lake(settings.lake_root, settings.lake_options), header, one, other)
    _shown(found)


def _shown(found: "Comparison") -> None:
    from rich.markup import escape
    from rich.table import Table

    from api.commands.context import console

    terminal = console()
    for name, one in (("from", found.before), ("to", found.after)):
        at = f"{one.calculated_at:%Y-%m-%d %H:%M:%S}"
        made_by = f"Meterhouse {one.software_version}, configuration {one.configuration_hash[:12]}"
        terminal.print(f"{name:<4} calculation {one.number} of {at} UTC, {made_by}")
    if not found.lines:
        terminal.print("No line differs.")
    else:
        table = Table("line item", "change", header_style="bold")
        table.add_column("quantity", justify="right")
        table.add_column("amount", justify="right")
        table.add_column("cause")
        for changed in found.lines:
            line = changed.line
            quantity = _change(line["quantity_before"], line["quantity_after"])
            amount = f"{_change(line['subtotal_before'], line['subtotal_after'])} {line['currency']}"
            table.add_row(escape(line["description"]), line["change"].lower(), quantity, amount, escape(_cause(changed)))
        terminal.print(table)
    for problem in found.problems:
        terminal.print(f"[yellow]note[/]: {escape(problem)}")


def _change(before: "Decimal | None", after: "Decimal | None") -> str:
    from transforms.provenance.calculation_steps import number

    return number(after) if before == after else f"{number(before)} → {number(after)}"


def _cause(changed: "ChangedLine") -> str:
    from transforms.provenance.calculation_steps import number

    texts = []
    for effect in changed.line["effects"]:
        sign = "+" if effect["subtotal"] > 0 else ""
        text = f"{_CAUSES[effect['cause']]} ({sign}{number(effect['subtotal'])})"
        if effect["cause"] == "DATA" and changed.measurements_added is not None:
            removed = f", {changed.measurements_removed} fewer" if changed.measurements_removed else ""
            text += f": {changed.measurements_added} measurements more{removed}"
        if effect["cause"] == "CONFIGURATION":
            named = [f"{e.kind} {e.name} ({_version(e.version_before)} → {_version(e.version_after)})" for e in changed.entities]
            named += [f"the job's {name}" for name in changed.overrides]
            text += f": {', '.join(named)}" if named else ""
        texts.append(text)
    return "; ".join(texts)


def _version(version: int | None) -> str:
    return "none" if version is None else f"version {version}"
