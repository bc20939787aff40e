"""The calculation language: parser -> nodes -> checker -> compiler to Polars expressions.

Derived fields, compound aggregations and notification rules are written in it. ``functions.py`` is the table of its
functions; ``scopes.py`` says what each kind of formula may name.
"""

from transforms.expressions.checker import Typed, checked
from transforms.expressions.compiler import Compiled, compiled
from transforms.expressions.custom_fields import custom_field, custom_field_columns
from transforms.expressions.derived_fields import compiled_derived_fields
from transforms.expressions.lookups import Lookup, LookupTable, with_lookups
from transforms.expressions.nodes import Node, Type
from transforms.expressions.parser import parsed
from transforms.expressions.reference import reference_page
from transforms.expressions.scope import Binding, Scope
from transforms.expressions.scopes import compound_scope, derived_field_scope, event_scope

__all__ = [
    "Binding",
    "Compiled",
    "Lookup",
    "LookupTable",
    "Node",
    "Scope",
    "Type",
    "Typed",
    "checked",
    "compiled",
    "compiled_derived_fields",
    "compound_scope",
    "custom_field",
    "custom_field_columns",
    "derived_field_scope",
    "event_scope",
    "parsed",
    "reference_page",
    "with_lookups",
]
