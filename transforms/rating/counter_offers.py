"""What plans charge for counters: every counter pricing as one plan offers it.

Configuration-sized, so plain loops. Put here precedence; keep out values and amounts (``counters.py``). Source: billing.md 1.9, 6.3.
"""

from dataclasses import dataclass

from transforms.configuration import Configuration
from transforms.entities.counters import Counter, CounterPricing
from transforms.rating.terms import PlanTerms


@dataclass(frozen=True)
class CounterOffer:
    """One counter pricing as one plan offers it.

    Attributes:
        plan_number: Position of the plan in ``plan_terms``.
        pricing: The counter pricing.
        counter: What it prices.
    """

    plan_number: int
    pricing: CounterPricing
    counter: Counter

    def accounting_product_id(self, terms: PlanTerms) -> str:
        """Pricing's, else the plan's product (billing.md 1.13)."""
        return self.pricing.accounting_product_id or terms.product_id


def counter_offers(terms: tuple[PlanTerms, ...], configuration: Configuration) -> tuple[CounterOffer, ...]:
    """Every counter pricing of every plan, in the order of its lines on a bill; a plan's own pricing of a counter hides the template's."""
    by_plan: dict[str, list[CounterPricing]] = {}
    by_template: dict[str, list[CounterPricing]] = {}
    for pricing in configuration.entities(CounterPricing).values():
        owner = by_plan if pricing.plan_id else by_template
        owner.setdefault(pricing.plan_id or pricing.plan_template_id or "", []).append(pricing)
    counters = configuration.entities(Counter)
    found: list[CounterOffer] = []
    for number, plan in enumerate(terms):
        own = by_plan.get(plan.plan_id, [])
        hidden = {p.counter_id for p in own}
        inherited = [p for p in by_template.get(plan.template_id, []) if p.counter_id not in hidden]
        offers = [CounterOffer(number, pricing, counters[pricing.counter_id]) for pricing in own + inherited]
        found += sorted(offers, key=lambda o: (o.counter.name, o.counter.id, o.pricing.start_date, o.pricing.id))
    return tuple(found)
