"""Segments against a scalar reference, and how many can be told apart quickly (DECISIONS 19)."""

import itertools

import polars as pl
from hypothesis import given, strategies as st

from tests.transforms.aggregations.frames import segment_of
from transforms.aggregations.segments import SEGMENT, segment_tuples, with_segment

FIELDS = ["a", "b", "c"]
segments = st.lists(st.fixed_dictionaries({f: st.sampled_from(["x", "y", "*", "Ω"]) for f in FIELDS}), max_size=12)
rows = st.lists(st.fixed_dictionaries({f: st.sampled_from(["x", "y", "z", "*", "Ω", "", None]) for f in FIELDS}), max_size=30)


@given(rows, segments)
def test_segments_equal_the_reference(drawn: list[dict[str, str | None]], listed: list[dict[str, str]]) -> None:
    frame = pl.DataFrame(drawn, schema=dict.fromkeys(FIELDS, pl.String)).with_row_index("row")
    found = with_segment(frame.lazy(), columns=FIELDS, segments=segment_tuples(FIELDS, listed)).collect(engine="streaming").sort("row")
    assert found.columns == [*frame.columns, SEGMENT]
    assert found.schema[SEGMENT] == pl.Int32
    assert found[SEGMENT].to_list() == [segment_of(row, FIELDS, listed) for row in drawn]


def test_a_thousand_segments_of_five_fields() -> None:
    fields = ["a", "b", "c", "d", "e"]
    values = [str(n) for n in range(4)]
    combinations = list(itertools.product(values, repeat=5))
    listed = [dict(zip(fields, c, strict=True)) for c in combinations[:996]]
    listed += [{"a": "0", "b": "*", "c": "*", "d": "*", "e": "*"}, {"a": "*", "b": "3", "c": "*", "d": "*", "e": "*"}]
    listed += [{"a": "*", "b": "*", "c": "*", "d": "*", "e": "9"}, dict.fromkeys(fields, "*")]
    frame = pl.DataFrame(combinations, schema=dict.fromkeys(fields, pl.String), orient="row").with_row_index("row")
    found = with_segment(frame.lazy(), columns=fields, segments=segment_tuples(fields, listed)).collect().sort("row")
    assert found[SEGMENT].to_list() == [segment_of(dict(zip(fields, c, strict=True)), fields, listed) for c in combinations]


def test_a_wildcard_pools_what_nothing_else_matches() -> None:
    # The published shape of a wildcard: eu by itself, everything else together (usage.md U36).
    frame = pl.DataFrame({"region": ["eu", "us", "ap"], "qty": [5, 7, 2]}).lazy()
    found = with_segment(frame, columns=["region"], segments=segment_tuples(["region"], [{"region": "eu"}, {"region": "*"}]))
    assert dict(found.group_by(SEGMENT).agg(pl.col("qty").sum()).collect().iter_rows()) == {0: 5, 1: 9}
