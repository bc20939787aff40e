"""What stands in a statement: statement definitions."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from transforms.entities.resource import Entity, Flag, Id, Reference, ValueObject
from transforms.entities.usage import Method


class AggregationFrequency(StrEnum):
    """How much time one row of a statement covers."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"
    WHOLE_PERIOD = "WHOLE_PERIOD"


class Dimension(ValueObject):
    """A string field by which a statement breaks usage down; ``*`` in the filter stands for every value."""

    meter_id: Annotated[Id | None, Reference("Meter")] = None
    name: Annotated[str, StringConstraints(min_length=1)]
    attributes: list[str] | None = None
    filter: Annotated[list[str], Field(min_length=1)]


class Measure(ValueObject):
    """A number field that a statement sums up; a blank name stands for all of the meter."""

    meter_id: Annotated[Id | None, Reference("Meter")] = None
    name: str = ""
    aggregations: Annotated[list[Method], Field(max_length=7)] | None = None


class StatementDefinition(Entity):
    """How the usage behind a bill is laid out. Source: billing.md 8."""

    name: str | None = None
    aggregation_frequency: AggregationFrequency
    include_price_per_unit: Flag = False
    dimensions: list[Dimension] = Field(default_factory=list)
    measures: list[Measure] = Field(default_factory=list)
    generate_slim_statements: Flag = False
