"""The language of searches (platform.md 3) as SQL: terms such as ``startDate>2023-01-01$accountId:<id>``.

Terms are joined by ``$``; a term is a field, a comparator (``: > >= < <= ~``) and a value. Put here what all searches
share; which fields there are is in entity_search.py and bill_search.py.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.dialects.postgresql import JSONB

from transforms.errors import EntityInvalid

T = TypeVar("T")

_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {":": operator.eq, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_TERM = re.compile(r"\s*(\w+)\s*(>=|<=|>|<|:|~)(.*)", re.DOTALL)
#: Fields whose value is a list, joined by commas.
_LISTS = ("ids", "codes")


@dataclass(frozen=True)
class Search:
    """One page of a search.

    Attributes:
        query: The terms, joined by ``$``; nothing matches everything.
        joined_by: AND or OR, joining the terms.
        sort_by: The field to sort by, as on the wire; the order of creation without it.
        is_ascending: The order; None is ascending by the given field, newest first without one.
        size: Most documents of the page.
        from_document: How many documents come before the page.
    """

    query: str = ""
    joined_by: str = "AND"
    sort_by: str | None = None
    is_ascending: bool | None = None
    size: int = 10
    from_document: int = 0

    def sorted(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The order by the column that ``sort_by`` names, or by the one of creation."""
        return ordered(column, is_ascending=self.is_ascending if self.is_ascending is not None else self.sort_by is not None)

    def page(self, found: Sequence[T]) -> "Found[T]":
        """The page, of up to one more document than it holds."""
        following = self.from_document + self.size
        return Found(found[: self.size], str(following) if len(found) > self.size else None)


class Found(NamedTuple, Generic[T]):
    """A page of what was found; the token is the ``from_document`` of the next page, None where there is none."""

    documents: Sequence[T]
    next_token: str | None


def matching(query: str, *, columns: Mapping[str, ColumnElement[Any]], joined_by: str) -> ColumnElement[bool]:
    """The condition that a query says; without terms it is always true.

    Args:
        query: The terms, joined by ``$``.
        columns: Field of a term -> column.
        joined_by: AND or OR, joining the terms.

    Raises:
        EntityInvalid: What can't be searched, with what can.
    """
    terms = [_condition(term, columns) for term in query.split("$") if term.strip()]
    return (sa.and_ if joined_by == "AND" else sa.or_)(*terms) if terms else sa.true()


def ordered(column: ColumnElement[Any], *, is_ascending: bool) -> ColumnElement[Any]:
    """The order by a column, rows without a value last."""
    return column.asc().nulls_last() if is_ascending else column.desc().nulls_last()


def _condition(term: str, columns: Mapping[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    parts = _TERM.fullmatch(term)
    if parts is None or parts[1] not in columns:
        possible = ", ".join(columns)
        raise EntityInvalid.of("searchQuery", f"searchQuery has the term {term!r}; a term is a field ({possible}), one of : > >= < <= ~, and a value")
    name, comparator, value = parts[1], parts[2], parts[3].strip()
    if "\x00" in value:
        raise EntityInvalid.of("searchQuery", "searchQuery may not hold NUL characters")
    column = columns[name]
    if isinstance(column.type, JSONB):  # a list of ids
        if comparator != ":":
            raise EntityInvalid.of("searchQuery", f"{name} is a list; write {name}:<id>, or several ids joined by commas")
        return sa.or_(*(column.contains([item.strip()]) for item in value.split(",")))
    if name in _LISTS and comparator == ":":
        return column.in_([item.strip() for item in value.split(",")])
    if comparator == "~":
        is_instant = isinstance(column.type, sa.DateTime)
        text = sa.func.to_char(column, 'YYYY-MM-DD"T"HH24:MI:SS') if is_instant else sa.cast(column, sa.Text)
        return sa.func.starts_with(sa.func.lower(text), value.lower())
    condition: ColumnElement[bool] = _COMPARISONS[comparator](column, _operand(name, column, value))
    return condition


def _operand(name: str, column: ColumnElement[Any], value: str) -> Any:
    """The value in the column's type."""
    try:
        if isinstance(column.type, sa.Boolean):
            return {"true": True, "false": False}[value.lower()]
        if isinstance(column.type, sa.Date):
            return date.fromisoformat(value.split("T", maxsplit=1)[0])
        if isinstance(column.type, sa.DateTime):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (KeyError, ValueError):
        right = "true or false" if isinstance(column.type, sa.Boolean) else "a date such as 2025-01-31"
        raise EntityInvalid.of("searchQuery", f"{name} is compared with {value!r}; write {right}") from None
    return value
