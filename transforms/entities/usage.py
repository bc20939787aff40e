"""What is measured and how it is summed up: products, meters, aggregations, compound aggregations."""

import json
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from transforms.entities.resource import (
    Amount,
    Code,
    EntityWithCustomFields,
    Flag,
    Id,
    Identifier,
    Name,
    PositiveNumber,
    ReadOnly,
    Reference,
    Unit,
    ValueObject,
)
from transforms.money import Rounding


class Product(EntityWithCustomFields):
    """Something that is sold."""

    name: Name
    code: Code


class Category(StrEnum):
    """The kind of a meter field: five kinds of strings, three of numbers. The map of a measurement is its lower case."""

    WHO = "WHO"
    WHAT = "WHAT"
    WHERE = "WHERE"
    OTHER = "OTHER"
    METADATA = "METADATA"
    MEASURE = "MEASURE"
    INCOME = "INCOME"
    COST = "COST"

    @property
    def is_numeric(self) -> bool:
        """True for the categories whose values are numbers."""
        return self in (Category.MEASURE, Category.INCOME, Category.COST)


class DataField(ValueObject):
    """A field that every measurement of the meter must carry."""

    category: Category
    code: Identifier
    name: Name
    unit: Unit | None = None


class DerivedField(DataField):
    """A field computed from the others when a measurement is taken in."""

    calculation: Annotated[str, StringConstraints(min_length=1, max_length=5000)]


class Meter(EntityWithCustomFields):
    """A stream of measurements and its fields. Source: usage.md 1."""

    product_id: Annotated[Id | None, Reference("Product")] = None
    group_id: Id | None = None
    name: Name
    code: Code
    data_fields: Annotated[list[DataField], Field(min_length=1, max_length=15)]
    derived_fields: Annotated[list[DerivedField], Field(max_length=15)]

    @property
    def fields(self) -> tuple[DataField, ...]:
        """Data fields, then derived fields, in declared order."""
        return (*self.data_fields, *self.derived_fields)

    @property
    def numeric_fields(self) -> tuple[str, ...]:
        """Codes of the numeric fields, in declared order."""
        return tuple(f.code for f in self.fields if f.category.is_numeric)

    @property
    def string_fields(self) -> tuple[str, ...]:
        """Codes of the string fields, in declared order."""
        return tuple(f.code for f in self.fields if not f.category.is_numeric)


class Method(StrEnum):
    """How an aggregation reduces its field. Source: usage.md 4.2."""

    SUM = "SUM"
    MIN = "MIN"
    MAX = "MAX"
    COUNT = "COUNT"
    LATEST = "LATEST"
    MEAN = "MEAN"
    UNIQUE = "UNIQUE"
    CUSTOM_SQL = "CUSTOM_SQL"


Segment = dict[str, str]


def segment_string(segment: Segment) -> str:
    """The segment as JSON with sorted keys: the one spelling of it in datasets, line items and messages."""
    return json.dumps(segment, sort_keys=True, ensure_ascii=False)


class Aggregation(EntityWithCustomFields):
    """One number per account, period (and segment) from one field of one meter. Source: usage.md 4, 5."""

    name: Name
    code: Identifier | None = None
    meter_id: Annotated[Id, Reference("Meter")]
    target_field: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    aggregation: Method
    quantity_per_unit: PositiveNumber
    rounding: Rounding
    unit: Unit
    default_value: Amount | None = None
    segmented_fields: Annotated[list[str] | None, Field(max_length=5)] = None
    segments: Annotated[list[Segment] | None, Field(max_length=1000)] = None
    custom_sql: Annotated[str | None, StringConstraints(max_length=2048)] = None
    accounting_product_id: Annotated[Id | None, Reference("Product")] = None

    @property
    def is_segmented(self) -> bool:
        """True when usage is split by segment."""
        return bool(self.segmented_fields)


class CompoundAggregation(EntityWithCustomFields):
    """A formula over simple aggregations. Source: usage.md 6."""

    name: Name
    code: Identifier | None = None
    product_id: Annotated[Id | None, Reference("Product")] = None
    calculation: Annotated[str, StringConstraints(min_length=1, max_length=5000)]
    quantity_per_unit: PositiveNumber
    rounding: Rounding
    unit: Unit
    evaluate_null_aggregations: Flag = False
    accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    #: The segments that the formula has (DECISIONS 20).
    segments: Annotated[list[Segment] | None, ReadOnly()] = None
