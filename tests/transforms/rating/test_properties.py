"""Properties of rating and bills: parts sum to wholes, prices rise with use, and the order of rows changes nothing."""

from datetime import date
from decimal import Decimal
from functools import reduce
from typing import Any

import polars as pl
from hypothesis import given, settings, strategies as st

from tests.transforms.rating.golden import World, an_id
from transforms.billing.band_usage import allocated
from transforms.datasets import BILL_LINE_ITEMS, BILLS
from transforms.money import DECIMAL, EXACT, RoundingMode, exact, rounded
from transforms.rating.amounts import SAFE, product, quotient, sums, total

JANUARY = {"lastDateInBillingPeriod": date(2025, 1, 31)}


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


prices = decimals("0", "50", 4)
quantities = decimals("-50", "500", 3)


@st.composite
def band_lists(draw: st.DrawFn) -> list[list[str]]:
    limits = sorted(draw(st.sets(decimals("0.5", "300", 1), max_size=4)))
    return [[str(limit), str(draw(prices)), str(draw(prices))] for limit in [Decimal(0), *limits]]


def charge(bands: list[list[str]], units: Decimal, *, cumulative: bool) -> Decimal:
    """The band formulas of billing.md 1.4 on single numbers."""
    rows = [tuple(map(Decimal, band)) for band in bands]
    if units < 0:
        return exact(units * rows[0][2])
    if not cumulative:
        reached = max(i for i, row in enumerate(rows) if i == 0 or units > row[0])
        return exact(rows[reached][1] + units * rows[reached][2])
    whole = Decimal(0)
    for i, (lower, fixed, price) in enumerate(rows):
        upper = rows[i + 1][0] if i + 1 < len(rows) else units
        whole += max(Decimal(0), min(units, upper) - lower) * price + (fixed if i == 0 or units > lower else 0)
    return exact(whole)


def one_line_each(cases: list[tuple[list[list[str]], bool, Decimal]]) -> list[dict[str, Any]]:
    """Every case billed for its own account in one run: the lines in the order of the cases."""
    codes = [f"c{n}" for n in range(len(cases))]
    world = World(
        {
            "plans": {c: {} for c in codes},
            "accounts": {c: {} for c in codes},
            "pricings": [{"plan": c, "bands": bands, "cumulative": cumulative} for c, (bands, cumulative, _) in zip(codes, cases, strict=True)],
            "accountPlans": [{"account": c, "plan": c, "startDate": date(2025, 1, 1)} for c in codes],
            "usage": [{"account": c, "ts": "2025-01-09T12:00:00Z", "qty": str(case[2])} for c, case in zip(codes, cases, strict=True)],
        }
    )
    lines = {line["account_id"]: line for line in world.billed(JANUARY).line_items.to_dicts()}
    return [lines[an_id("Account", c)] for c in codes]


@settings(max_examples=25)
@given(st.lists(st.tuples(band_lists(), st.booleans(), quantities), min_size=1, max_size=12))
def test_a_line_is_its_bands(cases: list[tuple[list[list[str]], bool, Decimal]]) -> None:
    for (bands, cumulative, quantity), line in zip(cases, one_line_each(cases), strict=True):
        assert line["subtotal"] == rounded(charge(bands, quantity, cumulative=cumulative), places=2, mode=RoundingMode.HALF_UP)
        assert sum(b["band_units"] for b in line["bands"]) == line["units"] == quantity
        assert sum(b["band_quantity"] for b in line["bands"]) == quantity
        assert sum(b["band_subtotal"] for b in line["bands"]) == line["subtotal"]
        assert sum(b["converted_band_subtotal"] for b in line["bands"]) == line["converted_subtotal"]
        assert [b["lower_limit"] for b in line["bands"]] == sorted(b["lower_limit"] for b in line["bands"])
        assert len(line["bands"]) == (len(bands) if cumulative else 1)


@settings(max_examples=15)
@given(band_lists(), st.lists(decimals("0", "500", 2), min_size=2, max_size=12))
def test_a_tiered_charge_never_falls_with_use(bands: list[list[str]], used: list[Decimal]) -> None:
    amounts = [line["subtotal"] for line in one_line_each([(bands, True, q) for q in sorted(used)])]
    assert amounts == sorted(amounts)


