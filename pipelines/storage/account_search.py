"""Search of accounts (platform.md 3): what can be searched and sorted by.

Put here what is particular to accounts; the language is search_terms.py, lists are config_lists.py.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from pipelines.storage.config_rows import columns_of, from_row
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.search_terms import Found, Search, matching
from transforms.entities.accounts import Account
from transforms.entities.fields import by_wire_name
from transforms.errors import EntityInvalid

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


def searched(connection: Connection, org_id: str, search: Search) -> Found[Account]:
    """A page of the accounts that match; its token is the number of the next document.

    Raises:
        EntityInvalid: What can't be searched or sorted by, with what can.
    """
    table = TABLES["Account"]
    condition = matching(search.query, columns={name: table.c[column] for name, column in _FIELDS.items()}, joined_by=search.joined_by)
    column = table.c.sequence if search.sort_by is None else table.c[_sort_column(search.sort_by)]
    found = (
        select(*columns_of(Account))
        .where(table.c.org_id == org_id, condition)
        .order_by(search.sorted(column), table.c.sequence.desc())
        .offset(search.from_document)
        .limit(search.size + 1)
    )
    rows = connection.execute(found).mappings().all()
    return search.page([from_row(Account, row) for row in rows])


def _sort_column(wire: str) -> str:
    field = by_wire_name(Account).get(wire)
    if field is None or field.type is object:
        possible = ", ".join(f.wire for f in by_wire_name(Account).values() if f.type is not object)
        raise EntityInvalid.of("sortBy", f"sortBy is {wire!r}; accounts can be sorted by {possible}")
    return field.name
