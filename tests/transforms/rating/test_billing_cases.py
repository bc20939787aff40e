"""The numbered cases of billing that rating alone decides, each through whole bill runs; the API's are in tests/api/test_billing_cases.py.

Where DECISIONS rules otherwise than a case, the test says so.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tests.transforms.rating.golden import World
from tests.transforms.rating.golden_frames import an_id
from transforms.entities.resource import BillingFrequency
from transforms.money import DECIMAL, RoundingMode, rounded, rounded_column
from transforms.periods import DAY, Schedule, bill_dates
from transforms.rating.due_days import late_usage_until

Case = Mapping[str, Any]
CASES: dict[str, Case] = {case["id"]: case for case in yaml.safe_load((Path(__file__).parent / "tables" / "billing_cases.yaml").read_text())}
RUN = {"lastDateInBillingPeriod": date(2025, 1, 31)}
#: Kind of case -> its test.
CHECKS: dict[str, Callable[[Case], None]] = {}


def check(*kinds: str) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Register the test of those kinds."""

    def registered(function: Callable[[Case], None]) -> Callable[[Case], None]:
        CHECKS.update(dict.fromkeys(kinds, function))
        return function

    return registered


def lines(world: World, run: Mapping[str, Any] = RUN) -> list[dict[str, Any]]:
    result = world.billed(run)
    assert result.failures.is_empty()
    return result.line_items.to_dicts()


def subtotals(world: World, run: Mapping[str, Any] = RUN) -> dict[str, Decimal]:
    """The sum of subtotals by type."""
    found: dict[str, Decimal] = {}
    for line in lines(world, run):
        found[line["line_item_type"]] = found.get(line["line_item_type"], Decimal(0)) + line["subtotal"]
    return found


def number(value: Any) -> Decimal:
    return Decimal(str(value))


def used(quantity: Any, ts: Any = date(2025, 1, 10), **more: Any) -> dict[str, Any]:
    return {"ts": ts, "qty": str(quantity), **more}


def one_plan(usage: list[dict[str, Any]], pricing: Mapping[str, Any], **more: Any) -> World:
    return World({"pricings": [pricing], "accountPlans": [{"startDate": date(2025, 1, 1)}], "usage": usage, **more})


ONE_TO_ONE = {"bands": [[0, 0, 1]]}


@check("units")
def _units(case: Case) -> None:
    config = case["config"]
    per = {"quantityPerUnit": str(config["quantityPerUnit"]), "rounding": config["rounding"]}
    (line,) = lines(one_plan([used(case["usage"])], {"bands": [[0, 0, config.get("unitPrice", 1)]]}, aggregations={"calls": per}))
    assert line["units"] == number(case["expect"]["units"])
    assert line["subtotal"] == number(case["expect"].get("subtotal", line["subtotal"]))


@check("compound_base")
def _compound_base(case: Case) -> None:
    config = case["config"]
    world = one_plan(
        [used(config["simple_base"])],
        {**ONE_TO_ONE, "compound": "seen"},
        aggregations={"calls": {"quantityPerUnit": str(config["simple_quantityPerUnit"])}},
        compounds={"seen": {"calculation": "aggregation.calls"}},
    )
    assert lines(world)[0]["quantity"] == number(case["expect"]["value_seen_by_calculation"])


@check("allowance")
def _allowance(case: Case) -> None:
    config = case["config"]
    days = [used(n, date(2025, 1, 10 + day)) for day, n in enumerate(case["usage"]["apps_over_period"])]
    world = one_plan(
        days,
        {**ONE_TO_ONE, "compound": "free"},
        aggregations={"calls": {"aggregation": config["app_metric"]}},
        compounds={"free": {"calculation": f"aggregation.calls * {config['free_requests_per_app']}"}},
    )
    assert lines(world)[0]["quantity"] == number(case["expect"]["free_requests"])


