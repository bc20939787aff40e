"""Lines of a family by account: they sum to the block's line to the last cent, and so do their bands."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings, strategies as st

from tests.transforms.rating.golden import World

QUANTITIES = st.decimals("0", "5000", places=3)
PRICES = st.decimals("0", "3", places=5)


def lines_of(mode: str, quantities: Sequence[Decimal | None], prices: Sequence[Decimal], rate: Decimal) -> pl.DataFrame:
    """The usage lines of a parent's bill in another currency, with two prices for the same usage; a quantity per account, the parent's first."""
    accounts: dict[str, Any] = {"p": {"currency": "JPY"}, **{f"c{n}": {"parent": "p"} for n in range(1, len(quantities))}}
    low, high, fixed = (str(price) for price in prices)
    world = World(
        {
            "organization": {"currencyConversions": [{"from": "USD", "to": "JPY", "multiplier": str(rate)}]},
            "currencies": [{"code": "JPY", "maxDecimalPlaces": 0, "roundingMode": "HALF_EVEN"}],
            "aggregations": {"tens": {"quantityPerUnit": "10", "rounding": "UP"}},
            "pricings": [
                {"bands": [["0", fixed, low], ["100", "0", high], ["1000", fixed, low]]},
                {"aggregation": "tens", "cumulative": False, "bands": [["0", fixed, high], ["20", "0", low]]},
            ],
            "accounts": accounts,
            "accountPlans": [{"account": "p", "startDate": "2025-01-01", "childBillingMode": mode}],
            "usage": [{"account": code, "ts": "2025-01-10", "qty": str(q)} for code, q in zip(accounts, quantities, strict=True) if q is not None],
        }
    )
    result = world.billed({"lastDateInBillingPeriod": date(2025, 1, 31)})
    assert result.failures.is_empty()
    return result.line_items


@settings(max_examples=40)
@given(
    quantities=st.lists(st.none() | QUANTITIES, min_size=2, max_size=6),
    prices=st.lists(PRICES, min_size=3, max_size=3),
    rate=st.decimals("0.01", "200", places=4),
)
def test_the_parts_sum_to_the_whole(quantities: list[Decimal | None], prices: list[Decimal], rate: Decimal) -> None:
    whole = lines_of("PARENT_SUMMARY", quantities, prices, rate)
    parts = lines_of("PARENT_BREAKDOWN", quantities, prices, rate)
    assert whole["child_account_id"].null_count() == whole.height
    summed = ("quantity", "units", "subtotal", "converted_subtotal")
    sums = parts.group_by("pricing_id", maintain_order=True).agg(pl.col(summed).sum())
    assert sums.rows() == whole.select("pricing_id", *summed).rows()
    assert parts["line_item_id"].n_unique() == parts.height
    has_usage = sum(q for q in quantities if q is not None) > 0
    assert parts.height == (2 * sum(q is not None for q in quantities) if has_usage else whole.height)
    bands = parts.select("line_item_id", "subtotal", "converted_subtotal", "bands").explode("bands").unnest("bands")
    by_line = bands.group_by("line_item_id", maintain_order=True).agg(
        pl.col("subtotal", "converted_subtotal").first(), pl.col("band_subtotal", "converted_band_subtotal").sum()
    )
    assert by_line["band_subtotal"].to_list() == by_line["subtotal"].to_list()
    assert by_line["converted_band_subtotal"].to_list() == by_line["converted_subtotal"].to_list()
