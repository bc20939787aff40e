"""Plans that are sold together: plan groups and the plans in them."""

from typing import Annotated

from pydantic import StringConstraints

from transforms.entities.resource import (
    Amount,
    Code,
    CodeReference,
    Entity,
    EntityWithCustomFields,
    Flag,
    Id,
    Name,
    Reference,
    Text,
)


class PlanGroup(EntityWithCustomFields):
    """Plans of several products with a minimum spend and a standing charge of their own. Source: billing.md 6.1."""

    name: Name
    code: Code | None = None
    currency: Annotated[str, StringConstraints(min_length=3, max_length=3), CodeReference("Currency")]
    minimum_spend: Amount | None = None
    minimum_spend_description: Text | None = None
    standing_charge: Amount | None = None
    standing_charge_description: Text | None = None
    standing_charge_bill_in_advance: Flag | None = None
    minimum_spend_bill_in_advance: Flag | None = None
    #: A custom plan group is made for this account alone.
    account_id: Annotated[Id | None, Reference("Account")] = None
    minimum_spend_accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    standing_charge_accounting_product_id: Annotated[Id | None, Reference("Product")] = None


class PlanGroupLink(Entity):
    """A plan in a plan group. Source: billing.md 6.1."""

    plan_group_id: Annotated[Id, Reference("PlanGroup")]
    plan_id: Annotated[Id, Reference("Plan")]
