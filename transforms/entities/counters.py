"""What is counted rather than measured, such as seats: counters and their prices."""

from typing import Annotated

from pydantic import Field, StringConstraints

from transforms.entities.plans import PricingBand
from transforms.entities.resource import Code, Entity, Flag, Id, Instant, Name, Reference, Text


class Counter(Entity):
    """A number that stays as it is until someone adjusts it; without a product, plans of any product price it. Source: billing.md 6.3."""

    code: Code | None = None
    product_id: Annotated[Id | None, Reference("Product")] = None
    name: Name
    unit: Annotated[str, StringConstraints(min_length=1)]


class CounterPricing(Entity):
    """Prices of one counter on a plan or template, for a time. Source: billing.md 6.3, 6.4."""

    plan_id: Annotated[Id | None, Reference("Plan")] = None
    plan_template_id: Annotated[Id | None, Reference("PlanTemplate")] = None
    counter_id: Annotated[Id, Reference("Counter")]
    code: Code | None = None
    cumulative: Flag = False
    start_date: Instant
    end_date: Instant | None = None
    description: Text | None = None
    pricing_bands: Annotated[list[PricingBand], Field(min_length=1)]
    accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    running_total_bill_in_advance: Flag = True
    pro_rate_running_total: Flag = True
    pro_rate_adjustment_debit: Flag = True
    pro_rate_adjustment_credit: Flag = True
