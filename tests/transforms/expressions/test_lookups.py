"""Lookups in formulas: joined once, in order, with the default where the revision has nothing (usage.md 3.6 rows 78-83)."""

from decimal import Decimal

import polars as pl
import pytest

from transforms.expressions import Binding, LookupTable, Scope, Type, compiled, with_lookups
from transforms.money import DECIMAL

SCOPE = Scope("a test", {"country": Binding(pl.col("country"), Type.STRING), "size": Binding(pl.col("size"), Type.NUMBER)})
ROWS = pl.LazyFrame(
    {"c": ["UK", "UK", "DE"], "s": [Decimal(1), Decimal("2.5"), Decimal(1)], "rate": [Decimal("0.8"), Decimal("0.7"), None], "name": ["a", "b", "c"]},
    schema={"c": pl.String, "s": DECIMAL, "rate": DECIMAL, "name": pl.String},
)
TABLES = {"rates": LookupTable(("c", "s"), ROWS)}
FRAME = pl.DataFrame(
    {"country": ["DE", "UK", None, "UK", "UK"], "size": [Decimal(1), Decimal("2.50"), Decimal(1), Decimal(1), Decimal(9)]},
    schema={"country": pl.String, "size": DECIMAL},
)


def evaluated(source: str, tables: dict[str, LookupTable] = TABLES) -> tuple[list[object], list[bool]]:
    formula = compiled(source, SCOPE)
    frame = with_lookups(FRAME.lazy(), formula.lookups, scope=SCOPE, tables=tables).with_columns(value=formula.expr, failed=formula.failed).collect()
    assert frame.select("country", "size").equals(FRAME)
    return frame["value"].to_list(), frame["failed"].to_list()


def test_two_keys_find_one_row() -> None:
    values, failed = evaluated('Lookup.findNumber("rates", "rate", 1, "country", "size")')
    assert values == [1, Decimal("0.7"), 1, Decimal("0.8"), 1]
    assert not any(failed)
    assert evaluated('Lookup.findString("rates", "name", "none", "country", "size")')[0] == ["c", "b", "none", "a", "none"]
    assert evaluated('Lookup.exists("rates", "country", "size")')[0] == [True, True, False, True, False]


def test_a_default_may_be_a_formula_and_null() -> None:
    assert evaluated('Lookup.findNumber("rates", "rate", size * 2, "country", "size")')[0] == [2, Decimal("0.7"), 2, Decimal("0.8"), 18]
    values, failed = evaluated('Lookup.findNumber("rates", "rate", null, "country", "size")')
    assert values == [None, Decimal("0.7"), None, Decimal("0.8"), None]
    assert not any(failed)
    assert evaluated('Lookup.findNumber("rates", "rate", 1 / 0, "country", "size")')[1] == [True, False, True, False, True]


@pytest.mark.parametrize(
    "source",
    [
        'Lookup.findNumber("unpublished", "rate", 3, "country", "size")',
        'Lookup.findNumber("rates", "nosuchfield", 3, "country", "size")',
        'Lookup.findNumber("rates", "name", 3, "country", "size")',
        'Lookup.findNumber("rates", "rate", 3, "country")',
    ],
)
def test_what_the_revision_does_not_have_gives_the_default(source: str) -> None:
    assert evaluated(source) == ([3] * 5, [False] * 5)


def test_without_tables_every_lookup_gives_its_default() -> None:
    assert evaluated('Lookup.findNumber("rates", "rate", 3, "country", "size") * size', {})[0] == [3, Decimal("7.5"), 3, 3, 27]
    assert evaluated('Lookup.exists("rates", "country", "size")', {})[0] == [False] * 5


def test_equal_lookups_share_a_column_and_keys_are_references() -> None:
    call = 'Lookup.findNumber("rates", "rate", 1, "country", "size")'
    formula = compiled(f"{call} + {call}", SCOPE)
    assert len(formula.lookups) == 1
    assert formula.references == {"country", "size"}
    assert evaluated(f"{call} + {call}")[0] == [2, Decimal("1.4"), 2, Decimal("1.6"), 2]