@given(
    st.lists(st.lists(decimals("-40", "40", 9), min_size=3, max_size=3), min_size=1, max_size=8),
    st.integers(0, 5),
    st.sampled_from([m for m in RoundingMode if m is not RoundingMode.UNNECESSARY]),
)
def test_allocated_shares_sum_to_the_target(lines: list[list[Decimal]], places: int, mode: RoundingMode) -> None:
    targets = [rounded(sum(shares, Decimal(0)), places=places, mode=mode) for shares in lines]
    found = allocated(
        pl.Series("share", [s for shares in lines for s in shares], dtype=DECIMAL), pl.Series("t", targets, dtype=DECIMAL), entries=3, places=places
    ).to_list()
    for n, (shares, target) in enumerate(zip(lines, targets, strict=True)):
        mine = found[3 * n : 3 * n + 3]
        assert sum(mine) == target
        assert all(abs(a - b) <= Decimal(1).scaleb(-places) for a, b in zip(mine, shares, strict=True))


wide = decimals("-" + "9" * 25, "9" * 25, 6)


def _decimal(values: list[Decimal]) -> pl.Series:
    return pl.Series("v", values, dtype=DECIMAL)


def near_limit(value: Decimal) -> bool:
    """True where rounding of the magnitude check may decide either way."""
    return abs(EXACT.divide(abs(value), SAFE) - 1) < Decimal("1e-9")


def agrees(found: Decimal | None, right: Decimal | None) -> bool:
    """The exact number where it fits, null where it does not."""
    if right is None:
        return found is None
    if near_limit(right):
        return found in (None, right)
    return found == right if abs(right) < SAFE else found is None


@given(st.lists(st.tuples(wide, st.one_of(wide, decimals("-9", "9", 6))), min_size=1, max_size=10))
def test_products_and_quotients_are_exact_or_null(rows: list[tuple[Decimal, Decimal]]) -> None:
    a, b = _decimal([r[0] for r in rows]), _decimal([r[1] for r in rows])
    for found, (x, y) in zip(product(a, b).to_list(), rows, strict=True):
        assert agrees(found, exact(EXACT.multiply(x, y)))
    for found, (x, y) in zip(quotient(a, b).to_list(), rows, strict=True):
        assert agrees(found, exact(EXACT.divide(x, y)) if y else None)


@given(st.lists(st.tuples(wide, wide, wide), min_size=1, max_size=10))
def test_totals_are_exact_or_null(rows: list[tuple[Decimal, Decimal, Decimal]]) -> None:
    for found, terms in zip(total([_decimal(list(column)) for column in zip(*rows, strict=True)]).to_list(), rows, strict=True):
        weight = reduce(EXACT.add, map(abs, terms))
        assert found == reduce(EXACT.add, terms) or (found is None and (weight >= SAFE or near_limit(weight)))