@check("login_credit")
def _login_credit(case: Case) -> None:
    config, usage = case["config"], case["usage"]
    missing = f"aggregation.users * {config['expected_logins_per_user']} - aggregation.logins"
    world = World(
        {
            "meters": {"m": {"MEASURE": ["qty", "logins"]}},
            "aggregations": {"users": {"aggregation": "MAX"}, "logins": {"targetField": "logins"}},
            "compounds": {"missing": {"calculation": missing}},
            "templates": {"t": {"standingCharge": "1000"}},
            "pricings": [{"compound": "missing", "type": config["pricing_type"], "bands": [[0, 0, config["credit_per_missing_login"]]]}],
            "accountPlans": [{"startDate": date(2025, 1, 1)}],
            "usage": [used(usage["users"], logins=str(usage["logins"]))],
        }
    )
    (credit,) = [line for line in lines(world) if line["line_item_type"] == "USAGE_CREDIT"]
    assert credit["units"] == number(case["expect"]["missing"])
    assert credit["subtotal"] == number(case["expect"]["USAGE_CREDIT"])


@check("bands")
def _bands(case: Case) -> None:
    (line,) = lines(one_plan([used(case["usage"])], {"bands": case["config"]["bands"], "cumulative": case["config"]["cumulative"]}))
    assert line["subtotal"] == number(case["expect"]["subtotal"])
    if "band_units" in case["expect"]:
        assert [b["band_units"] for b in line["bands"]] == [number(n) for n in case["expect"]["band_units"]]


@check("bill_sum")
def _bill_sum(case: Case) -> None:
    amounts = case["config"]["lines"]
    usage = {name: amount for name, amount in amounts.items() if name.startswith("USAGE")}
    world = World(
        {
            "meters": {"m": {"MEASURE": ["qty", *usage]}},
            "aggregations": {name.lower(): {"targetField": name} for name in usage},
            "templates": {"t": {"standingCharge": str(amounts["STANDING_CHARGE"])}},
            "pricings": [{**ONE_TO_ONE, "aggregation": name.lower()} for name in usage],
            "accountPlans": [{"startDate": date(2025, 1, 1)}],
            "usage": [used(0, **{name: str(amount) for name, amount in usage.items()})],
        }
    )
    assert world.billed(RUN).bills["bill_total"].to_list() == [number(case["expect"]["billTotal"])]


@check("avg_price")
def _avg_price(case: Case) -> None:
    config = case["config"]
    (line,) = lines(one_plan([used(config["units"])], {"bands": [[0, config["subtotal"], 0]]}))
    assert rounded(line["average_unit_price"], places=9, mode=RoundingMode.HALF_UP) == number(case["expect"]["averageUnitPrice"])


@check("span")
def _span(case: Case) -> None:
    config = case["config"]
    usage = [used(n, date(2025, month, 10)) for month, n in enumerate(case["usage"], 1)]
    pricing = {"bands": config["bands"], "cumulative": config["cumulative"], "tiersSpanPlan": config["tiersSpanPlan"]}
    world = one_plan(usage, pricing)
    ends = [date(2025, month + 1, 1) - DAY for month in range(1, len(usage) + 1)]
    found = [subtotals(world, {"lastDateInBillingPeriod": end})["USAGE"] for end in ends]
    assert found == [number(n) for n in case["expect"]["subtotals"]]
    assert sum(found) == number(case["expect"]["total"])


@check("credit_cap")
def _credit_cap(case: Case) -> None:
    usage, config = case["usage"], case["config"]
    world = World(
        {
            "products": {"q": {}},
            "templates": {"t": {}, "tq": {"product": "q", "standingCharge": str(usage["other_product_lines"])}},
            "plans": {"plan": {}, "other": {"template": "tq"}},
            "pricings": [
                {"bands": [[0, usage["same_product_lines"], 0]]},
                {"aggregation": "second", "type": config["type"], "bands": [[0, config["computed"], 0]]},
            ],
            "aggregations": {"second": {}},
            "accountPlans": [{"startDate": date(2025, 1, 1)}, {"plan": "other", "startDate": date(2025, 1, 1)}],
            "usage": [used(1)],
        }
    )
    assert subtotals(world)["USAGE_CREDIT"] == number(case["expect"]["USAGE_CREDIT"])


