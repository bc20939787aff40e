"""Nodes to typed nodes: every name is known, every function is called as declared, every operand has the right type.

Put here the rules of types. Keep out what operators do (compiler.py). Source: usage.md 3; DECISIONS 2-10.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from transforms.errors import ExpressionError
from transforms.expressions.functions import CONSTANTS, FUNCTIONS, Function, Parameter, Role
from transforms.expressions.nodes import Binary, Call, Conditional, Constant, Name, Node, Number, Text, Type, Unary, left_spine
from transforms.expressions.parser import MAX_DEPTH, parsed, too_deep
from transforms.expressions.scope import Scope, available, canonical, closest
from transforms.expressions.times import strftime_pattern


@dataclass(frozen=True, slots=True)
class Typed:
    """A node with the type of its value.

    Attributes:
        node: The node; constants such as Math.PI have become literals.
        type: Its type.
        children: Operands, arguments, or the conditions and values of ``?:`` in the order written.
        name: Canonical spelling of a Name, of the functions of a Call, of the column that a lookup key names; else empty.
        height: Levels of expressions below this one's; a run of like operators is one level (:func:`run`).
    """

    node: Node
    type: Type
    children: tuple["Typed", ...] = ()
    name: str = ""
    height: int = 0

    @property
    def references(self) -> frozenset[str]:
        """The names of the scope that the formula uses, in canonical spelling; keys of lookups included."""
        found: set[str] = set()
        waiting = [self]
        while waiting:
            typed = waiting.pop()
            if typed.name and not isinstance(typed.node, Call):
                found.add(typed.name)
            waiting.extend(typed.children)
        return frozenset(found)


def checked(source: str, scope: Scope) -> Typed:
    """The typed node of a formula.

    Args:
        source: The formula as written.
        scope: The names that it may use.

    Raises:
        ExpressionError: It doesn't parse, names something unknown, calls a function wrongly or mixes types.
    """
    return _Checker(source, scope).typed(parsed(source))


def run(typed: Typed) -> str:
    """What an operator can be computed in one step with, when its left operand is of the same run; empty: with nothing.

    Sums of hundreds of terms become one step this way. A tower of as many steps would exhaust the stack of Polars.
    """
    if not isinstance(typed.node, Binary):
        return ""
    if typed.node.operator in _LOGICAL:
        return typed.node.operator
    return {Type.NUMBER: "arithmetic", Type.STRING: "join"}.get(typed.type, "")


_ARTICLES = {
    Type.NUMBER: "a number",
    Type.STRING: "a string",
    Type.BOOLEAN: "true or false",
    Type.INSTANT: "an instant",
    Type.NULL: "null",
}
_CASTS = {Type.NUMBER: "number(...)", Type.STRING: "string(...)", Type.BOOLEAN: "boolean(...)"}
_LOGICAL = frozenset({"AND", "OR"})
_EQUALITY = frozenset({"==", "!="})
_ORDER = frozenset({"<", "<=", ">", ">="})


class _Checker:
    """The checks of one formula."""

    def __init__(self, source: str, scope: Scope) -> None:
        self._source = source
        self._scope = scope

    def _error(self, message: str, node: Node) -> ExpressionError:
        return ExpressionError(message, self._source, _start(node))

    def typed(self, node: Node) -> Typed:
        """The node with its type."""
        typed = self._typed(node)
        if typed.height > MAX_DEPTH:
            raise too_deep(self._source, node.position)
        return typed

    def _typed(self, node: Node) -> Typed:
        match node:
            case Number():
                return Typed(node, Type.NUMBER)
            case Text():
                return Typed(node, Type.STRING)
            case Constant():
                return Typed(node, Type.NULL if node.value is None else Type.BOOLEAN)
            case Name():
                return self._name(node)
            case Unary():
                operand = self.typed(node.operand)
                self._require(operand, Type.NUMBER, f"the sign {node.operator} needs a number")
                return Typed(node, Type.NUMBER, (operand,), height=operand.height + 1)
            case Binary():
                return self._chain(node)
            case Conditional():
                return self._conditional(node)
            case Call():
                return self._call(node)
        raise AssertionError(node)

    def _require(self, typed: Typed, type_: Type, why: str) -> None:
        if typed.type in (type_, Type.NULL):
            return
        hint = f"; cast it with {_CASTS[type_]}" if type_ in _CASTS and typed.type is not Type.INSTANT else ""
        raise self._error(f"{why}, but this is {_ARTICLES[typed.type]}{hint}", typed.node)

    def _name(self, node: Name) -> Typed:
        name = self._scope.resolved(node.parts)
        if name is not None:
            return Typed(node, self._scope.names[name].type, name=name)
        spelling = canonical(node.parts)
        if spelling in CONSTANTS:
            value, _ = CONSTANTS[spelling]
            if isinstance(value, Decimal):
                return Typed(Number(node.position, value), Type.NUMBER)
            return Typed(Text(node.position, value), Type.STRING)
        if spelling in FUNCTIONS:
            raise self._error(f"{spelling} is a function: call it as {FUNCTIONS[spelling].signature}", node)
        near = closest(spelling, {**self._scope.names, **CONSTANTS, "null": None, "true": None, "false": None})
        raise self._error(f"unknown name {spelling}; did you mean {near}?" if near else self._scope.unknown(node.parts), node)

    def _chain(self, node: Binary) -> Typed:
        first, operations = left_spine(node)
        left = self.typed(first)
        for operation in operations:
            right = self.typed(operation.right)
            typed = self._binary(operation, left, right)
            step = 0 if run(typed) and run(typed) == run(left) else 1
            left = replace(typed, height=max(left.height + step, right.height + 1))
        return left

    def _binary(self, node: Binary, left: Typed, right: Typed) -> Typed:
        operator, sides = node.operator, (left, right)
        if operator in _LOGICAL:
            for side in sides:
                self._require(side, Type.BOOLEAN, f"{operator} needs true or false on both sides")
            return Typed(node, Type.BOOLEAN, sides)
        if operator in _EQUALITY or operator in _ORDER:
            self._comparable(operator, left, right)
            return Typed(node, Type.BOOLEAN, sides)
        if operator == "+" and Type.STRING in (left.type, right.type):
            return Typed(node, Type.STRING, sides)
        for side in sides:
            if side.type is Type.INSTANT and operator == "-":
                raise self._error("'-' needs numbers, but this is an instant; write DateTime.secondsBetween(a, b)", side.node)
            self._require(side, Type.NUMBER, f"{operator!r} needs numbers")
        return Typed(node, Type.NUMBER, sides)

    def _comparable(self, operator: str, left: Typed, right: Typed) -> None:
        if Type.NULL not in (left.type, right.type) and left.type is not right.type:
            raise self._error(
                f"{operator} compares {_ARTICLES[left.type]} with {_ARTICLES[right.type]}; make both sides the same with number(...) or string(...)",
                right.node,
            )
        if operator in _ORDER and Type.BOOLEAN in (left.type, right.type):
            side = left if left.type is Type.BOOLEAN else right
            raise self._error(f"{operator} needs numbers, strings or instants, but this is true or false; combine comparisons with AND", side.node)

    def _conditional(self, node: Conditional) -> Typed:
        children: list[Typed] = []
        for condition, value in node.arms:
            test = self.typed(condition)
            self._require(test, Type.BOOLEAN, "the condition before '?' must be true or false")
            children += (test, self.typed(value))
        children.append(self.typed(node.otherwise))
        values = [*children[1::2], children[-1]]
        return Typed(node, self._shared_type(values, "the values of '? :' must have one type"), tuple(children), height=_height(children))

    def _shared_type(self, values: list[Typed], why: str) -> Type:
        type_ = next((v.type for v in values if v.type is not Type.NULL), Type.NULL)
        for value in values:
            self._require(value, type_, f"{why}: {_ARTICLES[type_]} like the one before") if type_ is not Type.NULL else None
        return type_

    def _call(self, node: Call) -> Typed:
        function = self._function(node)
        self._check_arity(node, function)
        parameters = [function.parameters[min(i, len(function.parameters) - 1)] for i in range(len(node.arguments))]
        arguments = [self._argument(function, p, a) for p, a in zip(parameters, node.arguments, strict=True)]
        result = function.result
        if result is None:
            result = self._shared_type(arguments, f"the arguments of {function.name} must have one type")
        elif function.name == "IN":
            self._shared_type(arguments, "IN compares values of one type")
        return Typed(node, result, tuple(arguments), function.name, _height(arguments))

    def _function(self, node: Call) -> Function:
        name = "IN" if node.function.upper() == "IN" else node.function
        function = FUNCTIONS.get(name)
        if function is not None:
            return function
        near = closest(name, FUNCTIONS)
        raise self._error(f"unknown function {name}; " + (f"did you mean {FUNCTIONS[near].signature}?" if near else available(FUNCTIONS)), node)

    def _check_arity(self, node: Call, function: Function) -> None:
        given, least, most = len(node.arguments), function.minimum, function.maximum
        if given >= least and (most is None or given <= most):
            return
        wanted = f"at least {least}" if most is None else f"{least}" if least == most else f"{least} or {most}"
        plural = "argument" if wanted == "1" else "arguments"
        surplus = node.arguments[most] if most is not None and given > most else node
        raise self._error(f"{function.name} takes {wanted} {plural}, not {given}: {function.signature}", surplus)

    def _argument(self, function: Function, parameter: Parameter, node: Node) -> Typed:
        argument = self.typed(node)
        if parameter.role is Role.VALUE:
            if argument.type is not Type.NULL and argument.type not in parameter.types:
                types = " or ".join(_ARTICLES[t] for t in Type if t in parameter.types)
                hint = "" if len(parameter.types) > 1 or argument.type is Type.INSTANT else self._cast_hint(parameter)
                raise self._error(f"{parameter.name} of {function.signature} must be {types}, but this is {_ARTICLES[argument.type]}{hint}", node)
            return argument
        if not isinstance(argument.node, Text):
            raise self._error(f"the {parameter.role.value} of {function.name} must be written as a string in quotes", node)
        if parameter.role is Role.PATTERN:
            try:
                strftime_pattern(argument.node.value)
            except ValueError as error:
                raise self._error(str(error), node) from error
        if parameter.role is Role.KEY:
            return self._key(argument.node)
        return argument

    @staticmethod
    def _cast_hint(parameter: Parameter) -> str:
        (type_,) = parameter.types
        return f"; cast it with {_CASTS[type_]}" if type_ in _CASTS else ""

    def _key(self, text: Text) -> Typed:
        if text.value not in self._scope.names:
            near = closest(text.value, self._scope.names)
            raise self._error(
                f"the key {text.value!r} of a lookup must be the name of a field; "
                + (f"did you mean {near!r}?" if near else available(self._scope.names)),
                text,
            )
        return Typed(text, Type.STRING, name=text.value)


def _height(children: Iterable[Typed]) -> int:
    return 1 + max(child.height for child in children)


def _start(node: Node) -> int:
    """Where a node begins in the source: for operators, where their left-most operand does."""
    while True:
        match node:
            case Binary():
                node = left_spine(node)[0]
            case Conditional():
                node = node.arms[0][0]
            case _:
                return node.position
