"""Typed nodes to Polars expressions.

Put here what operators mean. Keep out functions (functions.py) and arithmetic on columns (arithmetic.py). Every operand
enters the expression once, so its size is that of the formula. Source: DECISIONS 1-8.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import polars as pl

from transforms.expressions import arithmetic
from transforms.expressions.arithmetic import elementwise, first_chosen
from transforms.expressions.casts import as_string
from transforms.expressions.checker import Typed, checked, run
from transforms.expressions.functions import FUNCTIONS, Arguments
from transforms.expressions.lookups import Lookup
from transforms.expressions.nodes import Binary, Call, Conditional, Constant, Name, Number, Text, Type, Unary
from transforms.expressions.power import powers
from transforms.expressions.scope import Scope
from transforms.expressions.values import DTYPES, Value, literal_number, null_fails


@dataclass(frozen=True)
class Compiled:
    """A formula as expressions over the columns of its scope.

    Attributes:
        type: Type of the value; NULL for a formula that is never anything else.
        expr: The value: Decimal(38, 12), String, Boolean, Datetime(us, UTC) or Null. A formula without names gives one
            row, so use it in ``with_columns``.
        failed: True where the value is null by error (see values.py), for CalculationError. It costs about as much as
            ``expr``: evaluate it on the rows whose value is null.
        references: The names used, in canonical spelling.
        lookups: The lookups whose columns have to be there (``lookups.with_lookups``), each once.
    """

    type: Type
    expr: pl.Expr
    failed: pl.Expr
    references: frozenset[str]
    lookups: tuple[Lookup, ...]


def compiled(source: str, scope: Scope) -> Compiled:
    """The formula as expressions.

    Args:
        source: The formula as written.
        scope: The names that it may use, with their columns.

    Returns:
        Expressions that are evaluated per row and never raise for a row (DECISIONS 1, 4).

    Raises:
        ExpressionError: As :func:`checked`.
    """
    typed = checked(source, scope)
    compiler = _Compiler(scope)
    value = compiler.value(typed)
    failed = pl.lit(False) if value.failed is None else value.failed
    return Compiled(typed.type, value.expr, failed, typed.references, tuple(compiler.lookups))


_OPERATORS: dict[str, Callable[[pl.Series, pl.Series], pl.Series]] = {
    "+": arithmetic.sums,
    "-": arithmetic.differences,
    "*": arithmetic.products,
    "/": arithmetic.quotients,
    "%": arithmetic.remainders,
    "^": powers,
}
_COMPARISONS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class _Compiler:
    """The expressions of one formula."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.lookups: dict[Lookup, None] = {}

    def value(self, typed: Typed) -> Value:
        """The expressions of a typed node."""
        node = typed.node
        match node:
            case Number():
                return Value(literal_number(node.value))
            case Text():
                return Value(pl.lit(node.value, dtype=pl.String))
            case Constant():
                return Value(pl.lit(node.value, dtype=DTYPES[typed.type]))
            case Name():
                return Value(self._scope.names[typed.name].expr)
            case Unary():
                operand = _as(Type.NUMBER, self.value(typed.children[0]), typed.children[0].type).expr
                expr = -operand if node.operator == "-" else operand
                return Value(expr, expr.is_null())
            case Binary():
                return self._chain(typed)
            case Conditional():
                return self._conditional(typed)
            case Call():
                return self._call(typed)
        raise AssertionError(node)

    def _chain(self, typed: Typed) -> Value:
        spine = [typed]
        while isinstance(spine[-1].children[0].node, Binary):
            spine.append(spine[-1].children[0])
        spine.reverse()
        left, left_type = self.value(spine[0].children[0]), spine[0].children[0].type
        # Operators without a run stand alone.
        for _, operations in groupby(enumerate(spine), key=lambda at: run(at[1]) or at[0]):
            steps = [operation for _, operation in operations]
            rights = [(self.value(step.children[1]), step.children[1].type) for step in steps]
            left = self._run(steps, [(left, left_type), *rights])
            left_type = steps[-1].type
        return left

    def _run(self, steps: list[Typed], operands: list[tuple[Value, Type]]) -> Value:
        operators = [step.node.operator for step in steps if isinstance(step.node, Binary)]
        match run(steps[0]):
            case "AND":
                return Value(pl.all_horizontal(_true(value, type_) for value, type_ in operands))
            case "OR":
                return Value(pl.any_horizontal(_true(value, type_) for value, type_ in operands))
            case "join":
                expr = pl.concat_str(as_string(value.expr, type_, self._scope.time_zone) for value, type_ in operands)
                return Value(expr, null_fails(expr, ()))
            case "arithmetic":
                functions = [_OPERATORS[operator] for operator in operators]
                expr = elementwise(partial(_calculated, functions), *(_as(Type.NUMBER, value, type_).expr for value, type_ in operands))
                return Value(expr, null_fails(expr, ()))
        (left, left_type), (right, right_type) = operands
        return Value(_comparison(operators[0], left.expr, left_type, right.expr, right_type))

    def _conditional(self, typed: Typed) -> Value:
        if typed.type is Type.NULL:
            return Value(pl.lit(None))
        *arms, last = typed.children
        tests = [_true(self.value(condition), condition.type) for condition in arms[::2]]
        values = [_as(typed.type, self.value(child), child.type) for child in (*arms[1::2], last)]
        expr = elementwise(first_chosen, *tests, *(v.expr for v in values), dtype=DTYPES[typed.type])
        if all(v.failed is None for v in values):
            return Value(expr)
        failures = [pl.lit(False) if v.failed is None else v.failed for v in values]
        return Value(expr, elementwise(first_chosen, *tests, *failures, dtype=pl.Boolean()))

    def _call(self, typed: Typed) -> Value:
        function = FUNCTIONS[typed.name]
        wanted = _shared(typed) if function.result is None or function.name == "IN" else None
        values: list[Value] = []
        types: list[Type] = []
        for i, child in enumerate(typed.children):
            parameter = function.parameters[min(i, len(function.parameters) - 1)]
            type_ = child.type
            if type_ is Type.NULL and (wanted or parameter.types):
                type_ = wanted or min(parameter.types)
            values.append(_as(type_, self.value(child), child.type))
            types.append(type_)
        texts = tuple(child.node.value if isinstance(child.node, Text) else None for child in typed.children)
        arguments = Arguments(tuple(values), tuple(types), texts, typed.type, self._scope.time_zone, self._lookup)
        expr = function.compiled(arguments)
        return Value(expr, function.failed(expr, arguments.values))

    def _lookup(self, lookup: Lookup) -> pl.Expr:
        self.lookups[lookup] = None
        return pl.col(lookup.column)