@check("overage_split")
def _overage_split(case: Case) -> None:
    config = case["config"]
    world = one_plan(
        [used(case["usage"])],
        {"bands": config["standard"], "overage": config["overage"]},
        commitments={"c": {"amount": str(config["credit_left"]), "separateOverageUsage": True}},
    )
    found = lines(world)
    assert [line["units"] for line in found if line["line_item_type"] == "USAGE"] == [number(case["expect"]["standard_units"])]
    amounts = {line["line_item_type"]: line["subtotal"] for line in found}
    assert amounts == {name: number(value) for name, value in case["expect"].items() if name != "standard_units"}


def _in_advance(minimum: Any, charge: Any) -> dict[str, Decimal]:
    template = {"minimumSpend": str(minimum), "minimumSpendBillInAdvance": True}
    world = World(
        {
            "templates": {"t": template},
            "pricings": [ONE_TO_ONE],
            "accountPlans": [{"startDate": date(2025, 1, 1), "endDate": date(2025, 2, 1)}],
            "usage": [used(charge)],
        }
    )
    start = subtotals(world, {"lastDateInBillingPeriod": date(2024, 12, 31)})
    end = subtotals(world)
    return {"MINIMUM_SPEND_REFUND": end["MINIMUM_SPEND_REFUND"], "net_period_cost": sum([*start.values(), *end.values()], Decimal(0))}


@check("refund_literal")
def _refund_literal(case: Case) -> None:
    """DECISIONS 26 rules otherwise: what is refunded is what usage consumed (800), so that the period costs the minimum, not 200."""
    found = _in_advance(case["config"]["minimumSpend"], case["usage"]["charge"])
    assert found == {"MINIMUM_SPEND_REFUND": Decimal(-800), "net_period_cost": Decimal(1000)}
    assert abs(found["MINIMUM_SPEND_REFUND"]) != number(case["expect"]["MINIMUM_SPEND_REFUND_abs"])


@check("refund_recommended")
def _refund_recommended(case: Case) -> None:
    found = _in_advance(case["config"]["minimumSpend"], case["usage"]["charge"])
    assert found == {name: number(value) for name, value in case["expect"].items()}


@check("minspend")
def _minspend(case: Case) -> None:
    config = case["config"]
    world = World(
        {
            "products": {code: {} for code in ("q", "r")},
            "templates": {"t": {}, "tq": {"product": "q"}, "tr": {"product": "r"}},
            "plans": {code: {"template": template} for code, template in zip(("plan", "second", "third"), ("t", "tq", "tr"), strict=True)},
            "planGroups": {
                "g": {"plans": ["plan", "second", "third"][: len(config.get("plans", ["plan"]))], "minimumSpend": str(config["minimumSpend"])}
            },
            "pricings": [ONE_TO_ONE],
            "accountPlans": [{"group": "g", "startDate": date(2025, 1, 1)}],
            "usage": [used(case["usage"]["charge"])],
        }
        if "planGroup" in config
        else {
            "templates": {"t": {"minimumSpend": str(config["minimumSpend"])}},
            "pricings": [ONE_TO_ONE],
            "accountPlans": [{"startDate": date(2025, 1, 1)}],
            "usage": [used(case["usage"]["charge"])],
        }
    )
    found = subtotals(world)
    # A lift of zero is left out (DECISIONS 28).
    assert found.get("MINIMUM_SPEND", Decimal(0)) == number(case["expect"]["MINIMUM_SPEND"])
    assert sum(found.values()) == number(case["expect"]["period_cost"])


@check("bill_dates")
def _bill_dates(case: Case) -> None:
    config, wanted = case["config"], case["expect"]["first_bills"]
    schedule = Schedule(BillingFrequency(config["frequency"]), config["interval"], config["epoch"])
    start = config.get("planStart", config["epoch"] - 10 * DAY)
    dates = bill_dates(schedule, start, config.get("planEnd"))
    assert [next(dates) for _ in wanted] == wanted
    template = {"billFrequency": config["frequency"], "billFrequencyInterval": config["interval"], "standingCharge": "1"}
    attached = {"startDate": start, "billEpoch": config["epoch"]} | ({"endDate": config["planEnd"]} if "planEnd" in config else {})
    world = World({"templates": {"t": template}, "accountPlans": [attached]})
    for day in wanted:
        assert world.billed({"lastDateInBillingPeriod": day - DAY}).bills["bill_date"].to_list() == [day]
    assert world.billed({"lastDateInBillingPeriod": wanted[0] - 2 * DAY}).bills.is_empty()
    if "weekday" in case["expect"]:
        assert {f"{day:%A}".upper() for day in wanted} == {case["expect"]["weekday"]}


