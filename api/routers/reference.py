"""Pages of reference that the server carries itself, so that they are those of the running version and need no network."""

from html import escape
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from transforms.expressions.reference import reference_page

router = APIRouter(tags=["Reference"])

_STYLE = (
    "body{font:15px system-ui;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2733}h2{margin-top:2rem}"
    "td{padding:.2rem .8rem .2rem 0;vertical-align:top}code{font-size:14px}td:first-child{color:#2b6cb0;font-weight:600}"
)


@router.get("/", include_in_schema=False)
def start() -> RedirectResponse:
    """Who opens the server's address in a browser sees its operations."""
    return RedirectResponse("/docs")


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
def operations(request: Request) -> HTMLResponse:
    """Every operation of the API by subject, from its own OpenAPI document."""
    document = request.app.openapi()
    subjects: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method in methods.keys() - {"parameters"}:
            operation = methods[method]
            subjects.setdefault(_subject(operation), []).append(_row(method, path, operation))
    sections = "".join(f"<h2>{escape(subject)}</h2><table>{''.join(sorted(rows))}</table>" for subject, rows in sorted(subjects.items()))
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Meterhouse API</title><style>{_STYLE}</style>'
    links = '<p><a href="/openapi.json">OpenAPI document</a> · <a href="/docs/formulas">formulas</a></p>'
    return HTMLResponse(f"{head}<h1>Meterhouse API</h1>{links}{sections}</html>")


def _subject(operation: dict[str, Any]) -> str:
    tags: list[str] = operation.get("tags") or ["Other"]
    return tags[0]


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    return f"<tr><td>{escape(method.upper())}</td><td><code>{escape(path)}</code></td><td>{escape(operation.get('summary', ''))}</td></tr>"


@router.get("/docs/formulas", response_class=PlainTextResponse)
def formulas() -> PlainTextResponse:
    """The calculation language: operators, rules, constants and every function with tested examples (Markdown)."""
    return PlainTextResponse(reference_page(), media_type="text/markdown; charset=utf-8")
