"""Quantities against a scalar reference: any windows, any split of the rows into states and detail, any order."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from tests.transforms.aggregations.frames import aggregation, configuration, measurements, meter, reduced, segment_of
from transforms.aggregations.aggregate import QUANTITY, WINDOW, quantities, unmatched
from transforms.aggregations.states import daily_states, merged_states, state_specs
from transforms.aggregations.usage import Grain, MeterUsage, StateKind
from transforms.entities.usage import Method

METER = meter(numeric=("qty", "ts"), strings=("region", "user"))
SEGMENTS = [{"region": "eu", "user": "*"}, {"region": "*", "user": "a"}, {"region": "eu", "user": "a"}, {"region": "us", "user": "b"}]
WITH_REST = [*SEGMENTS, {"region": "*", "user": "*"}]
METHODS = [m for m in Method if m not in (Method.CUSTOM_SQL, Method.UNIQUE)]
PLAIN = [aggregation(f"{m.value}_{code}", m.value, code) for m in METHODS for code in ("qty", "ts")]
UNIQUE = [aggregation("UNIQUE", "UNIQUE", "user"), aggregation("UNIQUE_region", "UNIQUE", "region")]
SEGMENTED = [
    aggregation(f"{m}_{n}", m, "user" if m == "UNIQUE" else "qty", segmentedFields=["region", "user"], segments=segments, defaultValue=default)
    for m in ("SUM", "LATEST", "COUNT", "UNIQUE")
    for n, (segments, default) in enumerate(((SEGMENTS, None), (WITH_REST, None), (SEGMENTS, Decimal("0.5"))))
]
DEFAULTED = [aggregation("SUM_default", "SUM", "qty", defaultValue=0), aggregation("LATEST_default", "LATEST", "qty", defaultValue=7)]
EVERY = {a.id: a for a in (*PLAIN, *UNIQUE, *SEGMENTED, *DEFAULTED)}
#: A week in which New York's clocks go forward (9 March 2025), seen from both sides.
START = datetime(2025, 3, 7, tzinfo=UTC)

values = st.one_of(st.none(), st.decimals(min_value=-(10**12), max_value=10**12, places=12, allow_nan=False), st.integers(-5, 5).map(Decimal))
instants = st.integers(0, 5 * 24 * 4).map(lambda quarter: START + timedelta(minutes=15 * quarter))
rows = st.fixed_dictionaries(
    {
        "account": st.integers(1, 3),
        "ts": instants,
        "received_at": st.integers(0, 2).map(lambda n: START + timedelta(days=30, seconds=n)),
        "region": st.sampled_from(["eu", "us", "ap", None]),
        "user": st.sampled_from(["a", "b", "c", "*", None]),
        "qty": values,
        "field ts": values,
    }
)


@st.composite
def batches(draw: st.DrawFn, of: st.SearchStrategy[dict[str, Any]] = rows) -> list[list[dict[str, Any]]]:
    drawn = draw(st.lists(st.lists(of, max_size=12), min_size=1, max_size=4))
    number = 0
    for batch in drawn:
        for row in batch:
            row["uid"], number = f"u{draw(st.integers(0, 9))}-{number}", number + 1
    return drawn


@st.composite
def window_pairs(draw: st.DrawFn) -> list[tuple[datetime, datetime]]:
    pairs = draw(st.lists(st.tuples(instants, instants), min_size=1, max_size=4, unique=True))
    # Local midnights of New York are at 5:00 UTC before and 4:00 UTC after the change.
    pairs += [(START + timedelta(hours=5), START + timedelta(days=3, hours=4))] if draw(st.booleans()) else []
    return [(min(p), max(p) + timedelta(minutes=15)) for p in pairs]


def frame(batch: list[dict[str, Any]], zone: str) -> pl.LazyFrame:
    # The field called ``ts`` is not the instant.
    plain = measurements([row | {"ts": row["ts"]} for row in batch], meter(strings=("region", "user")), zone)
    own = pl.Series("ts.value", [row["field ts"] for row in batch], dtype=pl.Decimal(38, 12))
    return plain.with_columns(own).lazy()


def usage_of(
    batches_: list[list[dict[str, Any]]],
    zone: str,
    *,
    has_states: bool,
    merge: bool = False,
    months: frozenset[date] = frozenset(),
    grains: tuple[Grain, ...] = tuple(Grain),
) -> MeterUsage:
    """``merge``: every state has one row per key, which is known of the ``months`` only; else those of the months have."""
    config = configuration(METER, *EVERY.values(), time_zone=zone)
    states = {}
    for spec in state_specs(config) if has_states else ():
        parts = pl.concat([daily_states(spec, METER, frame(batch, zone)) for batch in batches_])
        is_merged = pl.col("month").is_in(list(months))
        some = pl.concat([merged_states(spec, METER, parts.filter(is_merged)), parts.filter(~is_merged)])
        states[spec] = merged_states(spec, METER, parts) if merge else some
    kept = {spec: rows for spec, rows in states.items() if spec.grain in grains}
    return MeterUsage(METER, pl.concat([frame(batch, zone) for batch in batches_]), kept, dict.fromkeys(kept, months))


def expected(all_rows: list[dict[str, Any]], windows: list[dict[str, Any]]) -> dict[tuple[Any, ...], Decimal | None]:
    found: dict[tuple[Any, ...], Decimal | None] = {}
    for window in windows:
        of = EVERY[window["aggregation_id"]]
        code = "field ts" if of.target_field == "ts" else of.target_field
        inside = [r for r in all_rows if r["account"] == window["account_number"] and window["window_start"] <= r["ts"] < window["window_end"]]
        default = None if of.default_value is None else Decimal(of.default_value)
        key = (window["aggregation_id"], window["account_number"], window["window_start"], window["window_end"])
        if not of.segmented_fields:
            found[(*key, None)] = reduced(inside, of.aggregation, code) if inside else default
            continue
        by_segment = defaultdict(list)
        for row in inside:
            by_segment[segment_of(row, of.segmented_fields, of.segments or [])].append(row)
        for number in range(len(of.segments or [])):
            if number in by_segment:
                found[(*key, number)] = reduced(by_segment[number], of.aggregation, code)
            elif default is not None:
                found[(*key, number)] = default
    return found


def all_windows(pairs: list[tuple[datetime, datetime]], ids: list[str]) -> list[dict[str, Any]]:
    return [
        {"aggregation_id": a, "account_number": account, "window_start": start, "window_end": end}
        for a in ids
        for account in (1, 2, 3)
        for n, (start, end) in enumerate(sorted(set(pairs)))
        # The first window is everybody's, the others not: both ways of reading windows are used.
        if n == 0 or account == 1 + n % 3
    ]


@settings(max_examples=25)
@given(batches(), window_pairs(), st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"]), st.booleans(), st.booleans())
def test_quantities_equal_the_reference(
    batches_: list[list[dict[str, Any]]], pairs: list[tuple[datetime, datetime]], zone: str, has_states: bool, merge: bool
) -> None:
    config = configuration(METER, *EVERY.values(), time_zone=zone)
    wanted = all_windows(pairs, list(EVERY))
    windows = pl.DataFrame(wanted, schema=WINDOW).with_row_index("window")
    usage = {"meter": usage_of(batches_, zone, has_states=has_states, merge=merge)}
    found = quantities(windows, configuration=config, usage=usage).collect(engine="streaming")
    assert found.schema == {**windows.schema, **QUANTITY}
    assert found["failure"].null_count() == found.height
    got = {tuple(row[:5]): row[5] for row in found.select(*WINDOW, "segment_index", "quantity").iter_rows()}
    assert len(got) == found.height
    want = expected([row for batch in batches_ for row in batch], wanted)
    assert got == want


#: Bounds of windows over several months: days (first ones more often than others), and how far into the day.
ZONES = ["UTC", "America/New_York", "Asia/Kathmandu"]
MONTHS = [date(2025, month, 1) for month in (1, 2, 3, 4, 5)]
days = st.one_of(st.sampled_from(MONTHS), st.sampled_from(MONTHS), st.dates(date(2025, 1, 1), date(2025, 4, 30)))
bounds = st.tuples(days, st.sampled_from([0, 0, 0, 1, 37, 60 * 23]))
spread = batches(
    rows.map(lambda row: row | {"ts": datetime(2025, 1, 1, tzinfo=UTC) + (row["ts"] - START) * 23}),
)


def local(bound: tuple[date, int], zone: str) -> datetime:
    day, minute = bound
    return datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=ZoneInfo(zone)).astimezone(UTC)


@settings(max_examples=40)
@given(
    spread,
    st.lists(st.tuples(bounds, bounds), min_size=1, max_size=4),
    st.sampled_from(ZONES),
    st.frozensets(st.sampled_from(MONTHS)),
    st.booleans(),
    st.sampled_from([tuple(Grain), tuple(Grain), (Grain.DAY,), (Grain.MONTH,)]),
)
def test_windows_of_months_days_and_cut_days_equal_the_reference(  # noqa: PLR0917 - hypothesis gives them by position
    batches_: list[list[dict[str, Any]]],
    between: list[tuple[tuple[date, int], tuple[date, int]]],
    zone: str,
    months: frozenset[date],
    merge: bool,
    grains: tuple[Grain, ...],
) -> None:
    config = configuration(METER, *EVERY.values(), time_zone=zone)
    pairs = [(min(pair), max(pair)) for pair in ((local(a, zone), local(b, zone)) for a, b in between) if pair[0] != pair[1]]
    # One calendar month is everybody's window in any case: what most bills ask for.
    wanted = all_windows([(local((MONTHS[1], 0), zone), local((MONTHS[2], 0), zone)), *pairs], list(EVERY))
    usage = {"meter": usage_of(batches_, zone, has_states=True, merge=merge, months=months, grains=grains)}
    found = quantities(pl.DataFrame(wanted, schema=WINDOW), configuration=config, usage=usage).collect(engine="streaming")
    got = {tuple(row[:5]): row[5] for row in found.select(*WINDOW, "segment_index", "quantity").iter_rows()}
    assert len(got) == found.height
    assert got == expected([row for batch in batches_ for row in batch], wanted)
    left = unmatched(pl.DataFrame(wanted, schema=WINDOW), configuration=config, usage=usage).collect()
    detail = {"meter": usage_of(batches_, zone, has_states=False)}
    of_detail = unmatched(pl.DataFrame(wanted, schema=WINDOW), configuration=config, usage=detail).collect()
    assert sorted(left.rows()) == sorted(of_detail.rows())


def test_a_merged_month_is_counted_without_its_values() -> None:
    zone = "America/New_York"
    window = {"account_number": 1, "window_start": datetime(2025, 2, 1, 5, tzinfo=UTC), "window_end": datetime(2025, 3, 1, 5, tzinfo=UTC)}
    users = [("a", 2), ("a", 3), ("b", 9), (None, 4)]
    own = [
        {
            "account": 1,
            "ts": datetime(2025, 2, day, 12, tzinfo=UTC),
            "uid": f"u{n}",
            "user": user,
            "qty": Decimal(1),
            "field ts": None,
            "region": "eu",
        }
        for n, (user, day) in enumerate(users)
    ]
    whole = usage_of([own], zone, has_states=True, months=frozenset({date(2025, 2, 1)}))
    # Nothing else is read: neither measurements nor states by day, and of the month's state not what the values are.
    unread = pl.LazyFrame({"account_number": [1]}).map_batches(_never)
    never = pl.col("user.value").map_batches(_never, return_dtype=pl.String)
    states = {
        spec: rows.with_columns(never) if spec.kind is StateKind.UNIQUE and spec.field == "user" else rows
        for spec, rows in whole.states.items()
        if spec.grain is Grain.MONTH
    }
    states |= {spec: unread for spec in whole.states if spec.grain is Grain.DAY}
    usage = {"meter": MeterUsage(METER, unread, states, whole.merged)}
    ids = ["UNIQUE", "SUM_qty", "LATEST_qty", "COUNT_1"]
    found = quantities(
        pl.DataFrame([{"aggregation_id": one, **window} for one in ids], schema=WINDOW),
        configuration=configuration(METER, *EVERY.values(), time_zone=zone),
        usage=usage,
    ).collect()
    got = {(a, s): q for a, s, q in found.select("aggregation_id", "segment_index", "quantity").iter_rows()}
    assert got == {("UNIQUE", None): 2, ("SUM_qty", None): 4, ("LATEST_qty", None): 1, ("COUNT_1", 2): 2, ("COUNT_1", 0): 2}


def test_a_merged_month_is_not_all_there_is_of_a_window_that_begins_before_it() -> None:
    zone = "America/New_York"
    start, first, end = (local(bound, zone) for bound in ((date(2025, 1, 31), 60 * 23), (date(2025, 2, 1), 0), (date(2025, 3, 1), 0)))
    base = {"account": 1, "field ts": None, "region": "eu"}
    own = [
        base | {"ts": ts, "uid": f"u{n}", "user": user, "qty": Decimal(qty)}
        for n, (ts, user, qty) in enumerate(
            ((start - timedelta(minutes=1), "a", 1000), (start, "b", 100), (first, "c", 20), (end - timedelta(minutes=1), "c", 3), (end, "a", 1000))
        )
    ]
    windows = [
        {"aggregation_id": one, "account_number": 1, "window_start": start, "window_end": end}
        for one in ("SUM_qty", "UNIQUE", "MAX_qty", "LATEST_qty")
    ]
    found = quantities(
        pl.DataFrame(windows, schema=WINDOW),
        configuration=configuration(METER, *EVERY.values(), time_zone=zone),
        usage={"meter": usage_of([own], zone, has_states=True, months=frozenset({date(2025, 2, 1)}))},
    ).collect()
    assert dict(found.select("aggregation_id", "quantity").iter_rows()) == {"SUM_qty": 123, "UNIQUE": 2, "MAX_qty": 100, "LATEST_qty": 3}


def _never(_: Any) -> Any:
    raise AssertionError("this must not be read")


@settings(max_examples=25)
@given(batches(), window_pairs(), st.booleans())
def test_unmatched_counts_what_no_segment_takes(
    batches_: list[list[dict[str, Any]]], pairs: list[tuple[datetime, datetime]], has_states: bool
) -> None:
    zone = "America/New_York"
    config = configuration(METER, *EVERY.values(), time_zone=zone)
    wanted = all_windows(pairs, ["SUM_0", "UNIQUE_0", "SUM_1", "SUM_qty"])
    found = unmatched(
        pl.DataFrame(wanted, schema=WINDOW), configuration=config, usage={"meter": usage_of(batches_, zone, has_states=has_states, merge=False)}
    ).collect()
    want = {}
    for window in wanted:
        of = EVERY[window["aggregation_id"]]
        left = [
            r
            for batch in batches_
            for r in batch
            if r["account"] == window["account_number"]
            and window["window_start"] <= r["ts"] < window["window_end"]
            and of.segmented_fields
            and segment_of(r, of.segmented_fields, of.segments or []) is None
        ]
        if left:
            want[tuple(window.values())] = len(left)
    assert {tuple(row[:4]): row[4] for row in found.iter_rows()} == want


@pytest.mark.parametrize("has_states", [True, False])
def test_a_total_beyond_26_digits_fails_that_account_only(has_states: bool) -> None:
    of = meter(strings=())
    largest = Decimal(99999999999999999999999999)
    ts = datetime(2025, 3, 8, 12, tzinfo=UTC)
    frame_ = measurements(
        [{"account": 1, "ts": ts, "qty": largest}, {"account": 1, "ts": ts, "qty": largest}, {"account": 2, "ts": ts, "qty": Decimal(5)}], of
    ).lazy()
    config = configuration(of, *(aggregation(m, m, "qty") for m in ("SUM", "MEAN", "MAX")))
    # Two states of one value each: the overflow shows only in the merge.
    states = {spec: pl.concat([daily_states(spec, of, frame_.slice(n, 1)) for n in range(3)]) for spec in state_specs(config)} if has_states else {}
    wanted = [
        {"aggregation_id": m, "account_number": n, "window_start": datetime(2025, 3, 1, tzinfo=UTC), "window_end": datetime(2025, 4, 1, tzinfo=UTC)}
        for m in ("SUM", "MEAN", "MAX")
        for n in (1, 2)
    ]
    found = quantities(pl.DataFrame(wanted, schema=WINDOW), configuration=config, usage={"meter": MeterUsage(of, frame_, states)}).collect()
    got = {(row["aggregation_id"], row["account_number"]): (row["quantity"], row["failure"]) for row in found.iter_rows(named=True)}
    assert got[("SUM", 2)] == got[("MEAN", 2)] == got[("MAX", 2)] == (Decimal(5), None)
    assert got[("MAX", 1)] == (largest, None)
    for method in ("SUM", "MEAN"):
        quantity, failure = got[(method, 1)]
        assert quantity is None
        assert failure == f"aggregation {method}: the total of qty has more than 26 digits before the point"


@given(st.lists(st.decimals(min_value=-(10**20), max_value=10**20, places=12, allow_nan=False), min_size=1, max_size=50))
def test_mean_is_exact_sum_over_count_half_even(numbers: list[Decimal]) -> None:
    of = meter(strings=())
    ts = datetime(2025, 3, 8, 12, tzinfo=UTC)
    frame_ = measurements([{"account": 1, "ts": ts, "qty": n} for n in numbers], of).lazy()
    window = {"aggregation_id": "MEAN", "account_number": 1, "window_start": ts, "window_end": ts + timedelta(hours=1)}
    found = quantities(
        pl.DataFrame([window], schema=WINDOW),
        configuration=configuration(of, aggregation("MEAN", "MEAN", "qty")),
        usage={"meter": MeterUsage(of, frame_)},
    ).collect()
    assert found["quantity"].to_list() == [reduced([{"qty": n} for n in numbers], Method.MEAN, "qty")]
