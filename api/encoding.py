"""JSON in and out, with exact numbers.

Put here how a document becomes bytes and back. Keep out what is in it.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from starlette.responses import Response

from transforms.entities.documents import plain_numbers
from transforms.errors import EntityInvalid

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encoded(document: Any) -> bytes:
    """The document as JSON: Decimals as numbers without exponent or trailing zeros, instants with Z, days as YYYY-MM-DD."""
    return _ENCODER.encode(plain_numbers(document))


def json_response(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that carries the document."""
    return Response(encoded(document), status_code=status, headers=dict(headers or {}), media_type="application/json")


def _refused_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def parsed(body: bytes) -> Any:
    """The JSON value of a request body, numbers with a point or exponent as Decimal.

    Raises:
        EntityInvalid: The body is no JSON; the message says where.
    """
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refused_constant)
    except json.JSONDecodeError as error:
        raise EntityInvalid(f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise EntityInvalid(f"the body is not valid UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise EntityInvalid("the body is not acceptable JSON: it is nested too deeply") from None
    except (ValueError, ArithmeticError) as error:
        raise EntityInvalid(f"the body is not acceptable JSON: {error}") from None
