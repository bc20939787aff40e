"""Messages about wrong formulas: what is wrong, what would be right, and the caret under the character."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from transforms.errors import ExpressionError
from transforms.expressions import Binding, Scope, Type, checked, compiled, parsed
from transforms.expressions.parser import MAX_DEPTH

CASES: list[dict[str, str]] = yaml.safe_load((Path(__file__).parent / "errors.yaml").read_text())
TYPES = {
    "qty": Type.NUMBER,
    "gb": Type.NUMBER,
    "status": Type.STRING,
    "ok": Type.BOOLEAN,
    "timestamp.ts": Type.INSTANT,
    "customfields.account.discount": Type.NUMBER,
    "aggregation.requests": Type.NUMBER,
}
SCOPE = Scope("a test", {name: Binding(pl.col(name), type_) for name, type_ in TYPES.items()}, hints={"customfields": "they have to exist first"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["formula"])
def test_message_and_position(case: dict[str, str]) -> None:
    with pytest.raises(ExpressionError) as raised:
        checked(case["formula"], SCOPE)
    assert case["says"] in raised.value.message
    expected = len(case["formula"]) if case["at"] == "$" else case["formula"].index(case["at"])
    assert raised.value.position == expected


def test_the_caret_stands_under_the_character_of_its_line() -> None:
    with pytest.raises(ExpressionError) as raised:
        checked("qty +\n  qyt\n* 2", SCOPE)
    assert str(raised.value).splitlines()[1:] == ["    qyt", "    ^"]


@pytest.mark.parametrize(
    "nested",
    [
        "(" * 1000 + "1" + ")" * 1000,
        "-" * 1000 + "1",
        "2 ^ " * 1000 + "2",
        "Math.abs(" * 1000 + "1" + ")" * 1000,
        "isnull(1, " * 1000 + "1" + ")" * 1000,
        "true ? " * 1000 + "1" + " : 2" * 1000,
        "1 == (" * 1000 + "1" + ")" * 1000,
        "ok" + " == ok" * 1000,
        "qty + 2 * (" * 60 + "qty" + ")" * 60,
    ],
)
def test_deep_nesting_is_an_error_and_not_a_crash(nested: str) -> None:
    with pytest.raises(ExpressionError, match=f"nested more than {MAX_DEPTH} levels deep"):
        compiled(nested, SCOPE)


@pytest.mark.parametrize(
    "nested",
    [
        "(" * (MAX_DEPTH - 1) + "qty" + ")" * (MAX_DEPTH - 1),
        "-" * (MAX_DEPTH - 1) + "qty",
        "isnull(" * (MAX_DEPTH - 1) + "qty" + ", 1)" * (MAX_DEPTH - 1),
        "number(string(" * (MAX_DEPTH // 2 - 1) + "qty" + "))" * (MAX_DEPTH // 2 - 1),
        "Math.max(qty, " * (MAX_DEPTH - 1) + "1" + ")" * (MAX_DEPTH - 1),
        "ok ? qty + 1 : (" * (MAX_DEPTH // 2 - 1) + "1" + ")" * (MAX_DEPTH // 2 - 1),
        "qty + 2 * (" * (MAX_DEPTH // 3) + "qty" + ")" * (MAX_DEPTH // 3),
        "ok" + " == ok" * MAX_DEPTH,
        "IN(" * (MAX_DEPTH - 1) + "ok" + ", true)" * (MAX_DEPTH - 1),
    ],
)
@pytest.mark.parametrize("column", ["value", "failed"])
def test_nesting_up_to_the_limit_is_evaluated(nested: str, column: str) -> None:
    formula = compiled(nested, SCOPE)
    frame = pl.DataFrame({"qty": [1, 2], "ok": [True, None]}, schema={"qty": pl.Decimal(38, 12), "ok": pl.Boolean})
    assert frame.with_columns(value=formula.expr, failed=formula.failed)[column].len() == 2


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        (" + ".join(["qty"] * 1200), 1200),
        ("qty" + " - 1" * 1200, -1199),
        (" ".join(f"qty == {i} ? {i} :" for i in range(250)) + " 0", 1),
    ],
    ids=["sum", "difference", "choices"],
)
def test_long_chains_are_not_nested(formula: str, value: int) -> None:
    frame = pl.DataFrame({"qty": [1]}, schema={"qty": pl.Decimal(38, 12)})
    assert frame.select(value=compiled(formula, SCOPE).expr)["value"].item() == value


@pytest.mark.parametrize("source", ["\x00", "a" * 5000, "'" * 4999, "(" * 5000, "?:" * 2500, "." * 100, "1" * 5000, "é.ü(", "[", "a[", "a.1"])
def test_garbage_is_refused_with_an_expression_error(source: str) -> None:
    with pytest.raises(ExpressionError):
        checked(source, SCOPE)


def test_a_name_may_be_called_like_an_operator() -> None:
    scope = SCOPE.with_name("or", pl.col("or"), Type.BOOLEAN).with_name("in", pl.col("in"), Type.NUMBER)
    assert checked("or or or AND in == 1", scope).references == {"or", "in"}
    assert parsed("or") == parsed("or ")
