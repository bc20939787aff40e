"""What golden cases say of plan groups, counters, contracts, charges, commitments and balances; see golden.py.

``planGroups: {g: {plans: [plan], ...}}``, ``counters: {seats: {unit: seat}}``, ``counterPricings: [{plan, counter, bands}]``,
``counterAdjustments: [[account, counter, day, value]]``, ``contracts``, ``charges``, ``commitments`` and ``balances`` by code
with ``account`` (default ``a``); a balance's ``transactions: [[day, amount]]``. Everything else as the public API spells it.
"""

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from transforms.configuration import FRAMES
from transforms.datasets import INSTANT
from transforms.entities.counters import Counter, CounterPricing
from transforms.entities.picklists import BillGroupingKey
from transforms.entities.plan_groups import PlanGroup, PlanGroupLink
from transforms.entities.resource import Entity
from transforms.rating.run import LEDGER, BillRunResult


def an_id(kind: str, code: str) -> str:
    """The id of the entity with that code."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{code}"))


def instant(text: str | date | datetime | None) -> datetime | None:
    """A UTC instant; a day stands for its midnight."""
    if text is None:
        return None
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    if isinstance(text, date):
        return datetime(text.year, text.month, text.day, tzinfo=UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def bands(rows: Iterable[Iterable[Any]]) -> list[dict[str, Any]]:
    """[lowerLimit, fixedPrice, unitPrice] as pricing bands."""
    return [dict(zip(("lowerLimit", "fixedPrice", "unitPrice"), map(str, row), strict=True)) for row in rows]


def small_entities(case: Mapping[str, Any]) -> Iterator[tuple[type[Entity], str, dict[str, Any]]]:
    """Kind, code and body of the small entities that the case names."""
    for code, body in case.get("planGroups", {}).items():
        yield PlanGroup, code, {"currency": "USD", **{k: v for k, v in body.items() if k != "plans"}}
        for plan in body["plans"]:
            yield PlanGroupLink, f"{code}/{plan}", {"planGroupId": an_id("PlanGroup", code), "planId": an_id("Plan", plan)}
    for code, body in case.get("counters", {}).items():
        yield Counter, code, body
    for number, body in enumerate(case.get("counterPricings", [])):
        rest = {k: v for k, v in body.items() if k not in ("plan", "template", "counter", "bands")}
        owner = (
            {"planTemplateId": an_id("PlanTemplate", body["template"])} if "template" in body else {"planId": an_id("Plan", body.get("plan", "plan"))}
        )
        dates = {k: instant(rest.pop(k, None)) for k in ("startDate", "endDate")}
        dates["startDate"] = dates["startDate"] or datetime(2000, 1, 1, tzinfo=UTC)
        counter = {"counterId": an_id("Counter", body.get("counter", "seats")), "pricingBands": bands(body["bands"])}
        yield CounterPricing, f"counter-pricing-{number}", {"cumulative": True, **rest, **owner, **counter, **dates}
    for code, body in case.get("groupingKeys", {}).items():
        yield BillGroupingKey, code, body


_SECTIONS = {"Commitment": "commitments", "Balance": "balances", "Charge": "charges", "Contract": "contracts"}
_REFERENCES = {
    "contract": "Contract",
    "billingPlan": "Plan",
    "billGroupingKey": "BillGroupingKey",
    "entity": "Balance",
    "accountingProduct": "Product",
    "feesAccountingProduct": "Product",
    "drawdownsAccountingProduct": "Product",
    "consumptionsAccountingProduct": "Product",
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "Commitment": {"currency": "USD", "startDate": date(2025, 1, 1), "endDate": date(2026, 1, 1)},
    "Balance": {"currency": "USD", "startDate": date(2025, 1, 1), "endDate": date(2026, 1, 1)},
    "Charge": {"currency": "USD", "entityType": "AD_HOC", "lineItemType": "AD_HOC"},
    "Contract": {"startDate": date(2025, 1, 1), "endDate": date(2026, 1, 1), "applyContractPeriodLimits": False},
}


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _wire(value: Any) -> Any:
    return {k: _wire(v) for k, v in value.items()} if isinstance(value, dict) else value.isoformat() if isinstance(value, date) else value


def _cell(name: str, value: Any, dtype: Any) -> Any:
    if name == "product_ids":
        return json.dumps([an_id("Product", code) for code in value])
    if isinstance(value, list):
        # Amounts as JSON numbers, as the store keeps them.
        text = json.dumps([_wire(one) for one in value])
        return re.sub(r'"amount": "([-0-9.]+)"', r'"amount": \1', text)
    if dtype == INSTANT:
        return instant(value)
    if isinstance(dtype, pl.Decimal):
        return Decimal(str(value))
    return value


def _row(kind: str, code: str, body: Mapping[str, Any], number: int) -> dict[str, Any]:
    schema = FRAMES[kind]
    key = f"{_snake(kind)}_id"
    filled = {**_DEFAULTS[kind], **body}
    filled |= {f"{name}Id": an_id(of, filled.pop(name)) for name, of in _REFERENCES.items() if name in filled}
    row: dict[str, Any] = dict.fromkeys(schema)
    row |= {_snake(k): _cell(_snake(k), v, schema[_snake(k)]) for k, v in filled.items() if _snake(k) in schema}
    row |= {key: an_id(kind, code), "account_id": an_id("Account", body.get("account", "a"))}
    row["created_at"] = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    if kind != "Commitment":
        row |= {"code": code, "name": body.get("name", code)}
    return row


def frames(case: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """The frames of a configuration."""
    found = {}
    for kind, section in _SECTIONS.items():
        rows = [_row(kind, code, body, number) for number, (code, body) in enumerate(case.get(section, {}).items())]
        found[kind] = pl.DataFrame(rows, schema=FRAMES[kind])
    adjustments = [
        {
            "counter_adjustment_id": an_id("CounterAdjustment", str(number)),
            "account_id": an_id("Account", account),
            "counter_id": an_id("Counter", counter),
            "date": day,
            "value": value,
            "created_at": datetime(2020, 1, 1, tzinfo=UTC),
        }
        for number, (account, counter, day, value) in enumerate(case.get("counterAdjustments", []))
    ]
    found["CounterAdjustment"] = pl.DataFrame(adjustments, schema=FRAMES["CounterAdjustment"])
    return found


def transactions(case: Mapping[str, Any]) -> pl.DataFrame:
    """The ledger before the first run."""
    rows = [
        (an_id("Balance", code), instant(day), Decimal(str(amount)), None, None, False)
        for code, body in case.get("balances", {}).items()
        for day, amount in body.get("transactions", [])
    ]
    return pl.DataFrame(rows, schema=LEDGER, orient="row")


def with_draws(ledger: pl.DataFrame, result: BillRunResult) -> pl.DataFrame:
    """The ledger after the run's bills are stored: their old draws given back, their new ones taken."""
    kept = ledger.filter(pl.col("bill_id").is_null() | ~pl.col("bill_id").is_in(result.bills["bill_id"].implode()))
    drawn = result.draws.select("fund_id", "applied_at", -pl.col("amount"), "bill_id", "bill_date", is_locked=pl.lit(False))
    return pl.concat([kept, drawn])
