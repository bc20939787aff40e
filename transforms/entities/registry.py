"""The list of all config entities.

Adding an entity is a class in a module of declarations and a ``Resource`` row beside its rules; everything else follows
from this list.
"""

from transforms.entities import (
    account_plan_rules,
    account_rules,
    charge_rules,
    contract_rules,
    counter_rules,
    fund_rules,
    organization_rules,
    plan_group_rules,
    plan_rules,
    pricing_rules,
    statement_rules,
    usage_rules,
)
from transforms.entities.resource import Resource

RESOURCES: tuple[Resource, ...] = (
    *organization_rules.RESOURCES,
    *usage_rules.RESOURCES,
    *statement_rules.RESOURCES,
    *account_rules.RESOURCES,
    *contract_rules.RESOURCES,
    *plan_rules.RESOURCES,
    *plan_group_rules.RESOURCES,
    *counter_rules.RESOURCES,
    *pricing_rules.RESOURCES,
    *account_plan_rules.RESOURCES,
    *fund_rules.RESOURCES,
    *charge_rules.RESOURCES,
)
BY_KIND: dict[str, Resource] = {r.kind: r for r in RESOURCES}
BY_PATH: dict[str, Resource] = {r.path: r for r in RESOURCES}
