"""``meterhouse document``: a bill, or its statement, as PDF or HTML."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.context import HomeOption, OrgOption, opened, organization_id


def document(
    bill: Annotated[str, typer.Argument(help="Id of the bill.")],
    pdf: Annotated[Path | None, typer.Option("--pdf", help="File to write the PDF to.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="File to write the HTML page to.")] = None,
    statement: Annotated[bool, typer.Option("--statement", help="The statement of usage instead of the bill.")] = False,
    locale: Annotated[str | None, typer.Option("--locale", help="Language tag such as de-CH; else the account's own, or METERHOUSE_LOCALE.")] = None,
    org: Annotated[str | None, OrgOption] = None,
    home: Annotated[Path | None, HomeOption] = None,
) -> None:
    """Write a bill, or with --statement the usage behind it, as pages to print."""
    from transforms.errors import EntityInvalid

    if pdf is None and html is None:
        raise EntityInvalid("say where to write the document: --pdf FILE, --html FILE, or both")
    from api.printing import rendering
    from api.printing.bill_pages import bill_view
    from api.printing.sources import printed_bill
    from api.printing.statement_pages import statement_view
    from pipelines.storage import statement_runs
    from pipelines.storage.lake import Lake

    with opened(home) as (settings, database):
        org_id = organization_id(database, org)
        lake = Lake(settings.lake_root, settings.lake_options)
        found = printed_bill(database, lake, org_id, bill, default_locale=settings.locale, asked=locale)
        view = statement_view(found, statement_runs.made(database, lake, org_id, bill)[1]) if statement else bill_view(found)
    if html is not None:
        html.write_text(rendering.html(view), encoding="utf-8")
    if pdf is not None:
        pdf.write_bytes(rendering.pdf(view))
    for path in (html, pdf):
        if path is not None:
            typer.echo(str(path))
