"""Search of bills (platform.md 3): terms such as ``startDate>2023-01-01$accountId:<id>`` as SQL.

Put here what is particular to bills; lists are in bill_store.py, search of accounts in account_search.py.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from pipelines.storage.bill_store import HEADERS, Header, headers
from pipelines.storage.bill_tables import BILLS
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
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {":": operator.eq, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_TERM = re.compile(r"\s*(\w+)\s*(>=|<=|>|<|:|~)(.*)", re.DOTALL)


def searched(
    connection: Connection,
    org_id: str,
    query: str,
    *,
    joined_by: str,
    sort_by: str | None,
    is_ascending: bool | None,
    size: int,
    from_document: int,
) -> list[Header]:
    """The headers that match, at most ``size`` of them after the first ``from_document``; newest first unless sorted.

    Args:
        connection: An open transaction.
        org_id: The organization.
        query: The terms, joined by ``$``; nothing matches every bill.
        joined_by: AND or OR, joining the terms.
        sort_by: A field of SORTABLE.
        is_ascending: The order; None is ascending by the given field, newest first without one.
        size: At most so many headers.
        from_document: How many documents come before them.

    Raises:
        EntityInvalid: What can't be searched or sorted by, with what can.
    """
    terms = [_condition(term) for term in query.split("$") if term.strip()]
    matching = (sa.and_ if joined_by == "AND" else sa.or_)(*terms) if terms else sa.true()
    column: ColumnElement[Any] = BILLS.c.sequence if sort_by is None else BILLS.c[_sort_column(sort_by)]
    ascending = is_ascending if is_ascending is not None else sort_by is not None
    order = column.asc().nulls_last() if ascending else column.desc().nulls_last()
    found = HEADERS.where(BILLS.c.org_id == org_id, matching).order_by(order, BILLS.c.sequence.desc())
    return headers(connection, found.offset(from_document).limit(size))


def _sort_column(field: str) -> str:
    if field not in SORTABLE:
        raise EntityInvalid.of("sortBy", f"sortBy is {field!r}; bills can be sorted by {', '.join(SORTABLE)}")
    return SORTABLE[field]


def _condition(term: str) -> ColumnElement[bool]:
    parts = _TERM.fullmatch(term)
    if parts is None or parts[1] not in SEARCHABLE:
        possible = ", ".join(SEARCHABLE)
        raise EntityInvalid.of("searchQuery", f"searchQuery has the term {term!r}; a term is a field ({possible}), one of : > >= < <= ~, and a value")
    name, comparator, value = parts[1], parts[2], parts[3].strip()
    if "\x00" in value:
        raise EntityInvalid.of("searchQuery", "searchQuery may not hold NUL characters")
    column: ColumnElement[Any] = BILLS.c[SEARCHABLE[name]]
    if name == "ids" and comparator == ":":
        return column.in_([item.strip() for item in value.split(",")])
    if comparator == "~":
        text = sa.func.to_char(column, 'YYYY-MM-DD"T"HH24:MI:SS') if name == "dtCreated" else sa.cast(column, sa.Text)
        return sa.func.starts_with(sa.func.lower(text), value.lower())
    condition: ColumnElement[bool] = _COMPARISONS[comparator](column, _operand(name, column, value))
    return condition


def _operand(name: str, column: ColumnElement[Any], value: str) -> Any:
    """The value in the column's type."""
    try:
        if isinstance(column.type, sa.Boolean):
            return {"true": True, "false": False}[value.lower()]
        if isinstance(column.type, sa.Date):
            return date.fromisoformat(value.split("T", maxsplit=1)[0])
        if isinstance(column.type, sa.TIMESTAMP):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (KeyError, ValueError):
        right = "true or false" if isinstance(column.type, sa.Boolean) else "a date such as 2025-01-31"
        raise EntityInvalid.of("searchQuery", f"{name} is compared with {value!r}; write {right}") from None
    return value
