"""Which names each kind of formula has, and the columns behind them (DECISIONS 8)."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from transforms.entities.organization import CustomFields
from transforms.entities.usage import Aggregation, Meter, Product
from transforms.errors import ExpressionError
from transforms.expressions import (
    Type,
    checked,
    compiled,
    compiled_derived_fields,
    compound_scope,
    custom_field_columns,
    derived_field_scope,
    event_scope,
)
from transforms.money import DECIMAL

CUSTOM_FIELDS = CustomFields.model_validate(
    {
        "organization": {"rate": 2, "Name With Space": "x"},
        "meter": {"factor": 3},
        "product": {"line": "core"},
        "account": {"discount": Decimal("0.1"), 'Tier "A"': "gold"},
        "accountPlan": {"share": 4},
        "plan": {"share": 5},
        "planTemplate": {"share": 6},
    }
)


def meter(**changes: Any) -> Meter:
    return Meter.model_validate(
        {
            "name": "m",
            "code": "m",
            "dataFields": [{"category": "MEASURE", "code": "qty", "name": "q"}, {"category": "WHERE", "code": "region", "name": "r"}],
            "derivedFields": [
                {"category": "COST", "code": "double", "name": "d", "calculation": "qty * 2"},
                {"category": "OTHER", "code": "label", "name": "l", "calculation": 'region + "-" + double'},
            ],
        }
        | changes
    )


def test_derived_fields_may_name_those_before_them_only() -> None:
    scope = derived_field_scope(meter(), CUSTOM_FIELDS, derived_before=1)
    assert checked("double + qty", scope).references == {"double", "qty"}
    with pytest.raises(ExpressionError, match="unknown name label"):
        checked("label", scope)


def test_derived_fields_are_evaluated_one_after_another() -> None:
    frame = pl.DataFrame({"qty": [Decimal("1.5")], "region": ["EU"]}, schema={"qty": DECIMAL, "region": pl.String})
    for field, formula in compiled_derived_fields(meter(), CUSTOM_FIELDS):
        frame = frame.with_columns(formula.expr.alias(field.code))
    assert frame.row(0, named=True) == {"qty": Decimal("1.5"), "region": "EU", "double": Decimal(3), "label": "EU-3"}


@pytest.mark.parametrize(
    ("category", "calculation", "message"),
    [
        ("MEASURE", '"a"', "gives a string, but the category MEASURE needs a number; cast it with number"),
        ("WHAT", "1", "gives a number, but the category WHAT needs a string; cast it with string"),
        ("WHAT", "qty > 1", "gives a boolean, but the category WHAT needs a string"),
        ("COST", "timestamp.ts", "gives a instant, but the category COST needs a number"),
    ],
)
def test_a_derived_field_has_the_type_of_its_category(category: str, calculation: str, message: str) -> None:
    wrong = meter(derivedFields=[{"category": category, "code": "d", "name": "d", "calculation": calculation}])
    with pytest.raises(ExpressionError, match=message):
        compiled_derived_fields(wrong, CUSTOM_FIELDS)


def test_system_names_of_derived_fields() -> None:
    frame = pl.DataFrame(
        {
            "account_code": ["acme"],
            "ts": [datetime(2024, 1, 1, tzinfo=UTC)],
            "ets": [datetime(2024, 1, 2, tzinfo=UTC)],
            "received_at": [datetime(2024, 1, 3, tzinfo=UTC)],
        }
    )
    scope = derived_field_scope(meter(), CUSTOM_FIELDS, time_zone="America/New_York")
    formula = 'account + DateTime.day(timestamp.ts) + "/" + DateTime.day(timestamp.ets) + "/" + DateTime.day(timestamp.received)'
    assert frame.select(v=compiled(formula, scope).expr)["v"].item() == "acme31/1/2"


def test_a_data_field_hides_a_system_name() -> None:
    hiding = meter(dataFields=[{"category": "MEASURE", "code": "account", "name": "a"}], derivedFields=[])
    assert checked("account", derived_field_scope(hiding, CUSTOM_FIELDS)).type is Type.NUMBER


def test_custom_fields_prefer_the_entitys_own_value_and_come_in_any_letter_case() -> None:
    own = meter(customFields={"factor": 30, "unknownToTheOrganization": 1})
    product = Product.model_validate({"name": "p", "code": "p", "customFields": {"line": "own"}})
    scope = derived_field_scope(own, CUSTOM_FIELDS, product=product)
    formula = 'customFields.ORGANIZATION.rate * customfields.meter.factor + customfields.product.line + customfields.organization["Name With Space"]'
    assert pl.select(compiled(formula, scope).expr).item() == "60ownx"
    with pytest.raises(ExpressionError, match="must exist in the organization's custom fields first"):
        checked("customfields.meter.unknownToTheOrganization", scope)


def test_a_custom_field_of_another_type_than_the_default_is_an_error_of_the_row() -> None:
    scope = derived_field_scope(meter(customFields={"factor": "three"}), CUSTOM_FIELDS)
    formula = compiled("customfields.meter.factor * 2", scope)
    assert pl.select(value=formula.expr, failed=formula.failed).row(0) == (None, True)


def test_derived_fields_have_no_plans_and_no_aggregations() -> None:
    scope = derived_field_scope(meter(), CUSTOM_FIELDS)
    for formula, message in (
        ("customfields.plan.share", "custom fields of the organization, the meter"),
        ("aggregation.x", "before any aggregation"),
    ):
        with pytest.raises(ExpressionError, match=message):
            checked(formula, scope)


def aggregation(code: str | None) -> Aggregation:
    return Aggregation.model_validate(
        {
            "name": "a",
            "code": code,
            "meterId": "m" * 36,
            "targetField": "qty",
            "aggregation": "SUM",
            "quantityPerUnit": 1,
            "rounding": "NONE",
            "unit": "u",
        }
    )


def test_compounds_name_aggregations_and_the_custom_fields_of_every_entity_of_a_bill() -> None:
    scope = compound_scope([aggregation("req"), aggregation(None)], CUSTOM_FIELDS)
    formula = compiled(
        "aggregation.req * customfields.accountplan.share * customfields.plan.share * customfields.planTemplate.share * customfields.meter.factor",
        scope,
    )
    assert formula.references == {
        "aggregation.req",
        "customfields.accountPlan.share",
        "customfields.plan.share",
        "customfields.planTemplate.share",
        "customfields.meter.factor",
    }
    columns = {
        "aggregation.req": "1.5",
        "customfields.accountPlan.share": "4",
        "customfields.plan.share": "5",
        "customfields.planTemplate.share": "6",
    }
    frame = pl.DataFrame({name: [Decimal(value)] for name, value in columns.items()}, schema=dict.fromkeys(columns, DECIMAL))
    assert frame.select(v=formula.expr)["v"].item() == 540
    with pytest.raises(ExpressionError, match=r"did you mean aggregation\.req\?"):
        checked("aggregation.reg", scope)


def test_a_rule_names_what_its_event_has() -> None:
    scope = event_scope(new={"amount": Type.NUMBER, "customFields.tier": Type.STRING}, old={})
    assert checked('new.amount > 1 AND new.customFields.tier == "gold"', scope).type is Type.BOOLEAN
    with pytest.raises(ExpressionError, match="an event about a creation has only new"):
        checked("old.elephant == null", scope)


def test_custom_fields_are_read_from_json_to_the_last_digit() -> None:
    texts = [
        '{"discount": 0.123456789012, "Tier \\"A\\"": "si\\"l,ver"}',
        '{"other": "{\\"discount\\": 7}", "discount":-99999999999999999999999999.999999999999}',
        '{"discount": "a string", "Tier \\"A\\"": 5}',
        "{}",
        None,
        '{"discountx": 1, "xdiscount": 2, "discount": 1e-3 }',
    ]
    references = ["customfields.account.discount", 'customfields.account["Tier \\"A\\""]', "qty"]
    columns = custom_field_columns(pl.col("json"), "account", references, CUSTOM_FIELDS)
    frame = pl.DataFrame({"json": texts}).select(columns)
    assert frame.columns == references[:2]
    expected = ["0.123456789012", "-99999999999999999999999999.999999999999", None, "0.1", "0.1", "0.001"]
    assert frame[references[0]].to_list() == [None if e is None else Decimal(e) for e in expected]
    assert frame[references[1]].to_list() == ['si"l,ver', "gold", None, "gold", "gold", "gold"]
    scope = derived_field_scope(meter(), CUSTOM_FIELDS)
    assert compiled('customfields.account["Tier \\"A\\""] + customfields.account.discount', scope).references == set(references[:2])