def _calculated(functions: Sequence[Callable[[pl.Series, pl.Series], pl.Series]], first: pl.Series, *others: pl.Series) -> pl.Series:
    """``first op other op other ...``, from left to right."""
    result = first
    for function, other in zip(functions, others, strict=True):
        result = function(result, other)
    return result


def _true(value: Value, own: Type) -> pl.Expr:
    """True where the value is; null is not true."""
    return _as(Type.BOOLEAN, value, own).expr.fill_null(False)


def _as(type_: Type, value: Value, own: Type) -> Value:
    """The value with the column type of another where it is the literal null."""
    if own is Type.NULL and type_ is not Type.NULL:
        return Value(value.expr.cast(DTYPES[type_]), value.failed)
    return value


def _shared(typed: Typed) -> Type | None:
    return next((c.type for c in typed.children if c.type is not Type.NULL), None)


def _comparison(operator: str, left: pl.Expr, left_type: Type, right: pl.Expr, right_type: Type) -> pl.Expr:
    """The comparison; with the literal null it tests for null, else a null on either side makes it false."""
    if Type.NULL in (left_type, right_type):
        tested = right if left_type is Type.NULL else left
        match operator:
            case "==":
                return tested.is_null()
            case "!=":
                return tested.is_not_null()
            case _:
                return tested.is_null() & pl.lit(False)
    return _COMPARISONS[operator](left, right).fill_null(False)