@check("interval_offset")
def _interval_offset(case: Case) -> None:
    config, wanted = case["config"], case["expect"]["charged_bill_indexes"]
    charge = {"standingChargeInterval": config["interval"], "standingChargeOffset": config["offset"], "standingCharge": "7"}
    months = config["bill_every_months"]
    fees = {
        "amount": "100",
        "billingPlan": "fees",
        "billingInterval": config["interval"],
        "billingOffset": config["offset"],
        "endDate": date(2027, 1, 1),
    }
    world = World(
        {
            "products": {"q": {}},
            "templates": {"t": {"billFrequencyInterval": months, **charge}, "tq": {"product": "q", "billFrequencyInterval": months}},
            "plans": {"plan": {}, "fees": {"template": "tq"}},
            "commitments": {"c": fees},
            "accountPlans": [{"startDate": date(2025, 1, 1)}, {"plan": "fees", "startDate": date(2025, 1, 1)}],
        }
    )
    ends = [_after(date(2025, 1, 1), months * (n + 1)) for n in range(max(wanted) + 1)]
    bills = [subtotals(world, {"lastDateInBillingPeriod": end - DAY}) for end in ends]
    for kind in ("STANDING_CHARGE", "COMMITMENT_FEE"):
        charged = [n for n, found in enumerate(bills) if kind in found]
        assert charged == wanted
        assert (charged[0] + 1) * months == case["expect"]["first_charge_month"]
        assert (charged[1] - charged[0]) * months == case["expect"]["charge_every_months"]


def _after(day: date, months: int) -> date:
    year, month = divmod(day.month - 1 + months, 12)
    return date(day.year + year, month + 1, day.day)


@check("invoice_date")
def _invoice_date(case: Case) -> None:
    start, end = case["config"]["period"]
    world = World({"organization": {"externalInvoiceDate": case["config"]["setting"]}, "accountPlans": [{"startDate": start}]})
    found = world.billed({"lastDateInBillingPeriod": end - DAY}).bills
    assert found["external_invoice_date"].to_list() == [case["expect"]["externalInvoiceDate"]]


def _at(text: str) -> datetime:
    day, _, time = text.partition("T")
    midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return midnight + timedelta(hours=int(time[:2]))


@check("late_window")
def _late_window(case: Case) -> None:
    config = case["config"]
    plan_end = None if config["plan_end"] is None else _at(config["plan_end"])
    assert late_usage_until(_at(config["period_end_excl"]), plan_end) == _at(case["expect"]["recalculated_until"])


@check("pricing_window")
def _pricing_window(case: Case) -> None:
    config = case["config"]
    world = World(
        {
            "templates": {"t": {"standingCharge": str(config["standingCharge"])}},
            "pricings": [{**ONE_TO_ONE, "startDate": config["pricingStart"]}],
            "accountPlans": [{"startDate": config["planStart"]}],
            "usage": [used(case["usage"]["august_units"], date(2022, 8, 15))],
        }
    )
    assert list(subtotals(world, {"lastDateInBillingPeriod": date(2022, 8, 31)})) == case["expect"]["august_lines"]


