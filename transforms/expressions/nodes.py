"""What a formula is made of: the frozen nodes that the parser yields and the types that the checker gives them.

Put here the shape of formulas. Keep out syntax (parser.py), rules of types (checker.py) and meaning (compiler.py).
Every node knows the character it starts at, so that an error can point there.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Type(StrEnum):
    """The type of a value. NULL is that of the literal ``null``, which stands where any other type does."""

    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Node:
    """Root of all nodes; ``position`` is the zero-based offset in the source that an error about the node points at."""

    position: int


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number as written."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A string literal, without its quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """``null`` (None), ``true`` or ``false``."""

    value: bool | None


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A name of the scope, part by part: ``customfields.account["x y"]`` is ("customfields", "account", "x y")."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``+`` or ``-`` before an operand."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """An operator between two operands; ``position`` is the operator's. AND and OR are in upper case."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """``c1 ? a : c2 ? b : otherwise``: the arms (condition, value) in order, so that long chains stay flat."""

    arms: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function and its arguments; ``position`` is the name's."""

    function: str
    arguments: tuple[Node, ...]


def left_spine(node: Binary) -> tuple[Node, tuple[Binary, ...]]:
    """The left-most operand of a chain of operators and the operators above it, innermost first.

    ``a + b - c`` leans to the left; walking it in a loop keeps sums of hundreds of terms clear of Python's recursion limit.
    """
    spine = [node]
    while isinstance(spine[-1].left, Binary):
        spine.append(spine[-1].left)
    return spine[-1].left, tuple(reversed(spine))


_PLAIN_PART = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")


def spelled(parts: tuple[str, ...]) -> str:
    """The canonical spelling of a name: dots between plain parts, brackets and double quotes around the others."""
    spelling = ""
    for part in parts:
        if not spelling:
            spelling = part
        elif _PLAIN_PART.fullmatch(part):
            spelling += f".{part}"
        else:
            escaped = part.replace("\\", "\\\\").replace('"', '\\"')
            spelling += f'["{escaped}"]'
    return spelling
