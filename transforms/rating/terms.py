"""What plans come to: every setting of a plan over its template over the organization, and the pricings it offers.

Everything here is configuration-sized, so plain loops. Put here precedence; keep out accounts and usage. Source:
billing.md 1.8, 1.9, 1.13, 4.6, DECISIONS 25.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from transforms.configuration import Configuration
from transforms.entities.formulas import compound_segments
from transforms.entities.plan_groups import PlanGroup
from transforms.entities.plans import Plan, PlanTemplate, Pricing
from transforms.entities.resource import BillingFrequency
from transforms.entities.usage import Aggregation, CompoundAggregation, Product, Segment


@dataclass(frozen=True)
class PlanTerms:
    """One plan with what it inherits filled in; amounts in ``currency``, minimum_spend 0 when there is none."""

    plan_id: str
    plan_code: str
    template_id: str
    product_id: str
    product_name: str
    currency: str
    frequency: BillingFrequency
    interval: int
    standing_charge: Decimal
    standing_charge_description: str
    standing_charge_in_advance: bool
    standing_charge_interval: int
    standing_charge_offset: int
    standing_charge_accounting_product_id: str
    minimum_spend: Decimal
    minimum_spend_description: str
    minimum_spend_in_advance: bool
    minimum_spend_accounting_product_id: str


@dataclass(frozen=True)
class GroupTerms:
    """One plan group with what it inherits from the organization filled in; amounts in ``currency``."""

    plan_group_id: str
    currency: str
    standing_charge: Decimal
    standing_charge_description: str
    standing_charge_in_advance: bool
    standing_charge_accounting_product_id: str | None
    minimum_spend: Decimal
    minimum_spend_description: str
    minimum_spend_in_advance: bool
    minimum_spend_accounting_product_id: str | None


@dataclass(frozen=True)
class Offer:
    """One pricing as one plan offers it for one segment; what a usage line is rated by.

    Attributes:
        plan_number: Position of the plan in ``plan_terms``.
        pricing: The pricing.
        aggregation: What it prices.
        segment_index: Position of the segment among the aggregation's, -1 when unsegmented.
        segment: The segment, None when unsegmented.
        minimum_spend_in_advance: The pricing's flag over the organization's.
    """

    plan_number: int
    pricing: Pricing
    aggregation: Aggregation | CompoundAggregation
    segment_index: int
    segment: Segment | None
    minimum_spend_in_advance: bool

    @property
    def segment_json(self) -> str | None:
        """The segment as the dataset carries it."""
        return None if self.segment is None else json.dumps(self.segment, sort_keys=True, ensure_ascii=False)

    @property
    def description(self) -> str:
        """Text of the usage line (billing.md 4.6)."""
        if self.pricing.description:
            return self.pricing.description
        return self.aggregation.name if self.segment is None else f"{self.aggregation.name} ({', '.join(self.segment.values())})"

    @property
    def minimum_spend_description(self) -> str:
        """Text of the pricing's minimum spend line."""
        return self.pricing.minimum_spend_description or f"{self.aggregation.name} Minimum Spend Adjustment"

    def accounting_product_id(self, terms: PlanTerms) -> str:
        """Pricing's, else aggregation's, else the plan's product (billing.md 1.13)."""
        return self.pricing.accounting_product_id or self.aggregation.accounting_product_id or terms.product_id


def _terms(plan: Plan, configuration: Configuration) -> PlanTerms:
    template = configuration.entity(PlanTemplate, plan.plan_template_id)
    organization = configuration.organization

    def inherited(name: str, last: Any) -> Any:
        own, general = getattr(plan, name), getattr(template, name)
        return own if own is not None else general if general is not None else last

    product_id = template.product_id
    product = configuration.entity(Product, product_id)
    return PlanTerms(
        plan_id=plan.id,
        plan_code=plan.code,
        template_id=template.id,
        product_id=product_id,
        product_name=product.name,
        currency=template.currency,
        frequency=template.bill_frequency,
        interval=template.bill_frequency_interval or 1,
        standing_charge=inherited("standing_charge", Decimal(0)),
        standing_charge_description=inherited("standing_charge_description", "Standing Charge"),
        standing_charge_in_advance=inherited("standing_charge_bill_in_advance", organization.standing_charge_bill_in_advance),
        standing_charge_interval=template.standing_charge_interval or 1,
        standing_charge_offset=template.standing_charge_offset or 0,
        standing_charge_accounting_product_id=plan.standing_charge_accounting_product_id or product_id,
        minimum_spend=inherited("minimum_spend", Decimal(0)),
        minimum_spend_description=inherited("minimum_spend_description", f"{product.name} Minimum Spend Adjustment"),
        minimum_spend_in_advance=inherited("minimum_spend_bill_in_advance", organization.minimum_spend_bill_in_advance),
        minimum_spend_accounting_product_id=plan.minimum_spend_accounting_product_id or product_id,
    )