@check("window")
def _window(case: Case) -> None:
    """A commitment (dates as given) covers usage of a day, and a contract that limits its plan lets it be charged, exactly when active."""
    config = case["config"]
    start, end = config.get("startDate", date(2022, 1, 1)), config["endDate"]
    for day, active in case["expect"]["active_on"].items():
        daily = {"t": {"billFrequency": "DAILY"}}
        run = {"lastDateInBillingPeriod": day}
        base = {"templates": daily, "pricings": [ONE_TO_ONE], "usage": [used(5, day)]}
        funded = World(
            {**base, "accountPlans": [{"startDate": date(2020, 1, 1)}], "commitments": {"c": {"amount": "100", "startDate": start, "endDate": end}}}
        )
        assert ("COMMITMENT_CONSUMED" in subtotals(funded, run)) == active
        contract = {"startDate": start, "endDate": end, "applyContractPeriodLimits": True}
        bound = World({**base, "accountPlans": [{"startDate": date(2020, 1, 1), "contract": "k"}], "contracts": {"k": contract}})
        assert ("USAGE" in subtotals(bound, run)) == active


@check("prorate")
def _prorate(case: Case) -> None:
    config, wanted = case["config"], case["expect"]
    (start, end), (first, last) = config["period"], config["active"]
    frequency = "ANNUALLY" if (end - start).days > 31 else "MONTHLY"
    attached = {"startDate": first} | ({} if last == end else {"endDate": last})
    template = {"billFrequency": frequency, "standingCharge": str(config["charge"])}
    world = World({"templates": {"t": template}, "accountPlans": [attached]})
    assert subtotals(world, {"lastDateInBillingPeriod": end - DAY}) == {"STANDING_CHARGE": number(wanted["amount"])}
    assert ((last - first).days, (end - start).days) == (wanted["days"], wanted["of"])


@check("description")
def _description(case: Case) -> None:
    config = case["config"]
    world = World(
        {
            "meters": {"m": {"MEASURE": ["qty"], "WHO": ["region"]}},
            "aggregations": {"calls": {"name": config["aggregation"], "segmentedFields": ["region"], "segments": [{"region": config["segment"]}]}},
            "pricings": [{**ONE_TO_ONE, "segment": {"region": config["segment"]}}],
            "accountPlans": [{"startDate": date(2025, 1, 1)}],
            "usage": [used(1, region=config["segment"])],
        }
    )
    assert [line["description"] for line in lines(world)] == [case["expect"]["text"]]


@check("accounting")
def _accounting(case: Case) -> None:
    world = World(
        {
            "products": {"ProdA": {}, "ProdB": {}},
            "templates": {"t": {"product": case["config"]["plan"]}},
            "aggregations": {"calls": {"accountingProductId": case["config"]["aggregation"]}},
            "pricings": [ONE_TO_ONE],
            "accountPlans": [{"startDate": date(2025, 1, 1)}],
            "usage": [used(1)],
        }
    )
    assert [line["accounting_product_id"] for line in lines(world)] == [an_id("Product", case["expect"]["accountingProduct"])]


@check("fx")
def _fx(case: Case) -> None:
    config = case["config"]
    conversion = {"from": config["from"], "to": config["to"], "multiplier": str(config["multiplier"])}
    world = one_plan(
        [used(case["usage"]["subtotal"])],
        ONE_TO_ONE,
        organization={"currency": config["to"], "currencyConversions": [conversion]},
        templates={"t": {"currency": config["from"]}},
    )
    (line,) = lines(world)
    assert line["converted_subtotal"] == number(case["expect"]["convertedSubtotal"])
    assert line["conversion_rate"] == number(case["expect"]["conversionRate"])


@check("fx_rule")
def _fx_rule(case: Case) -> None:
    config = case["config"]
    conversions = config.get("conversions", [{"from": config["pricingCurrency"], "to": config["billingCurrency"], "multiplier": "2"}])
    world = one_plan(
        [used(3)],
        ONE_TO_ONE,
        organization={"currency": config["billingCurrency"], "currencyConversions": conversions},
        templates={"t": {"currency": config["pricingCurrency"]}},
    )
    if case["expect"].get("bill") == "failed":
        result = world.billed(RUN)
        assert result.bills.is_empty()
        assert "usd to USD" in result.failures["reason"].item()
        return
    (line,) = lines(world)
    assert line["currency"] == case["expect"]["computed_in"]
    assert (line["subtotal"], line["converted_subtotal"]) == (3, 6)
    assert world.billed(RUN).bills["currency"].to_list() == [case["expect"]["lines_converted_to"]]


