"""Bills and statements to look at and to print: HTML and PDF, in the reader's language.

Put here who gets which pages. Keep out what stands on them (api/printing).
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from api.dependencies import Caller, ProcessState, State
from api.lakes import lake_of
from api.presigned import file_headers

router = APIRouter(prefix="/organizations/{org_id}/bills/{bill_id}", tags=["Bill"])

Locale = Annotated[
    str | None, Query(description="A language tag such as de-CH; without it the account's custom field `locale` counts, or the browser.")
]
Accepted = Annotated[str | None, Header(alias="accept-language")]
#: Nothing on these pages comes from elsewhere, and nothing on them may run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def _pages(state: State, org_id: str, bill_id: str, kind: str, *, locale: str | None, accepted: str | None, is_statement: bool) -> Response:
    from api.printing import rendering
    from api.printing.bill_pages import bill_number, bill_view
    from api.printing.sources import printed_bill
    from api.printing.statement_pages import statement_view
    from pipelines.storage import statement_runs

    database, lake = state.database, lake_of(state)
    bill = printed_bill(database, lake, org_id, bill_id, default_locale=state.settings.locale, asked=locale, accepted=accepted)
    view = statement_view(bill, statement_runs.made(database, lake, org_id, bill_id)[1]) if is_statement else bill_view(bill)
    if kind == "html":
        headers = {"content-security-policy": _POLICY, "content-language": str(bill.formats.locale), "x-content-type-options": "nosniff"}
        return Response(rendering.html(view), media_type="text/html; charset=utf-8", headers=headers)
    name = f"{'statement' if is_statement else 'bill'}-{bill_number(bill.header)}.pdf"
    return Response(rendering.pdf(view), media_type="application/pdf", headers=file_headers(name, disposition="inline"))


@router.get("/document.{kind}")
def bill(
    state: ProcessState, caller: Caller, bill_id: str, kind: Literal["html", "pdf"], *, locale: Locale = None, accept_language: Accepted = None
) -> Response:
    """The bill as pages to print."""
    return _pages(state, caller.org_id, bill_id, kind, locale=locale, accepted=accept_language, is_statement=False)


@router.get("/statement/document.{kind}")
def statement(
    state: ProcessState, caller: Caller, bill_id: str, kind: Literal["html", "pdf"], *, locale: Locale = None, accept_language: Accepted = None
) -> Response:
    """The statement of the bill's usage, as it would be made now, as pages to print."""
    return _pages(state, caller.org_id, bill_id, kind, locale=locale, accepted=accept_language, is_statement=True)
