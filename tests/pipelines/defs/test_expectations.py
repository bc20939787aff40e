"""The rules of the two published boundaries: each catches the row it is about, and nothing else."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from pipelines.defs.expectations import LINE_ITEM_RULES, MEASUREMENT_RULES, validated, violations
from transforms.datasets import MEASUREMENTS, PUBLISHED_LINE_ITEMS

TS = datetime(2013, 1, 5, 12, tzinfo=UTC)
MEASUREMENT: dict[str, Any] = {"date": date(2013, 1, 5), "account_number": 1, "ts": TS, "ets": None, "uid": "u", "received_at": TS}

LINE: dict[str, Any] = dict.fromkeys(PUBLISHED_LINE_ITEMS.schema) | {
    "bill_id": "b",
    "calculation_id": "c",
    "sequence_number": 1,
    "line_item_type": "USAGE",
    "description": "Requests",
    "quantity": Decimal(3),
    "units": Decimal(3),
    "subtotal": Decimal("1.50"),
    "converted_subtotal": Decimal("1.50"),
    "currency": "USD",
    "conversion_rate": Decimal(1),
    "service_period_start": TS,
    "service_period_end": TS + timedelta(days=1),
    "bands": [{"band_subtotal": Decimal("1.00")}, {"band_subtotal": Decimal("0.50")}],
}

BROKEN_MEASUREMENTS = {
    "has no event day": {"date": None},
    "has no account": {"account_number": None},
    "has no event time": {"ts": None},
    "has no uid": {"uid": ""},
    "has no time of receipt": {"received_at": None},
    "ends before it starts": {"ets": TS - timedelta(seconds=1)},
    "lies more than 5 minutes ahead of its receipt": {"received_at": TS - timedelta(minutes=6)},
    "has an event day that is not that of its event time": {"date": date(2013, 1, 8)},
}
BROKEN_LINES = {
    "names no bill": {"bill_id": None},
    "has no position": {"sequence_number": 0},
    "has no type": {"line_item_type": None},
    "has no description": {"description": None},
    "has no amount": {"units": None},
    "has no currency": {"currency": ""},
    "has no positive conversion rate": {"conversion_rate": Decimal(0)},
    "has bands that do not sum to its subtotal": {"bands": [{"band_subtotal": Decimal("1.49")}]},
    "ends its service period before it starts": {"service_period_end": TS - timedelta(seconds=1)},
}


def measurements(*rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.LazyFrame([MEASUREMENT | row for row in rows], schema=MEASUREMENTS.schema)


def lines(*rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.LazyFrame([LINE | row for row in rows], schema=PUBLISHED_LINE_ITEMS.schema)


@pytest.mark.parametrize("rule", MEASUREMENT_RULES)
def test_a_broken_measurement_is_counted_under_its_rule_alone(rule: str) -> None:
    found = violations(measurements({}, {}, BROKEN_MEASUREMENTS[rule]), MEASUREMENT_RULES).row(0, named=True)
    assert {name: n for name, n in found.items() if n} == {"rows": 3, rule: 1}


@pytest.mark.parametrize("rule", LINE_ITEM_RULES)
def test_a_broken_line_is_counted_under_its_rule_alone(rule: str) -> None:
    found = violations(lines({}, BROKEN_LINES[rule]), LINE_ITEM_RULES).row(0, named=True)
    assert {name: n for name, n in found.items() if n} == {"rows": 2, rule: 1}


def test_lines_that_are_not_rated_in_bands_have_none_to_sum() -> None:
    found = violations(lines({"bands": None}, {"line_item_type": "MINIMUM_SPEND", "bands": None}), LINE_ITEM_RULES)
    assert found["has bands that do not sum to its subtotal"].item() == 0


def test_great_expectations_passes_what_keeps_every_rule_and_names_what_does_not() -> None:
    good = validated(violations(measurements({}, {}), MEASUREMENT_RULES), suite="accepted_measurements")
    assert good.passed
    assert good.metadata["rows"].value == 2
    assert good.metadata["rules"].value == len(MEASUREMENT_RULES)
    bad = validated(violations(measurements({}, {"uid": ""}, {"uid": None}), MEASUREMENT_RULES), suite="accepted_measurements")
    assert not bad.passed
    assert bad.description == "2 of 3 rows: has no uid"
