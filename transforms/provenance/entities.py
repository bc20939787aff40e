"""Which entities of the configuration a line is computed from, to say which of them changed between two calculations.

Put here the references that rating follows for a line. Keep out versions, which the history has.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from transforms.aggregations.compound import required_aggregations
from transforms.configuration import Configuration
from transforms.entities.organization import OrganizationConfig
from transforms.entities.plans import Plan, Pricing
from transforms.entities.usage import Aggregation, CompoundAggregation

Line = Mapping[str, Any]

#: Column of a line -> kind of the entity that it names.
_REFERENCES: Mapping[str, str] = {
    "account_id": "Account",
    "child_account_id": "Account",
    "account_plan_id": "AccountPlan",
    "plan_id": "Plan",
    "plan_group_id": "PlanGroup",
    "pricing_id": "Pricing",
    "aggregation_id": "Aggregation",
    "compound_aggregation_id": "CompoundAggregation",
    "meter_id": "Meter",
    "product_id": "Product",
    "accounting_product_id": "Product",
    "counter_id": "Counter",
    "charge_id": "Charge",
    "commitment_id": "Commitment",
    "balance_id": "Balance",
    "contract_id": "Contract",
}
#: The types of lines that are rated by one pricing; all others follow from the other lines of the bill too.
_OF_ONE_PRICING = ("USAGE", "OVERAGE_USAGE")


def used_entities(line: Line, configuration: Configuration) -> set[tuple[str, str]]:
    """(kind, id) of what the line is computed from under the configuration.

    Args:
        line: Columns of BILL_LINE_ITEMS.
        configuration: The organization's; a line may name what it does not have.
    """
    found = {(kind, line[column]) for column, kind in _REFERENCES.items() if line[column] is not None}
    found |= {(OrganizationConfig.__name__, configuration.organization.id)} if configuration.organization.id else set()
    found |= {("Currency", one.id) for one in (configuration.currency(line["currency"]),) if one is not None}
    plan = configuration.entities(Plan).get(line["plan_id"] or "")
    if plan is None:
        return found
    found.add(("PlanTemplate", plan.plan_template_id))
    of_line = {line["aggregation_id"], line["compound_aggregation_id"]} - {None} if line["line_item_type"] in _OF_ONE_PRICING else None
    for pricing in configuration.entities(Pricing).values():
        is_offered = plan.id == pricing.plan_id or plan.plan_template_id == pricing.plan_template_id
        # A plan's pricing of an aggregation may hide the template's, so all of the aggregation's count.
        is_meant = of_line is None or (pricing.aggregation_id or pricing.compound_aggregation_id) in of_line
        if is_offered and is_meant:
            found |= {("Pricing", pricing.id), *_priced(pricing, configuration)}
    return found


def _priced(pricing: Pricing, configuration: Configuration) -> Iterator[tuple[str, str]]:
    compound = configuration.entities(CompoundAggregation).get(pricing.compound_aggregation_id or "")
    ids = [pricing.aggregation_id] if compound is None else list(required_aggregations(compound, configuration))
    if compound is not None:
        yield "CompoundAggregation", compound.id
    for aggregation in (configuration.entities(Aggregation).get(i or "") for i in ids):
        if aggregation is not None:
            yield "Aggregation", aggregation.id
            yield "Meter", aggregation.meter_id
