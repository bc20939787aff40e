"""Bills made up for tests of what stores and shows them; what bills cost is rating's own tests'."""

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from sqlalchemy import text

from pipelines.storage import bill_jobs, bill_lines, config_store
from pipelines.storage.bill_jobs import BillJob
from pipelines.storage.bill_writes import Calculation, stored
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.snapshots import configuration
from transforms.billing.headers import stored_headers
from transforms.billing.job_requests import BillJobOverrides, BillJobRequest
from transforms.datasets import BILL_LINE_ITEMS, BILLS
from transforms.entities.accounts import Account
from transforms.rating.run import UNMATCHED_SCHEMA

D = Decimal
PERIOD = (date(2025, 1, 1), date(2025, 1, 31))
NAMESPACE = uuid.UUID("6f0f6d10-3c65-4c39-9a3b-3f3ad1ac6d36")


def account_of(database: Database, org_id: str, code: str) -> Account:
    """A new account."""
    with database.transaction() as connection:
        return config_store.created(connection, org_id, Account(name=code, code=code, email_address="a@example.com"), "tester")


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def frames(
    account: Account, amounts: Sequence[str], *, bill_date: date = date(2025, 2, 1), product_id: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One MONTHLY bill of the account with a USAGE line per amount: datasets BILLS and BILL_LINE_ITEMS without calculation_id."""
    bill_id = str(uuid.uuid5(NAMESPACE, f"{account.id} {bill_date}"))
    end = bill_date - timedelta(days=1)
    bill = {
        "bill_id": bill_id,
        "account_id": account.id,
        "account_code": account.code,
        "billing_frequency": "MONTHLY",
        "bill_frequency_interval": 1,
        "start_date": end.replace(day=1),
        "end_date": end,
        "start_at": midnight(end.replace(day=1)),
        "end_at": midnight(bill_date),
        "bill_date": bill_date,
        "due_date": bill_date + timedelta(days=30),
        "external_invoice_date": bill_date,
        "currency": "USD",
        "bill_total": sum(map(D, amounts), D(0)),
        "purchase_order_number": 'PO "1", \\N',
        "line_count": len(amounts),
    }
    lines = [line_of(bill, number, D(amount), product_id) for number, amount in enumerate(amounts, 1)]
    schema = {name: dtype for name, dtype in BILL_LINE_ITEMS.schema.items() if name != "calculation_id"}
    return pl.DataFrame([bill], schema=BILLS.schema), pl.DataFrame(lines, schema=schema)


def line_of(bill: dict[str, Any], number: int, amount: Decimal, product_id: str | None) -> dict[str, Any]:
    names = [name for name in BILL_LINE_ITEMS.schema if name != "calculation_id"]
    return dict.fromkeys(names) | {
        "bill_date": bill["bill_date"],
        "bill_id": bill["bill_id"],
        "line_item_id": str(uuid.uuid5(NAMESPACE, f"{bill['bill_id']} {number}")),
        "sequence_number": number,
        "account_id": bill["account_id"],
        "line_item_type": "USAGE",
        "description": f"calls {number}",
        "product_id": product_id,
        "accounting_product_id": product_id,
        "segment": '{"region":"eu"}' if number == 2 else None,
        "service_period_start": bill["start_at"],
        "service_period_end": bill["end_at"],
        "quantity": amount * 2,
        "units": amount * 2,
        "unit": "call",
        "average_unit_price": D("0.5"),
        "subtotal": amount,
        "currency": "USD",
        "conversion_rate": D(1),
        "converted_subtotal": amount,
        "bands": [
            {
                "pricing_band_id": None,
                "lower_limit": D(0),
                "fixed_price": D(0),
                "unit_price": D("0.5"),
                "band_quantity": amount * 2,
                "band_units": amount * 2,
                "unit_subtotal": amount,
                "band_subtotal": amount,
                "converted_band_subtotal": amount,
            }
        ],
    }


def claim_of(database: Database, org_id: str, request: BillJobRequest | None = None, *, session: int = 1) -> BillJob:
    """A new CREATE job, claimed."""
    with database.transaction() as connection:
        return bill_jobs.created_claimed(connection, org_id, request or BillJobRequest(), created_by="tester", session=session)


def calculation_of(database: Database, org_id: str, *, began_at: datetime | None = None) -> Calculation:
    with database.transaction() as connection:
        return Calculation(
            id=str(uuid.uuid4()),
            began_at=began_at or connection.execute(text("SELECT clock_timestamp()")).scalar_one(),
            configuration=configuration(connection, org_id),
            software_version="test",
            dataset_versions={"measurements/m": 3},
            certificates=[{"startDate": "2025-01-01", "endDate": "2025-01-31", "landed": 3, "accepted": 2, "duplicates": 1, "rejected": 0}],
        )


def put(
    database: Database,
    lake: Lake,
    org_id: str,
    bills: Sequence[tuple[pl.DataFrame, pl.DataFrame]],
    *,
    claim: BillJob | None = None,
    calculation: Calculation | None = None,
    failures: Sequence[dict[str, str | None]] = (),
    unmatched: Sequence[tuple[str, str | None, int]] = (),
) -> list[str]:
    """Store the bills as a finished job does; their ids. Each has the ``unmatched`` usage: aggregation id, code, measurements."""
    claim = claim or claim_of(database, org_id)
    calculation = calculation or calculation_of(database, org_id)
    headers, lines = (pl.concat(part) for part in zip(*bills, strict=True))
    bill_lines.committed(lake, org_id, calculation.id, bill_lines.written(lake, org_id, calculation.id, lines))
    with database.transaction() as connection:
        rows = [(bill_id, *entry) for bill_id in headers["bill_id"] for entry in unmatched]
        left = pl.DataFrame(rows, schema=UNMATCHED_SCHEMA, orient="row")
        written = stored_headers(headers, lines, unmatched=left, overrides=BillJobOverrides(), timezone="UTC")
        count = stored(connection, claim, calculation, written, list(failures))
        ids = list(bill_jobs.job(connection, org_id, claim.id).bill_ids)
    assert len(ids) == count
    return ids
