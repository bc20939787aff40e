"""What routes of their own answer, as JSON schemas: made from the maps that make the documents and the types of their columns.

A route that is not CRUD has a line in ANSWERS; a test says so. Put here the shape of answers. Keep out bodies
(openapi.py) and how documents come about (bill_documents.py and the routers).
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from polars.datatypes import DataType, DataTypeClass
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from api.bill_documents import BAND_FIELDS, BILL_FIELDS, LINE_FIELDS
from api.crud import PREFIX
from pipelines.storage.bill_store import HEADERS
from transforms.billing.line_item_types import LineItemType
from transforms.datasets import BILL_LINE_ITEMS

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_DAY: Schema = {"type": "string", "format": "date"}
_BOOLEAN: Schema = {"type": "boolean"}
_URI: Schema = {"type": "string", "format": "uri"}
_BY_PYTHON: Mapping[type, Schema] = {
    str: _STRING,
    int: _INTEGER,
    bool: _BOOLEAN,
    Decimal: _NUMBER,
    date: _DAY,
    datetime: _INSTANT,
}
_AUDIT: Schema = {"dtCreated": _INSTANT, "dtLastModified": _INSTANT, "createdBy": _STRING, "lastModifiedBy": _STRING}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    return {"type": "object", **({"required": list(required)} if required else {}), "properties": properties}


def page_of(name: str) -> Schema:
    """A page of a list; without ``nextToken`` it is the last one."""
    return _object(("data",), data=_list(_ref(name)), nextToken=_STRING)


def _of_column(column: TypeEngine[Any]) -> Schema:
    return {} if isinstance(column, JSONB) else _BY_PYTHON[column.python_type]


def _of_dtype(dtype: DataType | DataTypeClass) -> Schema:
    return _BY_PYTHON[dtype.to_python()]


def _line(bands: str) -> Schema:
    columns = pl.Schema(BILL_LINE_ITEMS.schema)
    listed = columns["bands"]
    assert isinstance(listed, pl.List), "a line has a list of bands"
    assert isinstance(listed.inner, pl.Struct), "a band is a struct"
    of_band = listed.inner.to_schema()
    properties = {
        **{wire: _of_dtype(columns[column]) for wire, column in LINE_FIELDS.items()},
        **{f"{prefix}{what}": _STRING for prefix in ("product", "accountingProduct") for what in ("Name", "Code")},
        "lineItemType": {"enum": [str(kind) for kind in LineItemType]},
        "segment": {"type": "object", "additionalProperties": _STRING},
        bands: _list(_object(**{wire: _of_dtype(of_band[column]) for wire, column in BAND_FIELDS.items()})),
    }
    return _object(("id", "lineItemType", "quantity", "units", "unit", "averageUnitPrice", "conversionRate"), **properties)


def _bill() -> Schema:
    columns = {column.name: column.type for column in HEADERS.selected_columns}
    counts = dict.fromkeys(("landed", "accepted", "duplicates", "rejected"), _INTEGER)
    properties = {
        **{wire: _of_column(columns[column]) for wire, column in BILL_FIELDS.items()},
        "status": {"enum": ["PENDING", "APPROVED"]},
        "currencyConversions": _list({"type": "object", "additionalProperties": True}),
        "certificate": _object(startDate=_DAY, endDate=_DAY, **counts, unmatched=_list({"type": "object", "additionalProperties": True})),
        "datasetVersions": {"type": "object", "additionalProperties": _INTEGER},
        "lineItems": _list(_ref("BillLineItem")),
    }
    return _object(("accountId", "billDate", "endDate"), **properties)


def _job() -> Schema:
    own = _object(
        ("id", "version", "type", "status", "total", "pending"),
        id=_STRING,
        version=_INTEGER,
        type={"enum": ["CREATE", "RECALCULATE"]},
        status={"enum": ["PENDING", "INITIALIZING", "RUNNING", "COMPLETE", "CANCELLED"]},
        total=_INTEGER,
        pending=_INTEGER,
        billIds=_list(_STRING),
        failures=_list(_object(("reason",), accountId=_STRING, accountCode=_STRING, reason=_STRING)),
        dtCompleted=_INSTANT,
        **_AUDIT,
    )
    # What was asked for stands in the answer.
    return {"allOf": [_ref("BillJobRequest"), own]}


def _changed_line() -> Schema:
    sides = _object((), before=_NUMBER, after=_NUMBER)
    amounts = ("quantity", "subtotal", "convertedSubtotal")
    return _object(
        ("id", "change", "lineItemType", "causes"),
        **dict.fromkeys(("id", "lineItemType", "description", "currency"), _STRING),
        change={"enum": ["ADDED", "REMOVED", "CHANGED"]},
        servicePeriodStartDate=_INSTANT,
        servicePeriodEndDate=_INSTANT,
        fields=_list(_STRING),
        **dict.fromkeys(amounts, sides),
        causes=_list(_object(("cause",), cause={"enum": ["SOFTWARE", "CONFIGURATION", "DATA"]}, **dict.fromkeys(amounts, _NUMBER))),
        entities=_list(_object(("kind", "id", "name"), kind=_STRING, id=_STRING, name=_STRING, versionBefore=_INTEGER, versionAfter=_INTEGER)),
        overrides=_list(_STRING),
        measurementsAdded=_INTEGER,
        measurementsRemoved=_INTEGER,
    )


def _usage_source() -> Schema:
    texts = {"type": "object", "additionalProperties": _STRING}
    # A meter's fields by code, numbers and strings.
    values: Schema = {"type": "object", "additionalProperties": {"type": ["number", "string"]}}
    return _object(
        ("aggregationId", "meterId", "measurementCount", "measurements"),
        **dict.fromkeys(("aggregationId", "aggregationCode", "aggregation", "targetField", "meterId", "meterCode", "failure"), _STRING),
        segment=texts,
        accountCodes=_list(_STRING),
        startDate=_INSTANT,
        endDate=_INSTANT,
        quantity=_NUMBER,
        measurementCount=_INTEGER,
        measurements=_list(_object(("uid", "ts"), account=_STRING, uid=_STRING, ts=_INSTANT, ets=_INSTANT, receivedAt=_INSTANT, fields=values)),
    )


def _provenance() -> dict[str, Schema]:
    """What provenance_documents.py makes."""
    comparison: dict[str, Schema] = {"from": _ref("BillCalculation"), "to": _ref("BillCalculation")}
    return {
        "Rebilling": _object(
            ("billId", "calculationId", "isEqual"),
            billId=_STRING,
            calculationId=_STRING,
            isEqual=_BOOLEAN,
            lineItems=_INTEGER,
            carriedLineItems=_INTEGER,
            differences=_list(_object(lineItemId=_STRING, field=_STRING, stored={}, computed={})),
            problem=_STRING,
            softwareVersion=_STRING,
            calculatedWith=_STRING,
        ),
        "BillCalculation": _object(
            ("id", "number", "isCurrent"),
            id=_STRING,
            number=_INTEGER,
            isCurrent=_BOOLEAN,
            billJobId=_STRING,
            billJobType=_STRING,
            calculatedDate=_INSTANT,
            configurationAsOf=_INSTANT,
            configurationHash=_STRING,
            softwareVersion=_STRING,
            datasetVersions={"type": "object", "additionalProperties": _INTEGER},
        ),
        "BillComparison": _object(
            ("billId", "from", "to", "lineItems"),
            **comparison,
            billId=_STRING,
            softwareVersion=_STRING,
            lineItems=_list(_changed_line()),
            problems=_list(_STRING),
        ),
        "LineExplanation": _object(
            ("billId", "lineItemId", "steps", "checks", "sources"),
            **dict.fromkeys(("billId", "lineItemId", "calculationId", "lineItemType", "description"), _STRING),
            sequenceNumber=_INTEGER,
            formula=_STRING,
            isEqual=_BOOLEAN,
            countedLineItemIds=_list(_STRING),
            steps=_list(_object(("name", "formula"), name=_STRING, formula=_STRING, value=_NUMBER)),
            checks=_list(_object(("name", "isEqual"), name=_STRING, isEqual=_BOOLEAN, stated=_NUMBER, computed=_NUMBER)),
            sources=_list(_usage_source()),
        ),
    }


def schemas() -> dict[str, Schema]:
    """Name -> schema of everything that answers are made of and that is no entity."""
    alone = _line("bandUsage")
    alone["properties"] |= {"billId": _STRING, "version": _INTEGER, "jsonUsageGenerated": _BOOLEAN, **_AUDIT}
    return {
        **_provenance(),
        "Bill": _bill(),
        "BillLineItem": _line("usagePerPricingBand"),
        "LineItem": alone,
        "BillJob": _job(),
        "UsageAnswer": _object(("data", "hasMoreData"), data=_list({"type": "object", "additionalProperties": True}), hasMoreData=_BOOLEAN),
        "Message": _object(("message",), message=_STRING),
        "Token": _object(("access_token", "token_type", "expires_in"), access_token=_STRING, token_type={"const": "Bearer"}, expires_in=_INTEGER),
        "Organization": _object(
            ("id", "orgId", "organizationName", "status"),
            id=_STRING,
            orgId=_STRING,
            organizationName=_STRING,
            type=_STRING,
            status={"enum": ["ACTIVE", "ARCHIVED"]},
            version=_INTEGER,
            dtCreated=_INSTANT,
            createdBy=_STRING,
        ),
        "ServiceUser": _object(("id", "name"), id=_STRING, name=_STRING, version=_INTEGER, dtCreated=_INSTANT, createdBy=_STRING),
        "EndDated": _object(
            statusMessage=_STRING,
            **{
                name: {"type": "object", "additionalProperties": _object(empty=_BOOLEAN, ids=_list(_STRING))}
                for name in ("updatedEntities", "failedEntities")
            },
        ),
        "Download": _object(("downloadUrl",), downloadUrl=_URI),
        "StatementJob": _object(
            ("id", "version", "orgId", "billId", "statementJobStatus"),
            id=_STRING,
            version=_INTEGER,
            orgId=_STRING,
            billId=_STRING,
            statementJobStatus={"enum": ["PENDING", "RUNNING", "COMPLETE", "CANCELLED", "FAILED"]},
            includeCsvFormat=_BOOLEAN,
            filters=_object(meterIds=_list(_STRING)),
            reason=_STRING,
            **_AUDIT,
            **dict.fromkeys(("jsonStatementStatus", "csvStatementStatus"), _STRING),
            **dict.fromkeys(("presignedJsonStatementUrl", "presignedCsvStatementUrl"), _URI),
        ),
    }


def _memo_lines(name: str, kind: str) -> dict[tuple[str, str], Schema]:
    collection = f"{PREFIX}/bills/{{bill_id}}/{name}lineitems"
    one = {(method, f"{collection}/{{id}}"): _ref(kind) for method in ("get", "put", "delete")}
    return {("post", collection): _ref(kind), ("get", collection): page_of(kind), **one}


def _schedule(kind: str, made: str) -> Schema:
    """A schedule as it would be, with a page of what it would make."""
    return {"allOf": [_ref(kind), page_of(made)]}


_BILLS, _JOBS, _STATEMENTS = f"{PREFIX}/bills", f"{PREFIX}/billjobs", f"{PREFIX}/statementjobs"
_BALANCE = f"{PREFIX}/balances/{{balance_id}}"
#: Method and path of a route of its own -> what it answers.
ANSWERS: Mapping[tuple[str, str], Schema] = {
    ("post", "/oauth/token"): _ref("Token"),
    ("get", PREFIX): _ref("Organization"),
    ("get", f"{PREFIX}/users/me"): _object(organization=_ref("Organization"), serviceUser=_ref("ServiceUser")),
    ("post", f"{PREFIX}/measurements"): _object(("result",), result={"const": "accepted"}),
    ("post", f"{PREFIX}/usage/query"): _ref("UsageAnswer"),
    ("get", f"{PREFIX}/accounts/search"): page_of("Account"),
    ("get", f"{PREFIX}/accounts/{{id}}/children"): page_of("Account"),
    ("put", f"{PREFIX}/accounts/{{id}}/enddatebillingentities"): _ref("EndDated"),
    ("put", f"{PREFIX}/contracts/{{id}}/enddatebillingentities"): _ref("EndDated"),
    ("post", f"{PREFIX}/accountplans/{{id}}/replace"): _object(originalAccountPlan=_ref("AccountPlan"), newAccountPlan=_ref("AccountPlan")),
    ("put", f"{PREFIX}/billconfig"): _ref("BillConfig"),
    ("post", _JOBS): _ref("BillJob"),
    ("get", _JOBS): page_of("BillJob"),
    ("post", f"{_JOBS}/recalculate"): _ref("BillJob"),
    ("get", f"{_JOBS}/{{job_id}}"): _ref("BillJob"),
    ("post", f"{_JOBS}/{{job_id}}/cancel"): _ref("BillJob"),
    ("get", _BILLS): page_of("Bill"),
    ("get", f"{_BILLS}/search"): page_of("Bill"),
    ("get", f"{_BILLS}/accountid/{{account_id}}"): page_of("Bill"),
    ("get", f"{_BILLS}/billingperiod/{{last_date}}/{{frequency}}"): page_of("Bill"),
    ("get", f"{_BILLS}/latest/{{account_id}}"): _ref("Bill"),
    ("post", f"{_BILLS}/approve"): _ref("Message"),
    ("post", f"{_BILLS}/billingperiod/{{last_date}}/{{frequency}}/approve"): _ref("Message"),
    ("post", f"{_BILLS}/preview"): _ref("Bill"),
    ("get", f"{_BILLS}/{{bill_id}}"): _ref("Bill"),
    ("delete", f"{_BILLS}/{{bill_id}}"): _ref("Bill"),
    ("put", f"{_BILLS}/{{bill_id}}/status"): _ref("Bill"),
    ("put", f"{_BILLS}/{{bill_id}}/lock"): _ref("Bill"),
    ("get", f"{PREFIX}/lineitems"): page_of("LineItem"),
    ("get", f"{_BILLS}/{{bill_id}}/lineitems"): page_of("LineItem"),
    ("get", f"{_BILLS}/{{bill_id}}/lineitems/{{line_item_id}}"): _ref("LineItem"),
    **_memo_lines("credit", "CreditLineItem"),
    **_memo_lines("debit", "DebitLineItem"),
    ("get", f"{_BILLS}/{{bill_id}}/statement/json"): _ref("Download"),
    ("get", f"{_BILLS}/{{bill_id}}/statement/csv"): _ref("Download"),
    ("post", f"{_BILLS}/{{bill_id}}/statement/csv"): _ref("Download"),
    ("post", f"{_BILLS}/download/csv/url"): _ref("Download"),
    ("get", f"{_BILLS}/{{bill_id}}/lineitems/{{line_item_id}}/usage/json"): _ref("Download"),
    ("post", f"{_BILLS}/{{bill_id}}/rebill"): _ref("Rebilling"),
    ("get", f"{_BILLS}/{{bill_id}}/calculations"): page_of("BillCalculation"),
    ("get", f"{_BILLS}/{{bill_id}}/diff"): _ref("BillComparison"),
    ("get", f"{_BILLS}/{{bill_id}}/lineitems/{{line_item_id}}/explain"): _ref("LineExplanation"),
    ("post", _STATEMENTS): _ref("StatementJob"),
    ("get", _STATEMENTS): page_of("StatementJob"),
    ("post", f"{_STATEMENTS}/batch"): _list(_ref("StatementJob")),
    ("get", f"{_STATEMENTS}/{{job_id}}"): _ref("StatementJob"),
    ("post", f"{_STATEMENTS}/{{job_id}}/cancel"): _ref("StatementJob"),
    ("post", f"{_BALANCE}/transactions"): _ref("BalanceTransaction"),
    ("get", f"{_BALANCE}/transactions"): page_of("BalanceTransaction"),
    ("get", f"{_BALANCE}/transactions/summary"): {"type": "object", "additionalProperties": _NUMBER},
    ("post", f"{_BALANCE}/balancetransactionschedules/preview"): _schedule("BalanceTransactionSchedule", "BalanceTransaction"),
    ("post", f"{_BALANCE}/balancechargeschedules/preview"): _schedule("BalanceChargeSchedule", "Charge"),
    ("get", f"{PREFIX}/commitments/search"): page_of("Commitment"),
}
#: The same of routes that answer a file -> its media types.
FILES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("get", "/docs/formulas"): ("text/markdown",),
    ("get", "/downloads/{org}/bills/csv/{asked}"): ("text/csv",),
    ("get", "/downloads/{org}/statements/{job_id}/{kind}"): ("application/json", "text/csv"),
    ("get", "/downloads/{org}/bills/{bill_id}/lineitems/{line_item_id}/usage"): ("application/json",),
    ("get", f"{_BILLS}/{{bill_id}}/document.{{kind}}"): ("text/html", "application/pdf"),
    ("get", f"{_BILLS}/{{bill_id}}/statement/document.{{kind}}"): ("text/html", "application/pdf"),
}
