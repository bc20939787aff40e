"""The table of functions: its examples hold, its rows are complete, its reference page has all of it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from transforms.datasets import INSTANT
from transforms.expressions import Binding, LookupTable, Scope, Type, compiled, reference_page, with_lookups
from transforms.expressions.functions import CONSTANTS, FUNCTIONS
from transforms.expressions.reference import EXAMPLE_VALUES
from transforms.expressions.times import strftime_pattern
from transforms.money import DECIMAL

TABLES = {
    "discount_vol_rates": LookupTable(
        ("country",), pl.LazyFrame({"country": ["UK"], "rate": [Decimal("0.8")]}, {"country": pl.String, "rate": DECIMAL})
    ),
    "account_ops_status": LookupTable(("status",), pl.LazyFrame({"status": ["completed"], "standing": ["Good"]})),
}


def example_frame() -> tuple[pl.DataFrame, Scope]:
    """The values that the reference page says its examples are computed with."""
    columns, names = [], {}
    for name, text in EXAMPLE_VALUES.items():
        if text.startswith('"'):
            column, type_ = pl.Series(name, [text.strip('"')]), Type.STRING
        elif text.endswith("Z"):
            column, type_ = pl.Series(name, [datetime.fromisoformat(text)], dtype=INSTANT), Type.INSTANT
        else:
            column, type_ = pl.Series(name, [None if text == "null" else Decimal(text)], dtype=DECIMAL), Type.NUMBER
        columns.append(column)
        names[name] = Binding(pl.col(name), type_)
    return pl.DataFrame(columns), Scope("an example", names)


EXAMPLES = [(source, result) for function in FUNCTIONS.values() for source, result in function.examples]


@pytest.mark.parametrize(("source", "result"), EXAMPLES)
def test_example(source: str, result: str) -> None:
    frame, scope = example_frame()
    formula = compiled(source, scope)
    lazy = with_lookups(frame.lazy(), formula.lookups, scope=scope, tables=TABLES)
    value = lazy.select(value=formula.expr).collect()["value"].item()
    if isinstance(value, Decimal):
        assert value == Decimal(result)
    else:
        assert (str(value).lower() if isinstance(value, bool) else value) == result


def test_every_function_has_a_sentence_and_an_example() -> None:
    for name, function in FUNCTIONS.items():
        assert function.name == name
        assert function.doc.endswith(".")
        assert function.examples
        assert 0 < function.minimum <= len(function.parameters)


def test_every_function_and_constant_is_on_the_reference_page() -> None:
    page = reference_page()
    for function in FUNCTIONS.values():
        assert f"### `{function.signature}`\n\n{function.doc}\n" in page
        assert all(f"`{source}` is `{result}`" in page for source, result in function.examples)
    assert all(f"| `{name}` |" in page for name in CONSTANTS)


def test_the_functions_of_the_specification_are_there() -> None:
    assert set(FUNCTIONS) >= {
        *(f"Math.{n}" for n in ("max", "min", "floor", "ceil", "round", "pow", "abs")),
        *(f"Lookup.{n}" for n in ("findNumber", "findString", "exists")),
        *(f"DateTime.{n}" for n in ("year", "month", "day", "hour", "minute", "dayOfWeek", "epochMillis", "secondsBetween", "format")),
        *("isnull", "IN", "number", "string", "boolean"),
    }


def instant_frame(*instants: datetime | None) -> pl.DataFrame:
    return pl.DataFrame({"t": instants, "u": instants[::-1]}, schema={"t": INSTANT, "u": INSTANT})


def evaluated(source: str, frame: pl.DataFrame, time_zone: str) -> list[object]:
    scope = Scope("a test", {n: Binding(pl.col(n), Type.INSTANT) for n in frame.columns}, time_zone)
    return frame.select(value=compiled(source, scope).expr)["value"].to_list()


@pytest.mark.parametrize("time_zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Etc/GMT-3"])
# From 1900 to 2099: Polars' copy of the tz database lists no daylight saving after that.
@given(milliseconds=st.integers(-2_208_988_800_000, 4_070_908_800_000))
@settings(max_examples=40, deadline=None)
def test_parts_and_formats_are_in_the_organizations_time_zone(time_zone: str, milliseconds: int) -> None:
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    local = instant.astimezone(ZoneInfo(time_zone))
    if local.utcoffset() != timedelta(minutes=int((local.utcoffset() or timedelta()).total_seconds() // 60)):
        return  # local mean times with seconds have no pattern
    frame = instant_frame(instant, None)
    parts = {"year": local.year, "month": local.month, "day": local.day, "hour": local.hour, "minute": local.minute, "dayOfWeek": local.isoweekday()}
    for part, value in parts.items():
        assert evaluated(f"DateTime.{part}(t)", frame, time_zone) == [Decimal(value), None]
    offset = local.strftime("%z")
    zone = "Z" if offset == "+0000" else offset.removesuffix("00") if offset.endswith("00") else offset
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond // 1000:03d}{zone}"
    assert evaluated("DateTime.format(t, DateTime.TS_FMT)", frame, time_zone) == [text, None]
    assert evaluated("string(t)", frame, time_zone) == [text, None]
    assert evaluated("DateTime.epochMillis(t)", frame, time_zone) == [Decimal(milliseconds), None]


def test_seconds_between_are_exact_and_signed() -> None:
    early, late = datetime(1969, 12, 31, tzinfo=UTC), datetime(2024, 2, 29, 1, 2, 3, 456789, tzinfo=UTC)
    seconds = Decimal((late - early) // timedelta(microseconds=1)).scaleb(-6)
    assert evaluated("DateTime.secondsBetween(t, u)", instant_frame(early, late), "UTC") == [seconds, -seconds]
    assert evaluated("DateTime.secondsBetween(t, u)", instant_frame(early, None), "UTC") == [None, None]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy/MM/dd", "2024/02/09"),
        ("d.M.yy", "9.2.24"),
        ("EEEE, d MMMM yyyy", "Friday, 9 February 2024"),
        ("EEE d MMM", "Fri 9 Feb"),
        ("h:mm a", "3:04 PM"),
        ("HH 'o''clock'", "15 o'clock"),
        ("''yy''", "'24'"),
        ("HH'%H'mm%", "15%H04%"),
        ("ss.SSSSSS", "05.006007"),
        ("XXX xx XX X VV", "+05:45 +0545 +0545 +0545 Asia/Kathmandu"),
        ("DDD D", "040 40"),
    ],
)
def test_java_patterns(pattern: str, text: str) -> None:
    instant = datetime(2024, 2, 9, 15, 4, 5, 6007, tzinfo=ZoneInfo("Asia/Kathmandu")).astimezone(UTC)
    assert evaluated(f'DateTime.format(t, "{pattern}")', instant_frame(instant), "Asia/Kathmandu") == [text]


def test_pattern_letters_that_are_not_supported_are_named() -> None:
    with pytest.raises(ValueError, match="has GGGG, which is not supported"):
        strftime_pattern("GGGG yyyy")
