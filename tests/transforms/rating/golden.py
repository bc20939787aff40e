"""Golden cases: a small organization in YAML, bill runs over it, and the lines they must give.

A case names entities by code; ids are made from kind and code. Numbers are strings. What a case leaves out has these
defaults: product ``p`` (Product), meter ``m`` with the measure ``qty``, aggregation ``calls`` (SUM of qty), template
``t`` (USD, MONTHLY, standing charge 0), currency entries none, pricings from 2000-01-01, time zone UTC.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import yaml

from tests.transforms.rating.golden_frames import an_id, bands, frames, instant, small_entities, transactions, with_draws
from transforms.aggregations.usage import MeterUsage, field_column
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, Configuration
from transforms.datasets import MEASUREMENTS
from transforms.entities.organization import Currency, CurrencyConversion, CustomFields, OrganizationConfig, time_zone
from transforms.entities.plans import Plan, PlanTemplate, Pricing
from transforms.entities.resource import BillingFrequency, Entity
from transforms.entities.usage import Aggregation, CompoundAggregation, Meter, Product
from transforms.money import DECIMAL
from transforms.rating.pipeline import BillRun, BillRunResult, billed

CASES = Path(__file__).parent / "cases"


class World:
    """The configuration and usage of a case."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        self.case = case
        self.organization = OrganizationConfig.model_validate(case.get("organization", {}))
        self.zone = time_zone(self.organization.timezone)
        self.small: dict[str, dict[str, Entity]] = {}
        self._add_usage_side()
        self._add_price_side()
        self.accounts = self._accounts()
        self.account_plans = self._account_plans()
        self.frames = frames(case)
        self.ledger = transactions(case)

    def _add(self, kind: type[Entity], code: str, body: Mapping[str, Any]) -> None:
        entity = kind.model_validate({"name": code, "code": code, **body, "id": an_id(kind.__name__, code)})
        self.small.setdefault(kind.__name__, {})[entity.id] = entity

    def _add_usage_side(self) -> None:
        for currency in self.case.get("currencies", []):
            self._add(Currency, currency["code"], currency)
        for code, body in {"p": {"name": "Product"}, **self.case.get("products", {})}.items():
            self._add(Product, code, body)
        for code, names in {"m": {"MEASURE": ["qty"]}, **self.case.get("meters", {})}.items():
            fields = [{"category": category, "code": n, "name": n} for category, fields in names.items() for n in fields]
            self._add(Meter, code, {"dataFields": fields, "derivedFields": []})
        for code, body in {"calls": {}, **self.case.get("aggregations", {})}.items():
            meter = an_id("Meter", body.get("meter", "m"))
            plain = {"targetField": "qty", "aggregation": "SUM", "quantityPerUnit": "1", "rounding": "NONE", "unit": "unit"}
            self._add(Aggregation, code, self._with_products({**plain, **body, "meterId": meter}))
        for code, body in self.case.get("compounds", {}).items():
            self._add(CompoundAggregation, code, self._with_products({"quantityPerUnit": "1", "rounding": "NONE", "unit": "unit", **body}))

    @staticmethod
    def _with_products(body: Mapping[str, Any]) -> dict[str, Any]:
        return {k: an_id("Product", v) if k.lower().endswith("productid") else v for k, v in body.items()}

    def _add_price_side(self) -> None:
        plain = {"product": "p", "currency": "USD", "billFrequency": "MONTHLY", "standingCharge": "0"}
        for code, body in {"t": {}, **self.case.get("templates", {})}.items():
            filled = {**plain, **body}
            self._add(PlanTemplate, code, {**filled, "productId": an_id("Product", filled["product"])})
        for code, body in self.case.get("plans", {"plan": {}}).items():
            self._add(Plan, code, self._with_products({**body, "planTemplateId": an_id("PlanTemplate", body.get("template", "t"))}))
        for kind, code, body in small_entities(self.case):
            self._add(kind, code, self._with_products(body))
        for number, body in enumerate(self.case.get("pricings", [])):
            owner = (
                {"planTemplateId": an_id("PlanTemplate", body["template"])}
                if "template" in body
                else {"planId": an_id("Plan", body.get("plan", "plan"))}
            )
            priced = (
                {"compoundAggregationId": an_id("CompoundAggregation", body["compound"])}
                if "compound" in body
                else {"aggregationId": an_id("Aggregation", body.get("aggregation", "calls"))}
            )
            rest = {k: v for k, v in body.items() if k not in ("bands", "plan", "template", "aggregation", "compound", "overage")}
            if "overage" in body:
                rest["overagePricingBands"] = bands(body["overage"])
            dates = {k: instant(rest.pop(k, None)) for k in ("startDate", "endDate")}
            dates["startDate"] = dates["startDate"] or datetime(2000, 1, 1, tzinfo=UTC)
            code = body.get("code", f"pricing-{number}")
            self._add(
                Pricing, code, self._with_products({"cumulative": True, **rest, **owner, **priced, **dates, "pricingBands": bands(body["bands"])})
            )

    def _accounts(self) -> pl.DataFrame:
        rows = [
            {
                "account_id": an_id("Account", code),
                "account_number": number,
                "account_code": code,
                "parent_account_id": an_id("Account", body["parent"]) if "parent" in body else None,
                "bill_epoch": body.get("billEpoch"),
                "currency": body.get("currency"),
                "days_before_bill_due": body.get("daysBeforeBillDue"),
                "purchase_order_number": body.get("purchaseOrderNumber"),
                "credit_application_order": json.dumps(body["creditApplicationOrder"]) if "creditApplicationOrder" in body else None,
                "custom_fields": "{}",
            }
            for number, (code, body) in enumerate(self.case.get("accounts", {"a": {}}).items())
        ]
        return pl.DataFrame(rows, schema=ACCOUNTS_SCHEMA)

    def _account_plans(self) -> pl.DataFrame:
        rows = [
            {
                "account_plan_id": an_id("AccountPlan", f"{number}/{body.get('account', 'a')}"),
                "account_id": an_id("Account", body.get("account", "a")),
                "plan_id": None if "group" in body else an_id("Plan", body.get("plan", "plan")),
                "plan_group_id": an_id("PlanGroup", body["group"]) if "group" in body else None,
                "start_date": instant(body["startDate"]),
                "end_date": instant(body.get("endDate")),
                "bill_epoch": body.get("billEpoch"),
                "contract_id": an_id("Contract", body["contract"]) if "contract" in body else None,
                "child_billing_mode": body.get("childBillingMode"),
                "custom_fields": "{}",
            }
            for number, body in enumerate(self.case.get("accountPlans", []))
        ]
        return pl.DataFrame(rows, schema=ACCOUNT_PLANS_SCHEMA)

    @property
    def configuration(self) -> Configuration:
        return Configuration(
            "org",
            datetime(2030, 1, 1, tzinfo=UTC),
            self.organization,
            CustomFields(),
            self.small,
            self.accounts,
            self.account_plans,
            "hash",
            self.frames,
        )

    @property
    def usage(self) -> dict[str, MeterUsage]:
        numbers = dict(self.accounts.select("account_code", "account_number").iter_rows())
        found = {}
        for meter in self.small["Meter"].values():
            assert isinstance(meter, Meter)
            rows = [r for r in self.case.get("usage", []) if r.get("meter", "m") == meter.code]
            found[meter.id] = MeterUsage(meter, self._measurements(meter, rows, numbers).lazy())
        return found

    def _measurements(self, meter: Meter, rows: list[Mapping[str, Any]], numbers: Mapping[str, int]) -> pl.DataFrame:
        kinds = {field_column(f.code): DECIMAL if f.category.is_numeric else pl.String for f in meter.fields}
        schema = {**MEASUREMENTS.schema, **kinds}
        data = []
        for n, row in enumerate(rows):
            ts = instant(row["ts"])
            assert ts is not None
            fields = {
                field_column(f.code): None if row.get(f.code) is None else Decimal(str(row[f.code])) if f.category.is_numeric else row[f.code]
                for f in meter.fields
            }
            head = {"date": ts.astimezone(ZoneInfo(self.zone)).date(), "account_number": numbers[row.get("account", "a")]}
            data.append({**head, "ts": ts, "ets": None, "uid": f"{meter.code}-{n}", "received_at": ts, **fields})
        return pl.DataFrame(data, schema=schema)

    def billed(self, run: Mapping[str, Any]) -> BillRunResult:
        """The run's result; what it draws stands in the ledger of the runs after it."""
        result = billed(self.configuration, self.usage, bill_run(run), self.ledger)
        self.ledger = with_draws(self.ledger, result)
        return result


