"""The synchronous check of a call: what is refused, and with which words."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from transforms.errors import BodyTooLarge, EntityInvalid
from transforms.measurements.problems import located
from transforms.measurements.wire import checked

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {"account": "acme", "meter": "calls", "ts": "2025-01-05T10:00:00Z", "measure": {"qty": 5}}


def check(*items: Any) -> int:
    return checked(json.dumps({"measurements": items}).encode(), now=NOW)


def check_compact(item: dict[str, Any]) -> int:
    """As many clients write it: no space, so that a body may be plain; letters as they are."""
    return checked(json.dumps({"measurements": [item]}, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"), now=NOW)


@pytest.mark.parametrize(
    ("item", "field", "words"),
    [
        ({**GOOD, "account": "a b "}, "account", "white space"),
        ({**GOOD, "account": "a\tb"}, "account", "white space"),
        ({**GOOD, "account": ""}, "account", "code of 1 to 80"),
        ({**GOOD, "account": 5}, "account", "code of 1 to 80"),
        ({**GOOD, "meter": "x" * 81}, "meter", "code of 1 to 80"),
        ({k: v for k, v in GOOD.items() if k != "meter"}, "meter", "is missing"),
        ({**GOOD, "ts": "yesterday"}, "ts", "ISO 8601"),
        ({**GOOD, "ts": 1736071200}, "ts", "ISO 8601"),
        ({**GOOD, "ts": "1850-01-01T00:00:00Z"}, "ts", "1900"),
        ({**GOOD, "ts": "0001-01-01T00:00:00+05:00"}, "ts", "ISO 8601"),
        ({**GOOD, "ets": "2025-01-05T09:59:59Z"}, "ets", "before ts"),
        ({**GOOD, "ets": "later"}, "ets", "ISO 8601"),
        ({**GOOD, "uid": "u" * 51}, "uid", "50 characters"),
        ({**GOOD, "measure": {"qty": "5"}}, "measure.qty", "number, without quotes"),
        ({**GOOD, "measure": {"qty": True}}, "measure.qty", "number"),
        ({**GOOD, "measure": {"qty": None}}, "measure.qty", "number"),
        ({**GOOD, "income": [1]}, "income", "object of field codes"),
        ({**GOOD, "where": {"region": 1}}, "where.region", "string"),
        ({**GOOD, "metadata": {"trace": "x" * 257}}, "metadata.trace", "at most 256"),
        ("text", "", "a measurement is an object"),
    ],
)
def test_one_bad_item_refuses_the_call_and_is_named(item: Any, field: str, words: str) -> None:
    with pytest.raises(EntityInvalid) as refused:
        check(GOOD, GOOD, item)
    path = f"measurements[2].{field}".rstrip(".")
    assert [p.field for p in refused.value.problems] == [path]
    assert refused.value.message.startswith(f"{path}: ")
    assert words in refused.value.message


def test_all_that_is_wrong_is_listed() -> None:
    with pytest.raises(EntityInvalid) as refused:
        check({**GOOD, "ts": "x", "uid": 5}, GOOD, {**GOOD, "measure": {"a": "1", "b": "2"}})
    fields = [p.field for p in refused.value.problems]
    assert fields == ["measurements[0].uid", "measurements[0].ts", "measurements[2].measure.a", "measurements[2].measure.b"]


@pytest.mark.parametrize(("seconds", "is_good"), [(300, True), (301, False)])
@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.000+00:00"])
def test_time_stamps_may_be_five_minutes_ahead(seconds: int, is_good: bool, form: str) -> None:
    later = {**GOOD, "ts": (NOW + timedelta(seconds=seconds)).strftime(form)}
    if is_good:
        assert check(later, GOOD) == 2
    else:
        with pytest.raises(EntityInvalid, match=r"measurements\[1\].ts: .*at most 5 minutes"):
            check(GOOD, later)


@pytest.mark.parametrize("ts", ["2025-01-05T10:00:00", "2025-01-05T10:00:00+05:30", "2025-01-05T10:00:00.123456Z", "2025-01-05 10:00:00Z"])
def test_time_stamps_come_with_an_offset_or_without(ts: str) -> None:
    assert check({**GOOD, "ts": ts, "ets": ts}, GOOD) == 2


@pytest.mark.parametrize("count", [0, 1001])
def test_a_call_has_1_to_1000_measurements(count: int) -> None:
    with pytest.raises(EntityInvalid, match=f"has {count} items; send 1 to 1000"):
        check(*[GOOD] * count)
    assert check(*[GOOD] * 1000) == 1000


def test_a_body_is_under_512000_bytes() -> None:
    content = json.dumps({"measurements": [GOOD]}).encode()
    assert checked(content.ljust(511_999), now=NOW) == 1
    with pytest.raises(BodyTooLarge, match="under 512,000"):
        checked(content.ljust(512_000), now=NOW)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"measurements": [}', "line 1, column"),
        (b"[]", "must be an object with a list"),
        (b"null", "must be an object with a list"),
        (b"", "not valid JSON"),
        (b'{"measurements": 5}', "must be an object with a list"),
        (b'{"measurements": [{"account":"a","meter":"m","ts":"2025-01-05T10:00:00Z","measure":{"q":NaN}}]}', "NaN"),
        (b'{"measurements": [{"account":"a","meter":"m","ts":"2025-01-05T10:00:00Z","measure":{"q":1e999}}]}', "26 digits"),
        (b'{"measurements": [{"account":"\xff"}]}', "UTF-8"),
        (b"[" * 5000, ""),
    ],
)
def test_a_body_that_is_no_call_says_what_it_should_be(content: bytes, words: str) -> None:
    with pytest.raises(EntityInvalid) as refused:
        checked(content, now=NOW)
    assert words in refused.value.message


def test_codes_may_hold_single_spaces_and_any_letters() -> None:
    assert check({**GOOD, "account": "größe 7/ü", "meter": "m"}) == 1


@pytest.mark.parametrize("key", ["account", "meter"])
@pytest.mark.parametrize("code", ["a b ", " a", "a\tb", "a\x7f", "\x85", "a\u00a0b", "\u2003", "a\u009f"])
def test_a_bad_code_is_found_in_a_body_without_white_space(key: str, code: str) -> None:
    with pytest.raises(EntityInvalid, match="white space"):
        check_compact({**GOOD, key: code})
    assert check_compact({**GOOD, key: "a\\b"}) == check_compact({**GOOD, key: "größe"}) == check_compact(GOOD) == 1


@given(
    st.fixed_dictionaries(
        {
            "account": st.one_of(st.text(max_size=4), st.integers()),
            "meter": st.text(max_size=4),
            "ts": st.sampled_from([GOOD["ts"], "x", "2025-01-05T10:00:00"]),
        },
        optional={
            "uid": st.one_of(st.none(), st.text(max_size=60)),
            "measure": st.one_of(
                st.none(), st.dictionaries(st.text(max_size=3), st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
            ),
            "metadata": st.dictionaries(st.text(max_size=3), st.one_of(st.text(max_size=300), st.integers()), max_size=2),
            "ets": st.sampled_from(["2025-01-05T10:00:00Z", "2024-01-01T00:00:00", None]),
        },
    )
)
def test_the_fast_check_and_the_explanation_agree(item: dict[str, Any]) -> None:
    """A refusal always names a field: the slow walk finds whatever the fast check refuses."""
    body = json.dumps({"measurements": [item]}).encode()
    problem = located(body, NOW, "nothing found")
    for way in (check, check_compact):
        if problem.problems:
            with pytest.raises(EntityInvalid):
                way(item)
        else:
            assert way(item) == 1
