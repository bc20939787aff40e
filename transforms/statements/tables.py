"""The CSV document of a statement: the same statement as its JSON document, one table.

The column ``row`` says what a row is about:

* ``USAGE``: what was used in a period; the quantities of one usage, by the statement's periods.
* ``LINE``: a line item of the bill; the ``converted_subtotal`` of all LINE rows sum to the bill's total.
* ``MEASURE``: one measure of the statement's definition in a period, for one combination of its dimensions.
* ``TOTAL``: the bill's total.

Times are in the bill's time zone, with their offset, half-open. Columns of dimensions stand at the end, in order of their
names. Put here the layout; it knows the JSON document only. Source: billing.md 8.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from transforms.entities.organization import time_zone
from transforms.money import wire_number

COLUMNS = (
    "row",
    "bill_id",
    "account_code",
    "product_code",
    "line_item_type",
    "description",
    "segment",
    "period_start",
    "period_end",
    "measure",
    "quantity",
    "unit",
    "units",
    "price_per_unit",
    "subtotal",
    "currency",
    "converted_subtotal",
    "bill_currency",
)
_OWN_KEYS = ("accountId", "accountCode", "startTime", "endTime")

Row = dict[str, Any]


def _line(line: Mapping[str, Any], usage: Mapping[str, Any]) -> Row:
    return {
        "row": "LINE",
        "line_item_type": line["lineItemType"],
        "description": line.get("description", usage.get("description")),
        "account_code": usage.get("accountCode"),
        "product_code": usage.get("productCode"),
        "segment": _segment(usage),
        "period_start": line.get("servicePeriodStartDate", usage.get("servicePeriodStartDate")),
        "period_end": line.get("servicePeriodEndDate", usage.get("servicePeriodEndDate")),
        "quantity": line.get("quantity"),
        "unit": usage.get("unit"),
        "units": line.get("units"),
        "price_per_unit": line.get("averageUnitPrice"),
        "subtotal": line["subtotal"],
        "currency": line["currency"],
        "converted_subtotal": line["convertedSubtotal"],
    }


def _segment(usage: Mapping[str, Any]) -> str | None:
    return json.dumps(usage["segment"], sort_keys=True, ensure_ascii=False) if "segment" in usage else None


def _usage_rows(usage: Mapping[str, Any]) -> Iterator[Row]:
    for one in usage["rows"]:
        yield {
            "row": "USAGE",
            "account_code": usage["accountCode"],
            "product_code": usage.get("productCode"),
            "description": usage["description"],
            "segment": _segment(usage),
            "period_start": one["startTime"],
            "period_end": one["endTime"],
            "quantity": one["quantity"],
            "unit": usage["unit"],
            "price_per_unit": one.get("pricePerUnit"),
        }
    for line in usage["lineItems"]:
        yield _line(line, usage)


def _measure_rows(meter: Mapping[str, Any]) -> Iterator[Row]:
    for one in meter["rows"]:
        measures = {key: value for key, value in one.items() if key not in _OWN_KEYS and isinstance(value, (Decimal, int))}
        dimensions = {key: value for key, value in one.items() if key not in _OWN_KEYS and key not in measures}
        for name, value in measures.items():
            times = {"period_start": one["startTime"], "period_end": one["endTime"]}
            yield {
                "row": "MEASURE",
                "account_code": one["accountCode"],
                "description": meter["meterCode"],
                "measure": name,
                "quantity": value,
                **times,
            } | {f"dimension:{key}": value for key, value in dimensions.items()}


def _text(value: Any, zone: ZoneInfo) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat()
    return str(wire_number(value)) if isinstance(value, Decimal) else str(value)


def statement_csv(document: Mapping[str, Any]) -> str:
    """The statement as CSV (RFC 4180) with a header row.

    Args:
        document: The JSON document, its numbers Decimals and its times instants.
    """
    bill = document["bill"]
    rows: list[Row] = [
        *(row for usage in document["usage"] for row in _usage_rows(usage)),
        *(_line(line, {"accountCode": bill["accountCode"]}) for line in document["otherLineItems"]),
        *(row for meter in document["breakdown"] for row in _measure_rows(meter)),
        {"row": "TOTAL", "account_code": bill["accountCode"], "currency": bill["currency"], "converted_subtotal": bill["billTotal"]},
    ]
    dimensions = sorted({key for row in rows for key in row if key.startswith("dimension:")})
    zone = ZoneInfo(time_zone(document["timezone"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*COLUMNS, *(key.removeprefix("dimension:") for key in dimensions)])
    for row in rows:
        stamped = {**row, "bill_id": bill["id"], "bill_currency": bill["currency"]}
        writer.writerow([_text(stamped.get(name), zone) for name in (*COLUMNS, *dimensions)])
    return text.getvalue()
