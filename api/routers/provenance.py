"""Where a bill comes from: its calculations, computed again, compared, and its lines explained. Ours, beyond the public API.

Nothing here changes anything. Source: DECISIONS 33.
"""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.dependencies import Caller, ProcessState
from api.encoding import json_response
from api.lakes import lake_of
from api.pagination import envelope
from api.provenance_documents import calculation_document, comparison_document, explanation_document, rebill_document
from pipelines.storage import bill_store, calculations
from transforms.errors import EntityInvalid

router = APIRouter(prefix="/organizations/{org_id}/bills/{bill_id}", tags=["Provenance"])

#: Most measurements of one source that an explanation shows.
MEASUREMENTS_MAX = 1_000

From = Annotated[str | None, Query(alias="from", description="Id or number of a calculation; the one before the last by default.")]
To = Annotated[str | None, Query(alias="to", description="Id or number of a calculation; the last by default.")]
Limit = Annotated[int, Query(ge=0, le=MEASUREMENTS_MAX, description="Most measurements that are shown of each aggregation.")]


@router.post("/rebill")
def rebill(state: ProcessState, caller: Caller, bill_id: str) -> Response:
    """Compute the bill again from the dataset versions, the configuration and the overrides that it names, and compare every field.

    Nothing is stored.
    """
    from pipelines.storage import rebilling

    with state.database.transaction() as connection:
        (bill,) = rebilling.bill_rows(connection, caller.org_id, bill_store.BillFilter(ids=[bill_id]))
    return json_response(rebill_document(bill, rebilling.rebilled(state.database, lake_of(state), caller.org_id, [bill])))


@router.get("/calculations")
def listing(state: ProcessState, caller: Caller, bill_id: str) -> Response:
    """Every calculation that the bill has had, oldest first, and what each was computed from."""
    with state.database.transaction() as connection:
        bill = bill_store.bill(connection, caller.org_id, bill_id)
        found = calculations.calculations_of(connection, bill)
    return json_response(envelope((calculation_document(one, bill["calculation_id"]) for one in found), None))


@router.get("/diff")
def diff(state: ProcessState, caller: Caller, bill_id: str, from_: From = None, to: To = None) -> Response:
    """The lines that two calculations of the bill state differently, and for each whether data, configuration or software caused it."""
    from pipelines.storage.calculation_differences import compared

    if (from_ is None) != (to is None):
        raise EntityInvalid.of("from" if from_ is None else "to", "from and to belong together: give both, or none for the last two calculations")
    with state.database.transaction() as connection:
        bill = bill_store.bill(connection, caller.org_id, bill_id)
        before, after = calculations.pair(calculations.calculations_of(connection, bill), from_, to)
    return json_response(comparison_document(bill, compared(state.database, lake_of(state), bill, before, after)))


@router.get("/lineitems/{line_item_id}/explain")
def explain(state: ProcessState, caller: Caller, bill_id: str, line_item_id: str, measurements: Limit = 100) -> Response:
    """Why the line is what it is: formula, numbers, and the measurements behind it, whose aggregate is computed again and compared.

    ``isEqual`` is false where anything computed again does not give the line.
    """
    from pipelines.storage.line_explanations import explained

    with state.database.transaction() as connection:
        bill = bill_store.bill(connection, caller.org_id, bill_id)
    return json_response(explanation_document(bill, explained(state.database, lake_of(state), bill, line_item_id), limit=measurements))
