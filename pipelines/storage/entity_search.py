"""Search of accounts and commitments (platform.md 3): what can be searched and sorted by.

Put here what is particular to entities; the language is search_terms.py, lists are config_lists.py.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from pipelines.storage.config_rows import columns_of, from_row
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.search_terms import Found, Search, matching
from transforms.entities.accounts import Account
from transforms.entities.commitments import Commitment
from transforms.entities.fields import FieldSpec, by_wire_name
from transforms.entities.resource import Entity
from transforms.errors import EntityInvalid

E = TypeVar("E", bound=Entity)

_AUDIT = {"id": "id", "ids": "id", "createdBy": "created_by", "dtCreated": "dt_created", "lastModifiedBy": "last_modified_by"}
#: Kind -> field of a term -> column.
_FIELDS: Mapping[type[Entity], Mapping[str, str]] = {
    Account: {
        "name": "name",
        "code": "code",
        "codes": "code",
        "currency": "currency",
        "purchaseOrderNumber": "purchase_order_number",
        "parentAccountId": "parent_account_id",
        **_AUDIT,
    },
    Commitment: {
        "startDate": "start_date",
        "endDate": "end_date",
        "contractId": "contract_id",
        "accountId": "account_id",
        "productId": "product_ids",
        "productIds": "product_ids",
        **_AUDIT,
    },
}


def searched(connection: Connection, org_id: str, kind: type[E], search: Search) -> Found[E]:
    """A page of the entities that match; its token is the number of the next document.

    Raises:
        EntityInvalid: What can't be searched or sorted by, with what can.
    """
    table = TABLES[kind.__name__]
    condition = matching(search.query, columns={name: table.c[column] for name, column in _FIELDS[kind].items()}, joined_by=search.joined_by)
    column: Any = table.c.sequence if search.sort_by is None else table.c[_sort_column(kind, search.sort_by)]
    found = (
        select(*columns_of(kind))
        .where(table.c.org_id == org_id, condition)
        .order_by(search.sorted(column), table.c.sequence.desc())
        .offset(search.from_document)
        .limit(search.size + 1)
    )
    rows = connection.execute(found).mappings().all()
    return search.page([from_row(kind, row) for row in rows])


def _sort_column(kind: type[Entity], wire: str) -> str:
    def is_sortable(field: FieldSpec) -> bool:
        return field.type is not object and not field.is_derived

    field = by_wire_name(kind).get(wire)
    if field is None or not is_sortable(field):
        possible = ", ".join(f.wire for f in by_wire_name(kind).values() if is_sortable(f))
        raise EntityInvalid.of("sortBy", f"sortBy is {wire!r}; a list of kind {kind.__name__} can be sorted by {possible}")
    return field.name
