"""``POST measurements``: usage in, acknowledged once it is durable. Source: usage.md 2; DECISIONS 11-13.

This is the hot path: a plain route without dependency injection, one typed decoding of the body, no database. Put here
the call only; what is checked is transforms/measurements/wire.py, what is kept is pipelines/storage/landing.py.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fastapi import APIRouter, FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import caller_of
from pipelines.storage.landing import Landing
from transforms.measurements.wire import checked

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


router.add_route("/organizations/{org_id}/measurements", submit, methods=["POST"])
