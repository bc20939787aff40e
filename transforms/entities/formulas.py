"""What the formulas of an organization may name, and what is wrong with one (DECISIONS 8, 10).

Put here how entities' formulas are checked against the configuration. The language itself is transforms/expressions.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from transforms.entities.organization import CustomFields, OrganizationConfig, time_zone
from transforms.entities.resource import Neighbours
from transforms.entities.usage import Aggregation, CompoundAggregation, Meter, Product, Segment
from transforms.errors import ExpressionError
from transforms.expressions import Node, Scope, Type, checked, compound_scope, derived_field_scope, parsed
from transforms.expressions.nodes import Name


@dataclass(frozen=True)
class FormulaWorld:
    """What formulas of one organization can refer to.

    Attributes:
        custom_fields: The organization's custom fields.
        time_zone: tz database name of the organization.
        products: Id -> product.
        aggregations: All simple aggregations.
    """

    custom_fields: CustomFields
    time_zone: str
    products: Mapping[str, Product]
    aggregations: Sequence[Aggregation]

    @property
    def by_code(self) -> dict[str, Aggregation]:
        """Code -> aggregation, of those that have one."""
        return {a.code: a for a in self.aggregations if a.code is not None}


def formula_world(neighbours: Neighbours, *, custom_fields: CustomFields | None = None, replaced: Aggregation | None = None) -> FormulaWorld:
    """The world of the organization's formulas.

    Args:
        neighbours: The organization's entities.
        custom_fields: Those to come, instead of the stored ones.
        replaced: An aggregation about to be stored, instead of the one with its id.
    """
    stored = next(iter(neighbours.entities(CustomFields)), CustomFields())
    config = next(iter(neighbours.entities(OrganizationConfig)), OrganizationConfig())
    aggregations = neighbours.entities(Aggregation)
    if replaced is not None:
        aggregations = [replaced if a.id == replaced.id else a for a in aggregations]
    return FormulaWorld(
        custom_fields=custom_fields if custom_fields is not None else stored,
        time_zone=time_zone(config.timezone),
        products={p.id: p for p in neighbours.entities(Product)},
        aggregations=aggregations,
    )


def derived_field_problems(meter: Meter, world: FormulaWorld) -> Iterator[tuple[int, str]]:
    """Position of each derived field whose formula doesn't hold, and what is wrong with it."""
    product = world.products.get(meter.product_id) if meter.product_id is not None else None
    for position, derived in enumerate(meter.derived_fields):
        scope = derived_field_scope(meter, world.custom_fields, product=product, derived_before=position, time_zone=world.time_zone)
        is_numeric = derived.category.is_numeric
        wanted, remedy = (Type.NUMBER, "make it a number") if is_numeric else (Type.STRING, "write string(...) around it")
        problem = _problem(
            derived.calculation,
            scope,
            wanted,
            f"{derived.code} has the {'numeric' if is_numeric else 'string'} category {derived.category}; {remedy}",
        )
        if problem is not None:
            yield position, problem


def compound_problem(compound: CompoundAggregation, world: FormulaWorld) -> str | None:
    """What is wrong with a compound's formula, or None."""
    product = world.products.get(compound.product_id) if compound.product_id is not None else None
    scope = compound_scope(world.aggregations, world.custom_fields, product=product, time_zone=world.time_zone)
    return _problem(compound.calculation, scope, Type.NUMBER, "a compound aggregation is a number")


def _problem(formula: str, scope: Scope, wanted: Type, why: str) -> str | None:
    """What is wrong with a formula that must give a value of one type (or null), or None."""
    try:
        result = checked(formula, scope).type
    except ExpressionError as error:
        return str(error)
    return None if result in (wanted, Type.NULL) else f"the formula gives a {result.value}, but {why}"


def compound_segments(compound: CompoundAggregation, aggregations: Mapping[str, Aggregation]) -> list[Segment] | None:
    """The segments of a compound (DECISIONS 20), None when no operand is segmented.

    One segmented operand: its segments. Several: the segment maps that they share, in the order of the first.

    Args:
        compound: A compound whose formula holds.
        aggregations: Code -> simple aggregation.
    """
    names = _references(parsed(compound.calculation))
    operands = [aggregations[code] for code in dict.fromkeys(names) if code in aggregations]
    segmented = [a.segments or [] for a in operands if a.is_segmented]
    if not segmented:
        return None
    return [segment for segment in segmented[0] if all(segment in other for other in segmented[1:])]


def _references(root: Node) -> Iterator[str]:
    """Codes of the aggregations that a formula names, in the order written."""
    waiting: list[Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Name) and len(node.parts) == 2 and node.parts[0] == "aggregation":
            yield node.parts[1]
        waiting.extend(reversed(list(_parts(node))))


def _parts(node: Node) -> Iterator[Node]:
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            yield from (part for part in (item if isinstance(item, tuple) else (item,)) if isinstance(part, Node))
