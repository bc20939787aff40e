"""The golden cases of simple aggregations, from measurements and from states."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tests.transforms.aggregations.frames import aggregation, configuration, measurements, meter
from transforms.aggregations.aggregate import WINDOW, quantities
from transforms.aggregations.states import daily_states, state_specs
from transforms.aggregations.usage import MeterUsage

CASES = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text())
METER = meter(strings=("region", "user"))
JANUARY = ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"]


def instant(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


@pytest.mark.parametrize("has_states", [False, True], ids=["detail", "states"])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden(case: dict[str, Any], has_states: bool) -> None:
    rows = [
        {**row, "account": 1, "ts": instant(row["ts"]), "qty": decimal(row.get("qty"))}
        | ({"received_at": instant(row["received_at"])} if "received_at" in row else {})
        for row in case["usage"]
    ]
    more: dict[str, Any] = {"defaultValue": case["default"]} if "default" in case else {}
    if "segments" in case:
        more |= {"segmentedFields": ["region", "user"], "segments": case["segments"]}
    methods = sorted({key.partition("/")[0] for key in case["expect"]})
    aggregations = [aggregation(m, m, "user" if m == "UNIQUE" else "qty", **more) for m in methods]
    zone = case.get("zone", "UTC")
    config = configuration(METER, *aggregations, time_zone=zone)
    start, end = map(instant, case.get("window", JANUARY))
    frame = measurements(rows, METER, zone)
    # One state per measurement, in reverse order: the merge has to put them together.
    parts = [frame.slice(n, 1).lazy() for n in reversed(range(frame.height))] or [frame.lazy()]
    states = {spec: pl.concat([daily_states(spec, METER, part) for part in parts]) for spec in state_specs(config)} if has_states else {}
    windows = pl.DataFrame([(m, 1, start, end) for m in methods], schema=WINDOW, orient="row")
    found = quantities(windows, configuration=config, usage={"meter": MeterUsage(METER, frame.lazy(), states)}).collect()
    got = {
        row["aggregation_id"] + ("" if row["segment_index"] is None else f"/{row['segment_index']}"): row["quantity"]
        for row in found.iter_rows(named=True)
    }
    expected = {key: decimal(value) for key, value in case["expect"].items()}
    assert {key: value for key, value in got.items() if "/" not in key or key.partition("/")[0] == "SUM" or key in expected} == expected
