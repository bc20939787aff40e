"""Frames compared field by field."""

from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, strategies as st

from transforms.datasets import BAND
from transforms.money import DECIMAL
from transforms.provenance.comparison import differences

D = Decimal
SCHEMA: dict[str, Any] = {"bill": pl.String, "line": pl.String, "amount": DECIMAL, "text": pl.String, "bands": pl.List(BAND)}
BAND_OF_ONE = dict.fromkeys(BAND.to_schema(), D(1)) | {"pricing_band_id": None}


def frame(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def found(before: pl.DataFrame, after: pl.DataFrame) -> list[tuple[Any, ...]]:
    return differences(before, after, keys=["bill", "line"]).rows()


def test_equal_frames_in_any_order_have_no_difference() -> None:
    rows = [("a", "1", D(1), "x", [BAND_OF_ONE]), ("a", "2", None, None, None), ("b", "1", D("0.5"), "", [])]
    assert found(frame(*rows), frame(*reversed(rows))) == []
    assert found(frame(), frame()) == []


def test_every_unequal_field_is_named_with_both_values() -> None:
    before = frame(("a", "1", D("1.50"), "x", [BAND_OF_ONE]), ("b", "1", D(10), "same", None))
    after = frame(("b", "1", D(10), "same", None), ("a", "1", D("-100"), None, [BAND_OF_ONE | {"unit_price": D(2)}]))
    amount, text, bands = found(before, after)
    assert amount == ("a", "1", "amount", "1.5", "-100")
    assert text == ("a", "1", "text", "x", None)
    assert bands[:3] == ("a", "1", "bands")
    assert '"unit_price":"1.000000000000"' in bands[3]
    assert '"unit_price":"2.000000000000"' in bands[4]


def test_a_row_that_one_side_lacks_is_one_difference() -> None:
    before = frame(("a", "1", D(1), "x", None), ("a", "2", D(1), "x", None))
    after = frame(("a", "2", D(1), "x", None), ("a", "3", D(1), "x", None))
    assert found(before, after) == [("a", "1", None, "present", "absent"), ("a", "3", None, "absent", "present")]


def test_a_doubled_row_is_a_difference() -> None:
    row = ("a", "1", D(1), "x", None)
    assert found(frame(row), frame(row, row)) == [("a", "1", None, "absent", "present")]
    assert found(frame(row, row), frame(row, row)) == []
    assert found(frame(row, row), frame(row, ("a", "1", D(2), "x", None))) == [("a", "1", "amount", "1", "2")]


values = st.one_of(st.none(), st.decimals(-9, 9, places=2))


@given(st.dictionaries(st.integers(0, 6), values, max_size=6), st.dictionaries(st.integers(0, 6), values, max_size=6))
def test_differences_are_those_of_the_dictionaries(one: dict[int, Any], other: dict[int, Any]) -> None:
    def of(given_values: dict[int, Any]) -> pl.DataFrame:
        return frame(*(("a", str(key), value, None, None) for key, value in given_values.items()))

    lines = {int(row[1]) for row in found(of(one), of(other))}
    assert lines == {key for key in one.keys() | other.keys() if key not in one or key not in other or one[key] != other[key]}
