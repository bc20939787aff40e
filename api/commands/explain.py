"""``meterhouse explain``: why a line of a bill is what it is, down to the measurements."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.context import HomeOption, OrgOption, opened, organization_id

if TYPE_CHECKING:
    from rich.console import Console

    from transforms.provenance.calculation_steps import Explanation
    from transforms.provenance.trail import Source


def explain(
    bill: Annotated[str, typer.Argument(help="Id of the bill.", metavar="BILL")],
    line: Annotated[str, typer.Argument(help="Id of the line item, or its number on the bill.", metavar="LINE")],
    measurements: Annotated[int, typer.Option(min=0, help="Most measurements to show of each aggregation.")] = 10,
    csv: Annotated[Path | None, typer.Option(help="Write all measurements behind the line to this file.")] = None,
    org: Annotated[str | None, OrgOption] = None,
    home: Annotated[Path | None, HomeOption] = None,
) -> None:
    """Explain a line: the formula, the numbers that went in, and the measurements behind it, whose aggregate is computed again.

    The exit code is 1 when anything computed again does not give the line.
    """
    from api.commands.context import console
    from pipelines.storage import bill_store
    from pipelines.storage.lake import Lake
    from pipelines.storage.line_explanations import explained, written_csv

    terminal = console()
    with opened(home) as (settings, database):
        org_id = organization_id(database, org)
        with database.transaction() as connection:
            header = bill_store.bill(connection, org_id, bill)
        found = explained(database, Lake(settings.lake_root, settings.lake_options), header, line).explanation
        _shown(terminal, found)
        for source in found.sources:
            _measurements(terminal, source, measurements)
        if csv is not None:
            terminal.print(f"{written_csv(found.sources, csv):,} measurements written to {csv}" if found.sources else "There are no measurements.")
    if not found.is_equal:
        console(to_error=True).print("[red]error[/]: the line is not what it was computed from")
        raise typer.Exit(1)


def _shown(terminal: "Console", found: "Explanation") -> None:
    from rich.markup import escape
    from rich.table import Table

    from transforms.provenance.calculation_steps import number

    line = found.line
    terminal.print(escape(found.formula))
    terminal.print(
        f"line {line['sequence_number']}, {line['line_item_type']}, {line['service_period_start']:%Y-%m-%dT%H:%M:%SZ} to "
        f"{line['service_period_end']:%Y-%m-%dT%H:%M:%SZ}: {number(line['subtotal'])} {line['currency']}"
    )
    table = Table("", "how", header_style="bold")
    table.add_column("value", justify="right")
    for step in found.steps:
        table.add_row(escape(step.name), escape(step.formula), number(step.value))
    if found.steps:
        terminal.print(table)
    for check in found.checks:
        if check.is_equal:
            terminal.print(f"[green]equal[/]: {check.name}: {number(check.stated)}")
        else:
            terminal.print(f"[red]not equal[/]: {check.name}: the bill says {number(check.stated)}, computed again {number(check.computed)}")


def _measurements(terminal: "Console", source: "Source", limit: int) -> None:
    from rich.table import Table

    from pipelines.storage.line_explanations import fields, measurement_count, measurements

    rows, names = measurements(source, limit=limit), list(fields(source))
    count = measurement_count(source)
    shown = f", the first {len(rows)}" if len(rows) < count else ""
    terminal.print(f"{count:,} measurements of meter {source.meter.code} behind {source.aggregation.code or source.aggregation.name}{shown}")
    if rows:
        table = Table("account", "ts", "uid", *names, header_style="bold")
        for row in rows:
            table.add_row(_text(row["account_code"]), f"{row['ts']:%Y-%m-%dT%H:%M:%S.%fZ}", _text(row["uid"]), *(_text(row[name]) for name in names))
        terminal.print(table)


def _text(value: Any) -> str:
    from decimal import Decimal

    from rich.markup import escape

    from transforms.provenance.calculation_steps import number

    if value is None:
        return ""
    return number(value) if isinstance(value, Decimal) else escape(str(value))