@check("round")
def _round(case: Case) -> None:
    value, places = number(case["usage"]), case["config"]["maxDecimalPlaces"]
    column = pl.DataFrame({"v": [value]}, schema={"v": DECIMAL})
    for mode, wanted in case["expect"].items():
        assert rounded(value, places=places, mode=RoundingMode(mode)) == number(wanted)
        assert column.select(rounded_column(pl.col("v"), places=places, mode=RoundingMode(mode))).item() == number(wanted)


@check("instalments")
def _instalments(case: Case) -> None:
    config, wanted = case["config"], case["expect"]
    body = {"amount": str(config["amount"]), "amountPrePaid": str(config["amountPrePaid"]), "billingPlan": "plan"}
    if "amountFirstBill" in config:
        body["amountFirstBill"] = str(config["amountFirstBill"])
    world = World({"commitments": {"c": body}, "accountPlans": [{"startDate": date(2025, 1, 1)}]})
    ends = [_after(date(2025, 1, 1), n + 1) - DAY for n in range(config["bills"])]
    fees = [subtotals(world, {"lastDateInBillingPeriod": end})["COMMITMENT_FEE"] for end in ends]
    first, other = wanted.get("first", wanted.get("each")), wanted.get("each_other", wanted.get("each"))
    assert fees == [number(first), *[number(other)] * (config["bills"] - 1)]


@check("commitment_run")
def _commitment_run(case: Case) -> None:
    config, wanted = case["config"], case["expect"]
    commitment = {"amount": str(config["amount"]), "overageSurchargePercent": str(config["surchargePercent"]), "billingPlan": "plan"}
    usage = [used(n, date(2025, month, 10)) for month, n in enumerate(case["usage"], 1)]
    world = one_plan(usage, {"bands": [[0, 0, config["unitPrice"]]]}, commitments={"c": commitment})
    left = number(config["amount"])
    for month in range(len(usage)):
        run = {"lastDateInBillingPeriod": _after(date(2025, 1, 1), month + 1) - DAY}
        found = subtotals(world, run)
        named = {"usage": "USAGE", "consumed": "COMMITMENT_CONSUMED", "overage_surcharge": "OVERAGE_SURCHARGE", "fees": "COMMITMENT_FEE"}
        for name, kind in named.items():
            assert found.get(kind, Decimal(0)) == number(wanted[name][month])
        assert sum(found.values()) == number(wanted["totals"][month])
        left += found["COMMITMENT_CONSUMED"]
        assert left == number(wanted["remaining"][month])


@check("draw")
def _draw(case: Case) -> None:
    config, usage = case["config"], case["usage"]
    world = one_plan(
        [used(usage["USAGE"])],
        ONE_TO_ONE,
        templates={"t": {"standingCharge": str(usage["STANDING_CHARGE"])}},
        commitments={"c": {"amount": str(config["remaining"]), "lineItemTypes": config["lineItemTypes"]}},
    )
    found = subtotals(world)
    assert found["COMMITMENT_CONSUMED"] == number(case["expect"]["COMMITMENT_CONSUMED"])
    assert number(config["remaining"]) + found["COMMITMENT_CONSUMED"] == number(case["expect"]["remaining"])
    assert sum(found.values()) == number(case["expect"]["billTotal"])


@check("draw_contract")
def _draw_contract(case: Case) -> None:
    config = case["config"]
    own, other = config["accountplan_contract"], config["commitment_contract"]
    attached = [{"startDate": date(2025, 1, 1), "contract": own}]
    funded = {"commitments": {"c": {"amount": "100", "contract": other}}, "contracts": {own: {}, other: {}}, "accountPlans": attached}
    found = subtotals(one_plan([used(80)], ONE_TO_ONE, **funded))
    assert -found.get("COMMITMENT_CONSUMED", Decimal(0)) == number(case["expect"]["drawn"])


@check("surcharge")
def _surcharge(case: Case) -> None:
    commitment = {"amount": "1", "overageSurchargePercent": str(case["config"]["percent"])}
    found = subtotals(one_plan([used(number(case["usage"]["overage"]) + 1)], ONE_TO_ONE, commitments={"c": commitment}))
    assert found["OVERAGE_SURCHARGE"] == number(case["expect"]["OVERAGE_SURCHARGE"])


