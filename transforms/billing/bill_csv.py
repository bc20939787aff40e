"""Bills as CSV: one row per line item, so a bill without lines is not in the file. Source: billing.md 3.5 (the columns are ours).

Numbers stand in plain notation without trailing zeros, days as ``2025-01-31``, instants as ``2025-01-31T00:00:00Z``; what is
not there is empty.

STANDARD, in this order: ``billId``, ``sequentialInvoiceNumber``, ``accountId``, ``accountCode``, ``accountName``,
``purchaseOrderNumber``, ``status``, ``locked``, ``billDate``, ``dueDate``, ``externalInvoiceDate``, ``billingFrequency``,
``billFrequencyInterval``, ``startDate``, ``endDate``, ``billCurrency``, ``billTotal`` (of the whole bill, repeated), then of
the line ``lineItemId``, ``sequenceNumber``, ``lineItemType``, ``description``, ``productCode``, ``productName``,
``accountingProductCode``, ``accountingProductName``, ``planId``, ``pricingId``, ``aggregationId``, ``compoundAggregationId``,
``counterId``, ``chargeId``, ``commitmentId``, ``balanceId``, ``contractId``, ``segment`` (JSON), ``childAccountCode``,
``servicePeriodStartDate``, ``servicePeriodEndDate``, ``quantity``, ``units``, ``unit``, ``averageUnitPrice``, ``subtotal``,
``currency``, ``conversionRate``, ``convertedSubtotal``, ``referencedBillId``, ``referencedLineItemId``, ``reasonId``.

XERO: the columns of Xero's template for sales invoices. ``*InvoiceNumber`` is the sequential invoice number, else the bill's
id; ``Reference`` the purchase order number; ``*InvoiceDate`` the external invoice date; ``*Quantity`` is 1 and
``*UnitAmount`` the line's converted subtotal, so that nothing is rounded again; ``*AccountCode`` the code of the accounting
product. ``*TaxType``, ``TaxAmount``, the inventory, discount, tracking and theme columns stay empty: they are Xero's own.
"""

from collections.abc import Mapping
from enum import StrEnum

import polars as pl
from pydantic.alias_generators import to_snake

from transforms.money import DECIMAL


class ExternalSystem(StrEnum):
    """What the file is for."""

    STANDARD = "STANDARD"
    XERO = "XERO"


#: Columns that are called otherwise than in the joined rows.
_OTHERWISE = {"servicePeriodStartDate": "service_period_start", "servicePeriodEndDate": "service_period_end"}
#: Column of the file -> column of the joined rows.
_STANDARD: Mapping[str, str] = {
    name: _OTHERWISE.get(name, to_snake(name))
    for name in (
        "billId",
        "sequentialInvoiceNumber",
        "accountId",
        "accountCode",
        "accountName",
        "purchaseOrderNumber",
        "status",
        "locked",
        "billDate",
        "dueDate",
        "externalInvoiceDate",
        "billingFrequency",
        "billFrequencyInterval",
        "startDate",
        "endDate",
        "billCurrency",
        "billTotal",
        "lineItemId",
        "sequenceNumber",
        "lineItemType",
        "description",
        "productCode",
        "productName",
        "accountingProductCode",
        "accountingProductName",
        "planId",
        "pricingId",
        "aggregationId",
        "compoundAggregationId",
        "counterId",
        "chargeId",
        "commitmentId",
        "balanceId",
        "contractId",
        "segment",
        "childAccountCode",
        "servicePeriodStartDate",
        "servicePeriodEndDate",
        "quantity",
        "units",
        "unit",
        "averageUnitPrice",
        "subtotal",
        "currency",
        "conversionRate",
        "convertedSubtotal",
        "referencedBillId",
        "referencedLineItemId",
        "reasonId",
    )
}
#: Column of Xero's template -> column of the joined rows; an empty one stays empty.
_XERO: Mapping[str, str] = {
    "*ContactName": "account_name",
    "EmailAddress": "email_address",
    "POAddressLine1": "address_line1",
    "POAddressLine2": "address_line2",
    "POAddressLine3": "address_line3",
    "POAddressLine4": "address_line4",
    "POCity": "locality",
    "PORegion": "region",
    "POPostalCode": "post_code",
    "POCountry": "country",
    "*InvoiceNumber": "invoice_number",
    "Reference": "purchase_order_number",
    "*InvoiceDate": "external_invoice_date",
    "*DueDate": "due_date",
    "Total": "bill_total",
    "InventoryItemCode": "",
    "*Description": "description",
    "*Quantity": "one",
    "*UnitAmount": "converted_subtotal",
    "Discount": "",
    "*AccountCode": "accounting_product_code",
    "*TaxType": "",
    "TaxAmount": "",
    "TrackingName1": "",
    "TrackingOption1": "",
    "TrackingName2": "",
    "TrackingOption2": "",
    "Currency": "bill_currency",
    "BrandingTheme": "",
}
_ADDRESS = ("address_line1", "address_line2", "address_line3", "address_line4", "locality", "region", "post_code", "country")
#: One row per bill.
BILLS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "bill_id": pl.String,
    "sequential_invoice_number": pl.String,
    "account_id": pl.String,
    "account_code": pl.String,
    "purchase_order_number": pl.String,
    "status": pl.String,
    "locked": pl.Boolean,
    "bill_date": pl.Date,
    "due_date": pl.Date,
    "external_invoice_date": pl.Date,
    "billing_frequency": pl.String,
    "bill_frequency_interval": pl.Int32,
    "start_date": pl.Date,
    "end_date": pl.Date,
    "bill_currency": pl.String,
    "bill_total": DECIMAL,
}
#: One row per account of the bills.
ACCOUNTS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "account_id": pl.String,
    "account_name": pl.String,
    "email_address": pl.String,
    **dict.fromkeys(_ADDRESS, pl.String),
}
#: One row per product of the lines.
PRODUCTS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {"product_id": pl.String, "product_code": pl.String, "product_name": pl.String}


def csv_rows(bills: pl.DataFrame, lines: pl.LazyFrame, *, accounts: pl.DataFrame, products: pl.DataFrame, system: ExternalSystem) -> pl.LazyFrame:
    """The rows of the file, all text: by bill date, account code and bill, then in the order of the bill.

    Args:
        bills: See BILLS_SCHEMA.
        lines: Their line items, dataset BILL_LINE_ITEMS; those of other bills are left out.
        accounts: See ACCOUNTS_SCHEMA.
        products: See PRODUCTS_SCHEMA.
        system: Which columns.
    """
    columns = _STANDARD if system is ExternalSystem.STANDARD else _XERO
    accounting = products.lazy().rename({name: f"accounting_{name}" for name in PRODUCTS_SCHEMA})
    joined = (
        lines.drop("bill_date", "account_id")
        .join(bills.lazy(), on="bill_id")
        .join(accounts.lazy(), on="account_id", how="left")
        .join(products.lazy(), on="product_id", how="left")
        .join(accounting, on="accounting_product_id", how="left")
        .with_columns(invoice_number=pl.coalesce("sequential_invoice_number", "bill_id"), one=pl.lit("1"))
        .sort("bill_date", "account_code", "bill_id", "sequence_number")
    )
    types = joined.collect_schema()
    return joined.select(
        (_text(name, types[name]) if name else pl.lit(None, dtype=pl.String)).fill_null("").alias(column) for column, name in columns.items()
    )


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == DECIMAL:
        return column.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    if isinstance(dtype, pl.Datetime):
        return column.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return column.cast(pl.String)
