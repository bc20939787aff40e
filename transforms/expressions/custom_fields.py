"""Values of custom fields from the JSON column of an entity's frame.

Put here how a formula's columns of custom fields are filled. Keep out which entities have them (scopes.py). Source:
usage.md 3.4: an entity's own value wins over the organization's default.
"""

import json as text
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

import polars as pl

from transforms.entities.organization import CustomFields
from transforms.expressions.nodes import spelled
from transforms.expressions.scope import CUSTOM_FIELDS
from transforms.expressions.values import literal_number
from transforms.money import DECIMAL

_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
_STRING = r'("(?:[^"\\]|\\.)*")'


def custom_field(json: pl.Expr, name: str, default: str | Decimal) -> pl.Expr:
    r"""The custom field's value: String or Decimal(38, 12) as its default.

    Args:
        json: A JSON object of strings and numbers as text, null for none.
        name: Name of the custom field.
        default: The organization's value, taken where the object does not have the name.

    Returns:
        The value; null where the object's own value is of another type than the default.
    """
    # Numbers are read digit by digit here, because Polars' JSON reader goes through floats. In valid JSON a quote that
    # follows { or , opens a name, or closes a string; the text after it settles which, since a quote within is escaped.
    spellings = {text.dumps(name, ensure_ascii=ascii_only) for ascii_only in (True, False)}
    key = rf"[{{,]\s*(?:{'|'.join(re.escape(s) for s in sorted(spellings))})\s*:\s*"
    if isinstance(default, str):
        own = json.str.extract(key + _STRING).str.json_decode(pl.String)
        otherwise = pl.lit(default, dtype=pl.String)
    else:
        own = json.str.extract(key + _NUMBER).cast(DECIMAL, strict=False)
        otherwise = literal_number(default)
    return pl.when(json.str.contains(key)).then(own).otherwise(otherwise)


def custom_field_columns(json: pl.Expr, entity: str, references: Iterable[str], custom_fields: CustomFields) -> list[pl.Expr]:
    """The columns of one entity's custom fields that formulas refer to, named as the formulas name them.

    Args:
        json: The entity's custom fields, as :func:`custom_field` takes them.
        entity: As written in formulas: ``account``, ``accountPlan``, ``plan``, ``planTemplate`` or ``product``.
        references: The formulas' references; those of other entities are left out.
        custom_fields: The organization's.
    """
    defaults: Mapping[str, Mapping[str, str | Decimal]] = {
        "account": custom_fields.account,
        "accountPlan": custom_fields.account_plan,
        "plan": custom_fields.plan,
        "planTemplate": custom_fields.plan_template,
        "product": custom_fields.product,
    }
    spellings = {spelled((CUSTOM_FIELDS, entity, name)): name for name in defaults[entity]}
    wanted = [(spelling, name) for spelling, name in spellings.items() if spelling in set(references)]
    return [custom_field(json, name, defaults[entity][name]).alias(spelling) for spelling, name in wanted]
