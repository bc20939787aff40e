"""Hypothesis strategies: typed formula trees, their sources, and rows to evaluate them over."""

from decimal import Decimal

from hypothesis import strategies as st

from transforms.expressions.nodes import Binary, Call, Conditional, Constant, Name, Node, Number, Text, Unary, spelled
from transforms.expressions.parser import CONDITIONAL_PRECEDENCE, PRECEDENCE, UNARY_PRECEDENCE

NUMBER_COLUMNS = ("a", "b", "c")
STRING_COLUMNS = ("s", "t")
BOOLEAN_COLUMNS = ("p",)

_MAGNITUDES = st.sampled_from(
    (
        "0",
        "1",
        "2",
        "0.5",
        "3",
        "1e-12",
        "3e-12",
        "7.25",
        "1000",
        "123456.789012345678",
        "1e13",
        "9999999999999.999999999999",
        "99999999999999999999999999.999999999999",
    )
)


@st.composite
def numbers(draw: st.DrawFn) -> Decimal:
    """Numbers of Decimal(38, 12): the usual ones, and those near the limits."""
    if draw(st.booleans()):
        magnitude = Decimal(draw(_MAGNITUDES))
    else:
        units = draw(st.integers(0, 10 ** draw(st.integers(1, 38)) - 1))
        magnitude = Decimal(f"{units // 10**12}.{units % 10**12:012d}")
    return magnitude.copy_negate() if draw(st.booleans()) else magnitude


strings = st.sampled_from(("", "a", "B", "10", "-2.50", " 7 ", "true", "1e3", "é\"'\\"))

cells = {
    **{name: st.none() | numbers() for name in NUMBER_COLUMNS},
    **{name: st.none() | strings for name in STRING_COLUMNS},
    **{name: st.none() | st.booleans() for name in BOOLEAN_COLUMNS},
}
rows = st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=6)

_NULL = Constant(0, None)


def _number_leaves() -> st.SearchStrategy[Node]:
    names = st.sampled_from(NUMBER_COLUMNS).map(lambda n: Name(0, (n,)))
    literals = numbers().filter(lambda n: not n.is_signed()).map(lambda n: Number(0, n))
    return st.one_of(names, names, names, literals, st.just(_NULL))


@st.composite
def number_nodes(draw: st.DrawFn, depth: int) -> Node:
    if depth == 0 or draw(st.integers(0, 9)) == 0:
        return draw(_number_leaves())
    deeper = number_nodes(depth - 1)
    kind = draw(st.sampled_from(("binary", "binary", "binary", "power", "sign", "choice", "isnull", "extreme", "rounding", "abs", "cast")))
    match kind:
        case "binary":
            return Binary(0, draw(st.sampled_from("+-*/%")), draw(deeper), draw(deeper))
        case "power":
            exponent: Node = Number(0, Decimal(draw(st.sampled_from((0, 1, 2, 3, 4, 5, 7, 12, 60)))))
            exponent = Unary(0, "-", exponent) if draw(st.booleans()) else exponent
            if draw(st.booleans()):
                return Binary(0, "^", draw(deeper), exponent)
            return Call(0, "Math.pow", (draw(deeper), exponent))
        case "sign":
            return Unary(0, draw(st.sampled_from("+-")), draw(deeper))
        case "choice":
            return draw(conditionals(deeper, depth))
        case "isnull":
            return Call(0, "isnull", (draw(deeper), draw(deeper)))
        case "extreme":
            return Call(0, draw(st.sampled_from(("Math.max", "Math.min"))), tuple(draw(st.lists(deeper, min_size=2, max_size=3))))
        case "rounding":
            name = draw(st.sampled_from(("Math.floor", "Math.ceil", "Math.round")))
            scale = draw(st.integers(-28, 13))
            literal = Number(0, Decimal(abs(scale)))
            return Call(0, name, (draw(deeper), Unary(0, "-", literal) if scale < 0 else literal))
        case "abs":
            return Call(0, "Math.abs", (draw(deeper),))
        case _:
            inner = draw(st.one_of(deeper, string_nodes(depth - 1)))
            return Call(0, "number", (inner,))


@st.composite
def conditionals(draw: st.DrawFn, values: st.SearchStrategy[Node], depth: int) -> Node:
    arms = draw(st.lists(st.tuples(boolean_nodes(depth - 1), values), min_size=1, max_size=2))
    otherwise = draw(values)
    if isinstance(otherwise, Conditional):  # the parser keeps a chain flat
        return Conditional(0, (*arms, *otherwise.arms), otherwise.otherwise)
    return Conditional(0, tuple(arms), otherwise)