@check("surcharge_rate")
def _surcharge_rate(case: Case) -> None:
    config = case["config"]
    world = one_plan([used(1)], {"bands": [[0, 0, config["unitPrice"]]]}, balances={"b": {"overageSurchargePercent": str(config["percent"])}})
    assert sum(subtotals(world).values()) == number(case["expect"]["overage_unit_price"])


@check("credit_order")
def _credit_order(case: Case) -> None:
    config = case["config"]
    accounts = {"a": {"creditApplicationOrder": config["order"]}} | ({"child": {"parent": "a"}} if config.get("in_hierarchy") else {})
    funds = {
        "commitments": {"c": {"amount": str(config["commitment"])}},
        "balances": {"b": {"transactions": [[date(2025, 1, 1), str(config["balance"])]]}},
    }
    found = subtotals(one_plan([used(case["usage"]["USAGE"])], ONE_TO_ONE, accounts=accounts, **funds))
    assert {kind: found.get(kind, Decimal(0)) for kind in case["expect"]} == {kind: number(n) for kind, n in case["expect"].items()}


@check("grant")
def _grant(case: Case) -> None:
    funds = {"free": {"currency": "GB", "transactions": [[date(2025, 1, 1), str(case["config"]["grant_quantity"])]]}}
    world = one_plan([used(case["usage"])], ONE_TO_ONE, aggregations={"calls": {"unit": "GB"}}, balances=funds)
    result = world.billed(RUN)
    assert result.draws["amount"].to_list() == [number(case["expect"]["from_grant"])]
    assert result.line_items["units"].to_list() == [number(case["expect"]["rated_units"])]


def _rolled_over(left: Any, limit: Any) -> Decimal:
    """What of a balance that ended with so much left covers a later month."""
    body: dict[str, Any] = {"endDate": date(2025, 2, 1), "rolloverEndDate": date(2025, 6, 1), "transactions": [[date(2025, 1, 1), str(left)]]}
    if limit is not None:
        body["rolloverAmount"] = str(limit)
    found = subtotals(one_plan([used(99999, date(2025, 2, 10))], ONE_TO_ONE, balances={"b": body}), {"lastDateInBillingPeriod": date(2025, 2, 28)})
    return -found["BALANCE_CONSUMED"]


@check("rollover")
def _rollover(case: Case) -> None:
    config = case["config"]
    assert _rolled_over(config["left_at_end"], config["rolloverAmount"]) == number(case["expect"]["rollover_available"])


@check("expiry")
def _expiry(case: Case) -> None:
    config = case["config"]
    assert _rolled_over(config["left_at_end"], config["rolloverAmount"]) == number(case["expect"]["rollover_available"])
    assert number(config["left_at_end"]) - number(config["rolloverAmount"]) == number(case["expect"]["expiredBalanceAmount"])


@check("balance_part_period")
def _balance_part_period(case: Case) -> None:
    config, usage = case["config"], case["usage"]
    (start, end), (first, _) = config["active"], config["period"]
    balance = {"startDate": start, "endDate": end, "transactions": [[start, str(config["balance"])]]}
    rows = [used(usage["before"], first + DAY), used(usage["within"], start + DAY)]
    world = World({"pricings": [ONE_TO_ONE], "accountPlans": [{"startDate": first}], "usage": rows, "balances": {"b": balance}})
    found = subtotals(world, {"lastDateInBillingPeriod": config["period"][1] - DAY})
    assert found["BALANCE_CONSUMED"] == number(case["expect"]["BALANCE_CONSUMED"])


def _charged(amount: Any, **funds: Any) -> dict[str, Decimal]:
    charge = {
        "amount": str(amount),
        "billDate": date(2025, 2, 1),
        "servicePeriodStartDate": date(2025, 1, 1),
        "servicePeriodEndDate": date(2025, 2, 1),
    }
    return subtotals(World({"charges": {"x": charge}, **funds}))


