"""The table of functions and constants of the calculation language.

One row per function: how it is called, what it means, what it becomes. The checker, the compiler, the reference page and
the tests iterate it, so a function is added here and nowhere else. Keep out how columns are computed (arithmetic.py,
power.py, rounding.py, times.py). Source: usage.md 3.2, 3.3; DECISIONS 3, 4, 6, 9.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import partial

import polars as pl

from transforms.expressions import times
from transforms.expressions.arithmetic import elementwise, known, largest, quotients, smallest
from transforms.expressions.casts import as_boolean, as_number, as_string
from transforms.expressions.lookups import Lookup
from transforms.expressions.nodes import Type
from transforms.expressions.power import powers
from transforms.expressions.rounding import Direction, rounded_to
from transforms.expressions.values import DTYPES, Value, literal_number, never_fails, null_fails
from transforms.money import DECIMAL


class Role(Enum):
    """What an argument is: a value of any expression, or a string literal with a meaning of its own."""

    VALUE = "value"
    PATTERN = "date pattern"
    TABLE = "lookup table code"
    FIELD = "lookup table field"
    KEY = "name of a measurement field"


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name on the reference page, the types it takes (null is taken everywhere), and its role."""

    name: str
    types: frozenset[Type] = frozenset()
    role: Role = Role.VALUE


@dataclass(frozen=True)
class Arguments:
    """What a compile function gets.

    Attributes:
        values: The compiled arguments, in order.
        types: Their types.
        texts: The string of each argument that is a string literal, else None.
        result: The type of the call.
        time_zone: The organization's.
        lookup: Gives the column that a lookup will be in.
    """

    values: tuple[Value, ...]
    types: tuple[Type, ...]
    texts: tuple[str | None, ...]
    result: Type
    time_zone: str
    lookup: Callable[[Lookup], pl.Expr]

    @property
    def exprs(self) -> tuple[pl.Expr, ...]:
        """The values' expressions."""
        return tuple(v.expr for v in self.values)


@dataclass(frozen=True)
class Function:
    """A function.

    Attributes:
        name: As written in a formula.
        parameters: In order; from ``minimum`` on they are optional, and the last one repeats when ``repeats``.
        minimum: Number of arguments that must be given.
        repeats: True when the last parameter may be given any number of times.
        result: Type of the result; None: the type that all value arguments share.
        doc: One sentence.
        examples: (formula, result) over the names of the reference page.
        compiled: Arguments -> expression.
        failed: (expression, arguments) -> where its null comes from an error; see values.py.
    """

    name: str
    parameters: tuple[Parameter, ...]
    minimum: int
    repeats: bool
    result: Type | None
    doc: str
    examples: tuple[tuple[str, str], ...]
    compiled: Callable[[Arguments], pl.Expr]
    failed: Callable[[pl.Expr, tuple[Value, ...]], pl.Expr | None] = null_fails

    @property
    def signature(self) -> str:
        """How it is called: ``Math.round(x[, scale])``."""
        names = [p.name for p in self.parameters]
        text = ", ".join(names[: self.minimum]) + "".join(f"[, {n}]" for n in names[self.minimum :])
        return f"{self.name}({text}{', ...' if self.repeats else ''})"

    @property
    def maximum(self) -> int | None:
        """Number of arguments that may be given; None: any."""
        return None if self.repeats else len(self.parameters)


_N, _S, _B, _T = (frozenset({t}) for t in (Type.NUMBER, Type.STRING, Type.BOOLEAN, Type.INSTANT))
_ANY = _N | _S | _B | _T
_X = Parameter("x", _N)
_TIME = Parameter("t", _T)
_SCALE = Parameter("scale", _N)
_LOOKUP = (Parameter("table", role=Role.TABLE), Parameter("field", role=Role.FIELD))
_KEY = Parameter("key", role=Role.KEY)


def _rounding(name: str, direction: Direction, doc: str, examples: tuple[tuple[str, str], ...]) -> Function:
    def compiled(call: Arguments) -> pl.Expr:
        scale = call.exprs[1] if len(call.exprs) > 1 else literal_number(Decimal(0))
        return elementwise(partial(rounded_to, direction=direction), call.exprs[0], scale)

    return Function(name, (_X, _SCALE), 1, False, Type.NUMBER, doc, examples, compiled)


def _part(name: str, doc: str, example: str, part: Callable[[pl.Expr], pl.Expr]) -> Function:
    return Function(
        f"DateTime.{name}",
        (_TIME,),
        1,
        False,
        Type.NUMBER,
        f"{doc} of the instant in the organization's time zone.",
        ((f"DateTime.{name}(timestamp.ts)", example),),
        lambda call: part(times.local(call.exprs[0], call.time_zone)).cast(DECIMAL),
    )


