"""A scalar interpreter of the calculation language: what the compiled expressions have to agree with.

One row at a time, in Python's Decimal and Fraction, written from DECISIONS 1-6 and 9 and not from the compiler.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor

from transforms.expressions.nodes import Binary, Call, Conditional, Constant, Name, Node, Number, Text, Unary, spelled

LIMIT = Fraction(10) ** 26
UNIT = Fraction(1, 10**12)
Scalar = Decimal | str | bool | None


@dataclass(frozen=True)
class Outcome:
    """A value, and whether it is null by error."""

    value: Scalar
    failed: bool = False


ERROR = Outcome(None, failed=True)


def fraction_rounded(value: Fraction) -> Outcome:
    """The number half-even at the 12th digit, or an error where it does not fit."""
    # round() of a Fraction is half-even.
    units = round(value / UNIT)
    if abs(units) >= LIMIT / UNIT:
        return ERROR
    with localcontext() as context:
        context.prec = 60
        return Outcome(Decimal(units).scaleb(-12))


def interpreted(node: Node, row: Mapping[str, Scalar]) -> Outcome:
    match node:
        case Number() | Text() | Constant():
            return Outcome(node.value)
        case Name():
            return Outcome(row[spelled(node.parts)])
        case Unary():
            value = interpreted(node.operand, row).value
            if value is None:
                return ERROR
            return Outcome(value.copy_negate() if node.operator == "-" else value)
        case Binary():
            return _binary(node, row)
        case Conditional():
            for condition, value in node.arms:
                if interpreted(condition, row).value is True:
                    return interpreted(value, row)
            return interpreted(node.otherwise, row)
        case Call():
            return _call(node, row)
    raise AssertionError(node)


def _binary(node: Binary, row: Mapping[str, Scalar]) -> Outcome:
    left, right = interpreted(node.left, row).value, interpreted(node.right, row).value
    literal_null = any(isinstance(side, Constant) and side.value is None for side in (node.left, node.right))
    match node.operator:
        case "AND":
            return Outcome(left is True and right is True)
        case "OR":
            return Outcome(left is True or right is True)
        case "==" if literal_null:
            return Outcome(left is None and right is None)
        case "!=" if literal_null:
            return Outcome(left is not None or right is not None)
        case "==" | "!=" | "<" | "<=" | ">" | ">=":
            compared: dict[str, Callable[..., bool]] = {
                "==": lambda a, b: a == b,
                "!=": lambda a, b: a != b,
                "<": lambda a, b: a < b,
                "<=": lambda a, b: a <= b,
                ">": lambda a, b: a > b,
                ">=": lambda a, b: a >= b,
            }
            return Outcome(left is not None and right is not None and compared[node.operator](left, right))
    if left is None or right is None:
        return ERROR
    if isinstance(left, str) or isinstance(right, str):
        return Outcome(plain(left) + plain(right))
    a, b = Fraction(left), Fraction(right)
    match node.operator:
        case "+":
            return fraction_rounded(a + b)
        case "-":
            return fraction_rounded(a - b)
        case "*":
            return fraction_rounded(a * b)
        case "/":
            return ERROR if b == 0 else fraction_rounded(a / b)
        case "%":
            return ERROR if b == 0 else fraction_rounded((abs(a) % abs(b)) * (-1 if a < 0 else 1))
        case "^":
            return power(left, right)
    raise AssertionError(node.operator)


def plain(value: Scalar) -> str:
    if isinstance(value, Decimal):
        text = format(value, "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    return str(value).lower() if isinstance(value, bool) else str(value)


def power(base: Decimal, exponent: Decimal) -> Outcome:
    """Whole exponents only: exact for small ones, in 200 digits for the others."""
    count = int(exponent)
    assert count == exponent
    if base == 0:
        return ERROR if count < 0 else Outcome(Decimal(count == 0))
    if abs(base) == 1:
        return Outcome(Decimal(-1) if base < 0 and count % 2 else Decimal(1))
    if abs(count) <= 100:
        return fraction_rounded(Fraction(base) ** count)
    with localcontext() as context:
        context.prec = 200
        logarithm = abs(base).log10() * count
        if logarithm > 27:
            return ERROR
        if logarithm < -14:
            return Outcome(Decimal(0))
        return fraction_rounded(Fraction(base**count))


def _call(node: Call, row: Mapping[str, Scalar]) -> Outcome:
    outcomes = [interpreted(argument, row) for argument in node.arguments]
    values = [o.value for o in outcomes]
    match node.function:
        case "isnull":
            return outcomes[1] if values[0] is None else Outcome(values[0])
        case "IN":
            return Outcome(values[0] is not None and any(v is not None and v == values[0] for v in values[1:]))
        case "string":
            return ERROR if values[0] is None else Outcome(plain(values[0]))
        case "boolean":
            return ERROR if values[0] is None else Outcome(values[0] != 0)
        case "number":
            if values[0] is None:
                return ERROR
            try:
                return fraction_rounded(Fraction(str(values[0]).strip()))
            except ValueError:
                return ERROR
    if any(v is None for v in values):
        return ERROR
    match node.function:
        case "Math.max":
            return Outcome(max(values))
        case "Math.min":
            return Outcome(min(values))
        case "Math.abs":
            return Outcome(values[0].copy_abs())
        case "Math.pow":
            return power(*values)
        case "Math.floor" | "Math.ceil" | "Math.round":
            scale = values[1] if len(values) > 1 else Decimal(0)
            if scale != int(scale):
                return ERROR
            step = Fraction(10) ** -max(-40, min(12, int(scale)))
            steps = Fraction(values[0]) / step
            match node.function:
                case "Math.floor":
                    return fraction_rounded(floor(steps) * step)
                case "Math.ceil":
                    return fraction_rounded(-floor(-steps) * step)
                case _:
                    return fraction_rounded(floor(steps + Fraction(1, 2)) * step)
    raise AssertionError(node.function)
