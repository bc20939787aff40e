"""Bills as CSV files: which bills, their accounts, products and lines. Source: billing.md 3.5.

Put here what a file is read from. Keep out its columns (transforms/billing/bill_csv.py) and its address (api/routers).
"""

import io
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage import bill_lines, bill_store
from pipelines.storage.bill_store import BillFilter, Header
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.entity_tables import TABLES
from pipelines.storage.lake import Lake
from transforms.billing.bill_csv import ACCOUNTS_SCHEMA, BILLS_SCHEMA, PRODUCTS_SCHEMA, csv_rows
from transforms.billing.csv_request import BILLS_MAX, DownloadCsvRequest
from transforms.errors import Refused


def asked_bills(request: DownloadCsvRequest) -> BillFilter:
    """The filter that a request says.

    Raises:
        EntityInvalid: Its period is open, empty or too long.
    """
    request.checked()
    return BillFilter(
        end_date_start=request.start_date,
        end_date_end=request.end_date,
        external_invoice_date_start=request.external_invoice_date_start,
        external_invoice_date_end=request.external_invoice_date_end,
    )


def refuse_too_many(connection: Connection, org_id: str, request: DownloadCsvRequest) -> None:
    """Return when the bills fit into one file; raises Refused, and EntityInvalid as :func:`asked_bills`."""
    count = connection.scalar(sa.select(sa.func.count()).select_from(BILLS).where(*asked_bills(request).conditions(org_id))) or 0
    if count > BILLS_MAX:
        raise Refused(f"the period has {count} bills, a file holds at most {BILLS_MAX}; ask for shorter periods")


def written(connection: Connection, lake: Lake, org_id: str, request: DownloadCsvRequest) -> bytes:
    """The file, UTF-8, with a line of column names.

    Raises:
        EntityInvalid: See :func:`asked_bills`.
        Refused: There are more bills than one file holds.
    """
    refuse_too_many(connection, org_id, request)
    headers = bill_store.listed(connection, org_id, asked_bills(request), before=None, limit=BILLS_MAX)
    accounts = _accounts(connection, org_id, headers)
    products = _products(connection, org_id)
    rows = csv_rows(_bills(headers), bill_lines.scanned(lake, org_id, headers), accounts=accounts, products=products, system=request.external_system)
    buffer = io.BytesIO()
    rows.collect().write_csv(buffer)
    return buffer.getvalue()


def _bills(headers: list[Header]) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {
        name: [h[{"bill_id": "id", "bill_currency": "currency"}.get(name, name)] for h in headers] for name in BILLS_SCHEMA
    }
    return pl.DataFrame(columns, schema=BILLS_SCHEMA)


def _accounts(connection: Connection, org_id: str, headers: list[Header]) -> pl.DataFrame:
    c = TABLES["Account"].c
    ids = sorted({header["account_id"] for header in headers})
    found = connection.execute(sa.select(c.id, c.name, c.email_address, c.address).where(c.org_id == org_id, c.id.in_(ids)))
    # The address is kept in its wire form.
    wires = {"address_line1": "addressLine1", "address_line2": "addressLine2", "address_line3": "addressLine3", "address_line4": "addressLine4"}
    names = [wires.get(name, "postCode" if name == "post_code" else name) for name in list(ACCOUNTS_SCHEMA)[3:]]
    rows = [(row.id, row.name, row.email_address, *((row.address or {}).get(name) for name in names)) for row in found]
    return pl.DataFrame(rows, schema=ACCOUNTS_SCHEMA, orient="row")


def _products(connection: Connection, org_id: str) -> pl.DataFrame:
    c = TABLES["Product"].c
    found = connection.execute(sa.select(c.id, c.code, c.name).where(c.org_id == org_id))
    return pl.DataFrame([tuple(row) for row in found], schema=PRODUCTS_SCHEMA, orient="row")
