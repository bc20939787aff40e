"""The sandbox of CUSTOM_SQL: which statements may run, and the text that does run.

Put here the allow-list over the parsed statement. Keep out the running (sql_quantities.py). Source: DECISIONS 21,
PITFALLS (a SQL engine reads any file it is asked for).

What runs is never the text that came but the statement written anew from the checked tree, without comments and with
every name quoted, so that a difference between two parsers can't open a door. Everything not listed here is refused.
"""

import re

import polars as pl
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from transforms.aggregations.usage import field_column
from transforms.datasets import MEASUREMENTS
from transforms.entities.usage import Meter
from transforms.errors import EntityInvalid
from transforms.money import DECIMAL

VIEW = "measurements"
#: The view's own columns; a field of the same name is ``<code>.value``.
SYSTEM_COLUMNS = ("ts", "ets", "uid", "received_at")
WIRE_FIELD = "customSql"
_DIALECT = "postgres"
_DEPTH = 60
_SIMPLE_NAME = re.compile(r"[^\W\d]\w*")

_CLAUSES: tuple[type[exp.Expression], ...] = (
    exp.Select, exp.From, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Distinct,
    exp.With, exp.CTE, exp.Subquery, exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Literal, exp.Star,
    exp.Null, exp.Boolean, exp.Paren, exp.Filter, exp.Window, exp.Var, exp.DataType, exp.DataTypeParam, exp.Cast, exp.Case, exp.If,
)  # fmt: skip
_OPERATORS: tuple[type[exp.Expression], ...] = (
    exp.Neg, exp.Not, exp.And, exp.Or, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT,
    exp.LTE, exp.Is, exp.In, exp.Between, exp.Like, exp.ILike,
)  # fmt: skip
FUNCTIONS: dict[str, type[exp.Expression]] = {
    "SUM": exp.Sum, "AVG": exp.Avg, "MIN": exp.Min, "MAX": exp.Max, "COUNT": exp.Count, "ROW_NUMBER": exp.RowNumber,
    "ABS": exp.Abs, "ROUND": exp.Round, "CEIL": exp.Ceil, "FLOOR": exp.Floor, "COALESCE": exp.Coalesce, "NULLIF": exp.Nullif,
    "GREATEST": exp.Greatest, "LEAST": exp.Least, "EXTRACT": exp.Extract, "DATE_TRUNC": exp.TimestampTrunc, "LOWER": exp.Lower,
    "UPPER": exp.Upper, "LENGTH": exp.Length,
}  # fmt: skip
_NODES = {*_CLAUSES, *_OPERATORS, *FUNCTIONS.values()}
_TYPES = {"DECIMAL", "BIGINT", "INT", "SMALLINT", "BOOLEAN", "TEXT", "VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMPTZ"}


def view_columns(meter: Meter) -> dict[str, str]:
    """Columns of the view -> columns of the measurements they come from."""
    fields = {f"{f.code}.value" if f.code in SYSTEM_COLUMNS else f.code: field_column(f.code) for f in meter.fields}
    return {**dict(zip(SYSTEM_COLUMNS, SYSTEM_COLUMNS, strict=True)), **fields}


def empty_view(meter: Meter) -> pl.DataFrame:
    """The view without rows."""
    numeric = set(meter.numeric_fields)
    fields = {f.code: DECIMAL if f.code in numeric else pl.String for f in meter.fields}
    types = {**{field_column(code): kind for code, kind in fields.items()}, **{name: MEASUREMENTS.schema[name] for name in SYSTEM_COLUMNS}}
    return pl.DataFrame(schema={name: types[source] for name, source in view_columns(meter).items()})


def _refused(message: str) -> EntityInvalid:
    return EntityInvalid.of(WIRE_FIELD, f"customSql {message}")


