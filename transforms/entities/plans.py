"""What usage costs: plan templates, plans, pricings."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from transforms.entities.resource import (
    Amount,
    BillingFrequency,
    Code,
    CodeReference,
    Entity,
    EntityWithCustomFields,
    Flag,
    Id,
    Instant,
    Integer,
    LongInteger,
    Name,
    Number,
    ReadOnly,
    Reference,
    Text,
    ValueObject,
)


class PlanTemplate(EntityWithCustomFields):
    """Cadence, currency and defaults of a product's plans. Source: billing.md 1.9, 2."""

    product_id: Annotated[Id, Reference("Product")]
    name: Name
    code: Code | None = None
    currency: Annotated[str, StringConstraints(min_length=3, max_length=3), CodeReference("Currency")]
    standing_charge: Amount
    standing_charge_description: Text | None = None
    standing_charge_interval: Annotated[Integer, Field(ge=1, le=365)] | None = None
    standing_charge_offset: Annotated[Integer, Field(ge=0, le=364)] | None = None
    bill_frequency: BillingFrequency
    bill_frequency_interval: Annotated[Integer, Field(ge=1, le=365)] | None = None
    ordinal: Annotated[LongInteger, Field(ge=0)] | None = None
    minimum_spend: Amount | None = None
    minimum_spend_description: Text | None = None
    standing_charge_bill_in_advance: Flag | None = None
    minimum_spend_bill_in_advance: Flag | None = None


class Plan(EntityWithCustomFields):
    """A priced offer: what it leaves open it takes from its template. Source: billing.md 1.9."""

    plan_template_id: Annotated[Id, Reference("PlanTemplate")]
    #: The template's product.
    product_id: Annotated[Id | None, Reference("Product"), ReadOnly()] = None
    name: Name
    code: Code
    standing_charge: Amount | None = None
    standing_charge_description: Text | None = None
    ordinal: Annotated[LongInteger, Field(ge=0)] | None = None
    bespoke: Flag | None = None
    minimum_spend: Amount | None = None
    minimum_spend_description: Text | None = None
    standing_charge_bill_in_advance: Flag | None = None
    minimum_spend_bill_in_advance: Flag | None = None
    minimum_spend_accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    standing_charge_accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    account_id: Annotated[Id | None, Reference("Account")] = None


class PricingType(StrEnum):
    """Whether the rated amount is charged or credited."""

    DEBIT = "DEBIT"
    PRODUCT_CREDIT = "PRODUCT_CREDIT"
    GLOBAL_CREDIT = "GLOBAL_CREDIT"


class AggregationType(StrEnum):
    """Which kind of aggregation a pricing prices."""

    SIMPLE = "SIMPLE"
    COMPOUND = "COMPOUND"


class PricingBand(ValueObject):
    """One band: from above ``lower_limit`` units, a fixed price when entered and a price per unit. Source: billing.md 1.4."""

    id: str | None = None
    lower_limit: Amount
    fixed_price: Number
    unit_price: Number
    credit_type_id: str | None = None


class Pricing(Entity):
    """Prices of one aggregation (or one of its segments) on a plan or template, for a time. Source: billing.md 1.1."""

    plan_id: Annotated[Id | None, Reference("Plan")] = None
    plan_template_id: Annotated[Id | None, Reference("PlanTemplate")] = None
    aggregation_id: Annotated[Id | None, Reference("Aggregation")] = None
    compound_aggregation_id: Annotated[Id | None, Reference("CompoundAggregation")] = None
    aggregation_type: Annotated[AggregationType | None, ReadOnly()] = None
    code: Code | None = None
    type: PricingType = PricingType.DEBIT
    cumulative: Flag = False
    tiers_span_plan: Flag = False
    segment: dict[str, str] | None = None
    segment_string: Annotated[str | None, ReadOnly()] = None
    start_date: Instant
    end_date: Instant | None = None
    description: Text | None = None
    minimum_spend: Amount | None = None
    minimum_spend_description: Text | None = None
    minimum_spend_bill_in_advance: Flag | None = None
    pricing_bands: Annotated[list[PricingBand], Field(min_length=1)]
    overage_pricing_bands: list[PricingBand] | None = None
    accounting_product_id: Annotated[Id | None, Reference("Product")] = None
