"""Rules of statement definitions: the meters and fields that they name. Source: billing.md 8."""

from collections.abc import Iterator, Sequence

from transforms.entities.resource import Neighbours, Resource, refuse
from transforms.entities.statements import Dimension, Measure, StatementDefinition
from transforms.entities.usage import Meter

Problems = Iterator[tuple[bool, str, str]]


def _checked(definition: StatementDefinition | None, neighbours: Neighbours, _previous: StatementDefinition | None) -> StatementDefinition | None:
    if definition is not None:
        meters = neighbours.entities(Meter) if definition.dimensions or definition.measures else []
        refuse((*_field_problems("dimensions", definition.dimensions, meters), *_field_problems("measures", definition.measures, meters)))
    return definition


def definition_problem(definition: StatementDefinition, meters: Sequence[Meter]) -> str | None:
    """What the definition names that these meters do not have; None when they have it all."""
    named = (*_field_problems("dimensions", definition.dimensions, meters), *_field_problems("measures", definition.measures, meters))
    return next((message for is_wrong, _, message in named if is_wrong), None)


def _field_problems(part: str, named: Sequence[Dimension | Measure], meters: Sequence[Meter]) -> Problems:
    for index, one in enumerate(named):
        within = [meter for meter in meters if one.meter_id in (None, meter.id)]
        yield bool(one.meter_id) and not within, f"{part}[{index}].meterId", f"there is no Meter {one.meter_id} in this organization"
        known = {field.code for meter in within for field in meter.fields if part == "measures" or not field.category.is_numeric}
        kind = "string " if part == "dimensions" else ""
        yield (
            bool(within or one.meter_id is None) and bool(one.name.strip()) and one.name not in known,
            f"{part}[{index}].name",
            f"no {kind}field {one.name!r} in {'the meter' if one.meter_id else 'any meter'} (there are {', '.join(sorted(known)[:20]) or 'none'})",
        )


RESOURCES = (Resource(StatementDefinition, "statementdefinitions", check=_checked),)
