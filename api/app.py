"""The HTTP application: ``api.app:app``.

Put here what the parts are put together from. A new router is one line in ``ROUTERS``; one that holds something open has a
lifespan of its own (``APIRouter(lifespan=...)``), which finds the process's state in ``app.state.meterhouse``.
"""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api import crud, errors, security
from api.dependencies import State, state_of
from api.encoding import json_response
from api.middleware import LimitedBody, TidyUrl
from api.openapi import described
from api.routers import (
    account_plans,
    accounts,
    balances,
    bill_config,
    bill_jobs,
    bills,
    commitments,
    documents,
    downloads,
    end_dating,
    line_items,
    measurements,
    memo_lines,
    organizations,
    provenance,
    reference,
    statement_jobs,
    statements,
    usage,
)
from pipelines.storage import tables
from pipelines.storage.database import connected, migrated
from pipelines.storage.security import KeyVerifier, token_secret
from pipelines.storage.settings import Settings, settings_of

assert tables.METADATA.tables, "the tables are declared before anything reads them"

#: In the order of matching: literal paths before the ``{id}`` of others.
ROUTERS = (
    measurements,
    downloads,
    statement_jobs,
    usage,
    bill_config,
    bill_jobs,
    documents,
    statements,
    bills,
    line_items,
    memo_lines,
    provenance,
    organizations,
    accounts,
    account_plans,
    balances,
    commitments,
    end_dating,
    reference,
)


def started(settings: Settings) -> State:
    """The state of an API process: connected, with the schema up to date."""
    database = connected(settings)
    migrated(database)
    with database.transaction() as connection:
        secret = token_secret(connection)
    return State(settings=settings, database=database, token_secret=secret, keys=KeyVerifier())


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = await run_in_threadpool(started, app.state.settings or settings_of())
    app.state.meterhouse = state
    # What is there now stays: collections look at what requests leave behind, not at every route again (0.1 s each time).
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        await run_in_threadpool(state.database.close)


def healthz(request: Request) -> Response:
    """200 when the database answers."""
    with state_of(request).database.transaction() as connection:
        connection.exec_driver_sql("SELECT 1")
    return json_response({"status": "ok"})


def created_app(settings: Settings | None = None) -> FastAPI:
    """The application with all its routes.

    Args:
        settings: None to read them from the environment when the application starts.
    """
    # The pages that FastAPI makes of the OpenAPI document load scripts from elsewhere; /openapi.json itself is served.
    app = FastAPI(title="Meterhouse", lifespan=_lifespan, redirect_slashes=False, docs_url=None, redoc_url=None)
    app.state.settings = settings
    app.add_middleware(measurements.SubmitFirst)
    app.add_middleware(LimitedBody)
    app.add_middleware(TidyUrl)
    errors.add_handlers(app)
    app.add_api_route("/healthz", healthz, methods=["GET"], include_in_schema=False)
    app.include_router(security.router)
    for module in ROUTERS:
        app.include_router(module.router)
    app.include_router(crud.router_of())
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    return app


app = created_app()