def _membership(call: Arguments) -> pl.Expr:
    tested, *rest = call.exprs
    # A null equals nothing, and what is compared with a null is unequal.
    return pl.concat_list([e.cast(DTYPES[call.types[0]]) for e in rest]).list.contains(tested, nulls_equal=False).fill_null(False)


def _found(call: Arguments) -> pl.Expr:
    table, field, _, *keys = call.texts
    assert table is not None
    assert field is not None
    found = call.lookup(Lookup(table, field, call.result, tuple(k for k in keys if k is not None)))
    return elementwise(known, found, call.exprs[2], dtype=DTYPES[call.result])


def _exists(call: Arguments) -> pl.Expr:
    table, *keys = call.texts
    assert table is not None
    return call.lookup(Lookup(table, None, Type.BOOLEAN, tuple(k for k in keys if k is not None))).fill_null(False)


def _seconds(call: Arguments) -> pl.Expr:
    start, end = call.exprs
    return elementwise(quotients, (end - start).dt.total_microseconds().cast(DECIMAL), literal_number(Decimal(1_000_000)))


_ROWS = (
    Function(
        "Math.max",
        (Parameter("a", _N), Parameter("b", _N)),
        2,
        True,
        Type.NUMBER,
        "The largest of two or more numbers.",
        (("Math.max(4, 9, 2, 7)", "9"), ("Math.max(0, neg)", "0")),
        lambda call: elementwise(largest, *call.exprs),
    ),
    Function(
        "Math.min",
        (Parameter("a", _N), Parameter("b", _N)),
        2,
        True,
        Type.NUMBER,
        "The smallest of two or more numbers.",
        (("Math.min(4, 9, 2)", "2"), ("Math.min(qty, 8)", "8")),
        lambda call: elementwise(smallest, *call.exprs),
    ),
    _rounding(
        "Math.floor",
        Direction.FLOOR,
        "The greatest number at `scale` decimals (0 when not given, negative for powers of ten) that is not above x.",
        (("Math.floor(-2.1)", "-3"), ("Math.floor(123.456, 2)", "123.45"), ("Math.floor(1299, -2)", "1200")),
    ),
    _rounding(
        "Math.ceil",
        Direction.CEILING,
        "The least number at `scale` decimals (0 when not given, negative for powers of ten) that is not below x.",
        (("Math.ceil(-2.9)", "-2"), ("Math.ceil(123.451, 2)", "123.46"), ("Math.ceil(1201, -2)", "1300")),
    ),
    _rounding(
        "Math.round",
        Direction.HALF_UP,
        "The number at `scale` decimals (0 when not given, negative for powers of ten) nearest to x; halves go toward plus infinity.",
        (("Math.round(2.5)", "3"), ("Math.round(-2.5)", "-2"), ("Math.round(123.455, 2)", "123.46"), ("Math.round(1250, -2)", "1300")),
    ),
    Function(
        "Math.pow",
        (Parameter("a", _N), Parameter("b", _N)),
        2,
        False,
        Type.NUMBER,
        "a to the power of b, like `a ^ b`; exact for whole exponents, through a 64-bit float for others.",
        (("Math.pow(2, 10)", "1024"), ("Math.pow(9, 0.5)", "3"), ("Math.pow(2, -1)", "0.5")),
        lambda call: elementwise(powers, *call.exprs),
    ),
    Function(
        "Math.abs",
        (_X,),
        1,
        False,
        Type.NUMBER,
        "The number without its sign.",
        (("Math.abs(neg)", "7"),),
        lambda call: call.exprs[0].abs(),
    ),
    Function(
        "isnull",
        (Parameter("a", _ANY), Parameter("b", _ANY)),
        2,
        False,
        None,
        "a, or b where a is null.",
        (("isnull(n, 5)", "5"), ("isnull(qty, 5)", "10")),
        lambda call: elementwise(known, *(e.cast(DTYPES[call.result]) for e in call.exprs), dtype=DTYPES[call.result]),
        lambda _expr, values: None if values[1].failed is None else values[0].expr.is_null() & values[1].failed,
    ),
    Function(
        "IN",
        (Parameter("x", _ANY), Parameter("a", _ANY)),
        2,
        True,
        Type.BOOLEAN,
        "True when x equals one of the others; also written in lower case.",
        (('IN(status, "completed", "succeeded")', "true"), ("IN(qty, 1, 2)", "false")),
        _membership,
        never_fails,
    ),
    Function(
        "Lookup.findNumber",
        (*_LOOKUP, Parameter("default", _N), _KEY),
        4,
        True,
        Type.NUMBER,
        "The number in `field` of the row whose keys equal the values of the named fields, in the table's published revision; else the default.",
        (('Lookup.findNumber("discount_vol_rates", "rate", 1, "country")', "0.8"), ('Lookup.findNumber("nowhere", "rate", 1, "country")', "1")),
        _found,
        lambda expr, values: None if values[2].failed is None else expr.is_null() & values[2].failed,
    ),
    Function(
        "Lookup.findString",
        (*_LOOKUP, Parameter("default", _S), _KEY),
        4,
        True,
        Type.STRING,
        "The string in `field` of the row whose keys equal the values of the named fields, in the table's published revision; else the default.",
        (('Lookup.findString("account_ops_status", "standing", "Pending", "status")', "Good"),),
        _found,
        lambda expr, values: None if values[2].failed is None else expr.is_null() & values[2].failed,
    ),
    Function(
        "Lookup.exists",
        (Parameter("table", role=Role.TABLE), _KEY),
        2,
        True,
        Type.BOOLEAN,
        "True when a row of the table's published revision has keys that equal the values of the named fields.",
        (('Lookup.exists("discount_vol_rates", "country")', "true"), ('Lookup.exists("discount_vol_rates", "status")', "false")),
        _exists,
        never_fails,
    ),
    _part("year", "The year", "2024", lambda t: t.dt.year()),
    _part("month", "The month (1 to 12)", "2", lambda t: t.dt.month()),
    _part("day", "The day of the month", "29", lambda t: t.dt.day()),
    _part("hour", "The hour (0 to 23)", "13", lambda t: t.dt.hour()),
    _part("minute", "The minute", "45", lambda t: t.dt.minute()),
    _part("dayOfWeek", "The day of the week (Monday is 1, Sunday 7)", "4", lambda t: t.dt.weekday()),
    Function(
        "DateTime.epochMillis",
        (_TIME,),
        1,
        False,
        Type.NUMBER,
        "Whole milliseconds from 1970-01-01T00:00:00Z to the instant.",
        (("DateTime.epochMillis(timestamp.ts)", "1709214330250"),),
        lambda call: call.exprs[0].dt.timestamp("ms").cast(DECIMAL),
    ),
    Function(
        "DateTime.secondsBetween",
        (Parameter("a", _T), Parameter("b", _T)),
        2,
        False,
        Type.NUMBER,
        "Seconds from a to b, with fractions; negative when b is before a.",
        (("DateTime.secondsBetween(timestamp.ts, timestamp.ets)", "90.5"),),
        _seconds,
    ),
    Function(
        "DateTime.format",
        (_TIME, Parameter("pattern", role=Role.PATTERN)),
        2,
        False,
        Type.STRING,
        "The instant in the organization's time zone, written in a Java date pattern (a string literal or `DateTime.TS_FMT`).",
        (
            ("DateTime.format(timestamp.ts, \"yyyy-MM-dd 'at' HH:mm\")", "2024-02-29 at 13:45"),
            ("DateTime.format(timestamp.ts, DateTime.TS_FMT)", "2024-02-29T13:45:30.250Z"),
        ),
        lambda call: times.formatted(call.exprs[0], str(call.texts[1]), call.time_zone),
    ),
    Function(
        "number",
        (Parameter("x", _N | _S | _B),),
        1,
        False,
        Type.NUMBER,
        "The number that a string holds (an error when it holds none); 1 and 0 for true and false.",
        (('number("12.50")', "12.5"), ("number(true)", "1")),
        lambda call: as_number(call.exprs[0], call.types[0]),
    ),
    Function(
        "string",
        (Parameter("x", _ANY),),
        1,
        False,
        Type.STRING,
        "The value as text: numbers in plain notation without trailing zeros, instants in `DateTime.TS_FMT`.",
        (("string(2.50)", "2.5"), ("string(true)", "true")),
        lambda call: as_string(call.exprs[0], call.types[0], call.time_zone),
    ),
    Function(
        "boolean",
        (Parameter("x", _N | _S | _B),),
        1,
        False,
        Type.BOOLEAN,
        "True or false for the strings true and false in any letter case (an error for others); false for 0 and true for other numbers.",
        (('boolean("TRUE")', "true"), ("boolean(zero)", "false")),
        lambda call: as_boolean(call.exprs[0], call.types[0]),
    ),
)

FUNCTIONS: Mapping[str, Function] = {row.name: row for row in _ROWS}
#: Names that stand for a value everywhere.
CONSTANTS: Mapping[str, tuple[Decimal | str, str]] = {
    "Math.PI": (Decimal("3.141592653590"), "The ratio of a circle's circumference to its diameter, at 12 decimals."),
    "DateTime.TS_FMT": (times.TS_FMT, "The date pattern of an instant with milliseconds and offset."),
}