@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), wide)), max_size=20))
def test_sums_are_exact_or_null(rows: list[tuple[int, Decimal | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"k": pl.Int64, "v": DECIMAL}, orient="row")
    found = {k: (n, v) for k, n, v in sums(frame, ["k"], "v").rows()}
    assert set(found) == {k for k, _ in rows}
    for key, (count, value) in found.items():
        mine = [v for k, v in rows if k == key]
        known = [v for v in mine if v is not None]
        assert count == len(mine)
        weight = reduce(EXACT.add, map(abs, known), Decimal(0))
        if len(known) < len(mine):
            assert value is None
        else:
            assert value == reduce(EXACT.add, known, Decimal(0)) or (value is None and (weight >= SAFE or near_limit(weight)))


WORLD = World(
    {
        "organization": {"currency": "EUR", "currencyConversions": [{"from": "USD", "to": "EUR", "multiplier": "0.9137"}]},
        "meters": {"m": {"MEASURE": ["qty"], "WHERE": ["region"]}},
        "aggregations": {"seg": {"segmentedFields": ["region"], "segments": [{"region": "eu"}, {"region": "*"}]}, "credit": {"aggregation": "COUNT"}},
        "templates": {"t": {"standingCharge": "10"}, "adv": {"standingCharge": "7", "standingChargeBillInAdvance": True}},
        "plans": {"plan": {"minimumSpend": "50"}, "adv": {"template": "adv", "minimumSpend": "20", "minimumSpendBillInAdvance": True}},
        "pricings": [
            {"template": "t", "bands": [["0", "1", "0.333"], ["3", "1", "0.111"]], "minimumSpend": "5"},
            {"plan": "plan", "aggregation": "seg", "segment": {"region": "eu"}, "bands": [["0", "0", "0.7"]]},
            {"plan": "plan", "aggregation": "seg", "segment": {"region": "*"}, "cumulative": False, "bands": [["0", "0", "0.7"], ["2", "3", "0.1"]]},
            {"plan": "plan", "aggregation": "credit", "type": "GLOBAL_CREDIT", "bands": [["0", "0", "0.37"]]},
            {"plan": "adv", "bands": [["0", "0", "1.005"]], "endDate": "2025-01-20T00:00:00Z"},
            {"plan": "adv", "bands": [["0", "0", "2.005"]], "startDate": "2025-01-20T00:00:00Z"},
        ],
        "accounts": {f"a{n}": {} for n in range(6)},
        "accountPlans": [
            {"account": f"a{n}", "plan": plan, "startDate": date(2024, 12, 1 + 9 * n % 28)}
            for n in range(6)
            for plan in (["plan", "adv"] if n % 2 else ["plan"])
        ],
        "usage": [
            {"account": f"a{n % 6}", "ts": f"2025-01-{1 + n % 31:02}T{n % 24:02}:00:00Z", "qty": str(n % 7), "region": ["eu", "us", "ap"][n % 3]}
            for n in range(60)
        ],
    }
)
EXPECTED = WORLD.billed(JANUARY)


def test_a_run_gives_its_datasets() -> None:
    assert EXPECTED.failures.is_empty()
    assert BILLS.checked(EXPECTED.bills).height == 6
    assert dict(EXPECTED.line_items.schema) == {k: v for k, v in BILL_LINE_ITEMS.schema.items() if k != "calculation_id"}
    assert EXPECTED.line_items["line_item_id"].is_unique().all()


def test_lines_sum_to_bills_and_are_numbered() -> None:
    lines = EXPECTED.line_items.group_by("bill_id").agg(pl.col("converted_subtotal").sum(), pl.len().cast(pl.Int32), pl.col("sequence_number"))
    joined = EXPECTED.bills.join(lines, on="bill_id", how="left")
    assert joined.filter(pl.col("bill_total") != pl.col("converted_subtotal")).is_empty()
    assert joined.filter(pl.col("line_count") != pl.col("len")).is_empty()
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in joined["sequence_number"].to_list())
    assert EXPECTED.line_items["bill_id"].rle_id().max() == 5


@settings(max_examples=12)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_byte(random: Any) -> None:
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        order = list(range(frame.height))
        random.shuffle(order)
        return frame[order]

    world = World(WORLD.case)
    world.accounts, world.account_plans = shuffled(world.accounts), shuffled(world.account_plans)
    for kind, entities in world.small.items():
        items = list(entities.items())
        random.shuffle(items)
        world.small[kind] = dict(items)
    world.case = {**world.case, "usage": random.sample(world.case["usage"], len(world.case["usage"]))}
    found = world.billed(JANUARY)
    assert found.bills.equals(EXPECTED.bills)
    assert found.line_items.equals(EXPECTED.line_items)


@settings(max_examples=10)
@given(st.sets(st.integers(0, 5), min_size=1))
def test_an_account_is_billed_the_same_alone(numbers: set[int]) -> None:
    codes = [f"a{n}" for n in sorted(numbers)]
    found = WORLD.billed({**JANUARY, "accounts": codes})
    ids = [an_id("Account", c) for c in codes]
    assert found.bills.equals(EXPECTED.bills.filter(pl.col("account_id").is_in(ids)))
    assert found.line_items.equals(EXPECTED.line_items.filter(pl.col("account_id").is_in(ids)))


def test_ids_are_uuids_of_version_5_and_stay() -> None:
    ids = [*EXPECTED.bills["bill_id"], *EXPECTED.line_items["line_item_id"]]
    assert all(len(i) == 36 and i[14] == "5" and i[19] in "89ab" for i in ids)
    again = World({**WORLD.case, "usage": WORLD.case["usage"][:30]}).billed(JANUARY)
    assert again.bills["bill_id"].equals(EXPECTED.bills["bill_id"])
    assert set(again.line_items["line_item_id"]) & set(EXPECTED.line_items["line_item_id"])
    # Pinned: a change of these ids would be a new id for every bill and line ever made.
    assert EXPECTED.line_items["line_item_id"][0] == "7dc48801-7509-5581-b04b-5449df386070"
    assert EXPECTED.bills["bill_id"][0] == "e6861e02-2e57-5922-8574-ebb631edba2d"
