"""The JSON document of a statement.

One layout for every definition::

    {
      "layoutVersion": 1,
      "bill": {"id", "accountId", "accountCode", "startDate", "endDate", "billDate", "currency", "billTotal", "calculationId", ...},
      "definition": {"id", "name", "aggregationFrequency", "includePricePerUnit", "generateSlimStatements"},
      "timezone": where days are cut,
      "filters": {"meterIds": [...]}            (only when the job has some)
      "usage": [                                what the bill charges for, one entry per amount of usage
        {"productId", "productName", "description", "aggregationId" | "compoundAggregationId", "meterId", "segment",
         "accountId", "accountCode", "servicePeriodStartDate", "servicePeriodEndDate", "unit",
         "quantity":         as the lines say, "measuredQuantity": as measured anew, "reconciles": both are equal,
         "addsUp":           the rows' quantities sum to it (never so for MAX, UNIQUE and the like, nor where nothing was used),
         "lineItems": [{"id", "lineItemType", "quantity", "units", "averageUnitPrice", "subtotal", "currency", "convertedSubtotal"}],
         "rows": [{"startTime", "endTime", "quantity", "pricePerUnit": subtotals / units of all its lines}]}],
      "breakdown": [                            the definition's measures and dimensions, one entry per meter
        {"meterId", "meterCode", "rows": [{"accountId", "accountCode", "startTime", "endTime", <dimension>, "<field>.<FUNCTION>"}], "notes"}],
      "otherLineItems": [{"id", "lineItemType", "description", "subtotal", "currency", "convertedSubtotal"}],
      "totals": {"usage", "other", "bill"}      in the bill's currency; usage + other = bill
    }

Times are UTC and half-open. A slim statement leaves out rows without usage and what only programs need: the ids. Put here the
layout; keep out the numbers (quantities.py, breakdown.py) and CSV (tables.py). Source: billing.md 8.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from transforms.aggregations.explorer import ACCOUNT
from transforms.configuration import Configuration
from transforms.entities.statements import StatementDefinition
from transforms.entities.usage import Aggregation, Method, Product
from transforms.money import EXACT, exact
from transforms.statements.breakdown import MeterBreakdown

LAYOUT_VERSION = 1
#: Of these methods a period without usage is a zero, not nothing.
_COUNTED = (Method.SUM, Method.COUNT, Method.UNIQUE)
_BILL = {
    "id": "id",
    "accountId": "account_id",
    "accountCode": "account_code",
    "sequentialInvoiceNumber": "sequential_invoice_number",
    "billingFrequency": "billing_frequency",
    "startDate": "start_date",
    "endDate": "end_date",
    "billDate": "bill_date",
    "currency": "currency",
    "billTotal": "bill_total",
    "calculationId": "calculation_id",
    "lastCalculatedDate": "last_calculated_at",
}
_LINE = {
    "id": "line_item_id",
    "lineItemType": "line_item_type",
    "description": "description",
    "servicePeriodStartDate": "service_period_start",
    "servicePeriodEndDate": "service_period_end",
    "quantity": "quantity",
    "units": "units",
    "averageUnitPrice": "average_unit_price",
    "subtotal": "subtotal",
    "currency": "currency",
    "convertedSubtotal": "converted_subtotal",
}


@dataclass(frozen=True)
class Measured:
    """The numbers of a statement.

    Attributes:
        lines: The bill's lines with their ``usage`` number.
        usages: One row per usage that the statement covers, with ``measured``, the quantity of its whole period.
        rows: One row per usage and period: ``usage``, ``period_start``, ``period_end``, ``quantity``.
        breakdown: By meter, as the definition asks.
    """

    lines: pl.DataFrame
    usages: pl.DataFrame
    rows: pl.DataFrame
    breakdown: Sequence[MeterBreakdown]


def _given(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {wire: row[column] for wire, column in names.items() if row.get(column) is not None}


def _without(document: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in names}


def _usage_entry(
    usage: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], context: "_Context"
) -> dict[str, Any]:
    definition = context.definition
    is_slim = definition.generate_slim_statements
    product = context.products.get(usage["product_id"] or "")
    simple = context.configuration.entities(Aggregation).get(usage["subject_id"])
    zero = Decimal(0) if simple is not None and simple.aggregation in _COUNTED else None
    price = {"pricePerUnit": _price_per_unit(lines)} if definition.include_price_per_unit else {}
    shown = [
        {"startTime": row["period_start"], "endTime": row["period_end"], "quantity": zero if row["quantity"] is None else row["quantity"], **price}
        for row in rows
        if row["quantity"] is not None or (zero is not None and not is_slim)
    ]
    total = sum((row["quantity"] for row in rows if row["quantity"] is not None), Decimal(0))
    left_out = {"id", "description", "servicePeriodStartDate", "servicePeriodEndDate"} if is_slim else {"description"}
    ids = (
        {}
        if is_slim
        else _given(usage, {"aggregationId": "aggregation_id", "compoundAggregationId": "compound_aggregation_id", "meterId": "meter_id"})
    )
    return {
        **({} if product is None else {"productName": product.name, "productCode": product.code}),
        **({} if is_slim or usage["product_id"] is None else {"productId": usage["product_id"]}),
        "description": usage["description"],
        **ids,
        **({} if usage["segment"] is None else {"segment": json.loads(usage["segment"])}),
        **({} if is_slim else {"accountId": usage["account_id"]}),
        "accountCode": context.account_codes[usage["account_id"]],
        "servicePeriodStartDate": usage["service_start"],
        "servicePeriodEndDate": usage["service_end"],
        "unit": usage["unit"],
        "quantity": usage["quantity"],
        "measuredQuantity": usage["measured"],
        "reconciles": usage["quantity"] == usage["measured"],
        "addsUp": total == usage["quantity"],
        "lineItems": [_without(_given(line, _LINE), left_out) for line in lines],
        "rows": shown,
    }


def _price_per_unit(lines: Sequence[Mapping[str, Any]]) -> Decimal:
    """What a unit costs on average over all lines of the usage: what a commitment covers and what exceeds it cost different prices."""
    units = sum((line["units"] or Decimal(0) for line in lines), Decimal(0))
    if len(lines) == 1 or not units or len({line["currency"] for line in lines}) > 1:
        return Decimal(lines[0]["average_unit_price"])
    subtotal = sum((line["subtotal"] for line in lines), Decimal(0))
    return exact(EXACT.divide(subtotal, units))


@dataclass(frozen=True)
class _Context:
    definition: StatementDefinition
    configuration: Configuration
    products: Mapping[str, Product]
    account_codes: Mapping[str, str]


def _breakdown_entry(found: MeterBreakdown, accounts: Mapping[int, tuple[str, str]]) -> dict[str, Any]:
    rows = [
        {
            "accountId": accounts[row[ACCOUNT]][0],
            "accountCode": accounts[row[ACCOUNT]][1],
            "startTime": row["period_start"],
            "endTime": row["period_end"],
            **{key: row[key] for key in (*found.dimensions, *found.numbers) if row[key] is not None},
        }
        for row in found.rows.iter_rows(named=True)
    ]
    return {"meterId": found.meter.id, "meterCode": found.meter.code, "rows": rows, **({"notes": list(found.notes)} if found.notes else {})}


def _named_accounts(configuration: Configuration, measured: Measured) -> pl.DataFrame:
    """Number, id and code of the accounts that a statement names: of the bill and its family, not all that there are."""
    numbers = [found.rows[ACCOUNT] for found in measured.breakdown if ACCOUNT in found.rows.columns]
    of_breakdown = pl.col("account_number").is_in(pl.concat(numbers).unique().implode()) if numbers else pl.lit(False)
    of_usage = pl.col("account_id").is_in(measured.usages["account_id"].unique().implode())
    return configuration.accounts.filter(of_breakdown | of_usage).select("account_number", "account_id", "account_code")


def statement_document(
    header: Mapping[str, Any], measured: Measured, definition: StatementDefinition, configuration: Configuration, meter_ids: Sequence[str] | None
) -> dict[str, Any]:
    """The statement.

    Args:
        header: The bill, a row of ``bills``.
        measured: The numbers.
        definition: The layout's choices; one without an id is the default.
        configuration: That of the bill's calculation.
        meter_ids: The job's filter, None without one.
    """
    named = _named_accounts(configuration, measured)
    accounts = {number: (account_id, code) for number, account_id, code in named.rows()}
    context = _Context(definition, configuration, configuration.entities(Product), dict(accounts.values()))
    lines = measured.lines.to_dicts()
    by_usage: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        by_usage.setdefault(line["usage"], []).append(line)
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in measured.rows.iter_rows(named=True):
        rows.setdefault(row["usage"], []).append(row)
    entries = [_usage_entry(u, by_usage[u["usage"]], rows.get(u["usage"], []), context) for u in measured.usages.iter_rows(named=True)]
    covered = set(measured.usages["usage"])
    charged = sum((line["converted_subtotal"] for line in lines if line["usage"] in covered), Decimal(0))
    others = [line for line in lines if line["usage"] not in covered]
    other = sum((line["converted_subtotal"] for line in others), Decimal(0))
    assert charged + other == header["bill_total"], f"the lines of bill {header['id']} sum to {charged + other}, its total is {header['bill_total']}"
    return {
        "layoutVersion": LAYOUT_VERSION,
        "bill": _given(header, _BILL),
        "definition": {
            **({"id": definition.id} if definition.id else {}),
            **({} if definition.name is None else {"name": definition.name}),
            "aggregationFrequency": definition.aggregation_frequency,
            "includePricePerUnit": definition.include_price_per_unit,
            "generateSlimStatements": definition.generate_slim_statements,
        },
        "timezone": header["timezone"],
        **({"filters": {"meterIds": list(meter_ids)}} if meter_ids else {}),
        "usage": entries,
        "breakdown": [_breakdown_entry(found, accounts) for found in measured.breakdown],
        "otherLineItems": [_without(_given(line, _LINE), {"id"} if definition.generate_slim_statements else set()) for line in others],
        "totals": {"usage": charged, "other": other, "bill": header["bill_total"]},
    }
