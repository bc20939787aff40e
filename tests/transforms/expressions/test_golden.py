"""The golden formulas of cases.yaml."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from transforms.errors import ExpressionError
from transforms.expressions import Binding, LookupTable, Scope, Type, compiled, with_lookups
from transforms.money import DECIMAL

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text())
OUTCOMES = ("number", "string", "boolean", "nothing", "refused")

NUMBERS = {
    "qty": "10",
    "gb": "4",
    "ms": "250",
    "neg": "-7",
    "zero": "0",
    "n": None,
    "aggregation.req": "1000",
    "aggregation.apps": "3",
    "aggregation.none": None,
    "aggregation.a": "60",
    "aggregation.b": "60",
    "aggregation.c": "60",
    "aggregation.x": "100",
    "new.amount": None,
    "new.amountSpent": None,
    "old.amount": None,
    "old.amountSpent": None,
}
STRINGS = {"location": "USA", "type": "Complete", "status": "completed", "country": "UK", "ops_status": "unheard"}
TABLES = {
    "discount_vol_rates": LookupTable(
        ("country",), pl.LazyFrame({"country": ["UK", "DE"], "rate": [Decimal("0.8"), Decimal("0.9")]}, {"country": pl.String, "rate": DECIMAL})
    ),
    "account_ops_status": LookupTable(("status",), pl.LazyFrame({"status": ["completed"], "standing": ["Good"]})),
}


def evaluated(formula: str, values: Mapping[str, str | None]) -> tuple[Any, bool]:
    """The value and whether it failed, of one row beside two others that must not disturb it."""
    numbers = {name: values.get(name, default) for name, default in NUMBERS.items()}
    strings = {name: values.get(name, default) for name, default in STRINGS.items()}
    frame = pl.DataFrame(
        {
            **{n: pl.Series([v if v is None else Decimal(v), None, Decimal("9" * 26)], dtype=DECIMAL) for n, v in numbers.items()},
            **{n: pl.Series([v, None, "x"], dtype=pl.String) for n, v in strings.items()},
        }
    )
    scope = Scope("a test", {n: Binding(pl.col(n), Type.NUMBER) for n in numbers} | {n: Binding(pl.col(n), Type.STRING) for n in strings})
    result = compiled(formula, scope)
    lazy = with_lookups(frame.lazy(), result.lookups, scope=scope, tables=TABLES)
    return lazy.with_columns(value=result.expr, failed=result.failed).select("value", "failed").collect().row(0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['row']} {case['formula']}")
def test_formula(case: dict[str, Any]) -> None:
    outcome = next(o for o in OUTCOMES if o in case)
    if outcome == "refused":
        with pytest.raises(ExpressionError, match=case["refused"]):
            evaluated(case["formula"], case.get("values", {}))
        return
    value, failed = evaluated(case["formula"], case.get("values", {}))
    if outcome == "nothing":
        assert (value, failed) == (None, case["nothing"] == "error")
        return
    assert not failed
    if outcome == "number":
        assert isinstance(value, Decimal)
        assert value == Decimal(case["number"])
    else:
        assert value == case[outcome]
        assert type(value) is type(case[outcome])


def test_every_row_of_the_specification_is_there() -> None:
    assert {c["row"] for c in CASES if isinstance(c["row"], int)} == set(range(1, 98))
    assert all(sum(o in c for o in OUTCOMES) == 1 and c["why"] for c in CASES)
