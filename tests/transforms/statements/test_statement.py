"""Statements of the bills of rating's golden cases: whatever is on a bill, the usage behind it is found again."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.transforms.rating.golden import World, an_id, cases
from transforms.entities.statements import AggregationFrequency, Dimension, Measure, StatementDefinition
from transforms.entities.usage import Aggregation, Method
from transforms.statements.statement import DEFAULT, statement
from transforms.statements.tables import statement_csv

D = Decimal
JANUARY = {"lastDateInBillingPeriod": date(2025, 1, 31)}


def statements(
    case: Mapping[str, Any], run: Mapping[str, Any], definition: StatementDefinition = DEFAULT, **asked: Any
) -> Iterator[tuple[World, dict[str, Any], dict[str, Any]]]:
    """The world, the bill's header and the statement of each bill of a run."""
    world = World(case)
    result = world.billed(run)
    for bill in result.bills.iter_rows(named=True):
        lines = result.line_items.filter(pl.col("bill_id") == bill["bill_id"]).with_columns(calculation_id=pl.lit("c"))
        header = {**bill, "id": bill["bill_id"], "calculation_id": "c", "timezone": run.get("timezone") or world.organization.timezone}
        yield (
            world,
            header,
            statement(header, lines, definition, configuration=world.configuration, usage=world.usage, **asked),
        )


def of(case: Mapping[str, Any], definition: StatementDefinition = DEFAULT, **asked: Any) -> dict[str, Any]:
    """The statement of the one bill of January 2025."""
    ((_, _, document),) = statements(case, JANUARY, definition, **asked)
    return document


@pytest.mark.parametrize("frequency", [AggregationFrequency.DAY, AggregationFrequency.WHOLE_PERIOD])
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases()])
def test_the_usage_behind_every_bill_is_what_its_lines_say(case: dict[str, Any], frequency: AggregationFrequency) -> None:
    definition = StatementDefinition(aggregation_frequency=frequency)
    for one in case["runs"]:
        if one.get("failures"):
            continue
        for world, header, document in statements(case, one["run"], definition):
            sums_up = {a.id for a in world.configuration.entities(Aggregation).values() if a.aggregation in (Method.SUM, Method.COUNT)}
            assert document["totals"]["usage"] + document["totals"]["other"] == header["bill_total"]
            for usage in document["usage"]:
                assert usage["reconciles"], usage
                assert usage["addsUp"] or usage.get("aggregationId") not in sums_up, usage
                if frequency is AggregationFrequency.WHOLE_PERIOD and usage["quantity"]:
                    assert [row["quantity"] for row in usage["rows"]] == [usage["quantity"]]


SMALL: dict[str, Any] = {
    "meters": {"m": {"MEASURE": ["qty"], "WHERE": ["region"]}},
    "organization": {"timezone": "Europe/Berlin"},
    "templates": {"t": {"standingCharge": "5"}},
    "pricings": [{"bands": [["0", "0", "2"]]}],
    "accounts": {"a": {}},
    "accountPlans": [{"startDate": "2025-01-01T00:00:00+01:00"}],
    "usage": [
        {"ts": "2025-01-01T00:00:00+01:00", "qty": "1.5", "region": "eu"},
        {"ts": "2025-01-05T23:59:59+01:00", "qty": "2", "region": "us"},
        {"ts": "2025-01-06T00:00:00+01:00", "qty": "4", "region": "eu"},
        {"ts": "2025-02-01T00:00:00+01:00", "qty": "100", "region": "eu"},
    ],
}


def rows_of(document: Mapping[str, Any]) -> list[tuple[str, Decimal]]:
    return [(row["startTime"].isoformat(), row["quantity"]) for row in document["usage"][0]["rows"]]


def test_days_and_weeks_are_cut_in_the_bills_time_zone() -> None:
    days = rows_of(of(SMALL))
    assert len(days) == 31
    assert {day: quantity for day, quantity in days if quantity} == {
        "2024-12-31T23:00:00+00:00": D("1.5"),
        "2025-01-04T23:00:00+00:00": D(2),
        "2025-01-05T23:00:00+00:00": D(4),
    }
    weeks = rows_of(of(SMALL, StatementDefinition(aggregation_frequency="WEEK", generate_slim_statements=True)))
    assert weeks == [("2024-12-31T23:00:00+00:00", D("3.5")), ("2025-01-05T23:00:00+00:00", D(4))]


def test_prices_and_ids_are_shown_as_the_definition_says() -> None:
    full = of(SMALL)["usage"][0]
    assert full["rows"][0]["pricePerUnit"] == D(2)
    assert {"productId", "aggregationId", "meterId", "accountId"} <= set(full)
    slim = of(SMALL, StatementDefinition(aggregation_frequency="DAY", generate_slim_statements=True))["usage"][0]
    assert len(slim["rows"]) == 3
    assert "pricePerUnit" not in slim["rows"][0]
    assert not {"productId", "aggregationId", "meterId", "accountId"} & set(slim)
    assert "id" not in slim["lineItems"][0]


