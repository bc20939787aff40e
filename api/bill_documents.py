"""Bills, line items and bill jobs as the public API spells them.

Put here how a stored header, a line of the lake and a job row become JSON documents; names of products are joined as they
are now. Keep out which bills (routers). Source: wire.json BillResponse, BillLineItem, BillLineItemResponse, BillJobResponse.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from pipelines.storage.bill_jobs import BillJob
from pipelines.storage.config_rows import by_ids
from transforms.billing.job_requests import BillJobRequest
from transforms.entities.usage import Product
from transforms.statements.usage_lines import is_usage_line

#: A list leaves out the billIds of a job with more bills than this; the job itself names them all.
LISTED_BILL_IDS_MAX = 1_000

#: Wire name -> column, of the fields that a line has on a bill and on its own.
LINE_FIELDS: Mapping[str, str] = {
    "id": "line_item_id",
    "lineItemType": "line_item_type",
    "description": "description",
    "productId": "product_id",
    "accountingProductId": "accounting_product_id",
    "accountPlanId": "account_plan_id",
    "planId": "plan_id",
    "planGroupId": "plan_group_id",
    "pricingId": "pricing_id",
    "aggregationId": "aggregation_id",
    "compoundAggregationId": "compound_aggregation_id",
    "meterId": "meter_id",
    "counterId": "counter_id",
    "chargeId": "charge_id",
    "commitmentId": "commitment_id",
    "balanceId": "balance_id",
    "contractId": "contract_id",
    "childAccountId": "child_account_id",
    "childAccountCode": "child_account_code",
    "servicePeriodStartDate": "service_period_start",
    "servicePeriodEndDate": "service_period_end",
    "quantity": "quantity",
    "units": "units",
    "unit": "unit",
    "averageUnitPrice": "average_unit_price",
    "subtotal": "subtotal",
    "currency": "currency",
    "conversionRate": "conversion_rate",
    "convertedSubtotal": "converted_subtotal",
    "referencedBillId": "referenced_bill_id",
    "referencedLineItemId": "referenced_line_item_id",
    "reasonId": "reason_id",
    "sequenceNumber": "sequence_number",
}
#: What the public models require on a bill's line, where rating leaves it open (a standing charge has no quantity).
_LINE_DEFAULTS: Mapping[str, Any] = {
    "quantity": Decimal(0),
    "units": Decimal(0),
    "unit": "",
    "averageUnitPrice": Decimal(0),
    "conversionRate": Decimal(1),
}

BAND_FIELDS: Mapping[str, str] = {
    "pricingBandId": "pricing_band_id",
    "lowerLimit": "lower_limit",
    "fixedPrice": "fixed_price",
    "unitPrice": "unit_price",
    "bandQuantity": "band_quantity",
    "bandUnits": "band_units",
    "unitSubtotal": "unit_subtotal",
    "bandSubtotal": "band_subtotal",
    "convertedBandSubtotal": "converted_band_subtotal",
}

BILL_FIELDS: Mapping[str, str] = {
    "id": "id",
    "version": "version",
    "accountId": "account_id",
    "accountCode": "account_code",
    "status": "status",
    "locked": "locked",
    "billDate": "bill_date",
    "dueDate": "due_date",
    "billingFrequency": "billing_frequency",
    "billFrequencyInterval": "bill_frequency_interval",
    "startDate": "start_date",
    "endDate": "end_date",
    "startDateTimeUTC": "start_at",
    "endDateTimeUTC": "end_at",
    "timezone": "timezone",
    "currency": "currency",
    "billTotal": "bill_total",
    "billJobId": "bill_job_id",
    "purchaseOrderNumber": "purchase_order_number",
    "externalInvoiceDate": "external_invoice_date",
    "externalInvoiceReference": "external_invoice_reference",
    "sequentialInvoiceNumber": "sequential_invoice_number",
    "jsonStatementGenerated": "json_statement_generated",
    "csvStatementGenerated": "csv_statement_generated",
    "statementStale": "statement_stale",
    "lastCalculatedDate": "last_calculated_at",
    "createdDate": "dt_created",
    "dtCreated": "dt_created",
    "dtLastModified": "dt_last_modified",
    "createdBy": "created_by",
    "lastModifiedBy": "last_modified_by",
    "approvedBy": "approved_by",
    "dtApproved": "dt_approved",
    "lockedBy": "locked_by",
    "dtLocked": "dt_locked",
    # Provenance (DECISIONS 33), beyond the public API.
    "calculationId": "calculation_id",
    "configurationHash": "configuration_hash",
    "configurationAsOf": "configuration_as_of",
    "softwareVersion": "software_version",
}

Products = Mapping[str, Product]
Lines = Sequence[Mapping[str, Any]]


def _fields(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {wire: row[column] for wire, column in names.items() if row.get(column) is not None}


def products_of(connection: Connection, org_id: str, lines: Iterable[Mapping[str, Any]]) -> Products:
    """The products that the lines name, by id; one that was deleted is not among them."""
    ids = {line[column] for line in lines for column in ("product_id", "accounting_product_id")} - {None}
    return by_ids(connection, org_id, Product, ids) if ids else {}


def _named(document: dict[str, Any], products: Products) -> dict[str, Any]:
    for prefix in ("product", "accountingProduct"):
        product = products.get(document.get(f"{prefix}Id", ""))
        if product is not None:
            document |= {f"{prefix}Name": product.name, f"{prefix}Code": product.code}
    return document


def _line(line: Mapping[str, Any], products: Products, bands: str) -> dict[str, Any]:
    document = {**_LINE_DEFAULTS, **_named(_fields(line, LINE_FIELDS), products)}
    if line["segment"] is not None:
        document["segment"] = json.loads(line["segment"])
    if line["bands"] is not None:
        document[bands] = [_fields(band, BAND_FIELDS) for band in line["bands"]]
    return document


def bill_document(header: Mapping[str, Any], lines: Lines | None, products: Products, *, with_versions: bool = False) -> dict[str, Any]:
    """The bill.

    Args:
        header: A row of bill_store, or a previewed header, which has no state and no provenance.
        lines: Its line items in order; None leaves them out.
        products: The products that the lines name.
        with_versions: State the version of every dataset too; long, so only where one bill is asked for.
    """
    document = _fields(header, BILL_FIELDS)
    document["currencyConversions"] = [{**rate, "multiplier": Decimal(rate["multiplier"])} for rate in header["currency_conversions"]]
    certificate = certificate_of(header)
    if certificate is not None:
        document["certificate"] = certificate
    if with_versions:
        document["datasetVersions"] = header["dataset_versions"]
    if lines is not None:
        document["lineItems"] = [_line(line, products, "usagePerPricingBand") for line in lines]
    return document


def certificate_of(header: Mapping[str, Any]) -> dict[str, Any] | None:
    """What landed in the bill's period and what became of it (DECISIONS 16), as counted when it was calculated.

    ``unmatched`` counts the account's own usage that no segment of a priced aggregation matches, so that it is not charged
    (DECISIONS 19).
    """
    own = (header["start_date"].isoformat(), header["end_date"].isoformat())
    counted = next((c for c in header["certificates"] if (c["startDate"], c["endDate"]) == own), None)
    unmatched = [{key: value for key, value in entry.items() if value is not None} for entry in header["unmatched"]]
    return None if counted is None else {**counted, "unmatched": unmatched}


def line_item_document(header: Mapping[str, Any], line: Mapping[str, Any], products: Products) -> dict[str, Any]:
    """The line item on its own, outside of its bill."""
    calculated_at, actor = header["last_calculated_at"], header["last_modified_by"]
    audit = {"dtCreated": calculated_at, "dtLastModified": calculated_at, "createdBy": actor, "lastModifiedBy": actor}
    has_usage = is_usage_line(line)
    document = {**_line(line, products, "bandUsage"), "billId": header["id"], "version": 1, "jsonUsageGenerated": has_usage, **audit}
    return {name: value for name, value in document.items() if value is not None}


def job_document(job: BillJob, *, is_listed: bool = False) -> dict[str, Any]:
    """The bill job; ``failures`` (account and reason) are ours, beyond the public API."""
    asked = job.request.model_dump(by_alias=True, exclude_none=True)
    document: dict[str, Any] = {
        **asked,
        "id": job.id,
        "version": job.version,
        "type": job.type,
        "status": job.status,
        "total": job.total,
        "pending": job.pending,
        "failures": [{key: value for key, value in failure.items() if value is not None} for failure in job.failures],
        "dtCreated": job.dt_created,
        "dtLastModified": job.dt_last_modified,
        "createdBy": job.created_by,
        "lastModifiedBy": job.last_modified_by,
        "dtCompleted": job.dt_completed,
    }
    has_run = job.status == "COMPLETE" or isinstance(job.request, BillJobRequest)
    if has_run and not (is_listed and len(job.bill_ids) > LISTED_BILL_IDS_MAX):
        document["billIds"] = list(job.bill_ids)
    return {name: value for name, value in document.items() if value is not None}