def bill_run(body: Mapping[str, Any]) -> BillRun:
    """A run from its wire spelling."""
    last = body.get("lastDateInBillingPeriod")
    frequency = body.get("billingFrequency")
    names = {"dueDate": "due_date", "externalInvoiceDate": "external_invoice_date", "targetCurrency": "target_currency", "timezone": "timezone"}
    epochs = {f"{u}Epoch": f"{u}_epoch" for u in ("day", "week", "month", "year")}
    return BillRun(
        today=body.get("today") or last or body["billDate"],
        last_date_in_billing_period=last,
        bill_date=body.get("billDate"),
        billing_frequency=BillingFrequency(frequency) if frequency else None,
        bill_frequency_interval=body.get("billFrequencyInterval"),
        account_ids=tuple(an_id("Account", c) for c in body["accounts"]) if "accounts" in body else None,
        currency_conversions=tuple(CurrencyConversion.model_validate(c) for c in body.get("currencyConversions", [])),
        **{field: body[wire] for wire, field in (names | epochs).items() if wire in body},
    )


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every case of the folder as (id, document)."""
    for file in sorted(CASES.glob("*.yaml")):
        for case in yaml.safe_load_all(file.read_text()):
            if case:
                yield f"{file.stem}:{case['name']}", case


_LINE = {
    "type": "line_item_type",
    "description": "description",
    "quantity": "quantity",
    "units": "units",
    "unit": "unit",
    "subtotal": "subtotal",
    "converted": "converted_subtotal",
    "rate": "conversion_rate",
    "currency": "currency",
    "average": "average_unit_price",
    "start": "service_period_start",
    "end": "service_period_end",
    "segment": "segment",
    "pricing": "pricing_id",
    "accounting": "accounting_product_id",
    "product": "product_id",
    "plan": "plan_id",
    "child": "child_account_code",
    "commitment": "commitment_id",
    "balance": "balance_id",
    "counter": "counter_id",
    "charge": "charge_id",
    "contract": "contract_id",
    "group": "plan_group_id",
}
_IDS = {
    "pricing": "Pricing",
    "accounting": "Product",
    "product": "Product",
    "plan": "Plan",
    "commitment": "Commitment",
    "balance": "Balance",
    "counter": "Counter",
    "charge": "Charge",
    "contract": "Contract",
    "group": "PlanGroup",
}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z").replace("T00:00:00Z", "")
    return value.isoformat() if isinstance(value, date) else value


def _wanted(key: str, value: Any) -> Any:
    if key in _IDS:
        return None if value is None else an_id(_IDS[key], value)
    if key in ("start", "end"):
        return _plain(instant(value))
    if isinstance(value, date):
        return value.isoformat()
    if key == "segment":
        return value
    if key in ("quantity", "units", "subtotal", "converted", "rate", "average"):
        return _plain(Decimal(value))
    return value


def shown(line: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The line item with the keys that a case speaks of."""
    found: dict[str, Any] = {}
    for key in keys:
        if key == "bands":
            found[key] = [[_plain(b["band_units"]), _plain(b["band_subtotal"])] for b in line["bands"]]
        elif key == "segment":
            found[key] = json.loads(line["segment"]) if line["segment"] else None
        else:
            found[key] = _plain(line[_LINE[key]])
    return found


