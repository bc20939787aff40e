"""``POST /oauth/token``: an access key and its secret for a bearer token.

The public client asks for a token before every call, as JSON; other OAuth clients send a form. Put here the grant only;
keys and tokens are pipelines/storage/security.py.
"""

import base64
import binascii
import time
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import State, state_of
from api.encoding import json_response, parsed
from pipelines.storage.security import Principal, bearer_token
from transforms.errors import AccessDenied, EntityInvalid

router = APIRouter(tags=["Authentication"])


@router.post("/oauth/token")
async def token(request: Request) -> Response:
    """A bearer token for the access key and secret given by Basic authentication (or in the form)."""
    fields = _fields(request.headers.get("content-type", ""), await request.body())
    if fields.get("grant_type") != "client_credentials":
        raise EntityInvalid.of("grant_type", f"grant_type is {fields.get('grant_type')!r}; the only one here is client_credentials")
    api_key, secret = _credentials(request.headers.get("authorization", ""), fields)
    state = state_of(request)
    principal = await run_in_threadpool(_verified, state, api_key, secret)
    seconds = state.settings.token_seconds
    access_token = bearer_token(principal, secret=state.token_secret, now=time.time(), seconds=seconds)
    answer = {"access_token": access_token, "token_type": "Bearer", "expires_in": seconds}
    return json_response(answer, headers={"cache-control": "no-store"})


def _verified(state: State, api_key: str, secret: str) -> Principal:
    with state.database.transaction() as connection:
        return state.keys.principal(connection, api_key, secret)


def _fields(content_type: str, body: bytes) -> dict[str, Any]:
    if "x-www-form-urlencoded" in content_type.lower():
        return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    fields = parsed(body) if body.strip() else {}
    return fields if isinstance(fields, dict) else {}


def _credentials(authorization: str, fields: dict[str, Any]) -> tuple[str, str]:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            api_key, separator, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise AccessDenied("the Authorization header is not valid Basic authentication") from None
        if separator:
            return api_key, secret
    if isinstance(fields.get("client_id"), str) and isinstance(fields.get("client_secret"), str):
        return fields["client_id"], fields["client_secret"]
    raise AccessDenied("send the access key and its secret by Basic authentication")
