"""The Data Explorer's rows against a scalar reference, and against the bills' own quantities."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, strategies as st

from tests.transforms.aggregations.frames import aggregation, configuration, measurements, meter, reduced
from transforms.aggregations.aggregate import WINDOW, quantities
from transforms.aggregations.explorer import explored, newest_days, raw_measurements
from transforms.aggregations.states import daily_states, state_specs
from transforms.aggregations.usage import MeterUsage, StateSpec
from transforms.aggregations.usage_query import FUNCTIONS, Frequency, UsageQuery, checked_query
from transforms.entities.documents import validated
from transforms.entities.usage import Method
from transforms.errors import EntityInvalid

METER = meter(numeric=("qty",), strings=("region", "user"))
OTHER = meter(numeric=("qty", "cost"), strings=("region",), meter_id="other", code="other")
METERS = {"meter": METER, "other": OTHER}
#: New York's clocks go forward on 9 March and back on 2 November 2025; both weeks are asked for.
STARTS = (datetime(2025, 3, 7, tzinfo=UTC), datetime(2025, 10, 31, tzinfo=UTC))
#: Their states: numeric (every meter has it), totals and users by region, users, latest.
AGGREGATIONS = [
    aggregation("a", "SUM", "qty", segmentedFields=["region"], segments=[{"region": "*"}]),
    aggregation("b", "UNIQUE", "user", segmentedFields=["region"], segments=[{"region": "*"}]),
    aggregation("c", "UNIQUE", "user"),
    aggregation("d", "LATEST", "qty"),
]
ASKED = [
    *({"meterId": "meter", "fieldCode": "qty", "fieldType": "MEASURE", "function": f} for f in FUNCTIONS["MEASURE"]),
    *({"meterId": "meter", "fieldCode": "user", "fieldType": "DIMENSION", "function": f} for f in ("COUNT", "UNIQUE")),
    {"meterId": "other", "fieldCode": "cost", "fieldType": "MEASURE", "function": "SUM"},
    {"meterId": "other", "fieldCode": "qty", "fieldType": "MEASURE", "function": "SUM"},
]

minutes = st.integers(0, 4 * 24 * 6).map(lambda n: timedelta(minutes=10 * n))
rows = st.fixed_dictionaries(
    {
        "account": st.integers(1, 3),
        "at": minutes,
        "region": st.sampled_from(["eu", "us", None]),
        "user": st.sampled_from(["a", "b", None]),
        "qty": st.one_of(st.none(), st.decimals(min_value=-1000, max_value=1000, places=12, allow_nan=False)),
        "cost": st.decimals(min_value=0, max_value=10, places=2, allow_nan=False),
    }
)


def numbered(drawn: list[dict[str, Any]], start: datetime) -> list[dict[str, Any]]:
    return [row | {"ts": start + row["at"], "uid": f"{n:04}", "received_at": start + timedelta(days=30)} for n, row in enumerate(drawn)]


def usage_of(by_meter: dict[str, list[dict[str, Any]]], zone: str, *, has_states: bool) -> dict[str, MeterUsage]:
    config = configuration(METER, OTHER, *AGGREGATIONS, time_zone=zone)
    found = {}
    for meter_id, own in by_meter.items():
        frame = measurements(own, METERS[meter_id], zone).lazy()
        specs = [spec for spec in state_specs(config) if spec.meter_id == meter_id] if has_states else []
        found[meter_id] = MeterUsage(METERS[meter_id], frame, {spec: daily_states(spec, METERS[meter_id], frame) for spec in specs})
    return found


def group_start(at: datetime, frequency: str, zone: str) -> datetime:
    local = at.astimezone(ZoneInfo(zone))
    if frequency == "HOUR":
        return at - timedelta(minutes=local.minute, seconds=local.second)
    day = local.date()
    day = {
        "DAY": day,
        "WEEK": day - timedelta(days=day.weekday()),
        "MONTH": day.replace(day=1),
        "QUARTER": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
    }[frequency]
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


@given(
    st.lists(rows, max_size=25),
    st.lists(rows, max_size=10),
    st.sampled_from(STARTS),
    st.tuples(minutes, minutes).map(sorted),
    st.sampled_from([None, *Frequency]),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, ["eu"], ["eu", "us"]]),
    st.sampled_from([None, [1], [1, 3]]),
)
def test_answers_equal_the_reference(  # noqa: PLR0917 - hypothesis gives them by position
    first: list[dict[str, Any]],
    second: list[dict[str, Any]],
    start: datetime,
    between: list[timedelta],
    frequency: str | None,
    zone: str,
    has_states: bool,
    by_account: bool,
    by_region: bool,
    regions: list[str] | None,
    accounts: list[int] | None,
) -> None:
    by_meter = {"meter": numbered(first, start), "other": numbered(second, start)}
    groups = [
        *([{"groupType": "ACCOUNT"}] if by_account else []),
        *([{"groupType": "DIMENSION", "meterId": m, "fieldCode": "region"} for m in METERS] if by_region else []),
        *([{"groupType": "TIME", "frequency": frequency}] if frequency else []),
    ]
    begin, end = start + between[0], start + between[1] + timedelta(minutes=10)
    query = checked_query(
        validated(
            UsageQuery,
            {
                "startDate": begin.isoformat(),
                "endDate": end.isoformat(),
                "aggregations": ASKED,
                "groups": groups,
                "dimensionFilters": [{"meterId": "meter", "fieldCode": "region", "values": regions}] if regions else [],
            },
        ),
        METERS,
    )
    usage = usage_of(by_meter, zone, has_states=has_states)
    found = explored(query, time_zone=zone, usage=usage, account_numbers=accounts).collect(engine="streaming")

    inside: dict[tuple[Any, ...], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: {"meter": [], "other": []})
    for meter_id, own in by_meter.items():
        for row in own:
            kept = begin <= row["ts"] < end and (accounts is None or row["account"] in accounts)
            if kept and (meter_id == "other" or regions is None or row["region"] in regions):
                key = (
                    row["account"] if by_account else None,
                    row["region"] if by_region else None,
                    group_start(row["ts"], frequency, zone) if frequency else None,
                )
                inside[key][meter_id].append(row)
    want = {}
    for key, members in inside.items():
        own, others = members["meter"], members["other"]
        numbers = {f"qty.{f}": reduced(own, f, "qty") if own else None for f in FUNCTIONS["MEASURE"] if f is not Method.SUM}
        numbers |= {f"user.{f}": reduced(own, f, "user") if own else None for f in FUNCTIONS["DIMENSION"]}
        numbers |= {"meter.qty.SUM": reduced(own, Method.SUM, "qty"), "other.qty.SUM": reduced(others, Method.SUM, "qty")}
        want[key] = numbers | {"cost.SUM": reduced(others, Method.SUM, "cost")}
    got = {}
    for row in found.iter_rows(named=True):
        got[(row.pop("account_number", None), row.pop("region", None), row.pop("startTime", None))] = row
        row.pop("endTime", None)
    assert len(got) == found.height
    assert got == want
    if frequency:
        assert found["startTime"].to_list() == sorted(found["startTime"].to_list(), reverse=True)
        assert (found["startTime"] < found["endTime"]).all()


days = st.one_of(st.sampled_from([date(2025, month, 1) for month in (9, 10, 11, 12)]), st.dates(date(2025, 9, 1), date(2025, 12, 31)))


@given(
    st.lists(rows.map(lambda row: row | {"at": (row["at"] - timedelta(days=2)) * 25}), max_size=25),
    st.tuples(days, days).map(sorted).filter(lambda pair: pair[0] < pair[1]),
    st.sampled_from([0, 0, 90]),
    st.sampled_from([None, *Frequency]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, [1, 3]]),
)
def test_months_days_and_detail_give_the_same_rows_in_the_same_order(  # noqa: PLR0917 - hypothesis gives them by position
    drawn: list[dict[str, Any]],
    between: list[date],
    minute: int,
    frequency: str | None,
    by_account: bool,
    by_user: bool,
    accounts: list[int] | None,
) -> None:
    zone = "America/New_York"
    begin, end = (datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=ZoneInfo(zone)) for day in between)
    asked = [one for one in ASKED if one["meterId"] == "meter" and (one["function"] == "UNIQUE" or not by_user)]
    groups = [
        *([{"groupType": "ACCOUNT"}] if by_account else []),
        *([{"groupType": "DIMENSION", "meterId": "meter", "fieldCode": "user"}] if by_user else []),
        *([{"groupType": "TIME", "frequency": frequency}] if frequency else []),
    ]
    body = {"startDate": begin.isoformat(), "endDate": end.isoformat(), "aggregations": asked, "groups": groups}
    query = checked_query(validated(UsageQuery, body), METERS)
    own = numbered(drawn, STARTS[1])
    rows_of = [
        explored(query, time_zone=zone, usage=usage_of({"meter": own}, zone, has_states=has_states), account_numbers=accounts).collect()
        for has_states in (True, False)
    ]
    assert rows_of[0].equals(rows_of[1])


@pytest.mark.parametrize("frequency", [None, "DAY", "WEEK", "MONTH", "QUARTER"])
def test_days_of_all_accounts_are_read_from_pooled_states_alone(frequency: str | None) -> None:
    start = datetime(2025, 3, 1, tzinfo=UTC)
    own = numbered([{"account": n, "at": timedelta(days=n), "region": "eu", "user": None, "qty": Decimal(n), "cost": 0} for n in (1, 2, 3)], start)
    whole = usage_of({"meter": own}, "UTC", has_states=True)["meter"]
    unread = pl.LazyFrame({"account_number": [1]}).map_batches(_never)
    pooled = StateSpec("meter").pooled
    usage = {"meter": MeterUsage(METER, unread, {spec: frame if spec == pooled else unread for spec, frame in whole.states.items()})}
    body = {
        "startDate": start.isoformat(),
        "endDate": datetime(2025, 4, 1, tzinfo=UTC).isoformat(),
        "aggregations": [one for one in ASKED if one["meterId"] == "meter" and one["function"] not in ("LATEST", "UNIQUE")],
        "groups": [{"groupType": "TIME", "frequency": frequency}] if frequency else [],
    }
    query = checked_query(validated(UsageQuery, body), METERS)
    found = explored(query, time_zone="UTC", usage=usage, account_numbers=None).collect()
    assert found["qty.SUM"].sum() == 6
    assert found["user.COUNT"].sum() == 0
    listed = validated(UsageQuery, {"startDate": body["startDate"], "endDate": body["endDate"], "limit": 1})
    assert newest_days(listed, time_zone="UTC", usage=usage, account_numbers=None)["meter"].collect().item() == date(2025, 3, 3)


def _never(_: Any) -> Any:
    raise AssertionError("this must not be read")


@given(st.lists(rows, min_size=1, max_size=20), st.booleans())
def test_the_sum_of_the_explorer_is_the_quantity_of_the_bill(drawn: list[dict[str, Any]], has_states: bool) -> None:
    zone, start = "America/New_York", STARTS[0]
    begin, end = start + timedelta(hours=3), start + timedelta(days=3, hours=4)
    usage = usage_of({"meter": numbered(drawn, start)}, zone, has_states=has_states)
    config = configuration(METER, aggregation("sum", "SUM", "qty"), time_zone=zone)
    windows = [{"aggregation_id": "sum", "account_number": n, "window_start": begin, "window_end": end} for n in (1, 2, 3)]
    billed = quantities(pl.DataFrame(windows, schema=WINDOW), configuration=config, usage=usage).collect()
    query = validated(
        UsageQuery, {"startDate": begin.isoformat(), "endDate": end.isoformat(), "aggregations": ASKED[:1], "groups": [{"groupType": "ACCOUNT"}]}
    )
    shown = explored(query, time_zone=zone, usage=usage, account_numbers=None).collect()
    on_bills = {row["account_number"]: row["quantity"] for row in billed.iter_rows(named=True) if row["quantity"] is not None}
    assert {n: total for n, total in shown.select("account_number", "qty.SUM").iter_rows() if total is not None} == on_bills


def test_measurements_come_newest_first_and_one_more_than_asked_for() -> None:
    start = STARTS[0]
    own = numbered(
        [
            {"account": n, "at": timedelta(hours=n), "region": "eu" if n % 2 else "us", "user": "a", "qty": Decimal(n), "cost": Decimal(0)}
            for n in range(1, 9)
        ],
        start,
    )
    query = validated(
        UsageQuery,
        {
            "startDate": start.isoformat(),
            "endDate": (start + timedelta(hours=7)).isoformat(),
            "limit": 2,
            "dimensionFilters": [{"meterId": "meter", "fieldCode": "region", "values": ["us"]}],
        },
    )
    found = raw_measurements(query, time_zone="UTC", usage=usage_of({"meter": own}, "UTC", has_states=False), account_numbers=None, since={})
    frame = found["meter"].collect()
    assert frame.columns == ["account_number", "ts", "ets", "uid", "receivedAt", "qty", "region", "user"]
    assert frame["account_number"].to_list() == [6, 4, 2]


@given(st.lists(rows, max_size=30), st.integers(1, 10), st.sampled_from([None, [1]]))
def test_reading_only_the_newest_days_changes_nothing(drawn: list[dict[str, Any]], limit: int, accounts: list[int] | None) -> None:
    zone, start = "America/New_York", STARTS[0]
    query = validated(UsageQuery, {"startDate": start.isoformat(), "endDate": (start + timedelta(days=3, hours=20)).isoformat(), "limit": limit})
    usage = usage_of({"meter": numbered(drawn, start)}, zone, has_states=True)
    days = newest_days(query, time_zone=zone, usage=usage, account_numbers=accounts)["meter"].collect()
    since = {} if days.is_empty() else {"meter": days.item()}
    quick, full = (
        raw_measurements(query, time_zone=zone, usage=usage, account_numbers=accounts, since=cut)["meter"].collect() for cut in (since, {})
    )
    assert quick.equals(full)


BASE = {"startDate": "2025-01-01T00:00:00Z", "endDate": "2025-02-01T00:00:00Z"}
SUM = {"meterId": "meter", "fieldCode": "qty", "fieldType": "MEASURE", "function": "SUM"}


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"startDate": None}, "startDate", "is required"),
        ({"endDate": None}, "endDate", "is required"),
        ({"endDate": "2025-01-01T00:00:00Z"}, "endDate", "must be after startDate"),
        ({"limit": 0}, "limit", "greater than or equal to 1"),
        ({"limit": 20001}, "limit", "less than or equal to 20000"),
        ({"groups": [{"groupType": "ACCOUNT"}]}, "groups", "groups need aggregations"),
        ({"meterIds": ["nowhere"]}, "meterIds[0]", "meter nowhere does not exist"),
        ({"aggregations": [SUM | {"meterId": "nowhere"}]}, "aggregations[0].meterId", "meter nowhere does not exist"),
        ({"aggregations": [SUM], "meterIds": ["other"]}, "aggregations[0].meterId", "not among the query's meterIds"),
        ({"aggregations": [SUM | {"fieldCode": "qt"}]}, "aggregations[0].fieldCode", "has no field 'qt'; its numeric fields are qty"),
        ({"aggregations": [SUM | {"fieldCode": "user"}]}, "aggregations[0].fieldCode", "is no MEASURE; its numeric fields are qty"),
        ({"aggregations": [SUM | {"function": "UNIQUE"}]}, "aggregations[0].function", "functions are SUM, MIN, MAX, COUNT, LATEST, MEAN"),
        ({"aggregations": [SUM | {"function": "CUSTOM_SQL"}]}, "aggregations[0].function", "CUSTOM_SQL does not go with a MEASURE"),
        ({"aggregations": [SUM | {"function": "AVG"}]}, "aggregations[0].function", "'AVG'"),
        ({"aggregations": [SUM], "groups": [{"groupType": "TIME"}]}, "groups[0].frequency", "HOUR, DAY, WEEK, MONTH, QUARTER"),
        ({"aggregations": [SUM], "groups": [{"groupType": "TIME", "frequency": "YEAR"}]}, "groups[0].frequency", "'YEAR'"),
        ({"aggregations": [SUM], "groups": [{"groupType": "DIMENSION", "fieldCode": "user"}]}, "groups[0].meterId", "meter None does not exist"),
        (
            {"aggregations": [SUM], "groups": [{"groupType": "DIMENSION", "meterId": "meter", "fieldCode": "qty"}]},
            "groups[0].fieldCode",
            "is no DIMENSION; its string fields are region, user",
        ),
        ({"dimensionFilters": [{"meterId": "meter", "fieldCode": "user", "values": []}]}, "dimensionFilters[0].values", "at least 1"),
        ({"dimensionFilters": [{"meterId": "meter", "fieldCode": "x", "values": ["a"]}]}, "dimensionFilters[0].fieldCode", "region, user"),
    ],
)
def test_a_query_that_can_not_be_answered_says_what_is_wrong(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(EntityInvalid) as refused:
        checked_query(validated(UsageQuery, {**BASE, **change}), METERS)
    assert [p.field for p in refused.value.problems] == [field]
    assert message in refused.value.problems[0].message