def plan_terms(configuration: Configuration) -> tuple[PlanTerms, ...]:
    """The terms of every plan, sorted by plan id; a plan's position is its number in the frames of a bill run."""
    plans = configuration.entities(Plan)
    return tuple(_terms(plans[plan_id], configuration) for plan_id in sorted(plans))


def group_terms(configuration: Configuration) -> tuple[GroupTerms, ...]:
    """The terms of every plan group, sorted by id; a group's position is its number in the frames of a bill run."""
    organization = configuration.organization
    groups = configuration.entities(PlanGroup)

    def flag(own: bool | None, general: bool) -> bool:
        return general if own is None else own

    return tuple(
        GroupTerms(
            plan_group_id=group.id,
            currency=group.currency,
            standing_charge=group.standing_charge or Decimal(0),
            standing_charge_description=group.standing_charge_description or "Standing Charge",
            standing_charge_in_advance=flag(group.standing_charge_bill_in_advance, organization.standing_charge_bill_in_advance),
            standing_charge_accounting_product_id=group.standing_charge_accounting_product_id,
            minimum_spend=group.minimum_spend or Decimal(0),
            minimum_spend_description=group.minimum_spend_description or f"{group.name} Minimum Spend Adjustment",
            minimum_spend_in_advance=flag(group.minimum_spend_bill_in_advance, organization.minimum_spend_bill_in_advance),
            minimum_spend_accounting_product_id=group.minimum_spend_accounting_product_id,
        )
        for _, group in sorted(groups.items())
    )


def _aggregation(pricing: Pricing, configuration: Configuration) -> Aggregation | CompoundAggregation:
    if pricing.aggregation_id:
        return configuration.entity(Aggregation, pricing.aggregation_id)
    return configuration.entity(CompoundAggregation, pricing.compound_aggregation_id or "")


def _segments(aggregation: Aggregation | CompoundAggregation, configuration: Configuration) -> list[Segment] | None:
    if isinstance(aggregation, CompoundAggregation):
        return compound_segments(aggregation, {a.code: a for a in configuration.entities(Aggregation).values() if a.code})
    return (aggregation.segments or []) if aggregation.is_segmented else None


def _priced(pricing: Pricing) -> str:
    return pricing.aggregation_id or pricing.compound_aggregation_id or ""


def _offers_of(number: int, pricings: list[Pricing], configuration: Configuration) -> list[Offer]:
    found = []
    named = {(_priced(p), json.dumps(p.segment, sort_keys=True)) for p in pricings if p.segment}
    for pricing in pricings:
        aggregation = _aggregation(pricing, configuration)
        segments = _segments(aggregation, configuration)
        in_advance = (
            pricing.minimum_spend_bill_in_advance
            if pricing.minimum_spend_bill_in_advance is not None
            else configuration.organization.minimum_spend_bill_in_advance
        )
        if segments is None:
            found.append(Offer(number, pricing, aggregation, -1, None, in_advance))
            continue
        for index, segment in enumerate(segments):
            # A pricing without a segment prices every segment of the aggregation that has no pricing of its own.
            fits = pricing.segment == segment if pricing.segment else (_priced(pricing), json.dumps(segment, sort_keys=True)) not in named
            if fits:
                found.append(Offer(number, pricing, aggregation, index, segment, in_advance))
    return found


def plan_offers(terms: tuple[PlanTerms, ...], configuration: Configuration) -> tuple[Offer, ...]:
    """Every offer of every plan, in the order in which usage lines stand on a bill; an offer's position is its number.

    A plan's own pricing of an aggregation hides all of the template's pricings of that aggregation (DECISIONS 25).
    """
    by_plan: dict[str, list[Pricing]] = {}
    by_template: dict[str, list[Pricing]] = {}
    for pricing in configuration.entities(Pricing).values():
        owner = by_plan if pricing.plan_id else by_template
        owner.setdefault(pricing.plan_id or pricing.plan_template_id or "", []).append(pricing)
    offers: list[Offer] = []
    for number, plan in enumerate(terms):
        own = by_plan.get(plan.plan_id, [])
        hidden = {_priced(p) for p in own}
        inherited = [p for p in by_template.get(plan.template_id, []) if _priced(p) not in hidden]
        offers += sorted(
            _offers_of(number, own + inherited, configuration),
            key=lambda o: (o.aggregation.name, o.aggregation.id, o.pricing.start_date, o.segment_index, o.pricing.id),
        )
    return tuple(offers)
