"""A statement as the texts of its printed pages: a table per usage and per broken down meter, with a chart each.

Put here what stands where. Keep out the numbers: they are those of the JSON statement (transforms/statements).
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from api.printing.bill_pages import View, charts, head_view
from api.printing.formats import Formats
from api.printing.sources import PrintedBill


def _times(row: Mapping[str, Any], formats: Formats) -> str:
    return formats.days(row["startTime"], row["endTime"])


def _usage_table(usage: Mapping[str, Any], bill: PrintedBill) -> View:
    formats = bill.formats
    has_price = any("pricePerUnit" in row for row in usage["rows"])
    currency = usage["lineItems"][0]["currency"]
    segment = [formats.segment(usage["segment"])] if "segment" in usage else []
    account = [formats.text("used_by", account=usage["accountCode"])] if usage["accountCode"] != bill.header["account_code"] else []
    columns = [formats.labels["time"], formats.with_unit(formats.labels["quantity"], usage["unit"])]
    rows = []
    for row in usage["rows"]:
        shown = [_times(row, formats), "" if row["quantity"] is None else formats.number(row["quantity"])]
        rows.append([*shown, formats.average(row["pricePerUnit"], currency)] if has_price else shown)
    charged = sum((line["convertedSubtotal"] for line in usage["lineItems"]), Decimal(0))
    total = [formats.labels["in_all"], formats.number(usage["quantity"])]
    return {
        "name": usage["description"],
        "details": " · ".join([*([usage["productName"]] if "productName" in usage else []), *segment, *account]),
        "columns": [*columns, formats.labels["unit_price"]] if has_price else columns,
        "texts": 1,
        "rows": rows,
        "total": [*total, formats.money(charged, bill.header["currency"])] if has_price else total,
    }


def _meter_table(meter: Mapping[str, Any], bill: PrintedBill) -> View:
    formats = bill.formats
    own = ("accountId", "accountCode", "startTime", "endTime")
    keys = list(dict.fromkeys(key for row in meter["rows"] for key in row if key not in own))
    numbers = [key for key in keys if any(isinstance(row.get(key), Decimal) for row in meter["rows"])]
    dimensions = [key for key in keys if key not in numbers]
    has_children = any(row["accountCode"] != bill.header["account_code"] for row in meter["rows"])
    accounts = ["accountCode"] if has_children else []
    rows = [
        [
            _times(row, formats),
            *(row[key] for key in accounts),
            *(str(row.get(key, "")) for key in dimensions),
            *(formats.number(row[key]) if row.get(key) is not None else "" for key in numbers),
        ]
        for row in meter["rows"]
    ]
    columns = [formats.labels["time"], *([formats.labels["account"]] if has_children else []), *dimensions, *numbers]
    return {
        "name": meter["meterCode"],
        "details": "",
        "columns": columns,
        "texts": 1 + len(accounts) + len(dimensions),
        "rows": rows,
        "total": [],
    }


def statement_view(bill: PrintedBill, statement: Mapping[str, Any]) -> View:
    """The statement.

    Args:
        bill: The bill that it belongs to.
        statement: The JSON statement.
    """
    tables = [_usage_table(usage, bill) for usage in statement["usage"]] + [_meter_table(meter, bill) for meter in statement["breakdown"]]
    notes = [] if tables else [bill.formats.labels["nothing"]]
    return head_view(bill, "statement") | {"tables": tables, "charts": charts(bill), "notes": notes}
