"""Search of accounts (platform.md 3): what can be searched and sorted by.

Put here what is particular to accounts; the language is search_terms.py, lists are config_lists.py.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from pipelines.storage.config_lists import Page, page_size
from pipelines.storage.config_rows import columns_of, from_row
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.search_terms import matching, ordered
from transforms.entities.accounts import Account
from transforms.entities.fields import by_wire_name
from transforms.errors import EntityInvalid

DEFAULT_SIZE = 10
LARGEST_SIZE = 100
#: Field of a term -> column.
_FIELDS: Mapping[str, str] = {
    "name": "name",
    "code": "code",
    "codes": "code",
    "currency": "currency",
    "purchaseOrderNumber": "purchase_order_number",
    "parentAccountId": "parent_account_id",
    "id": "id",
    "ids": "id",
    "createdBy": "created_by",
    "dtCreated": "dt_created",
    "lastModifiedBy": "last_modified_by",
}


def searched(
    connection: Connection,
    org_id: str,
    query: str,
    *,
    operator: str = "AND",
    sort_by: str | None = None,
    sort_order: str | None = None,
    size: int | None = None,
    from_document: int = 0,
) -> Page[Account]:
    """A page of the accounts that match; its token is the number of the next document.

    Args:
        connection: An open transaction.
        org_id: The organization.
        query: The terms; nothing matches every account.
        operator: AND or OR, joining the terms.
        sort_by: Any field of an account, on the wire's spelling; the order of creation without it.
        sort_order: ASC or DESC; without it newest first, or ascending by the given field.
        size: From 1 to 100, default 10.
        from_document: How many documents come before the page.

    Raises:
        EntityInvalid: What can't be searched or sorted by, with what can.
    """
    if operator.upper() not in ("AND", "OR"):
        raise EntityInvalid.of("operator", f"operator is {operator!r}; it must be AND or OR")
    if sort_order is not None and sort_order.upper() not in ("ASC", "DESC"):
        raise EntityInvalid.of("sortOrder", f"sortOrder is {sort_order!r}; it must be ASC or DESC")
    if not 0 <= from_document < 2**31:
        raise EntityInvalid.of("fromDocument", f"fromDocument is {from_document}; it must be a whole number from 0 to 2147483647")
    rows_per_page = DEFAULT_SIZE if size is None else page_size(size, LARGEST_SIZE)
    table = TABLES["Account"]
    condition = matching(query, columns={name: table.c[column] for name, column in _FIELDS.items()}, joined_by=operator.upper())
    column = table.c.sequence if sort_by is None else table.c[_sort_column(sort_by)]
    ascending = sort_order.upper() == "ASC" if sort_order is not None else sort_by is not None
    found = (
        select(*columns_of(Account))
        .where(table.c.org_id == org_id, condition)
        .order_by(ordered(column, is_ascending=ascending), table.c.sequence.desc())
        .offset(from_document)
        .limit(rows_per_page + 1)
    )
    rows = connection.execute(found).mappings().all()
    following = str(from_document + rows_per_page) if len(rows) > rows_per_page else None
    return Page([from_row(Account, row) for row in rows[:rows_per_page]], following)


def _sort_column(wire: str) -> str:
    field = by_wire_name(Account).get(wire)
    if field is None or field.type is object:
        possible = ", ".join(f.wire for f in by_wire_name(Account).values() if f.type is not object)
        raise EntityInvalid.of("sortBy", f"sortBy is {wire!r}; accounts can be sorted by {possible}")
    return field.name
