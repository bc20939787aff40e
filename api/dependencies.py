"""What routes ask for: the process's state, the caller, the body.

One request is one transaction: a route opens it with ``state.database.transaction()`` around all it does and answers
after it has ended, so a refused call changes nothing.
"""

import time
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Request

from api.encoding import parsed
from pipelines.storage.database import Database
from pipelines.storage.security import KeyVerifier, Principal, token_principal
from pipelines.storage.settings import Settings
from transforms.errors import AccessDenied


@dataclass(frozen=True)
class State:
    """What one API process holds.

    Attributes:
        settings: The settings it was started with.
        database: The pool of connections.
        token_secret: What bearer tokens are signed with, read once at the start.
        keys: Remembers which access keys were verified.
    """

    settings: Settings
    database: Database
    token_secret: bytes
    keys: KeyVerifier


def state_of(request: Request) -> State:
    """The process's state."""
    return cast(State, request.app.state.meterhouse)


def principal_of(request: Request) -> Principal:
    """The caller that the bearer token names.

    Raises:
        AccessDenied: There is no token, or it is not valid (any more).
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise AccessDenied("a bearer token is required: Authorization: Bearer <token from /oauth/token>")
    return token_principal(token.strip(), secret=state_of(request).token_secret, now=time.time())


def caller_of(request: Request) -> Principal:
    """The caller, who must belong to the organization in the path.

    Raises:
        AccessDenied: As :func:`principal_of`; also for another organization, whether it exists or not.
    """
    principal = principal_of(request)
    if request.path_params["org_id"] != principal.org_id:
        raise AccessDenied(f"no access to organization {request.path_params['org_id']}")
    return principal


async def body_of(request: Request) -> Any:
    """The parsed JSON body, numbers with a point as Decimal; None when there is no body."""
    content = await request.body()
    return parsed(content) if content.strip() else None


ProcessState = Annotated[State, Depends(state_of)]
Caller = Annotated[Principal, Depends(caller_of)]
Body = Annotated[Any, Depends(body_of)]
EntityId = Annotated[str, Path(alias="id")]