def wanted(line: Mapping[str, Any]) -> dict[str, Any]:
    """The expected line in the same spelling."""
    return {k: [[_plain(Decimal(u)), _plain(Decimal(s))] for u, s in v] if k == "bands" else _wanted(k, v) for k, v in line.items()}


_BILL = {
    "startDate": "start_date",
    "endDate": "end_date",
    "billDate": "bill_date",
    "dueDate": "due_date",
    "externalInvoiceDate": "external_invoice_date",
    "currency": "currency",
    "frequency": "billing_frequency",
    "interval": "bill_frequency_interval",
    "purchaseOrderNumber": "purchase_order_number",
    "startAt": "start_at",
    "endAt": "end_at",
}


def check(result: BillRunResult, expected: Mapping[str, Any]) -> None:
    """The result holds what the case's run expects: every bill, in order, and every line of it, in order."""
    for code in expected.get("noBill", []):
        assert result.bills.filter(pl.col("account_code") == code).is_empty(), f"{code} has a bill"
    failures = {code: reason for _, code, reason in result.failures.iter_rows()}
    for code, text in expected.get("failures", {}).items():
        assert text in failures.get(code, ""), failures
    assert set(failures) == set(expected.get("failures", {}))
    for code, wanted_bills in expected.get("bills", {}).items():
        found = result.bills.filter(pl.col("account_code") == code).sort("billing_frequency", "bill_frequency_interval").to_dicts()
        bills = wanted_bills if isinstance(wanted_bills, list) else [wanted_bills]
        assert len(found) == len(bills), found
        for bill, want in zip(found, bills, strict=True):
            _check_bill(result, bill, want)


def _check_bill(result: BillRunResult, bill: Mapping[str, Any], want: Mapping[str, Any]) -> None:
    lines = result.line_items.filter(pl.col("bill_id") == bill["bill_id"]).to_dicts()
    assert len({line["line_item_id"] for line in lines}) == len(lines), "two lines share an id"
    for line in lines:
        for column in ("subtotal", "converted_subtotal"):
            band_column = column.replace("subtotal", "band_subtotal")
            assert not line["bands"] or sum(b[band_column] for b in line["bands"]) == line[column], (column, line)
    if "lines" in want:
        assert [shown(line, w) for line, w in zip(lines, want["lines"], strict=False)] == [wanted(w) for w in want["lines"]]
        assert len(lines) == len(want["lines"]), [shown(line, ("type", "description", "subtotal")) for line in lines]
    if "total" in want:
        assert bill["bill_total"] == Decimal(want["total"]), [shown(line, ("type", "description", "subtotal")) for line in lines]
    if "unmatched" in want:
        left = result.unmatched.filter(pl.col("bill_id") == bill["bill_id"])
        assert dict(left.select("aggregation_code", "measurements").iter_rows()) == want["unmatched"]
    heads = {k: v for k, v in want.items() if k in _BILL}
    assert {k: _plain(bill[_BILL[k]]) for k in heads} == {k: _wanted("start" if k.endswith("At") else k, v) for k, v in heads.items()}
