"""Generated formulas: parsing undoes writing, and compiled expressions agree with the scalar interpreter on every row."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.transforms.expressions.formulas import (
    BOOLEAN_COLUMNS,
    NUMBER_COLUMNS,
    STRING_COLUMNS,
    boolean_nodes,
    formulas,
    number_nodes,
    numbers,
    rows,
    source,
)
from tests.transforms.expressions.reference_interpreter import Outcome, interpreted, power
from transforms.expressions import Binding, Scope, Type, compiled, parsed
from transforms.expressions.nodes import Binary, Call, Conditional, Node, Unary
from transforms.money import DECIMAL

SCHEMA = {
    **dict.fromkeys(NUMBER_COLUMNS, DECIMAL),
    **dict.fromkeys(STRING_COLUMNS, pl.String()),
    **dict.fromkeys(BOOLEAN_COLUMNS, pl.Boolean()),
}
TYPES = {DECIMAL: Type.NUMBER, pl.String(): Type.STRING, pl.Boolean(): Type.BOOLEAN}
SCOPE = Scope("a test", {name: Binding(pl.col(name), TYPES[dtype]) for name, dtype in SCHEMA.items()})

thorough = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
)


def shape(node: Node) -> Any:
    """The node without positions."""
    match node:
        case Unary():
            return (node.operator, shape(node.operand))
        case Binary():
            return (node.operator, shape(node.left), shape(node.right))
        case Conditional():
            return ("?", [(shape(c), shape(v)) for c, v in node.arms], shape(node.otherwise))
        case Call():
            return (node.function, [shape(a) for a in node.arguments])
    return (type(node).__name__, *(getattr(node, f) for f in ("value", "parts") if hasattr(node, f)))


def outcomes(formula: str, frame: pl.DataFrame) -> list[Outcome]:
    result = compiled(formula, SCOPE)
    evaluated = frame.with_columns(value=result.expr, failed=result.failed)
    return [Outcome(*row) for row in evaluated.select("value", "failed").iter_rows()]


@given(formulas)
@thorough
def test_parsing_a_written_formula_gives_the_same_tree(node: Node) -> None:
    assert shape(parsed(source(node))) == shape(node)


@given(formulas, rows)
@thorough
def test_compiled_formula_agrees_with_the_interpreter_on_every_row(node: Node, table: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(table, schema=SCHEMA)
    assert outcomes(source(node), frame) == [interpreted(node, row) for row in frame.iter_rows(named=True)]


@given(number_nodes(3), rows, st.integers(0, 6))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_row_gives_the_same_whatever_rows_are_beside_it(node: Node, table: list[dict[str, Any]], cut: int) -> None:
    frame = pl.DataFrame(table, schema=SCHEMA)
    apart = [outcomes(source(node), part) for part in (frame[:cut], frame[cut:]) if len(part)]
    assert outcomes(source(node), frame) == [outcome for part in apart for outcome in part]


@given(boolean_nodes(3), rows)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_streaming_gives_the_same_as_in_memory(node: Node, table: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(table, schema=SCHEMA)
    lazy = frame.lazy().with_columns(value=compiled(source(node), SCOPE).expr)
    assert lazy.collect(engine="streaming").equals(lazy.collect(engine="in-memory"))


@given(
    st.lists(
        st.tuples(numbers(), st.integers(-200, 200).map(Decimal) | st.sampled_from([Decimal(10**15), Decimal(-(10**14) - 1)])), min_size=1, max_size=8
    )
)
@settings(max_examples=200, deadline=None)
def test_whole_powers_are_exact(pairs: list[tuple[Decimal, Decimal]]) -> None:
    frame = pl.DataFrame({"a": [p[0] for p in pairs], "b": [p[1] for p in pairs]}, schema={"a": DECIMAL, "b": DECIMAL})
    scope = Scope("a test", {name: Binding(pl.col(name), Type.NUMBER) for name in "ab"})
    result = frame.select(value=compiled("a ^ b", scope).expr)["value"].to_list()
    assert result == [power(*pair).value for pair in frame.iter_rows()]


@pytest.mark.parametrize("exponent", ["0.5", "1.5", "-0.5", "0.333333333333"])
@given(base=st.decimals("0.0001", "1000000", places=6, allow_nan=False))
@settings(max_examples=50, deadline=None)
def test_fractional_powers_are_within_a_float_of_the_root(exponent: str, base: Decimal) -> None:
    frame = pl.DataFrame({"a": [base]}, schema={"a": DECIMAL})
    value = frame.select(value=compiled(f"a ^ {exponent}", Scope("a test", {"a": Binding(pl.col("a"), Type.NUMBER)})).expr)["value"][0]
    expected = base ** Decimal(exponent)
    assert abs(value - expected) <= Decimal("1e-12") + abs(expected) * Decimal("1e-14")


PRODUCT_EDGES = (
    "9999999999999.999999999999",
    "10000000000000",
    "10000000000000.000000000001",
    "9999999999999.5",
    "1",
    "99999999999999999999999999.999999999999",
    "1.000000000001",
)


@pytest.mark.parametrize("operator", list("+-*/%"))
def test_operators_at_the_limit_alone_and_beside_rows_that_fail(operator: str) -> None:
    magnitudes = [Decimal(text) for text in (*PRODUCT_EDGES, "0.000000000001", "0.999999999999", "0")]
    values = [*magnitudes, *(m.copy_negate() for m in magnitudes)]
    frame = pl.DataFrame([(a, b) for a in values for b in values], schema={"a": DECIMAL, "b": DECIMAL}, orient="row")
    scope = Scope("a test", {name: Binding(pl.col(name), Type.NUMBER) for name in "ab"})
    formula = compiled(f"a {operator} b", scope)
    expected = [interpreted(parsed(f"a {operator} b"), row).value for row in frame.iter_rows(named=True)]
    assert frame.select(value=formula.expr)["value"].to_list() == expected
    assert [row.select(value=formula.expr)["value"].item() for row in frame.iter_slices(1)] == expected


def test_products_within_half_a_digit_of_the_limit() -> None:
    """A product fits exactly when it is below 10^26 - 0.5e-12; factors are searched whose product is within 1e-12 of that."""
    limit = 10**50 - 5 * 10**11
    pairs = [(a, limit // a + more) for a in range(10**12 + 200, 10**12 + 320) for more in (0, 1)]
    near = [(a, b) for a, b in pairs if abs(a * b - limit) < 3 * 10**11]
    assert {a * b >= limit for a, b in near} == {True, False}
    frame = pl.DataFrame({name: [scaled(pair[i]) for pair in near] for i, name in enumerate("ab")}, schema={"a": DECIMAL, "b": DECIMAL})
    scope = Scope("a test", {name: Binding(pl.col(name), Type.NUMBER) for name in "ab"})
    result = frame.select(value=compiled("a * b", scope).expr)["value"]
    assert result.is_null().to_list() == [a * b >= limit for a, b in near]


def scaled(units: int) -> Decimal:
    return Decimal(f"{units // 10**12}.{units % 10**12:012d}")
