"""What a formula may name: names with their column and type.

Put here how names resolve. Keep out which names each kind of formula has (scopes.py).
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from transforms.expressions.nodes import Type, spelled

#: Entity types whose custom fields formulas may name, as written.
CUSTOM_FIELD_ENTITIES = ("organization", "meter", "product", "account", "accountPlan", "plan", "planTemplate")
CUSTOM_FIELDS = "customfields"


@dataclass(frozen=True)
class Binding:
    """What a name stands for.

    Attributes:
        expr: A column or a literal: Decimal(38, 12), String, Boolean or Datetime(us, UTC) by its type.
        type: The type that the checker works with.
    """

    expr: pl.Expr
    type: Type


@dataclass(frozen=True)
class Scope:
    """The names of one kind of formula.

    Attributes:
        kind: What the formula is, as an error message says it: "a derived field".
        names: Canonical spelling (``nodes.spelled``) -> what it stands for.
        time_zone: tz database name of the organization, for the parts of an instant (DECISIONS 9).
        hints: First part of a name -> what to say of unknown names that start with it.
    """

    kind: str
    names: Mapping[str, Binding]
    time_zone: str = "UTC"
    hints: Mapping[str, str] = field(default_factory=dict)

    def with_name(self, name: str, expr: pl.Expr, type_: Type) -> "Scope":
        """The scope with one more name, which hides another of that spelling."""
        return replace(self, names={**self.names, name: Binding(expr, type_)})

    def resolved(self, parts: tuple[str, ...]) -> str | None:
        """The canonical spelling of a name that the scope has, else None."""
        name = canonical(parts)
        return name if name in self.names else None

    def unknown(self, parts: tuple[str, ...]) -> str:
        """What to say of a name that the scope doesn't have and that is no misspelling of one that it has."""
        name = canonical(parts)
        hint = self.hints.get(parts[0].lower(), "")
        if hint and len(parts) > 1:
            return f"unknown name {name}: {hint}"
        return f"unknown name {name} in {self.kind}; {available(self.names)}"


def canonical(parts: tuple[str, ...]) -> str:
    """The spelling of a name; ``customfields`` and the entity after it may be written in any letter case."""
    if len(parts) > 1 and parts[0].lower() == CUSTOM_FIELDS:
        entity = next((e for e in CUSTOM_FIELD_ENTITIES if e.lower() == parts[1].lower()), parts[1])
        parts = (CUSTOM_FIELDS, entity, *parts[2:])
    return spelled(parts)


def closest(name: str, known: Mapping[str, object]) -> str | None:
    """The known name that the given one is probably a misspelling of, above all one that differs in the last part only."""
    wanted = name.lower()
    head, _, last = wanted.rpartition(".")
    by_case = {k.lower(): k for k in known}
    siblings = {k.rpartition(".")[2]: k for k in by_case if head and k.rpartition(".")[0] == head}
    found = difflib.get_close_matches(last, siblings, n=1, cutoff=0.6)
    if found:
        return by_case[siblings[found[0]]]
    found = difflib.get_close_matches(wanted, by_case, n=1, cutoff=0.85 if head else 0.6)
    return by_case[found[0]] if found else None


def available(known: Mapping[str, object]) -> str:
    """A sentence that lists the names there are."""
    if not known:
        return "no names are available here"
    shown = sorted(known)
    return "available are " + ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")