def _statement(sql: str) -> exp.Select:
    try:
        statements = [s for s in sqlglot.parse(sql, dialect=_DIALECT) if s is not None]
    except SqlglotError as error:
        raise _refused(f"does not parse: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise _refused("is nested too deeply") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        kinds = ", ".join(s.key.upper() for s in statements) or "nothing"
        raise _refused(f"must be exactly one SELECT over {VIEW}; it is {kinds}")
    return statements[0]


def _check_node(node: exp.Expr, tables: set[str]) -> None:
    if type(node) not in _NODES:
        name = node.name.upper() if isinstance(node, exp.Anonymous) else node.sql_name() if isinstance(node, exp.Func) else node.key.upper()
        if isinstance(node, exp.Func):
            raise _refused(f"calls {name}, which is not allowed; allowed are {', '.join(FUNCTIONS)}")
        raise _refused(f"uses {name}, which is not allowed: {_excerpt(node)}")
    if node.depth > _DEPTH:
        raise _refused("is nested too deeply")
    if isinstance(node, exp.With) and node.args.get("recursive"):
        raise _refused("uses WITH RECURSIVE, which is not allowed")
    if isinstance(node, exp.Table) and (not isinstance(node.this, exp.Identifier) or node.args.get("db") or node.args.get("catalog")):
        raise _refused(f"reads {_excerpt(node)}; it may only read the view {VIEW}")
    if isinstance(node, exp.Table) and node.name not in tables:
        raise _refused(f"reads {node.name!r}; it may only read the view {VIEW}")
    if isinstance(node, exp.DataType) and node.this.name not in _TYPES:
        raise _refused(f"casts to {node.this.name}; allowed are {', '.join(sorted(_TYPES))}")
    if isinstance(node, exp.Avg) and isinstance(node.parent, (exp.Filter, exp.Window)):
        raise _refused("uses AVG with FILTER or OVER; write SUM(...) / COUNT(...) instead")


def _excerpt(node: exp.Expr) -> str:
    text = node.sql(dialect=_DIALECT, comments=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_names(statement: exp.Select, meter: Meter, ctes: set[str]) -> None:
    for name in ctes:
        if name == VIEW or not _SIMPLE_NAME.fullmatch(name):
            raise _refused(f"names a subquery {name!r}; use a plain name other than {VIEW}")
    aliases = {alias.alias for alias in statement.find_all(exp.Alias)}
    qualifiers = {VIEW, *ctes, *(alias.name for alias in statement.find_all(exp.TableAlias))}
    renamed = {column.name for alias in statement.find_all(exp.TableAlias) for column in alias.args.get("columns") or ()}
    known = view_columns(meter)
    for column in statement.find_all(exp.Column):
        if column.args.get("db") or column.args.get("catalog") or (column.table and column.table not in qualifiers):
            raise _refused(f"names {_excerpt(column)}; qualify a column with {VIEW} or the name of a subquery, or not at all")
        if not isinstance(column.this, exp.Star) and column.name not in known and column.name not in aliases | renamed:
            raise _refused(f"names the column {column.name!r}; the view {VIEW} has {', '.join(known)}")


def _decimal(node: exp.Expression) -> exp.Expression:
    return exp.cast(exp.paren(node, copy=False), "DECIMAL(38, 12)", dialect=_DIALECT)


def _exact(node: exp.Expression) -> exp.Expression:
    """Means and quotients of whole numbers would go through floats; as decimals they do not."""
    if isinstance(node, exp.Avg):
        counted = exp.Nullif(this=exp.Count(this=node.this.copy()), expression=exp.Literal.number(0))
        return exp.paren(exp.Div(this=_decimal(exp.Sum(this=node.this.copy())), expression=counted), copy=False)
    if isinstance(node, exp.Div):
        node.set("this", _decimal(node.this.copy()))
    return node


def runnable_sql(sql: str, meter: Meter) -> str:
    """The statement that may run in place of ``sql``: checked, and written anew.

    Args:
        sql: As the user wrote it.
        meter: The aggregation's meter, whose fields are columns of the view.

    Raises:
        EntityInvalid: when it is anything but one read-only SELECT over the view; the message names the piece.
    """
    statement = _statement(sql)
    ctes = {cte.alias for cte in statement.find_all(exp.CTE)}
    for node in statement.walk():
        _check_node(node, {VIEW, *ctes})
    _check_names(statement, meter, ctes)
    try:
        return statement.transform(_exact).sql(dialect=_DIALECT, identify=True, comments=False)
    except RecursionError as error:
        raise _refused("is nested too deeply") from error


def checked_sql(sql: str, meter: Meter) -> None:
    """Refuse a CUSTOM_SQL statement that is not allowed, or that could not give one number.

    Raises:
        EntityInvalid: with a message that names the offending piece and what would be right.
    """
    text = runnable_sql(sql, meter)
    try:
        schema = pl.SQLContext({VIEW: empty_view(meter).lazy()}).execute(text).collect_schema()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _refused(f"can't run: {str(error).splitlines()[0]}") from error
    if len(schema) != 1:
        raise _refused(f"must give one column; it gives {len(schema)}: {', '.join(schema)}")
    kind = schema.dtypes()[0]
    if not (kind.is_integer() or kind.is_decimal()):
        raise _refused(f"must give a number; it gives a {kind}")
