#!/usr/bin/env python3
"""Bill real usage through the official SDK and compare with independently computed charges.

    real_data.py --data FOLDER --new-org 'COMMAND'

FOLDER holds ``aider_llm_usage`` and ``azure_llm_2023`` with their expected charges; COMMAND makes an organization and
prints its credentials as one JSON line. Every check prints one line; the last line is 'N passed, M failed'.
"""

import argparse
import csv
import gzip
import json
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import polars as pl
from m3ter import M3ter

#: Millionths of a dollar, so that a price per token is a short number and a sub-cent charge is shown exactly.
MICRO = "UUS"
FRESH_S = 30.0
#: Model, first day, day after the last, price per prompt token and per completion token in micro-dollars.
Window = tuple[str, date, date | None, Decimal, Decimal]
#: Model, first day of the service period, tokens, micro-dollars.
Line = tuple[str, str, Decimal, Decimal]
#: The account of the few events without a user.
ANONYMOUS = "anonymous"


class Checks:
    """Counts what holds and prints what does not."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def equal(self, name: str, got: object, want: object) -> None:
        """One check: both are the same."""
        if got == want:
            self.passed += 1
            print(f"ok   {name}: {want}")
        else:
            self.failed += 1
            print(f"FAIL {name}: got {got}, wanted {want}")


class Organization:
    """A thin client of one organization: the SDK's own transport, raw paths."""

    def __init__(self, credentials: dict[str, str]) -> None:
        self.client = M3ter(**{k: credentials[k] for k in ("base_url", "org_id", "api_key", "api_secret")}, max_retries=0, timeout=600)
        self.base = f"/organizations/{credentials['org_id']}/"

    def post(self, path: str, **body: Any) -> Any:
        """POST with a JSON body."""
        return self.client.post(self.base + path, body=body, cast_to=object)

    def get(self, path: str, **params: Any) -> Any:
        """GET with query parameters."""
        return self.client.get(self.base + path, cast_to=object, options={"params": params})

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """PUT with a JSON body."""
        return self.client.put(self.base + path, body=body, cast_to=object)

    def submit(self, measurements: Iterable[dict[str, Any]]) -> int:
        """Submit in calls of at most 1000 and 400 KB; the number submitted."""
        sent, batch, size = 0, [], 0
        for m in measurements:
            batch.append(m)
            size += len(json.dumps(m))
            if len(batch) == 1000 or size > 400_000:
                self.post("measurements", measurements=batch)
                sent, batch, size = sent + len(batch), [], 0
        if batch:
            self.post("measurements", measurements=batch)
        return sent + len(batch)

    def bill(self, period_end: date) -> None:
        """Run one monthly bill job for the period that ends (exclusive) on the day, and wait for it."""
        job = self.post(
            "billjobs",
            billingFrequency="MONTHLY",
            billFrequencyInterval=1,
            billDate=str(period_end),
            lastDateInBillingPeriod=str(period_end - timedelta(days=1)),
        )
        deadline = time.monotonic() + 300
        while job["status"] not in ("COMPLETE", "CANCELLED"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"bill job still {job['status']}")
            time.sleep(0.2)
            job = self.get(f"billjobs/{job['id']}")

    def lines(self, account_id: str, bill_date: date) -> list[dict[str, Any]]:
        """The line items of the account's bill of that date."""
        found = self.get("bills", accountId=account_id, billDate=str(bill_date))["data"]
        return [] if not found else self.get(f"bills/{found[0]['id']}")["lineItems"]

    def fresh(self, query: dict[str, Any], holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The rows of a usage query, asked again until they satisfy ``holds`` or the time for freshness is over."""
        deadline = time.monotonic() + FRESH_S
        while True:
            rows: list[dict[str, Any]] = self.post("usage/query", **query)["data"]
            if holds(rows) or time.monotonic() > deadline:
                return rows
            time.sleep(0.5)


def currencies(org: Organization) -> None:
    """Micro-dollars with 5 decimals, dollars with 5 decimals, and the rate between them."""
    org.post("picklists/currency", name="Millionths of a US dollar", code=MICRO, maxDecimalPlaces=5, roundingMode="HALF_UP")
    usd = org.get("picklists/currency", codes="USD")["data"][0]
    org.put(f"picklists/currency/{usd['id']}", {**usd, "maxDecimalPlaces": 5, "roundingMode": "HALF_UP"})
    config = org.get("organizationconfig")
    org.put("organizationconfig", {**config, "timezone": "UTC", "currencyConversions": [{"from": MICRO, "to": "USD", "multiplier": 0.000001}]})


def aggregation(org: Organization, code: str, meter: dict[str, Any], target: str, method: str = "SUM", **more: Any) -> dict[str, Any]:
    """A plain aggregation."""
    body = {"name": code, "code": code, "meterId": meter["id"], "targetField": target, "aggregation": method, "unit": "1"}
    return org.post("aggregations", **body, quantityPerUnit=1, rounding="NONE", **more)  # type: ignore[no-any-return]


def priced(org: Organization, plan: dict[str, Any], agg: dict[str, Any], bands: list[tuple[str, str]], **more: Any) -> None:
    """A pricing from (lowerLimit, unitPrice) pairs; ``cumulative`` and dates in ``more``."""
    body = {"cumulative": True, "startDate": "2020-01-01T00:00:00Z", **more}
    rows = [{"lowerLimit": float(low), "fixedPrice": 0, "unitPrice": float(price)} for low, price in bands]
    org.post("pricings", planId=plan["id"], aggregationId=agg["id"], pricingBands=rows, **body)


def summed(meter: dict[str, Any], field: str, function: str = "SUM") -> dict[str, str]:
    """An aggregation of a usage query."""
    return {"meterId": meter["id"], "fieldCode": field, "fieldType": "MEASURE", "function": function}


def money(value: Any) -> Decimal:
    """The number of an answer, as the shortest decimal of the double that the SDK made of it."""
    return Decimal(str(value))


def azure(org: Organization, folder: Path, checks: Checks) -> None:
    """Six price models over one hour of requests of two services."""
    expected = json.loads((folder / "expected_charges.json").read_text())
    currencies(org)
    product = org.post("products", name="LLM", code="llm")
    meter = org.post(
        "meters",
        name="Requests",
        code="requests",
        productId=product["id"],
        dataFields=[{"category": "MEASURE", "code": c, "name": c, "unit": "1"} for c in ("context_tokens", "generated_tokens")],
        derivedFields=[
            {"category": "MEASURE", "code": f"{kind}_thousands", "name": kind, "unit": "1", "calculation": f"Math.ceil({kind}_tokens / 1000)"}
            for kind in ("context", "generated")
        ],
    )
    template = org.post("plantemplates", name="LLM", code="llm", productId=product["id"], currency=MICRO, billFrequency="MONTHLY", standingCharge=0)
    fields = {"p1_in": "context_tokens", "p1_out": "generated_tokens", "p2_in": "context_thousands", "p2_out": "generated_thousands"}
    aggs = {code: aggregation(org, code, meter, target) for code, target in fields.items()}
    aggs |= {code: aggregation(org, code, meter, "context_tokens") for code in ("p3", "p4")}
    aggs["p5"] = aggregation(org, "p5", meter, "context_tokens", "COUNT")
    per_minute = "SELECT DATE_TRUNC('minute', ts) AS minute, COUNT(*) AS n FROM measurements GROUP BY minute"
    aggs["p6"] = aggregation(org, "p6", meter, "context_tokens", "CUSTOM_SQL", customSql=f"SELECT MAX(n) AS peak FROM ({per_minute}) AS minutes")
    prices = {"code": (Decimal(1), Decimal(2)), "conv": (Decimal(10), Decimal(30))}
    accounts = {}
    for name, (per_in, per_out) in prices.items():
        plan = org.post("plans", name=name, code=name, planTemplateId=template["id"])
        priced(org, plan, aggs["p1_in"], [("0", str(per_in))])
        priced(org, plan, aggs["p1_out"], [("0", str(per_out))])
        priced(org, plan, aggs["p2_in"], [("0", str(per_in * 1000))])
        priced(org, plan, aggs["p2_out"], [("0", str(per_out * 1000))])
        tiers = [("0", str(per_in)), ("5000000", str(per_in * Decimal("0.8"))), ("15000000", str(per_in * Decimal("0.6")))]
        priced(org, plan, aggs["p3"], tiers)
        priced(org, plan, aggs["p4"], tiers, cumulative=False)
        priced(org, plan, aggs["p5"], [("0", "0"), ("1000", "2000")])
        priced(org, plan, aggs["p6"], [("0", "50000")])
        accounts[name] = org.post("accounts", name=name, code=name, emailAddress="llm@example.com")
        org.post("accountplans", accountId=accounts[name]["id"], planId=plan["id"], startDate="2023-11-01T00:00:00Z")

    def requests(name: str) -> Iterator[dict[str, Any]]:
        with gzip.open(folder / f"AzureLLMInferenceTrace_{name}.csv.gz", "rt") as file:
            for number, row in enumerate(csv.DictReader(file)):
                yield {
                    "uid": f"{name}-{number}",
                    "meter": "requests",
                    "account": name,
                    "ts": row["TIMESTAMP"].replace(" ", "T") + "Z",
                    "measure": {"context_tokens": int(row["ContextTokens"]), "generated_tokens": int(row["GeneratedTokens"])},
                }

    for name in accounts:
        org.submit(requests(name))
    org.bill(date(2023, 12, 1))
    want: dict[tuple[str, str], Decimal] = {}
    for row in expected["p1_flat"]:
        want[row["account"], "p1"] = Decimal(row["usd"])
    for row in expected["p2_package"]:
        want[row["account"], "p2"] = Decimal(row["usd"])
    for row in expected["p3_p4"]:
        want[row["account"], "p3"], want[row["account"], "p4"] = Decimal(row["p3_graduated_usd"]), Decimal(row["p4_volume_usd"])
    for row in expected["p5_p6"]:
        want[row["account"], "p5"], want[row["account"], "p6"] = Decimal(row["p5_overage_usd"]), Decimal(row["p6_peak_usd"])
    codes = {agg["id"]: code.split("_")[0] for code, agg in aggs.items()}
    for name, account in accounts.items():
        got: dict[str, Decimal] = defaultdict(Decimal)
        for line in org.lines(account["id"], date(2023, 12, 1)):
            if line["lineItemType"] == "USAGE":
                got[codes[line["aggregationId"]]] += money(line["subtotal"]) / 1_000_000
        for model in ("p1", "p2", "p3", "p4", "p5", "p6"):
            checks.equal(f"azure {name} {model}", got[model], want[name, model])
    hours = org.post(
        "usage/query",
        startDate="2023-11-16T00:00:00Z",
        endDate="2023-11-17T00:00:00Z",
        groups=[{"groupType": "ACCOUNT"}, {"groupType": "TIME", "frequency": "HOUR"}],
        aggregations=[summed(meter, "context_tokens"), summed(meter, "generated_tokens")],
    )["data"]
    found = sorted((r["accountCode"], r["startTime"][:19].replace("T", " "), r["context_tokens.SUM"], r["generated_tokens.SUM"]) for r in hours)
    checks.equal("azure by hour", found, sorted((r["account"], r["h"], r["context_tokens"], r["generated_tokens"]) for r in expected["by_hour"]))


def aider(org: Organization, folder: Path, checks: Checks) -> None:
    """Seven months of LLM requests, delivered twelve times over, at the list prices of their day."""
    expected = json.loads((folder / "expected_charges.json").read_text())
    currencies(org)
    product = org.post("products", name="Assistant", code="assistant")
    numbers = [{"category": "MEASURE", "code": c, "name": c, "unit": "1"} for c in ("prompt_tokens", "completion_tokens")]
    meter = org.post(
        "meters",
        name="Messages",
        code="message_send",
        productId=product["id"],
        dataFields=[
            {"category": "WHAT", "code": "main_model", "name": "Model"},
            *numbers,
            {"category": "COST", "code": "cost", "name": "Cost", "unit": "USD"},
        ],
        derivedFields=[],
    )
    event_field = {"category": "WHAT", "code": "event", "name": "Event"}
    events = org.post("meters", name="Events", code="event", productId=product["id"], dataFields=[event_field], derivedFields=[])
    template = org.post("plantemplates", name="List", code="list", productId=product["id"], currency=MICRO, billFrequency="MONTHLY", standingCharge=0)
    plan = org.post("plans", name="List prices", code="list", planTemplateId=template["id"])
    models = sorted({row["main_model"] for row in expected["prices_used"]})
    segmented = {"segmentedFields": ["main_model"], "segments": [{"main_model": m} for m in models]}
    tokens = {kind: aggregation(org, f"{kind}_tokens_by_model", meter, f"{kind}_tokens", **segmented) for kind in ("prompt", "completion")}
    logged = aggregation(org, "logged_cost", meter, "cost")
    priced(org, plan, logged, [("0", "0")])
    windows = price_windows(expected["prices_used"])
    for model, start, end, per_in, per_out in windows:
        dates = {"startDate": f"{start}T00:00:00Z"} | ({"endDate": f"{end}T00:00:00Z"} if end else {})
        priced(org, plan, tokens["prompt"], [("0", str(per_in))], segment={"main_model": model}, **dates)
        priced(org, plan, tokens["completion"], [("0", str(per_out))], segment={"main_model": model}, **dates)
    raw = pl.read_parquet(folder / "raw_batches.parquet")
    users = sorted({json.loads(line)["user_id"] or ANONYMOUS for line in raw["line"]})
    accounts = {}
    for user in users:
        accounts[user] = org.post("accounts", name=user, code=user, emailAddress="user@example.com")
        org.post("accountplans", accountId=accounts[user]["id"], planId=plan["id"], startDate="2024-08-01T00:00:00Z")
    sent = org.submit(delivered(raw))
    checks.equal("aider lines delivered", sent, expected["raw_rows"])

    months = [date(2024, 9, 1), date(2024, 10, 1), date(2024, 11, 1), date(2024, 12, 1), date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1)]
    cost_total, list_total = Decimal(0), Decimal(0)
    want_lines = expected_lines(pl.read_parquet(folder / "events_canonical.parquet"), windows)
    for bill_date in months:
        org.bill(bill_date)
        month = (bill_date - timedelta(days=1)).strftime("%Y-%m")
        want = next((row for row in expected["by_month"] if row["ym"] == month), None)
        lines = [line for account in accounts.values() for line in org.lines(account["id"], bill_date)]
        cost = sum((money(li["quantity"]) for li in lines if li.get("aggregationId") == logged["id"]), Decimal(0))
        checks.equal(f"aider {month} logged cost as quantity", cost, Decimal(want["logged_cost_usd"]).normalize() if want else Decimal(0))
        got = sorted(
            (li["segment"]["main_model"], li["servicePeriodStartDate"][:10], money(li["quantity"]), money(li["subtotal"]))
            for li in lines
            if li.get("segment")
        )
        checks.equal(f"aider {month} lines at list prices", got, want_lines[month])
        usage = sum((money(li["subtotal"]) for li in lines if li.get("segment")), Decimal(0)) / 1_000_000
        checks.equal(f"aider {month} list cost", usage, Decimal(want["list_cost_usd"]) if want else Decimal(0))
        cost_total, list_total = cost_total + cost, list_total + usage
    checks.equal("aider logged cost", cost_total, Decimal(expected["totals"]["logged_cost_usd"]))
    checks.equal("aider list cost", list_total, Decimal(expected["totals"]["list_cost_usd"]))
    period = {"startDate": "2024-08-01T00:00:00Z", "endDate": "2025-03-01T00:00:00Z"}
    counts = org.post("usage/query", **period, aggregations=[summed(meter, "cost"), summed(meter, "cost", "COUNT")])
    checks.equal("aider explorer", (money(counts["data"][0]["cost.SUM"]), counts["data"][0]["cost.COUNT"]), (Decimal("74.975541446"), 2658))
    others = org.post("usage/query", **period, aggregations=[summed(events, "event", "COUNT") | {"fieldType": "DIMENSION"}])
    checks.equal("aider distinct events", others["data"][0]["event.COUNT"] + 2658, expected["distinct_event_ids"])


def price_windows(used: list[dict[str, Any]]) -> list[Window]:
    """Per model, the price of each snapshot from its date (the oldest: from ever) to the next one's.

    Prices are per million tokens in dollars, that is per token in micro-dollars.
    """
    by_model: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in used:
        by_model[row["main_model"]].append(row)
    windows = []
    for model, rows in sorted(by_model.items()):
        rows.sort(key=lambda r: r["snapshot_date"])
        starts = [date(2024, 1, 1), *(date.fromisoformat(r["snapshot_date"]) for r in rows[1:])]
        for row, start, end in zip(rows, starts, [*starts[1:], None], strict=True):
            windows.append((model, start, end, Decimal(row["in_mtok"]), Decimal(row["out_mtok"])))
    return windows


def expected_lines(events: pl.DataFrame, windows: list[Window]) -> dict[str, list[Line]]:
    """Month -> sorted (model, service period start, tokens, micro-dollars), straight from the canonical events."""
    sums: dict[tuple[str, str, str, str], tuple[Decimal, Decimal]] = {}
    for row in events.filter(pl.col("event") == "message_send").iter_rows(named=True):
        day = row["time"].astimezone(UTC).date()
        window = next((w for w in windows if w[0] == row["main_model"] and w[1] <= day and (w[2] is None or day < w[2])), None)
        if window is None:
            continue
        start = max(window[1], day.replace(day=1))
        for kind, price in (("prompt", window[3]), ("completion", window[4])):
            key = (row["user_id"] or ANONYMOUS, str(start), row["main_model"], kind)
            tokens, _ = sums.get(key, (Decimal(0), Decimal(0)))
            sums[key] = (tokens + row[f"{kind}_tokens"], price)
    lines: dict[str, list[Line]] = defaultdict(list)
    for (_, start_day, model, _), (tokens, price) in sums.items():
        lines[start_day[:7]].append((model, start_day, tokens, (tokens * price).quantize(Decimal("0.00001"), ROUND_HALF_UP).normalize()))
    return defaultdict(list, {month: sorted((m, s, q, Decimal(a)) for m, s, q, a in rows) for month, rows in lines.items()})


def delivered(raw: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Every delivered line as a measurement; the event's id is the uid."""
    for event_id, line in raw.select("event_id", "line").iter_rows():
        event = json.loads(line)
        ts = datetime.fromtimestamp(event["time"], UTC).isoformat().replace("+00:00", "Z")
        common = {"uid": event_id, "account": event["user_id"] or ANONYMOUS, "ts": ts}
        if event["event"] == "message_send":
            properties = event["properties"]
            measure = {c: properties[c] for c in ("prompt_tokens", "completion_tokens")}
            yield common | {
                "meter": "message_send",
                "what": {"main_model": properties["main_model"]},
                "measure": measure,
                "cost": {"cost": properties["cost"]},
            }
        else:
            yield common | {"meter": "event", "what": {"event": event["event"]}}


def main() -> int:
    """Run both data sets, each in an organization of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--new-org", required=True)
    options = parser.parse_args()
    checks = Checks()
    for bills, folder in ((azure, "azure_llm_2023"), (aider, "aider_llm_usage")):
        started = time.monotonic()
        printed = subprocess.run(shlex.split(options.new_org), capture_output=True, text=True, check=True).stdout
        bills(Organization(json.loads(printed.strip().splitlines()[-1])), options.data / folder, checks)
        print(f"     {folder}: {time.monotonic() - started:.1f} s")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed or not checks.passed else 0


if __name__ == "__main__":
    sys.exit(main())
