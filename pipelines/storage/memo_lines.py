"""Credit and debit lines as lines of their bills: the one join of what people put on a bill with what was calculated.

Line items of calculations are in the lake, memo lines in PostgreSQL. Wherever bills are read, their rows get ``memo_lines``
here; whoever reads lines (bill_lines.py, totals.py) adds those to what the lake has, so nobody else knows the difference.

Put here how a memo line looks as a line item. Keep out how one is written (memo_store.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from pipelines.storage.bill_tables import MEMO_LINES
from transforms.datasets import BILL_LINE_ITEMS

#: The column of a frame of bills that holds their memo lines.
COLUMN = "memo_lines"
COLUMN_TYPE = pl.List(pl.Struct(BILL_LINE_ITEMS.schema))
#: What a header must say for its memo lines to be attached.
NEEDED = ("org_id", "id", "account_id", "bill_date", "calculation_id", "line_count", "memo_count")
#: Column of the dataset -> column of the table, where they are called differently.
_RENAMED = {"line_item_id": "id", "service_period_start": "service_period_start_date", "service_period_end": "service_period_end_date"}


def attached(connection: Connection, headers: Sequence[dict[str, Any]]) -> None:
    """Give every header that has memo lines ``memo_lines``: rows of BILL_LINE_ITEMS, which follow the calculated lines.

    Args:
        connection: The transaction that read the headers.
        headers: Rows of bills of one organization, with NEEDED.
    """
    with_memos = {header["id"]: header for header in headers if header.get("memo_count")}
    if not with_memos:
        return
    c = MEMO_LINES.c
    org_id = next(iter(with_memos.values()))["org_id"]
    rows = connection.execute(sa.select(MEMO_LINES).where(c.org_id == org_id, c.bill_id.in_(list(with_memos))).order_by(c.bill_id, c.sequence))
    for row in rows.mappings():
        header = with_memos[row["bill_id"]]
        own = header.setdefault(COLUMN, [])
        own.append(_line(header, row, header["line_count"] - header["memo_count"] + len(own) + 1))


def _line(header: Mapping[str, Any], row: RowMapping, sequence_number: int) -> dict[str, Any]:
    line = {name: row.get(_RENAMED.get(name, name)) for name in BILL_LINE_ITEMS.schema}
    return line | {
        "bill_date": header["bill_date"],
        "calculation_id": header["calculation_id"],
        "account_id": header["account_id"],
        "sequence_number": sequence_number,
        "quantity": Decimal(1),
        "units": Decimal(1),
        "unit": "UNIT",
        "average_unit_price": row["subtotal"],
    }


def frame(headers: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """The memo lines of the headers: dataset BILL_LINE_ITEMS."""
    return pl.DataFrame([line for header in headers for line in header.get(COLUMN, ())], schema=BILL_LINE_ITEMS.schema, orient="row")
