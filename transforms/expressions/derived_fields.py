"""The formulas of a meter's derived fields, in the order in which they are evaluated.

Put here what a derived field's formula must be. Keep out how measurements are taken in (transforms/measurements).
Source: DECISIONS 7, 8, 10.
"""

from transforms.entities.organization import CustomFields
from transforms.entities.usage import DerivedField, Meter, Product
from transforms.errors import ExpressionError
from transforms.expressions.compiler import Compiled, compiled
from transforms.expressions.nodes import Type
from transforms.expressions.scopes import derived_field_scope


def compiled_derived_fields(
    meter: Meter, custom_fields: CustomFields, *, product: Product | None = None, time_zone: str = "UTC"
) -> tuple[tuple[DerivedField, Compiled], ...]:
    """Every derived field of the meter with its formula, in declared order.

    Args:
        meter: The meter.
        custom_fields: The organization's.
        product: The meter's product, if it has one.
        time_zone: The organization's.

    Returns:
        Formulas to be evaluated one after another: each may read the columns of those before it.

    Raises:
        ExpressionError: A formula is wrong, or its type is not that of the field's category.
    """
    return tuple(
        (field, _compiled(field, meter, custom_fields, product=product, derived_before=position, time_zone=time_zone))
        for position, field in enumerate(meter.derived_fields)
    )


def _compiled(
    field: DerivedField, meter: Meter, custom_fields: CustomFields, *, product: Product | None, derived_before: int, time_zone: str
) -> Compiled:
    scope = derived_field_scope(meter, custom_fields, product=product, derived_before=derived_before, time_zone=time_zone)
    formula = compiled(field.calculation, scope)
    wanted, cast = (Type.NUMBER, "number(...)") if field.category.is_numeric else (Type.STRING, "string(...)")
    if formula.type not in (wanted, Type.NULL):
        raise ExpressionError(
            f"the formula of {field.code} gives a {formula.type}, but the category {field.category} needs a {wanted}; cast it with {cast}",
            field.calculation,
            len(field.calculation) - len(field.calculation.lstrip()),
        )
    return formula