@check("draw_types")
def _draw_types(case: Case) -> None:
    amount = case["config"]["amount"]
    by_balance = _charged(amount, balances={"b": {"transactions": [[date(2025, 1, 1), "1000"]]}})
    by_commitment = _charged(amount, commitments={"c": {"amount": "1000"}})
    assert ("BALANCE_CONSUMED" in by_balance) == case["expect"]["balance_can_cover"]
    assert ("COMMITMENT_CONSUMED" in by_commitment) == case["expect"]["commitment_can_cover"]


@check("ad_hoc")
def _ad_hoc(case: Case) -> None:
    assert _charged(case["config"]["amount"]) == {"AD_HOC": number(case["expect"]["AD_HOC"])}


@check("counter")
def _counter(case: Case) -> None:
    config, wanted = case["config"], case["expect"]
    first, end = config["period"]
    flags = dict.fromkeys(("proRateRunningTotal", "proRateAdjustmentDebit", "proRateAdjustmentCredit"), config["prorate"])
    before = [["a", "seats", first - DAY, config["start_value"]]] if config["start_value"] else []
    world = World(
        {
            "counters": {"seats": {"unit": "seat"}},
            "counterPricings": [{"bands": config["bands"], "runningTotalBillInAdvance": False, **flags}],
            "counterAdjustments": before + [["a", "seats", day, value] for day, value in config["adjustments"]],
            "accountPlans": [{"startDate": first - 40 * DAY}],
        }
    )
    found = lines(world, {"lastDateInBillingPeriod": end - DAY})
    running = [line["subtotal"] for line in found if line["line_item_type"] == "COUNTER_RUNNING_TOTAL_CHARGE"]
    assert sum(running, Decimal(0)) == number(wanted["RUNNING_TOTAL"])
    adjusted = [line["subtotal"] for line in found if line["line_item_type"].startswith("COUNTER_ADJUSTMENT")]
    assert adjusted == [number(n) for n in wanted["adjustments"]]
    assert sum([*running, *adjusted]) == number(wanted["total"])


@check("absolute")
def _absolute(case: Case) -> None:
    """An adjustment posts the new value; what changes is the difference."""
    world = World(
        {
            "counters": {"seats": {"unit": "seat"}},
            "counterPricings": [{"bands": [[0, 0, 1]], "runningTotalBillInAdvance": False}],
            "counterAdjustments": [
                ["a", "seats", date(2024, 12, 1), case["config"]["previous"]],
                ["a", "seats", date(2025, 1, 16), case["expect"]["value_to_post"]],
            ],
            "accountPlans": [{"startDate": date(2025, 1, 1)}],
        }
    )
    (change,) = [line for line in lines(world) if line["line_item_type"].startswith("COUNTER_ADJUSTMENT")]
    assert change["units"] == number(case["expect"]["delta"]) == number(case["usage"]["new_total"]) - number(case["config"]["previous"])


@check("hierarchy_block", "hierarchy_alone")
def _hierarchy(case: Case) -> None:
    config, usage = case["config"], case["usage"]
    children = [name for name in usage if name != "parent"]
    on = ["parent"] if config["plan_on"] == "parent" else children
    world = World(
        {
            "accounts": {"parent": {}, **{name: {"parent": "parent"} for name in children}},
            "pricings": [{"bands": config["bands"], "cumulative": config["cumulative"]}],
            "accountPlans": [{"account": name, "startDate": date(2025, 1, 1)} for name in on],
            "usage": [used(n, account=name) for name, n in usage.items()],
        }
    )
    found = lines(world)
    if "subtotals" in case["expect"]:
        assert [line["subtotal"] for line in found] == [number(n) for n in case["expect"]["subtotals"]]
        return
    assert sum(line["units"] for line in found) == number(case["expect"]["block_units"])
    assert sum(line["subtotal"] for line in found) == number(case["expect"]["subtotal"]) != number(case["expect"]["if_rated_alone"])


@pytest.mark.parametrize("case_id", [i for i, case in CASES.items() if case["kind"] in CHECKS])
def test_case(case_id: str) -> None:
    CHECKS[CASES[case_id]["kind"]](CASES[case_id])