@st.composite
def string_nodes(draw: st.DrawFn, depth: int) -> Node:
    leaves = st.one_of(st.sampled_from(STRING_COLUMNS).map(lambda n: Name(0, (n,))), strings.map(lambda s: Text(0, s)))
    if depth <= 0 or draw(st.integers(0, 3)) == 0:
        return draw(leaves)
    deeper = string_nodes(depth - 1)
    match draw(st.sampled_from(("join", "choice", "isnull", "cast"))):
        case "join":
            other = draw(st.one_of(deeper, number_nodes(depth - 1)))
            pair = (draw(deeper), other) if draw(st.booleans()) else (other, draw(deeper))
            return Binary(0, "+", *pair)
        case "choice":
            return draw(conditionals(deeper, depth))
        case "isnull":
            return Call(0, "isnull", (draw(deeper), draw(deeper)))
        case _:
            return Call(0, "string", (draw(st.one_of(number_nodes(depth - 1), boolean_nodes(depth - 1))),))


@st.composite
def boolean_nodes(draw: st.DrawFn, depth: int) -> Node:
    leaves = st.one_of(st.just(Name(0, ("p",))), st.booleans().map(lambda b: Constant(0, b)))
    if depth <= 0 or draw(st.integers(0, 5)) == 0:
        return draw(leaves)
    deeper = boolean_nodes(depth - 1)
    match draw(st.sampled_from(("order", "order", "equality", "strings", "logic", "in", "null", "cast"))):
        case "order":
            return Binary(0, draw(st.sampled_from(("<", "<=", ">", ">=", "==", "!="))), draw(number_nodes(depth - 1)), draw(number_nodes(depth - 1)))
        case "equality":
            return Binary(0, draw(st.sampled_from(("==", "!="))), draw(deeper), draw(deeper))
        case "strings":
            return Binary(0, draw(st.sampled_from(("<", ">=", "==", "!="))), draw(string_nodes(depth - 1)), draw(string_nodes(depth - 1)))
        case "logic":
            return Binary(0, draw(st.sampled_from(("AND", "OR"))), draw(deeper), draw(deeper))
        case "in":
            kind = draw(st.sampled_from((number_nodes(depth - 1), string_nodes(depth - 1))))
            return Call(0, "IN", tuple(draw(st.lists(kind, min_size=2, max_size=4))))
        case "null":
            return Binary(0, draw(st.sampled_from(("==", "!="))), draw(st.one_of(number_nodes(depth - 1), string_nodes(depth - 1))), _NULL)
        case _:
            return Call(0, "boolean", (draw(number_nodes(depth - 1)),))


formulas = st.integers(1, 4).flatmap(lambda depth: st.one_of(number_nodes(depth), string_nodes(depth), boolean_nodes(depth)))


def source(node: Node, power: int = 0) -> str:
    """The formula with only the brackets that it needs."""
    match node:
        case Number():
            return format(node.value, "f")
        case Text():
            escaped = node.value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case Constant():
            return {None: "null", True: "true", False: "false"}[node.value]
        case Name():
            return spelled(node.parts)
        case Unary():
            return _bracketed(f"{node.operator}{source(node.operand, UNARY_PRECEDENCE)}", UNARY_PRECEDENCE, power, prefix=True)
        case Binary():
            own = PRECEDENCE[node.operator]
            to_right = node.operator == "^"
            # A sign on the left of ^ needs brackets, since it would take the power with it.
            left = source(node.left, own if to_right else own - 1)
            right = source(node.right, own - 1 if to_right else own)
            return _bracketed(f"{left} {node.operator} {right}", own, power)
        case Conditional():
            arms = "".join(f"{source(c, CONDITIONAL_PRECEDENCE)} ? {source(v)} : " for c, v in node.arms)
            return _bracketed(arms + source(node.otherwise, CONDITIONAL_PRECEDENCE), CONDITIONAL_PRECEDENCE - 1, power)
        case Call():
            return f"{node.function}({', '.join(source(a) for a in node.arguments)})"
    raise AssertionError(node)


def _bracketed(text: str, own: int, power: int, *, prefix: bool = False) -> str:
    return f"({text})" if own <= power and not (prefix and own == power) else text
