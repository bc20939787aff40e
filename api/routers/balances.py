"""What balances have beside CRUD: their transactions, and previews of their schedules (billing.md 5.7, 5.9)."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.dependencies import Body, Caller, ProcessState
from api.encoding import json_response
from api.pagination import NextToken, PageSize, envelope
from pipelines.storage import balance_transactions, config_store
from pipelines.storage.config_lists import page_size, page_token, sequence_of
from pipelines.storage.schedule_runs import scheduled_charge, scheduled_transaction
from transforms.billing.balance_schedules import Run, runs
from transforms.entities.balances import Balance, BalanceChargeSchedule, BalanceTransaction, BalanceTransactionSchedule
from transforms.entities.documents import document, validated
from transforms.entities.organization import OrganizationConfig

router = APIRouter(prefix="/organizations/{org_id}/balances/{balance_id}", tags=["Balance"])

BalanceId = Annotated[str, Path(alias="balance_id")]
S = TypeVar("S", BalanceTransactionSchedule, BalanceChargeSchedule)


@router.post("/transactions")
def create(state: ProcessState, caller: Caller, balance_id: BalanceId, body: Body) -> Response:
    """Put money on the balance, or take some out."""
    with state.database.transaction() as connection:
        one = balance_transactions.created(connection, caller.org_id, balance_id, validated(BalanceTransaction, body), caller.id)
    return json_response(document(one))


@router.get("/transactions")
def listing(  # noqa: PLR0917 - FastAPI passes query parameters by name
    request: Request, state: ProcessState, caller: Caller, balance_id: BalanceId, page_size: PageSize = None, next_token: NextToken = None
) -> Response:
    """The transactions that stand, newest first: filtered by ``transactionTypeId``, ``entityType``, ``entityId``."""
    with state.database.transaction() as connection:
        parameters = dict(request.query_params)
        page = balance_transactions.listed(connection, caller.org_id, balance_id, parameters, size=page_size, token=next_token)
    return json_response(envelope(map(document, page.data), page.next_token))


@router.get("/transactions/summary")
def summary(state: ProcessState, caller: Caller, balance_id: BalanceId) -> Response:
    """What the transactions come to."""
    with state.database.transaction() as connection:
        sums = balance_transactions.summarized(connection, caller.org_id, balance_id)
    return json_response(sums.model_dump(by_alias=True))


@router.post("/balancetransactionschedules/preview")
def preview_transactions(  # noqa: PLR0917
    state: ProcessState, caller: Caller, balance_id: BalanceId, body: Body, page_size: PageSize = None, next_token: NextToken = None
) -> Response:
    """The schedule as it would be, with the transactions that it would make in ``data``; nothing is stored."""
    with state.database.transaction() as connection:
        schedule, planned = _planned(connection, caller.org_id, balance_id, BalanceTransactionSchedule, body)
    made = [document(scheduled_transaction(schedule, run)) for run in planned]
    return json_response({**document(schedule), **_page(made, page_size, next_token)})


@router.post("/balancechargeschedules/preview")
def preview_charges(  # noqa: PLR0917
    state: ProcessState, caller: Caller, balance_id: BalanceId, body: Body, page_size: PageSize = None, next_token: NextToken = None
) -> Response:
    """The schedule as it would be, with the charges that it would make in ``data``; nothing is stored."""
    with state.database.transaction() as connection:
        balance = config_store.entity(connection, caller.org_id, Balance, balance_id)
        schedule, planned = _planned(connection, caller.org_id, balance_id, BalanceChargeSchedule, body)
    made = [document(scheduled_charge(schedule, balance, run)) for run in planned]
    return json_response({**document(schedule), **_page(made, page_size, next_token)})


def _planned(connection: Connection, org_id: str, balance_id: str, kind: type[S], body: Any) -> tuple[S, list[Run]]:
    balance = config_store.entity(connection, org_id, Balance, balance_id)
    given = {**body, "balanceId": balance.id} if isinstance(body, dict) else body
    schedule = config_store.checked(connection, org_id, validated(kind, given), None)
    organization = next(iter(config_store.entities(connection, org_id, OrganizationConfig)), OrganizationConfig())
    return schedule, list(runs(schedule, organization))


def _page(made: Sequence[dict[str, Any]], size: int | None, token: str | None) -> dict[str, Any]:
    first = sequence_of(token) if token else 0
    end = first + page_size(size, balance_transactions.PAGE_SIZE_MAX)
    return envelope(made[first:end], page_token(end) if end < len(made) else None)
