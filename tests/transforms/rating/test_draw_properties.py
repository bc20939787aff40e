"""Whole-bill properties of random plans, funds, counters and charges: nothing is drawn that is not there, and order changes nothing."""

import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings, strategies as st

from tests.transforms.rating.golden import World, bill_run
from tests.transforms.rating.test_properties import band_lists, decimals, quantities
from transforms.rating.pipeline import BillRunResult, billed

JANUARY, FEBRUARY = {"lastDateInBillingPeriod": date(2025, 1, 31)}, {"lastDateInBillingPeriod": date(2025, 2, 28)}
MONEY = decimals("0.01", "900", 2)


@st.composite
def commitments(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {"amount": str(draw(MONEY)), "startDate": draw(st.sampled_from([date(2025, 1, 1), date(2025, 1, 15)]))}
    over = draw(st.sampled_from(["nothing", "surcharge", "separate"]))
    if over == "surcharge":
        body["overageSurchargePercent"] = str(draw(decimals("-20", "20", 1)))
    body["separateOverageUsage"] = over == "separate"
    if draw(st.booleans()):
        body["lineItemTypes"] = ["USAGE"]
    if draw(st.booleans()):
        body["productIds"] = ["p"]
    if draw(st.booleans()):
        body["billingPlan"] = "plan"
    return body


@st.composite
def balances(draw: st.DrawFn) -> dict[str, Any]:
    days = st.sampled_from([date(2025, 1, 1), date(2025, 1, 20), date(2025, 2, 10)])
    body: dict[str, Any] = {"transactions": [[day, str(amount)] for day, amount in draw(st.lists(st.tuples(days, MONEY), max_size=3))]}
    if draw(st.booleans()):
        body |= {"endDate": date(2025, 2, 1), "rolloverEndDate": date(2025, 3, 1), "rolloverAmount": str(draw(MONEY))}
    return body


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    pricing: dict[str, Any] = {"bands": draw(band_lists()), "cumulative": draw(st.booleans())}
    if pricing["cumulative"] and draw(st.booleans()):
        pricing["overage"] = draw(band_lists())
    template = {"standingCharge": str(draw(MONEY)), "minimumSpend": str(draw(MONEY)), "minimumSpendBillInAdvance": draw(st.booleans())}
    days = st.integers(1, 58).map(lambda n: date.fromordinal(date(2025, 1, 1).toordinal() + n))
    return {
        "organization": {"currencyConversions": [{"from": "EUR", "to": "USD", "multiplier": "1.137"}]},
        "templates": {"t": template},
        "pricings": [pricing],
        "counters": {"seats": {"unit": "seat"}},
        "counterPricings": [{"bands": draw(band_lists()), "runningTotalBillInAdvance": draw(st.booleans())}],
        "counterAdjustments": [["a", "seats", day, n] for day, n in draw(st.dictionaries(days, st.integers(0, 90), max_size=3)).items()],
        "accountPlans": [{"startDate": draw(st.sampled_from([date(2025, 1, 1), date(2025, 1, 10)]))}],
        "commitments": {f"c{n}": body for n, body in enumerate(draw(st.lists(commitments(), max_size=2)))},
        "balances": {f"b{n}": body | {"currency": ["USD", "EUR"][n]} for n, body in enumerate(draw(st.lists(balances(), max_size=2)))},
        "charges": {
            f"x{n}": {"amount": str(amount), "billDate": date(2025, 2, 1), "servicePeriodStartDate": date(2025, 1, 1), "servicePeriodEndDate": day}
            for n, (amount, day) in enumerate(draw(st.lists(st.tuples(MONEY, st.just(date(2025, 2, 1))), max_size=2)))
        },
        "usage": [{"ts": day, "qty": str(q)} for day, q in draw(st.lists(st.tuples(days, quantities), max_size=5))],
    }


def same(a: BillRunResult, b: BillRunResult) -> None:
    for name in ("bills", "line_items", "failures", "unmatched", "draws"):
        assert getattr(a, name).equals(getattr(b, name)), name


def check_whole(result: BillRunResult) -> None:
    """Totals are the sums of their lines, lines of their bands, and what is drawn is on the bill."""
    for bill in result.bills.to_dicts():
        lines = result.line_items.filter(pl.col("bill_id") == bill["bill_id"])
        assert bill["bill_total"] == sum(lines["converted_subtotal"], Decimal(0))
        assert lines["line_item_id"].n_unique() == lines.height
        assert lines["sequence_number"].to_list() == list(range(1, lines.height + 1))
        for line in lines.filter(pl.col("bands").is_not_null()).to_dicts():
            assert sum(b["band_subtotal"] for b in line["bands"]) == line["subtotal"], line
            assert sum(b["converted_band_subtotal"] for b in line["bands"]) == line["converted_subtotal"], line
        drawn = result.draws.filter(pl.col("bill_id") == bill["bill_id"])
        shown = lines.filter(pl.col("line_item_type").is_in(["COMMITMENT_CONSUMED", "BALANCE_CONSUMED"]))
        on_bill = dict(zip(shown.select(pl.coalesce("commitment_id", "balance_id")).to_series(), shown["subtotal"], strict=True))
        assert on_bill == {fund: -amount for fund, amount in drawn.select("fund_id", "amount").rows()}
        covered = ["USAGE", "OVERAGE_USAGE", "STANDING_CHARGE", "MINIMUM_SPEND", "COUNTER_RUNNING_TOTAL_CHARGE", "COUNTER_ADJUSTMENT_DEBIT", "AD_HOC"]
        charged = sum(lines.filter(pl.col("line_item_type").is_in(covered) & (pl.col("converted_subtotal") > 0))["converted_subtotal"], Decimal(0))
        assert -sum(shown["converted_subtotal"], Decimal(0)) <= charged


@settings(max_examples=25, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_bills_with_funds(case: dict[str, Any], shuffler: random.Random) -> None:
    world = World(case)
    january = world.billed(JANUARY)
    february = world.billed(FEBRUARY)
    for result in (january, february):
        assert result.failures.is_empty()
        check_whole(result)
    # Never more than there is.
    drawn = world.ledger.filter(pl.col("bill_id").is_not_null()).group_by("fund_id").agg(-pl.col("amount").sum())
    put_in = world.ledger.filter(pl.col("bill_id").is_null()).select("fund_id", credit="amount")
    promised = world.frames["Commitment"].select(fund_id="commitment_id", credit="amount")
    held = pl.concat([put_in, promised]).group_by("fund_id").agg(pl.col("credit").sum())
    assert drawn.join(held, on="fund_id", how="left").filter(pl.col("amount") > pl.col("credit").fill_null(0)).is_empty()
    # Nothing changes when nothing changed: each bill gives its draws back and takes the same.
    same(world.billed(JANUARY), january)
    same(world.billed(FEBRUARY), february)
    # Nor when rows come in another order.
    shuffled = replace(
        world.configuration,
        frames={kind: _shuffled(frame, shuffler) for kind, frame in world.frames.items()},
        account_plans=_shuffled(world.account_plans, shuffler),
    )
    usage = {key: replace(one, measurements=_shuffled(one.measurements.collect(), shuffler).lazy()) for key, one in world.usage.items()}
    same(billed(shuffled, usage, bill_run(FEBRUARY), _shuffled(world.ledger, shuffler)), february)


def _shuffled(frame: pl.DataFrame, shuffler: random.Random) -> pl.DataFrame:
    order = list(range(frame.height))
    shuffler.shuffle(order)
    return frame[order]
