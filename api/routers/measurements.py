"""``POST measurements``: usage in, acknowledged once it is durable. Source: usage.md 2; DECISIONS 11-13.

This is the hot path: found without the search through some hundred routes, no dependency injection, one typed decoding of
the body, no database. Put here the call only; what is checked is transforms/measurements/wire.py, what is kept is
pipelines/storage/landing.py.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fastapi import APIRouter, FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.dependencies import caller_of
from api.errors import domain_response
from pipelines.storage.landing import Landing
from transforms.errors import MeterhouseError
from transforms.measurements.wire import checked

PATH = "/organizations/{org_id}/measurements"
_PATH = re.compile(PATH.replace("{org_id}", "(?P<org_id>[^/]+)"))
ACCEPTED = b'{"result":"accepted"}'


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    landing = Landing(app.state.meterhouse.settings.landing_root)
    app.state.landing = landing
    try:
        yield
    finally:
        await run_in_threadpool(landing.close)


router = APIRouter(lifespan=_lifespan)


async def submit(request: Request) -> Response:
    """Keep the measurements of the body; all of them or none."""
    caller = caller_of(request)
    body = await request.body()
    now = datetime.now(UTC)
    checked(body, now=now)
    await request.app.state.landing.append(caller.org_id, body, now)
    return Response(ACCEPTED, media_type="application/json")


# The route itself answers other methods, and says that the path exists.
router.add_route(PATH, submit, methods=["POST"])


class SubmitFirst:
    """Middleware that hands this one call to :func:`submit`; routing would cost a tenth of the whole call."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a submission; pass on everything else."""
        found = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self.app(scope, receive, send)
            return
        try:
            response = await submit(Request({**scope, "path_params": found.groupdict()}, receive))
        except MeterhouseError as error:
            response = domain_response(error)
        await response(scope, receive, send)