def test_the_price_of_a_unit_is_that_of_all_lines_of_its_usage() -> None:
    commitment = {"c": {"amount": "460", "separateOverageUsage": True}}
    pricing = {"bands": [["0", "0", "0.46"]], "overage": [["0", "0", "0.60"]]}
    case = {
        "pricings": [pricing],
        "accountPlans": [{"startDate": "2025-01-01"}],
        "commitments": commitment,
        "usage": [{"ts": "2025-01-10", "qty": "1500"}],
    }
    (usage,) = of(case)["usage"]
    assert [(line["lineItemType"], line["averageUnitPrice"]) for line in usage["lineItems"]] == [("USAGE", D("0.46")), ("OVERAGE_USAGE", D("0.6"))]
    # (1,000 x 0.46 + 500 x 0.60) / 1,500
    assert {row["pricePerUnit"] for row in usage["rows"]} == {D("0.506666666667")}


def test_a_definition_breaks_usage_down_by_measures_and_dimensions() -> None:
    meter = an_id("Meter", "m")
    definition = StatementDefinition(
        aggregation_frequency="WHOLE_PERIOD",
        measures=[Measure(meter_id=meter, name="qty", aggregations=["SUM", "MAX", "UNIQUE"])],
        dimensions=[Dimension(meter_id=meter, name="region", filter=["*"])],
    )
    (found,) = of(SMALL, definition)["breakdown"]
    assert [(row["region"], row["qty.SUM"], row["qty.MAX"]) for row in found["rows"]] == [("eu", D("5.5"), D(4)), ("us", D(2), D(2))]
    assert found["notes"] == ["UNIQUE can't be taken of the MEASURE qty of meter m"]
    only = definition.model_copy(update={"dimensions": [Dimension(name="region", filter=["us"])], "measures": []})
    (found,) = of(SMALL, only)["breakdown"]
    assert [(row["region"], row["qty.SUM"]) for row in found["rows"]] == [("us", D(2))]


def test_a_measure_of_all_fields_sums_numbers_and_counts_strings() -> None:
    definition = StatementDefinition(aggregation_frequency="WHOLE_PERIOD", measures=[Measure(aggregations=["SUM", "UNIQUE"])])
    (found,) = of(SMALL, definition)["breakdown"]
    assert [(row["qty.SUM"], row["region.UNIQUE"]) for row in found["rows"]] == [(D("7.5"), D(2))]
    assert "notes" not in found


@pytest.mark.parametrize("frequency", list(AggregationFrequency))
def test_the_measures_of_every_frequency_sum_to_the_usage(frequency: AggregationFrequency) -> None:
    (found,) = of(SMALL, StatementDefinition(aggregation_frequency=frequency, measures=[Measure()]))["breakdown"]
    assert sum(row["qty.SUM"] for row in found["rows"]) == D("7.5")


def test_only_usage_of_the_filters_meters_is_broken_down_and_the_totals_still_make_the_bill() -> None:
    nothing = of(SMALL, meter_ids=["another"])
    assert nothing["usage"] == []
    assert nothing["filters"] == {"meterIds": ["another"]}
    assert nothing["totals"] == {"usage": D(0), "other": D(20), "bill": D(20)}
    assert of(SMALL, meter_ids=[an_id("Meter", "m")])["totals"] == {"usage": D(15), "other": D(5), "bill": D(20)}


def test_csv_says_the_same_and_its_lines_sum_to_the_bill() -> None:
    document = of(SMALL, StatementDefinition(aggregation_frequency="WEEK", measures=[Measure()], dimensions=[Dimension(name="region", filter=["*"])]))
    rows = list(csv.DictReader(io.StringIO(statement_csv(document))))
    by_kind = {kind: [row for row in rows if row["row"] == kind] for kind in ("USAGE", "LINE", "MEASURE", "TOTAL")}
    assert sum(map(len, by_kind.values())) == len(rows)
    assert sum(D(row["converted_subtotal"]) for row in by_kind["LINE"]) == D(by_kind["TOTAL"][0]["converted_subtotal"]) == D(20)
    assert [(row["period_start"], row["period_end"], row["quantity"]) for row in by_kind["USAGE"]][:2] == [
        ("2025-01-01T00:00:00+01:00", "2025-01-06T00:00:00+01:00", "3.5"),
        ("2025-01-06T00:00:00+01:00", "2025-01-13T00:00:00+01:00", "4"),
    ]
    assert [(row["region"], row["measure"], row["quantity"]) for row in by_kind["MEASURE"]] == [
        ("eu", "qty.SUM", "1.5"),
        ("us", "qty.SUM", "2"),
        ("eu", "qty.SUM", "4"),
    ]


def test_a_default_value_stands_for_the_whole_period_and_for_no_single_day() -> None:
    case = {**SMALL, "aggregations": {"calls": {"defaultValue": "7"}}, "usage": []}
    (usage,) = of(case)["usage"]
    assert (usage["quantity"], usage["measuredQuantity"], usage["addsUp"]) == (D(7), D(7), False)
    assert {row["quantity"] for row in usage["rows"]} == {D(0)}
