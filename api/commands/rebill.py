"""``meterhouse rebill``: compute bills again from exactly what they name, and compare every field."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.context import HomeOption, OrgOption, opened, organization_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.storage.bill_store import BillFilter
    from pipelines.storage.rebilling import Rebilled

_SHOWN_BILLS = 20
_SHOWN_DIFFERENCES = 50


def rebill(
    bills: Annotated[list[str] | None, typer.Argument(help="Ids of the bills.", metavar="[BILL]...")] = None,
    every: Annotated[bool, typer.Option("--all", help="All bills of a period, with --period.")] = False,
    period: Annotated[str | None, typer.Option(help="With --all, the billing period: 2013, 2013-01, 2013-W05, or its last day 2013-01-31.")] = None,
    frequency: Annotated[str | None, typer.Option(help="With --all, only bills of this frequency.")] = None,
    org: Annotated[str | None, OrgOption] = None,
    home: Annotated[Path | None, HomeOption] = None,
) -> None:
    """Compute bills again from the versions, configuration and overrides that they name, and compare every field of header and lines.

    Nothing is stored. The exit code is 1 when anything differs.
    """
    from api.commands.context import console
    from pipelines.storage import rebilling
    from pipelines.storage.lake import Lake
    from pipelines.storage.provenance import software_version

    chosen = _filter(bills or [], every=every, period=period, frequency=frequency)
    terminal = console()
    with opened(home) as (settings, database):
        org_id = organization_id(database, org)
        with database.transaction() as connection:
            rows = rebilling.bill_rows(connection, org_id, chosen)
        lake = Lake(settings.lake_root, settings.lake_options)
        with console(to_error=True).status(f"computing {len(rows):,} bills again"):
            again = rebilling.rebilled(database, lake, org_id, rows)
    if not rows:
        terminal.print("There are no such bills.")
        return
    _shown(rows, again)
    unequal = len(again.unequal)
    verdict = "all equal" if again.is_equal else f"[red]{unequal:,} differ[/]"
    made_with = ", ".join(again.software_versions)
    if again.carried:
        terminal.print(f"{again.carried:,} line items carry usage of locked bills forward and were taken as they are.")
    terminal.print(
        f"{again.bills:,} bills, {again.line_items:,} line items computed again in {again.seconds:.1f} s: {verdict}; "
        f"Meterhouse {software_version()}, stored by {made_with}"
    )
    if unequal:
        raise typer.Exit(1)


def _filter(ids: "Sequence[str]", *, every: bool, period: str | None, frequency: str | None) -> "BillFilter":
    from api.commands.bill import last_date_of
    from api.parameters import one_of
    from pipelines.storage.bill_store import BillFilter
    from transforms.entities.resource import BillingFrequency
    from transforms.errors import EntityInvalid

    if ids and not every and period is None and frequency is None:
        return BillFilter(ids=list(dict.fromkeys(ids)))
    if not every or ids or period is None:
        raise EntityInvalid("name bills by their ids, or ask for --all bills of a --period")
    wanted = None if frequency is None else one_of("--frequency", frequency, tuple(BillingFrequency))
    return BillFilter(end_date=last_date_of(period), billing_frequency=wanted)


def _shown(rows: "Sequence[Mapping[str, Any]]", again: "Rebilled") -> None:
    """A row per bill, those that differ first; then the differences."""
    from rich.table import Table

    from api.commands.bill import money
    from api.commands.context import console

    terminal = console()
    counts = Counter(again.differences["bill_id"].to_list())
    table = Table("account", "bill", "from", "to", header_style="bold")
    for name in ("lines", "total", "computed again"):
        table.add_column(name, justify="right" if name != "computed again" else "left")
    for row in sorted(rows, key=lambda row: row["id"] not in again.unequal)[:_SHOWN_BILLS]:
        verdict = "not possible" if row["id"] in again.problems else f"{counts[row['id']]} differences" if counts[row["id"]] else "equal"
        total = money(row["bill_total"], row["currency"])
        table.add_row(_text(row["account_code"]), row["id"], str(row["start_date"]), str(row["end_date"]), str(row["line_count"]), total, verdict)
    terminal.print(table)
    if len(rows) > _SHOWN_BILLS:
        terminal.print(f"({_SHOWN_BILLS} of {len(rows):,} bills are shown)")
    for bill_id, reason in list(again.problems.items())[:_SHOWN_BILLS]:
        terminal.print(f"[red]bill {bill_id}[/]: {_text(reason)}")
    if again.differences.height:
        found = Table("bill", "line item", "field", "stored", "computed now", header_style="bold")
        for one in again.differences.head(_SHOWN_DIFFERENCES).iter_rows(named=True):
            whole = "the whole line" if one["line_item_id"] else "the whole bill"
            found.add_row(one["bill_id"], one["line_item_id"] or "", one["field"] or whole, _text(one["before"]), _text(one["after"]))
        terminal.print(found)
        if again.differences.height > _SHOWN_DIFFERENCES:
            terminal.print(f"({_SHOWN_DIFFERENCES} of {again.differences.height:,} differences are shown)")


def _text(value: str | None) -> str:
    from rich.markup import escape

    return "none" if value is None else escape(value)
