"""The one table from domain errors to HTTP statuses (DECISIONS 35), and the body of every error.

A domain error knows no HTTP; no route catches one. Put a new error's status here.
"""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.encoding import json_response
from transforms.entities.documents import wire_path
from transforms.errors import (
    AccessDenied,
    BodyTooLarge,
    DuplicateKey,
    EntityInvalid,
    ExpressionError,
    FieldProblem,
    LimitExceeded,
    MeterhouseError,
    NotFound,
    Refused,
    SchemaMismatch,
    Unavailable,
    Unratable,
    VersionConflict,
)

STATUSES: Mapping[type[MeterhouseError], int] = {
    EntityInvalid: 400,
    ExpressionError: 400,
    Refused: 400,
    SchemaMismatch: 400,
    Unratable: 400,
    AccessDenied: 403,
    BodyTooLarge: 403,
    NotFound: 404,
    VersionConflict: 409,
    DuplicateKey: 409,
    LimitExceeded: 429,
    Unavailable: 503,
}
#: 409 is final (the public clients would send it again), a 429 or 503 may be tried again after a while.
_HEADERS: Mapping[int, Mapping[str, str]] = {409: {"x-should-retry": "false"}, 429: {"retry-after": "1"}, 503: {"retry-after": "1"}}


def error_response(status: int, message: str, problems: tuple[FieldProblem, ...] = ()) -> Response:
    """The answer for an error: ``{"message", "errors": [{"field", "message"}]}``."""
    body = {"message": _sendable(message), "errors": [{"field": _sendable(p.field), "message": _sendable(p.message)} for p in problems]}
    return json_response(body, status, _HEADERS.get(status))


def _sendable(text: str) -> str:
    """The text, which may quote a request, with half surrogate pairs spelled out: no UTF-8 has them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def status_of(error: MeterhouseError) -> int:
    """The status of a domain error: that of the nearest class in the table."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def domain_response(error: MeterhouseError) -> Response:
    """The answer for a domain error."""
    return error_response(status_of(error), str(error), getattr(error, "problems", ()))


async def _domain(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MeterhouseError)
    return domain_response(error)


async def _parameters(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = tuple(FieldProblem(wire_path(tuple(e["loc"][1:])), e["msg"]) for e in error.errors())
    return error_response(400, "; ".join(f"{p.field}: {p.message}" for p in problems), problems)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return error_response(404, f"there is nothing at {request.url.path}")
    if error.status_code == 405:
        return error_response(405, f"{request.method} is not possible at {request.url.path}")
    return error_response(error.status_code, str(error.detail or HTTPStatus(error.status_code).phrase))


async def _database(_request: Request, _error: Exception) -> Response:
    return error_response(503, "the database can't be reached at the moment; try again")


async def _unexpected(_request: Request, _error: Exception) -> Response:
    return error_response(500, "an internal error; the server's log has the details")


def add_handlers(app: FastAPI) -> None:
    """Let the app answer every error in the one shape."""
    app.add_exception_handler(MeterhouseError, _domain)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _http)
    for kind in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(kind, _database)
    app.add_exception_handler(Exception, _unexpected)
