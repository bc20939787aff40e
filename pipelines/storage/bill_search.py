"""Search of bills (platform.md 3): what can be searched and sorted by.

Put here what is particular to bills; the language is search_terms.py, lists are in bill_store.py.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection

from pipelines.storage.bill_locks import is_locked
from pipelines.storage.bill_store import HEADERS, Header, headers
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.search_terms import Found, Search, matching
from transforms.errors import EntityInvalid

#: Field of a term -> column.
SEARCHABLE: Mapping[str, str] = {
    "accountId": "account_id",
    "locked": "locked",
    "billDate": "bill_date",
    "startDate": "start_date",
    "endDate": "end_date",
    "dueDate": "due_date",
    "billingFrequency": "billing_frequency",
    "id": "id",
    "ids": "id",
    "createdBy": "created_by",
    "dtCreated": "dt_created",
    "lastModifiedBy": "last_modified_by",
}
#: Field that bills are sorted by -> column.
SORTABLE: Mapping[str, str] = {
    **{name: column for name, column in SEARCHABLE.items() if name != "ids"},
    "accountCode": "account_code",
    "status": "status",
    "billTotal": "bill_total",
    "currency": "currency",
    "externalInvoiceDate": "external_invoice_date",
    "sequentialInvoiceNumber": "sequential_invoice_number",
    "lastCalculatedDate": "last_calculated_at",
    "dtLastModified": "dt_last_modified",
    "billJobId": "bill_job_id",
    "purchaseOrderNumber": "purchase_order_number",
    "billFrequencyInterval": "bill_frequency_interval",
}


def searched(connection: Connection, org_id: str, search: Search) -> Found[Header]:
    """A page of the headers that match; its token is the number of the next document.

    Raises:
        EntityInvalid: What can't be searched or sorted by, with what can.
    """
    condition = matching(search.query, columns={name: _column(column) for name, column in SEARCHABLE.items()}, joined_by=search.joined_by)
    column: ColumnElement[Any] = BILLS.c.sequence if search.sort_by is None else _column(_sort_column(search.sort_by))
    query = HEADERS.where(BILLS.c.org_id == org_id, condition).order_by(search.sorted(column), BILLS.c.sequence.desc())
    return search.page(headers(connection, query.offset(search.from_document).limit(search.size + 1)))


def _column(name: str) -> ColumnElement[Any]:
    return is_locked() if name == "locked" else BILLS.c[name]


def _sort_column(field: str) -> str:
    if field not in SORTABLE:
        raise EntityInvalid.of("sortBy", f"sortBy is {field!r}; bills can be sorted by {', '.join(SORTABLE)}")
    return SORTABLE[field]
