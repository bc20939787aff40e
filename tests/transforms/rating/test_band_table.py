from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.transforms.rating.golden import World, an_id

ROWS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "tables" / "bands.yaml").read_text())


@pytest.fixture(scope="module")
def lines() -> dict[str, dict[str, Any]]:
    """All rows billed in one run: the line by the row's id."""
    ids = [row["id"] for row in ROWS]
    world = World(
        {
            "aggregations": {
                row["id"]: {"code": row["id"].replace("-", "_"), "quantityPerUnit": row.get("per", "1"), "rounding": row.get("rounding", "NONE")}
                for row in ROWS
            },
            "plans": {code: {} for code in ids},
            "accounts": {code: {} for code in ids},
            "pricings": [{"plan": row["id"], "aggregation": row["id"], "cumulative": row["cumulative"], "bands": row["bands"]} for row in ROWS],
            "accountPlans": [{"account": code, "plan": code, "startDate": "2025-01-01"} for code in ids],
            "usage": [{"account": row["id"], "ts": "2025-01-09T12:00:00Z", "qty": row["quantity"]} for row in ROWS],
        }
    )
    result = world.billed({"lastDateInBillingPeriod": date(2025, 1, 31)})
    assert result.failures.is_empty()
    code_of = {an_id("Account", code): code for code in ids}
    return {code_of[line["account_id"]]: line for line in result.line_items.to_dicts()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_row(row: dict[str, Any], lines: dict[str, dict[str, Any]]) -> None:
    line = lines[row["id"]]
    bands = line["bands"]
    assert line["quantity"] == Decimal(row["quantity"])
    assert line["subtotal"] == Decimal(row["subtotal"])
    assert sum(b["band_subtotal"] for b in bands) == line["subtotal"]
    assert all(b["unit_subtotal"] == b["band_subtotal"] for b in bands if b["fixed_price"] == 0)
    for key, column in (("band_units", "band_units"), ("band_subtotals", "band_subtotal"), ("band_quantities", "band_quantity")):
        if key in row:
            assert [b[column] for b in bands] == [Decimal(v) for v in row[key]]
    for key, column in (("units", "units"), ("average", "average_unit_price")):
        if key in row:
            assert line[column] == Decimal(row[key])
