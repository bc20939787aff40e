"""Partial states: which are kept, their columns, and that any split in any order merges into the same."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, strategies as st

from tests.transforms.aggregations.frames import aggregation, configuration, measurements, meter
from transforms.aggregations.functions import merged
from transforms.aggregations.states import daily_states, merged_states, state_keys, state_parts, state_schema, state_specs
from transforms.aggregations.usage import Grain, StateKind, StateSpec, field_column
from transforms.datasets import DAILY_AGGREGATES

#: Codes that would collide with columns of ours if these were not named with care.
METER = meter(numeric=("rows", "date", "größe"), strings=("month", "latest_ts"))
FIELDS, SEGMENTS = ("latest_ts", "month"), (("a", "*"), ("*", "b"))
DAILY = (
    StateSpec("meter"),
    StateSpec("meter", StateKind.UNIQUE, "month"),
    StateSpec("meter", StateKind.UNIQUE, "month", FIELDS, SEGMENTS),
    StateSpec("meter", StateKind.TOTALS, "rows", FIELDS, SEGMENTS),
    StateSpec("meter", StateKind.TOTALS, "month", FIELDS, SEGMENTS),
    StateSpec("meter", StateKind.LATEST, "date"),
    StateSpec("meter", StateKind.LATEST, "date", FIELDS, SEGMENTS),
)
SPECS = (*DAILY, *(spec.by_month for spec in DAILY), *(spec.pooled for spec in DAILY))
#: The column that is no key of a state.
LEFT_OUT = {Grain.DAY: None, Grain.MONTH: "date", Grain.POOLED: "account_number"}
START = datetime(2025, 3, 31, 12, tzinfo=UTC)
value = st.one_of(st.none(), st.decimals(min_value=-(10**9), max_value=10**9, places=12, allow_nan=False))
rows = st.fixed_dictionaries(
    {
        "account": st.integers(1, 2),
        "ts": st.integers(0, 3).map(lambda n: START + timedelta(hours=8 * n)),
        "received_at": st.integers(0, 1).map(lambda n: START + timedelta(days=9, seconds=n)),
        **dict.fromkeys(METER.numeric_fields, value),
        **{field: st.sampled_from(["a", "b", None]) for field in METER.string_fields},
    }
)


def frame(drawn: list[dict[str, Any]]) -> pl.LazyFrame:
    # A field named date is not the event day.
    return measurements(drawn, METER, "UTC").lazy()


def canonical(spec: StateSpec, states: pl.LazyFrame) -> list[tuple[Any, ...]]:
    keys = [*DAILY_AGGREGATES.columns, *state_keys(spec)]
    found = merged(states, keys, state_parts(spec, METER)).collect()
    return sorted(found.select(sorted(found.columns)).rows(), key=repr)


@given(st.lists(rows, max_size=30), st.lists(st.integers(0, 3), min_size=30, max_size=30), st.sampled_from(SPECS), st.booleans())
def test_any_split_in_any_order_merges_into_the_whole(drawn: list[dict[str, Any]], batch: list[int], spec: StateSpec, again: bool) -> None:
    own = [row | {"uid": f"u{n}"} for n, row in enumerate(drawn)]
    whole = daily_states(spec, METER, frame(own))
    parts = [daily_states(spec, METER, frame([row for row, b in zip(own, batch, strict=False) if b == n])) for n in (3, 1, 2, 0)]
    together = merged_states(spec, METER, pl.concat(parts))
    if again:
        together = merged_states(spec, METER, pl.concat([merged_states(spec, METER, pl.concat(parts[:2])), *reversed(parts[2:])]))
    assert canonical(spec, together) == canonical(spec, whole)
    collected = together.collect()
    assert dict(collected.schema) == {**DAILY_AGGREGATES.schema, **state_schema(spec, METER)}
    assert collected["rows"].sum() == len(own)
    keys = [*(name for name in DAILY_AGGREGATES.columns if name != LEFT_OUT[spec.grain]), *state_keys(spec)]
    assert collected.select(keys).n_unique() == collected.height
    assert collected["account_number"].null_count() == (collected.height if spec.grain is Grain.POOLED else 0)
    assert (collected["month"] == collected["date"].dt.month_start()).all()


def test_a_merged_state_has_one_row_per_key() -> None:
    base = {"account": 1, "ts": START, "month": "a", "latest_ts": "b", "rows": Decimal(1), "größe": Decimal(2)}
    own = [base | {"uid": f"u{n}", "date": value} for n, value in enumerate((Decimal(3), Decimal(4), None))]
    spec = StateSpec("meter", StateKind.LATEST, "date")
    states = merged_states(spec, METER, pl.concat([daily_states(spec, METER, frame([row])) for row in own])).collect()
    assert states.height == 1
    assert states.row(0, named=True) == {
        "month": date(2025, 3, 1),
        "date": date(2025, 3, 31),
        "account_number": 1,
        "rows": 3,
        "date.latest": Decimal(4),
        "date.latest_ts": START,
        "date.latest_received_at": START + timedelta(seconds=1),
        "date.latest_uid": "u1",
    }


def test_a_month_has_one_row_with_its_last_day_and_values_to_count() -> None:
    days = (datetime(2025, 3, 30, tzinfo=UTC), datetime(2025, 3, 2, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))
    own = [{"account": 1, "ts": ts, "uid": f"u{n}", "month": "a"} for n, ts in enumerate(days)]
    own += [{"account": 1, "ts": days[1], "uid": "u9", "month": None}]
    spec = StateSpec("meter", StateKind.UNIQUE, "month").by_month
    states = daily_states(spec, METER, frame(own)).select("date", "rows", "month.value", "month.count").collect()
    assert sorted(states.rows(), key=repr) == sorted(
        [(date(2025, 3, 30), 2, "a", 2), (date(2025, 3, 2), 1, None, 0), (date(2025, 4, 1), 1, "a", 1)], key=repr
    )


def test_a_pooled_day_adds_up_its_accounts() -> None:
    own = [
        {"account": n, "ts": ts, "uid": f"u{n}", "rows": None if n == 3 else Decimal(n), "month": "a", "latest_ts": None}
        for n, ts in ((1, START), (2, START), (3, START), (4, START + timedelta(hours=12)))
    ]
    columns = ["date", "account_number", "rows", "rows.count", "rows.sum", "rows.min", "rows.max", "month.count", "latest_ts.count"]
    states = daily_states(StateSpec("meter").pooled, METER, frame(own)).select(columns).sort("date").collect()
    assert states.rows() == [(date(2025, 3, 31), None, 3, 2, 3, 1, 2, 3, 0), (date(2025, 4, 1), None, 1, 1, 4, 4, 4, 1, 0)]


@given(st.lists(st.integers(-3, 9).map(lambda n: Decimal(n) * 10**25), min_size=1, max_size=8))
def test_a_pooled_total_is_given_exactly_where_that_of_the_accounts_is(drawn: list[Decimal]) -> None:
    own = frame([{"account": n, "ts": START, "rows": number} for n, number in enumerate(drawn)])
    by_account, pooled = (daily_states(spec, METER, own) for spec in (StateSpec("meter"), StateSpec("meter").pooled))
    parts = (("rows", "count"), ("rows", "sum"))
    assert merged(pooled, ["date"], parts).collect().equals(merged(by_account, ["date"], parts).collect())


def test_which_states_are_kept() -> None:
    other = meter(meter_id="other", code="other")
    segmented = {"segmentedFields": ["user", "region"], "segments": [{"user": "*", "region": "*"}]}
    found = state_specs(
        configuration(
            METER,
            other,
            aggregation("sum", "SUM", "qty"),
            aggregation("seg", "MAX", "qty", **segmented),
            aggregation("seg2", "SUM", "qty", **segmented),
            aggregation("seg3", "SUM", "qty", **{**segmented, "segments": [{"user": "*", "region": "eu"}]}),
            aggregation("latest", "LATEST", "qty"),
            aggregation("unique", "UNIQUE", "user"),
            aggregation("unique_seg", "UNIQUE", "user", **segmented),
            aggregation("sql", "CUSTOM_SQL", "qty", customSql="SELECT 1", **segmented),
        )
    )
    daily = [spec for spec in found if spec.grain is Grain.DAY]
    digest, other = daily[-2].key.partition(".")[2], StateSpec("", StateKind.TOTALS, "qty", ("user", "region"), (("*", "eu"),)).key
    assert other != f"totals-qty.{digest}"
    monthly = {spec.by_month for spec in daily}
    pooled = {StateSpec("meter").pooled, StateSpec("other").pooled}
    assert monthly | pooled == {*found} - {*daily}
    assert {spec.key for spec in pooled} == {"pooled-numeric"}
    assert {spec.key for spec in monthly} == {f"month-{spec.key}" for spec in daily}
    assert list(found) == sorted(found, key=lambda spec: (spec.meter_id, spec.key))
    assert [(spec.meter_id, spec.key) for spec in daily] == [
        ("meter", "latest-qty"),
        ("meter", "numeric"),
        *sorted((("meter", f"totals-qty.{digest}"), ("meter", other))),
        ("meter", "unique-user"),
        ("meter", f"unique-user.{digest}"),
        ("other", "numeric"),
    ]


def test_columns_never_collide_whatever_a_field_is_called() -> None:
    for spec in SPECS:
        names = [*DAILY_AGGREGATES.columns, *state_schema(spec, METER)]
        assert len(names) == len(set(names))
    assert field_column("date") == "date.value"
    assert field_column("größe") == "größe"
