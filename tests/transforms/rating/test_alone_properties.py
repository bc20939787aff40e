"""Accounts of random plans, funds, counters and charges are billed together as each of them alone: no row of one is taken for another's."""

from datetime import date
from typing import Any

import polars as pl
from hypothesis import given, settings, strategies as st

from tests.transforms.rating.golden import World
from tests.transforms.rating.golden_frames import an_id
from tests.transforms.rating.test_draw_properties import FEBRUARY, JANUARY, worlds
from transforms.rating.pipeline import BillRunResult

ENDS = [None, date(2025, 1, 20), date(2025, 2, 1), date(2025, 2, 11), date(2025, 3, 1)]


@st.composite
def joint_worlds(draw: st.DrawFn) -> dict[str, Any]:
    """Three accounts, each with plans, prices and funds of its own, which end on different days."""
    joined: dict[str, Any] = {"accounts": {}, "templates": {}, "plans": {}, "accountPlans": [], "counters": {"seats": {"unit": "seat"}}}
    for n in range(3):
        case, account, plan = draw(worlds()), f"a{n}", f"plan{n}"
        joined["organization"] = case["organization"]
        joined["accounts"][account] = {}
        joined["templates"][f"t{n}"] = case["templates"]["t"] | {"standingChargeBillInAdvance": draw(st.booleans())}
        joined["plans"][plan] = {"template": f"t{n}"}
        joined["accountPlans"] += [one | {"account": account, "plan": plan, "endDate": draw(st.sampled_from(ENDS))} for one in case["accountPlans"]]
        for kind in ("pricings", "counterPricings"):
            joined.setdefault(kind, []).extend(one | {"plan": plan} for one in case[kind])
        joined.setdefault("counterAdjustments", []).extend([account, *rest] for _, *rest in case["counterAdjustments"])
        joined.setdefault("usage", []).extend(one | {"account": account} for one in case["usage"])
        for kind in ("commitments", "balances", "charges"):
            renamed = {"billingPlan": plan} if kind == "commitments" and draw(st.booleans()) else {}
            for code, body in case[kind].items():
                rest = {name: value for name, value in body.items() if name != "billingPlan"}
                joined.setdefault(kind, {})[f"{account}-{code}"] = rest | renamed | {"account": account}
    return joined | {"organization": joined["organization"] | {"commitmentFeeBillInAdvance": draw(st.booleans())}}


def _of(result: BillRunResult, code: str) -> list[pl.DataFrame]:
    bills = result.bills.filter(pl.col("account_id") == an_id("Account", code))
    mine = pl.col("bill_id").is_in(bills["bill_id"].implode())
    return [bills, result.line_items.filter(mine), result.draws.filter(mine)]


@settings(max_examples=10, deadline=None)
@given(joint_worlds())
def test_accounts_are_billed_together_as_alone(case: dict[str, Any]) -> None:
    together = World(case)
    months = [together.billed(run) for run in (JANUARY, FEBRUARY)]
    assert all(result.failures.is_empty() for result in months)
    for code in case["accounts"]:
        alone = World(case)
        for run, joint in zip((JANUARY, FEBRUARY), months, strict=True):
            for mine, of_all in zip(_of(alone.billed({**run, "accounts": [code]}), code), _of(joint, code), strict=True):
                assert mine.equals(of_all), (code, run, mine, of_all)
