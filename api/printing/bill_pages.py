"""A bill as the texts of its printed pages: one JSON-ready view, from which HTML and PDF are set.

Everything in the view is text as the reader sees it, so the two templates hold no logic but layout. Put here what stands
where. Keep out how values are written (formats.py) and the pages' looks (page.html, page.typ).
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from api.bill_documents import certificate_of
from api.printing.chart import Bar, bar_chart
from api.printing.formats import Formats
from api.printing.sources import PrintedBill
from transforms.entities.accounts import Address

#: Most charts on a bill: of the usage that costs most.
CHARTS_MAX = 6
FONT = "'Libertinus Serif', Charter, Cambria, Georgia, serif"

View = dict[str, Any]


def address_lines(address: Address | None) -> list[str]:
    """The address as it is written on a letter."""
    if address is None:
        return []
    town = " ".join(part for part in (address.post_code, address.locality) if part)
    place = ", ".join(part for part in (town, address.region) if part)
    parts = (address.address_line1, address.address_line2, address.address_line3, address.address_line4, place, address.country)
    return [part for part in parts if part]


def _dates(bill: PrintedBill) -> list[tuple[str, str]]:
    header, formats = bill.header, bill.formats
    given = [
        ("number", bill_number(header)),
        ("bill_date", formats.day(header["bill_date"])),
        ("due_date", formats.day(header["due_date"]) if header["due_date"] else None),
        ("period", formats.days(header["start_at"], header["end_at"], "long")),
        ("account", bill.account.code),
        ("purchase_order", header["purchase_order_number"]),
        ("reference", header["external_invoice_reference"]),
    ]
    return [(formats.labels[label], value) for label, value in given if value]


def bill_number(header: Mapping[str, Any]) -> str:
    """The sequential number, or INV- and the end of the id where the organization has no prefix (billing.md 2.9)."""
    return str(header["sequential_invoice_number"] or f"INV-{header['id'][-4:]}")


def _details(line: Mapping[str, Any], bill: PrintedBill) -> list[str]:
    """What tells a line apart from others of its description."""
    formats, details = bill.formats, []
    if line["segment"] is not None:
        details.append(formats.segment(json.loads(line["segment"])))
    if line["line_item_type"] == "OVERAGE_USAGE":
        details.append(formats.labels["overage"])
    if line["child_account_code"] is not None:
        details.append(formats.text("used_by", account=line["child_account_code"]))
    if _is_usage(line) and None not in (line["quantity"], line["units"]) and line["quantity"] != line["units"]:
        details.append(formats.text("raw_quantity", quantity=formats.number(line["quantity"])))
    start, end = line["service_period_start"], line["service_period_end"]
    if start is not None and end is not None and (start, end) != (bill.header["start_at"], bill.header["end_at"]) and start < end:
        details.append(formats.days(start, end))
    if line["referenced_bill_id"] is not None and line["line_item_type"] in ("USAGE", "USAGE_CREDIT"):
        details.append(formats.labels["carried"])
    if line["currency"] != bill.header["currency"]:
        amount = formats.money(line["subtotal"], line["currency"])
        details.append(formats.text("converted", amount=amount, rate=formats.number(line["conversion_rate"])))
    return details


def _is_usage(line: Mapping[str, Any]) -> bool:
    return line["aggregation_id"] is not None or line["compound_aggregation_id"] is not None


def _is_average(line: Mapping[str, Any]) -> bool:
    return line["bands"] is not None and (len(line["bands"]) > 1 or bool(line["bands"][0]["fixed_price"]))


def _bands(line: Mapping[str, Any], formats: Formats) -> list[View]:
    """The bands of a line that was not simply units times one price."""
    if not _is_average(line):
        return []
    limits = [band["lower_limit"] for band in line["bands"]]
    views = []
    for number, band in enumerate(line["bands"]):
        upper = limits[number + 1] if number + 1 < len(limits) else None
        first = formats.number(band["lower_limit"])
        span = formats.text("above", first=first) if upper is None else formats.text("from_to", first=first, last=formats.number(upper))
        if upper is None and not band["lower_limit"]:
            span = formats.labels["all_units"]
        prices = [formats.price(band["unit_price"], line["currency"])] if band["unit_price"] or not band["fixed_price"] else []
        if band["fixed_price"]:
            prices.append(formats.text("fixed", price=formats.price(band["fixed_price"], line["currency"])))
        views.append(
            {
                "description": span,
                "quantity": formats.number(band["band_units"]),
                "price": " + ".join(prices),
                "amount": formats.money(band["band_subtotal"], line["currency"]),
            }
        )
    return views


def _line(line: Mapping[str, Any], bill: PrintedBill) -> View:
    formats = bill.formats
    # A charge as such (a standing charge, a fee) is one of nothing.
    is_counted = _is_usage(line) or line["counter_id"] is not None or line["units"] not in (None, 1)
    has_units = is_counted and line["units"] is not None
    price = ""
    if has_units and line["units"]:
        is_exact = line["bands"] and not _is_average(line)
        price = (
            formats.price(line["bands"][0]["unit_price"], line["currency"])
            if is_exact
            else formats.average(line["average_unit_price"], line["currency"])
        )
    return {
        "description": line["description"],
        "details": " · ".join(_details(line, bill)),
        "quantity": formats.text("measured", quantity=formats.number(line["units"]), unit=formats.unit(line["unit"])).strip() if has_units else "",
        "price": f"{formats.labels['average']} {price}" if price and _is_average(line) else price,
        "amount": formats.money(line["converted_subtotal"], bill.header["currency"]),
        "bands": _bands(line, formats),
    }


def _groups(bill: PrintedBill) -> list[View]:
    """The lines by product, in the order in which the bill first names them; other lines at the end."""
    formats, currency = bill.formats, bill.header["currency"]
    by_product: dict[str | None, list[Mapping[str, Any]]] = {}
    for line in bill.lines:
        by_product.setdefault(line["product_id"], []).append(line)
    ordered = [*(key for key in by_product if key is not None), *(key for key in by_product if key is None)]
    groups = []
    for product_id in ordered:
        lines = by_product[product_id]
        product = bill.products.get(product_id or "")
        name = formats.labels["other"] if product is None else product.name
        total = sum((line["converted_subtotal"] for line in lines), Decimal(0))
        subtotal = {"label": formats.text("subtotal", product=name), "amount": formats.money(total, currency)}
        groups.append({"name": name, "lines": [_line(line, bill) for line in lines], "subtotal": subtotal if len(ordered) > 1 else None})
    return groups


def charts(bill: PrintedBill) -> list[View]:
    """The usage that costs most over time: a chart per aggregation, with what segments and accounts have used added up."""
    formats = bill.formats
    by_subject: dict[str, list[Mapping[str, Any]]] = {}
    for usage in bill.usage["usage"]:
        by_subject.setdefault(usage.get("aggregationId") or usage["compoundAggregationId"], []).append(usage)
    drawn = []
    for usages in by_subject.values():
        # What does not add up over time does not add up over segments either: a chart of one of them would mislead.
        if len(usages) > 1 and not all(usage["addsUp"] for usage in usages):
            continue
        cost = sum((abs(line["convertedSubtotal"]) for usage in usages for line in usage["lineItems"]), Decimal(0))
        if any(row["quantity"] for usage in usages for row in usage["rows"]):
            drawn.append((cost, usages))
    drawn.sort(key=lambda one: -one[0])
    return [_chart(usages, formats) for _, usages in drawn[:CHARTS_MAX]]


def _chart(usages: Sequence[Mapping[str, Any]], formats: Formats) -> View:
    values: dict[tuple[Any, Any], Decimal] = {}
    for usage in usages:
        for row in usage["rows"]:
            key = (row["startTime"], row["endTime"])
            values[key] = values.get(key, Decimal(0)) + row["quantity"]
    bars = [Bar(formats.days(*period), value) for period, value in sorted(values.items())]
    name = usages[0]["description"] if len(usages) == 1 or "segment" not in usages[0] else usages[0]["description"].partition(" (")[0]
    title = formats.with_unit(name, usages[0]["unit"])
    return {"title": title, "svg": bar_chart(title, bars, number=formats.number, font=FONT)}


def _conversions(bill: PrintedBill) -> str:
    formats = bill.formats
    used = [
        formats.text("rate", source=rate["from"], rate=formats.number(Decimal(rate["multiplier"])), target=rate["to"])
        for rate in bill.header["currency_conversions"]
    ]
    return f"{formats.labels['rates']} {', '.join(used)}." if used else ""


def _provenance(bill: PrintedBill) -> list[str]:
    header, formats = bill.header, bill.formats
    notes = [
        formats.text(
            "provenance",
            day=formats.local_day(header["last_calculated_at"]),
            version=header["software_version"],
            bill=header["id"],
            calculation=header["calculation_id"],
            hash=header["configuration_hash"],
        )
    ]
    if bill.usage.get("isGone"):
        notes.append(formats.labels["usage_gone"])
    certificate = certificate_of(header)
    if certificate is not None:
        # How much the whole organization measured is the seller's business: those counts are in the API's answer alone.
        notes += [
            formats.text(
                "unmatched", count=formats.number(Decimal(one["measurements"])), aggregation=one.get("aggregationCode", one["aggregationId"])
            )
            for one in certificate["unmatched"]
        ]
    return notes


def head_view(bill: PrintedBill, title: str) -> View:
    """What bills and statements have in common: who, when, and in which language."""
    formats = bill.formats
    return {
        "language": formats.locale.language,
        "direction": formats.locale.text_direction,
        "labels": dict(formats.labels),
        "title": formats.labels[title],
        "draft": formats.labels["draft"] if bill.header["status"] == "PENDING" else "",
        "number": bill_number(bill.header),
        "issuer": bill.issuer,
        "customer": [bill.account.name, *address_lines(bill.account.address), bill.account.email_address],
        "dates": _dates(bill),
        "total": {"label": formats.labels["total"], "amount": formats.money(bill.header["bill_total"], bill.header["currency"])},
        # What a PDF says of when it was made: the same bill gives the same bytes.
        "made_at": [bill.header["last_calculated_at"].year, bill.header["last_calculated_at"].month, bill.header["last_calculated_at"].day],
        "groups": [],
        "charts": [],
        "tables": [],
        "conversions": "",
        "notes": [],
    }


def bill_view(bill: PrintedBill) -> View:
    """The bill."""
    return head_view(bill, "bill") | {
        "groups": _groups(bill),
        "charts": charts(bill),
        "conversions": _conversions(bill),
        "notes": _provenance(bill),
    }
