"""Bills as CSV behind an address that is good for a minute."""

import csv
import io
import time
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pipelines.storage import bill_files, config_store
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.bills import account_of, frames, put
from transforms.entities.accounts import Account, Address
from transforms.entities.usage import Product

D = Decimal


@pytest.fixture
def bills(database: Database, lake: Lake, organization: Credentials) -> dict[str, str]:
    """Name -> id: bills of January and February 2025 of acme, and an empty one of beta."""
    org_id = organization.org_id
    acme, beta = account_of(database, org_id, "acme"), account_of(database, org_id, "beta")
    with database.transaction() as connection:
        product = config_store.created(connection, org_id, Product(name='Calls, "all"', code="calls"), "tester")
        address = Address(address_line1="1 Main St", locality="Springfield", post_code="12345", country="US")
        stored = config_store.entity(connection, org_id, Account, acme.id)
        config_store.updated(connection, org_id, acme.id, stored.model_copy(update={"address": address, "name": "Acme Ltd"}), "tester")
    january = put(database, lake, org_id, [frames(acme, ["1.25", "-2.5"], product_id=product.id)])
    february = put(database, lake, org_id, [frames(acme, ["10"], bill_date=date(2025, 3, 1), product_id=product.id)])
    put(database, lake, org_id, [frames(beta, [])])
    return {"january": january[0], "february": february[0], "product": product.id}


def asked(api: Any, **body: Any) -> Any:
    return api.post(f"/organizations/{api.org_id}/bills/download/csv/url", json=body)


def downloaded(api: Any, **body: Any) -> list[dict[str, str]]:
    answer = asked(api, **body)
    assert answer.status_code == 200, answer.text
    token = api.headers.pop("Authorization")
    try:
        file = api.get(answer.json()["downloadUrl"])
    finally:
        api.headers["Authorization"] = token
    assert file.status_code == 200, file.text
    assert file.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(file.text)))


def test_one_row_per_line_of_the_bills_whose_period_ends_then(api: Any, bills: dict[str, str]) -> None:
    memo = {"amount": 1, "description": "x", "productId": bills["product"]}
    memo |= {"servicePeriodStartDate": "2025-01-01T00:00:00Z", "servicePeriodEndDate": "2025-02-01T00:00:00Z"}
    assert api.post(f"/organizations/{api.org_id}/bills/{bills['january']}/creditlineitems", json=memo).status_code == 200
    rows = downloaded(api, startDate="2025-01-01T00:00:00Z", endDate="2025-02-01T00:00:00Z")
    assert [(row["billId"], row["sequenceNumber"], row["lineItemType"], row["convertedSubtotal"]) for row in rows] == [
        (bills["january"], "1", "USAGE", "1.25"),
        (bills["january"], "2", "USAGE", "-2.5"),
        (bills["january"], "3", "CREDIT_MEMO", "-1"),
    ]
    first = rows[0]
    shown = ("accountCode", "accountName", "status", "locked", "billDate", "startDate", "endDate", "billTotal", "billCurrency", "productName")
    assert [first[name] for name in shown] == [
        *("acme", "Acme Ltd", "PENDING", "false", "2025-02-01", "2025-01-01", "2025-01-31", "-2.25", "USD", 'Calls, "all"'),
    ]
    assert (first["servicePeriodStartDate"], first["quantity"], first["segment"]) == ("2025-01-01T00:00:00Z", "2.5", "")
    assert rows[1]["segment"] == '{"region":"eu"}'


def test_invoice_dates_and_the_layout_of_xero(api: Any, bills: dict[str, str]) -> None:
    rows = downloaded(api, externalInvoiceDateStart="2025-02-02", externalInvoiceDateEnd="2025-03-02", externalSystem="XERO")
    [row] = rows
    assert (row["*ContactName"], row["POAddressLine1"], row["POCity"], row["POPostalCode"]) == ("Acme Ltd", "1 Main St", "Springfield", "12345")
    assert (row["*InvoiceNumber"], row["*InvoiceDate"], row["*DueDate"]) == (bills["february"], "2025-03-01", "2025-03-31")
    assert (row["*Quantity"], row["*UnitAmount"], row["Total"], row["*AccountCode"], row["Currency"]) == ("1", "10", "10", "calls", "USD")
    assert list(row)[-1] == "BrandingTheme"


def test_a_period_without_bills_is_a_file_of_column_names(api: Any, bills: dict[str, str]) -> None:
    del bills
    assert downloaded(api, startDate="2020-01-01", endDate="2020-02-01") == []


def test_too_long_and_too_much_is_refused(api: Any, bills: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    del bills
    long = asked(api, startDate="2025-01-01T00:00:00Z", endDate="2025-02-02T00:00:00Z")
    assert (long.status_code, long.json()["errors"][0]["field"]) == (400, "endDate")
    monkeypatch.setattr(bill_files, "BILLS_MAX", 1)
    many = asked(api, startDate="2025-01-01", endDate="2025-02-01")
    assert many.status_code == 400
    assert "2 bills" in many.json()["message"]


def test_an_address_lasts_a_minute_and_names_its_bills(api: Any, bills: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    del bills
    url = asked(api, startDate="2025-01-01", endDate="2025-02-01").json()["downloadUrl"]
    other = asked(api, startDate="2025-02-01", endDate="2025-03-01").json()["downloadUrl"]
    assert api.get(f"{other.split('?')[0]}?{url.split('?')[1]}").status_code == 403
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert api.get(url).status_code == 403
