"""Compound aggregations: golden cases, segments, nulls, custom fields, failures of one account only."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.transforms.aggregations.frames import aggregation, configuration, measurements, meter
from transforms.aggregations.aggregate import WINDOW, quantities
from transforms.aggregations.compound import compound_quantities, required_aggregations
from transforms.aggregations.usage import MeterUsage
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA
from transforms.datasets import INSTANT
from transforms.entities.organization import CustomFields
from transforms.entities.plans import Plan, PlanTemplate
from transforms.entities.usage import CompoundAggregation, Product

METER = meter(numeric=("qty",), strings=("region",))
START, END = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)
AT = datetime(2025, 3, 10, 12, tzinfo=UTC)
ROWS = [
    {"account": 1, "ts": AT, "region": "eu", "qty": Decimal(600)},
    {"account": 1, "ts": AT, "region": "us", "qty": Decimal(150)},
    {"account": 2, "ts": AT, "region": "ap", "qty": Decimal(0)},
]
EU_US, US_ANY = [{"region": "eu"}, {"region": "us"}], [{"region": "us"}, {"region": "*"}]
AGGREGATIONS = [
    aggregation("req", "SUM", "qty", quantityPerUnit=10),
    aggregation("apps", "MAX", "qty"),
    aggregation("count", "COUNT", "qty", defaultValue=0),
    aggregation("seg", "SUM", "qty", segmentedFields=["region"], segments=EU_US),
    aggregation("other", "COUNT", "qty", segmentedFields=["region"], segments=US_ANY),
]
SCHEMA = {
    "compound_aggregation_id": pl.String,
    "account_plan_id": pl.String,
    "plan_id": pl.String,
    "account_id": pl.String,
    "account_number": pl.Int32,
    "window_start": INSTANT,
    "window_end": INSTANT,
}


def compound(calculation: str, **more: Any) -> CompoundAggregation:
    body = {"name": "c", "code": "c", "calculation": calculation, "quantityPerUnit": 7, "rounding": "UP", "unit": "u", **more}
    return CompoundAggregation.model_validate(body).model_copy(update={"id": "c"})


def answers(of: CompoundAggregation, **more: Any) -> dict[tuple[int, int | None], tuple[Decimal | None, str | None]]:
    """(account, segment) -> (quantity, failure) for accounts 1 (usage), 2 (a zero) and 3 (none)."""
    config = configuration(METER, *AGGREGATIONS, of, *more.pop("entities", ()), **more)
    simple = [
        {"aggregation_id": a, "account_number": n, "window_start": START, "window_end": END}
        for a in required_aggregations(of, config)
        for n in (1, 2, 3)
    ]
    values = quantities(
        pl.DataFrame(simple, schema=WINDOW), configuration=config, usage={"meter": MeterUsage(METER, measurements(ROWS, METER).lazy())}
    )
    asked = pl.DataFrame([("c", f"ap{n}", "plan", f"acc{n}", n, START, END) for n in (1, 2, 3)], schema=SCHEMA, orient="row").with_row_index("window")
    found = compound_quantities(asked, configuration=config, quantities=values).collect(engine="streaming")
    assert found.columns == [*asked.columns, "segment_index", "quantity", "failure"]
    return {(row["account_number"], row["segment_index"]): (row["quantity"], row["failure"]) for row in found.iter_rows(named=True)}


NONE = (None, None)


@pytest.mark.parametrize(
    ("calculation", "evaluate", "first", "second", "third"),
    [
        # Operands are taken before their quantityPerUnit; the compound's own is the caller's (usage.md 6.3).
        ("aggregation.req - 100 * aggregation.count", False, 550, -100, None),
        # No usage and no default: no value, unless nulls are evaluated (DECISIONS 20).
        ("aggregation.req + 1", False, 751, 1, None),
        ("aggregation.req + 1", True, 751, 1, None),
        ("isnull(aggregation.req, 5) + 1", True, 751, 1, 6),
        ("isnull(aggregation.req, 5) + 1", False, 751, 1, None),
        # defaultValue makes the operand 0, so the flag is moot.
        ("aggregation.count * 2", False, 4, 2, 0),
        # A formula may name nothing at all.
        ("42", False, 42, 42, 42),
        # A null written on purpose is no value and no failure.
        ("aggregation.req > 10 ? aggregation.req : null", False, 750, None, None),
        ("null", False, None, None, None),
    ],
)
def test_unsegmented(calculation: str, evaluate: bool, first: int | None, second: int | None, third: int | None) -> None:
    found = answers(compound(calculation, evaluateNullAggregations=evaluate))
    assert found == {(n, None): (None if v is None else Decimal(v), None) for n, v in ((1, first), (2, second), (3, third))}


def test_division_by_zero_fails_that_account_only() -> None:
    found = answers(compound("aggregation.req / aggregation.apps"))
    assert found[(1, None)] == (Decimal("1.25"), None)
    assert found[(2, None)][0] is None
    assert "compound aggregation c: its formula gives no number" in str(found[(2, None)][1])
    assert found[(3, None)] == NONE


def test_one_segmented_operand_gives_its_segments_and_the_whole_of_the_others() -> None:
    found = answers(compound("aggregation.seg + aggregation.count / 100"))
    assert found == {(1, 0): (Decimal("600.02"), None), (1, 1): (Decimal("150.02"), None)}


def test_several_segmented_operands_give_the_segments_they_share() -> None:
    # us is the second segment of seg, the first of other and the only one of both; references stand in the order written.
    found = answers(compound("aggregation.seg * 10 + aggregation.other"))
    assert found == {(1, 0): (Decimal(1501), None)}


def test_evaluated_nulls_give_every_segment() -> None:
    found = answers(compound("isnull(aggregation.seg, 0) + 1", evaluateNullAggregations=True))
    assert found == {(n, s): (Decimal(v), None) for n, s, v in ((1, 0, 601), (1, 1, 151), (2, 0, 1), (2, 1, 1), (3, 0, 1), (3, 1, 1))}


def test_a_formula_that_no_longer_holds_fails_every_account() -> None:
    found = answers(compound("aggregation.gone + 1"))
    assert {n for n, _ in found} == {1, 2, 3}
    for quantity, failure in found.values():
        assert quantity is None
        assert "unknown name aggregation.gone" in str(failure)


def test_custom_fields_come_from_every_entity_and_the_meters_from_the_organization() -> None:
    custom_fields = CustomFields.model_validate(
        {
            "organization": {"Org Rate": 2},
            "meter": {"m": 3},
            "account": {"discount": 1},
            "accountPlan": {"ap": 10},
            "plan": {"p": 100},
            "planTemplate": {"t": 1000},
            "product": {"x": 10000},
        }
    )
    accounts = pl.DataFrame(
        {"account_id": ["acc1", "acc2", "acc3"], "account_number": [1, 2, 3], "custom_fields": ['{"discount": 0.123456789012}', "{}", None]},
        schema_overrides={"account_number": pl.Int32},
    )
    accounts = pl.concat([pl.DataFrame(schema=ACCOUNTS_SCHEMA), accounts], how="diagonal")
    account_plans = pl.concat(
        [
            pl.DataFrame(schema=ACCOUNT_PLANS_SCHEMA),
            pl.DataFrame({"account_plan_id": ["ap1", "ap2", "ap3"], "custom_fields": ['{"ap": 20}', None, "{}"]}),
        ],
        how="diagonal",
    )
    product = Product.model_validate({"name": "p", "code": "p", "customFields": {"x": 20000}}).model_copy(update={"id": "product"})
    template = PlanTemplate.model_validate(
        {"productId": "p" * 36, "name": "t", "currency": "USD", "standingCharge": 0, "billFrequency": "MONTHLY", "customFields": {"t": 2000}}
    ).model_copy(update={"id": "template", "product_id": "product"})
    plan = Plan.model_validate({"planTemplateId": "t" * 36, "name": "p", "code": "p"}).model_copy(
        update={"id": "plan", "plan_template_id": "template"}
    )
    metered = METER.model_copy(update={"custom_fields": {"m": Decimal(99)}})
    formula = (
        'customfields.organization["Org Rate"] + customfields.meter.m + customfields.account.discount + customfields.accountPlan.ap'
        " + customfields.plan.p + customfields.planTemplate.t + customfields.product.x"
    )
    found = answers(
        compound(formula), entities=(product, template, plan, metered), custom_fields=custom_fields, accounts=accounts, account_plans=account_plans
    )
    assert found == {
        (1, None): (Decimal("22125.123456789012"), None),
        (2, None): (Decimal(22116), None),
        (3, None): (Decimal(22116), None),
    }
