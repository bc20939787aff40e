"""The names of each kind of formula: derived fields, compound aggregations, notification rules.

Put here which names there are and the columns they are in. Keep out how names resolve (scope.py). Columns are named by
the canonical spelling of the name, except for a measurement's own columns. Source: usage.md 3.4; DECISIONS 8.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import polars as pl

from transforms.aggregations.usage import field_column
from transforms.entities.organization import CustomFields
from transforms.entities.usage import Aggregation, DataField, Meter, Product
from transforms.expressions.nodes import Type, spelled
from transforms.expressions.scope import CUSTOM_FIELDS, Binding, Scope
from transforms.expressions.values import DTYPES

_SYSTEM_NAMES = {
    "account": Binding(pl.col("account_code"), Type.STRING),
    "timestamp.ts": Binding(pl.col("ts"), Type.INSTANT),
    "timestamp.ets": Binding(pl.col("ets"), Type.INSTANT),
    "timestamp.received": Binding(pl.col("received_at"), Type.INSTANT),
}
_DERIVED_HINTS = {
    "aggregation": "a derived field is computed per measurement, before any aggregation; use aggregation.<code> in a compound aggregation",
    "timestamp": "the time stamps are timestamp.ts, timestamp.ets and timestamp.received",
    CUSTOM_FIELDS: "a derived field can use custom fields of the organization, the meter, its product and the account, "
    "and they must exist in the organization's custom fields first",
}
_COMPOUND_HINTS = {
    "aggregation": "there is no aggregation of that code in reach; a code is written as aggregation.<code>",
    CUSTOM_FIELDS: "a compound aggregation can use custom fields of organization, meter, product, account, accountPlan, plan and planTemplate, "
    "and they must exist in the organization's custom fields first",
}

CustomFieldValue = str | Decimal


def derived_field_scope(
    meter: Meter,
    custom_fields: CustomFields,
    *,
    product: Product | None = None,
    derived_before: int | None = None,
    time_zone: str = "UTC",
) -> Scope:
    """The names that a derived field of the meter may use.

    Args:
        meter: The meter; its fields are in the columns ``field_column(code)``.
        custom_fields: The organization's; a custom field has to exist here, and its type is that of the default here.
        product: The meter's product, if it has one.
        derived_before: Position of the derived field in the meter; only those declared before it are names. None: all are.
        time_zone: The organization's.

    Returns:
        A scope over the columns ``account_code``, ``ts``, ``ets``, ``received_at``, those of the fields and, for custom
        fields of the account that a formula refers to, ``customfields.account.<name>``. Custom fields of organization,
        meter and product are literals.
    """
    fields: list[DataField] = [*meter.data_fields, *meter.derived_fields[:derived_before]]
    names = dict(_SYSTEM_NAMES)
    names |= {f.code: Binding(pl.col(field_column(f.code)), Type.NUMBER if f.category.is_numeric else Type.STRING) for f in fields}
    names |= _literals("organization", custom_fields.organization, {})
    names |= _literals("meter", custom_fields.meter, meter.custom_fields)
    if product is not None:
        names |= _literals("product", custom_fields.product, product.custom_fields)
    names |= _columns("account", custom_fields.account)
    return Scope("a derived field", names, time_zone, _DERIVED_HINTS)


def compound_scope(
    aggregations: Iterable[Aggregation],
    custom_fields: CustomFields,
    *,
    product: Product | None = None,
    time_zone: str = "UTC",
) -> Scope:
    """The names that a compound aggregation may use.

    Args:
        aggregations: Those that it may refer to; ones without a code can't be named.
        custom_fields: The organization's, as for derived fields.
        product: The compound's product; None for a global one.
        time_zone: The organization's.

    Returns:
        A scope over the columns ``aggregation.<code>`` (Decimal(38, 12)) and, for custom fields that a formula refers
        to, ``customfields.<entity>.<name>`` with entity one of account, accountPlan, plan, planTemplate, and product
        when none is given. Custom fields of organization, product and meter (always the organization's value,
        usage.md 3.4) are literals.
    """
    names: dict[str, Binding] = {}
    for aggregation in aggregations:
        if aggregation.code is not None:
            name = spelled(("aggregation", aggregation.code))
            names[name] = Binding(pl.col(name), Type.NUMBER)
    names |= _literals("organization", custom_fields.organization, {})
    names |= _literals("meter", custom_fields.meter, {})
    names |= _columns("product", custom_fields.product) if product is None else _literals("product", custom_fields.product, product.custom_fields)
    names |= _columns("account", custom_fields.account)
    names |= _columns("accountPlan", custom_fields.account_plan)
    names |= _columns("plan", custom_fields.plan)
    names |= _columns("planTemplate", custom_fields.plan_template)
    return Scope("a compound aggregation", names, time_zone, _COMPOUND_HINTS)


def event_scope(*, new: Mapping[str, Type], old: Mapping[str, Type], time_zone: str = "UTC") -> Scope:
    """The names that a notification rule may use.

    Args:
        new: Attributes after the change -> type; empty for an event about a deletion.
        old: Attributes before the change -> type; empty for an event about a creation.
        time_zone: The organization's.

    Returns:
        A scope over the columns ``new.<attribute>`` and ``old.<attribute>``. Source: usage.md 3.7.
    """
    names: dict[str, Binding] = {}
    for side, attributes in (("new", new), ("old", old)):
        for attribute, type_ in attributes.items():
            name = spelled((side, *attribute.split(".")))
            names[name] = Binding(pl.col(name), type_)
    hints = {
        "new": "the event has no such attribute" if new else "an event about a deletion has only old.*",
        "old": "the event has no such attribute" if old else "an event about a creation has only new.*",
    }
    return Scope("a notification rule", names, time_zone, hints)


def _type(default: CustomFieldValue) -> Type:
    return Type.STRING if isinstance(default, str) else Type.NUMBER


def _literals(entity: str, defaults: Mapping[str, CustomFieldValue], own: Mapping[str, CustomFieldValue]) -> dict[str, Binding]:
    """Custom fields whose value is known: the entity's own, else the default; null where its own has another type."""
    bindings = {}
    for name, default in defaults.items():
        type_ = _type(default)
        value = own.get(name, default)
        literal = pl.lit(value if _type(value) is type_ else None, dtype=DTYPES[type_])
        bindings[spelled((CUSTOM_FIELDS, entity, name))] = Binding(literal, type_)
    return bindings


def _columns(entity: str, defaults: Mapping[str, CustomFieldValue]) -> dict[str, Binding]:
    """Custom fields whose value is in a column named as the formula names it."""
    names = {name: spelled((CUSTOM_FIELDS, entity, name)) for name in defaults}
    return {spelling: Binding(pl.col(spelling), _type(defaults[name])) for name, spelling in names.items()}
