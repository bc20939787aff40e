"""What is left of a fund for a bill beside locked ones (DECISIONS 29 and 32)."""

from datetime import date
from decimal import Decimal

import polars as pl

from tests.transforms.rating.golden import World

RUN = {"lastDateInBillingPeriod": date(2025, 12, 31)}


def test_a_locked_bill_of_the_run_keeps_its_draws_and_takes_no_more() -> None:
    """Two bills of one date share a commitment of 100; the one that came first is locked, then more usage of both arrives."""
    case = {
        "products": {"q": {}},
        "meters": {"m": {"MEASURE": ["qty", "other"]}},
        "aggregations": {"calls": {}, "others": {"targetField": "other"}},
        "templates": {"t": {}, "y": {"product": "q", "billFrequency": "ANNUALLY"}},
        "plans": {"plan": {}, "yearly": {"template": "y"}},
        "pricings": [{"bands": [[0, 0, 1]]}, {"plan": "yearly", "aggregation": "others", "bands": [[0, 0, 1]]}],
        "accountPlans": [{"startDate": date(2025, 1, 1)}, {"plan": "yearly", "startDate": date(2025, 1, 1)}],
        "commitments": {"c": {"amount": "100"}},
        "usage": [{"ts": date(2025, 12, 10), "qty": "30", "other": "30"}],
    }
    world = World(case)
    first = world.billed(RUN)
    assert first.draws["amount"].to_list() == [30, 30]
    locked = first.bills["bill_id"].sort()[0]
    more = World({**case, "usage": [{"ts": date(2025, 12, 10), "qty": "90", "other": "90"}]})
    more.ledger = world.ledger.with_columns(is_locked=pl.col("bill_id") == locked)
    again = more.billed(RUN)
    # The locked bill is computed for comparison, without funds; the other may take what the locked one left: 70.
    assert dict(again.draws.select("bill_id", "amount").rows()) == {first.bills["bill_id"].sort()[1]: Decimal(70)}
