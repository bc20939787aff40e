"""Tokens to nodes: a Pratt parser.

Put here the grammar and its precedences (DECISIONS 2). Keep out names and types (checker.py).
"""

from decimal import Decimal

from transforms.errors import ExpressionError
from transforms.expressions.nodes import Binary, Call, Conditional, Constant, Name, Node, Number, Text, Unary
from transforms.expressions.tokens import Kind, Token, tokens
from transforms.money import LIMIT, exact

#: Left binding power of the operators between two operands. ``^`` is the only one that leans to the right.
PRECEDENCE = {
    "OR": 10,
    "AND": 20,
    "==": 30,
    "!=": 30,
    "<": 40,
    "<=": 40,
    ">": 40,
    ">=": 40,
    "+": 50,
    "-": 50,
    "*": 60,
    "/": 60,
    "%": 60,
    "^": 80,
}
UNARY_PRECEDENCE = 70
CONDITIONAL_PRECEDENCE = 5
#: Levels of nesting (brackets, calls, signs, operators within operands) that a formula may have; a long sum and a long
#: chain of ?: are one level.
MAX_DEPTH = 100

_CONSTANTS = {"null": None, "true": True, "false": False}


def parsed(source: str) -> Node:
    """The node of a formula.

    Args:
        source: The formula as written by the user.

    Raises:
        ExpressionError: The source is not a formula; the position is that of the offending character.

    Source: DECISIONS 2, 5, 8; usage.md 3.1.
    """
    if not source.strip():
        raise ExpressionError("the formula is empty", source, 0)
    parser = _Parser(source)
    node = parser.expression(0)
    parser.finish()
    return node


def too_deep(source: str, position: int) -> ExpressionError:
    """The error for a formula with more levels than can be evaluated."""
    return ExpressionError(f"the formula is nested more than {MAX_DEPTH} levels deep; split it into several derived fields", source, position)


class _Parser:
    """One pass over the tokens of a formula."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tuple(tokens(source))
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _taken(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _error(self, message: str, token: Token) -> ExpressionError:
        return ExpressionError(message, self._source, token.position)

    def _is_next(self, symbol: str) -> bool:
        return self._next.kind is Kind.SYMBOL and self._next.text == symbol

    def _expect(self, symbol: str, why: str) -> None:
        if not self._is_next(symbol):
            found = f"found {self._next.text!r}" if self._next.kind is not Kind.END else "the formula ends here"
            raise self._error(f"expected {symbol!r} {why}; {found}", self._next)
        self._at += 1

    def finish(self) -> None:
        """Raise unless every token was used."""
        token = self._next
        if token.kind is Kind.END:
            return
        if token.kind is Kind.SYMBOL and token.text in ")]":
            raise self._error(f"{token.text!r} closes a bracket that was never opened", token)
        if token.kind is Kind.SYMBOL and token.text == ":":
            raise self._error("':' without a '?' before it", token)
        shown = repr(token.text) if token.kind is not Kind.STRING else f'the string "{token.text}"'
        raise self._error(f"expected an operator before {shown}", token)

    def _operator(self) -> str | None:
        token = self._next
        if token.kind is Kind.WORD and token.text.upper() in ("AND", "OR"):
            return token.text.upper()
        return token.text if token.kind is Kind.SYMBOL and token.text in PRECEDENCE else None

    def expression(self, power: int) -> Node:
        """The longest expression from here whose operators bind tighter than ``power``."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise too_deep(self._source, self._next.position)
        left = self._operand()
        while True:
            operator = self._operator()
            if operator is not None and PRECEDENCE[operator] > power:
                token = self._taken()
                right = self.expression(PRECEDENCE[operator] - (1 if operator == "^" else 0))
                left = Binary(token.position, operator, left, right)
            elif self._is_next("?") and power < CONDITIONAL_PRECEDENCE:
                left = self._conditional(left)
            else:
                break
        self._depth -= 1
        return left

    def _conditional(self, condition: Node) -> Conditional:
        position, arms = self._next.position, []
        while self._is_next("?"):
            self._at += 1
            value = self.expression(0)
            self._expect(":", "and the value for when the condition is false")
            arms.append((condition, value))
            condition = self.expression(CONDITIONAL_PRECEDENCE)
        return Conditional(position, tuple(arms), condition)

    def _operand(self) -> Node:
        token = self._taken()
        match token.kind:
            case Kind.NUMBER:
                return self._number(token)
            case Kind.STRING:
                return Text(token.position, token.text)
            case Kind.WORD:
                return self._word(token)
            case Kind.END:
                raise self._error("a value is missing: the formula ends here", token)
        if token.text == "(":
            inner = self.expression(0)
            self._expect(")", "to close the bracket")
            return inner
        if token.text in "+-":
            return Unary(token.position, token.text, self.expression(UNARY_PRECEDENCE))
        raise self._error(f"expected a value, found {token.text!r}", token)

    def _number(self, token: Token) -> Number:
        value = Decimal(token.text)
        if value.adjusted() >= 26 or exact(value) >= LIMIT:
            raise self._error("the number is too large: at most 26 digits before the point", token)
        return Number(token.position, exact(value))

    def _word(self, token: Token) -> Node:
        if token.text in _CONSTANTS and not self._is_next("."):
            return Constant(token.position, _CONSTANTS[token.text])
        parts = [token.text]
        while self._is_next(".") or self._is_next("["):
            opening = self._taken()
            part = self._taken()
            if opening.text == ".":
                if part.kind is not Kind.WORD:
                    raise self._error(f"expected a name after {'.'.join(parts)}.", part)
            elif part.kind is not Kind.STRING:
                raise self._error('expected a name in quotes, as in customfields.account["Name With Space"]', part)
            else:
                self._expect("]", "after the quoted name")
            parts.append(part.text)
        if self._is_next("("):
            return self._call(token, ".".join(parts))
        return Name(token.position, tuple(parts))

    def _call(self, name: Token, function: str) -> Call:
        self._at += 1
        arguments: list[Node] = []
        if not self._is_next(")"):
            arguments.append(self.expression(0))
            while self._is_next(","):
                self._at += 1
                arguments.append(self.expression(0))
        self._expect(")", f"or ',' after an argument of {function}")
        return Call(name.position, function, tuple(arguments))
