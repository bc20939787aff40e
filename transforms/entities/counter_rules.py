"""Rules of counters and their pricings. Source: billing.md 6.3; DECISIONS 25, 30."""

from collections.abc import Iterator

from transforms.entities.band_rules import band_problems, choice_problems, identified, period_problems, priced_product_id
from transforms.entities.counters import Counter, CounterPricing
from transforms.entities.resource import CODES, IDS, Filter, Neighbours, Resource, overlaps, refuse

Problems = Iterator[tuple[bool, str, str]]


def _checked_counter(counter: Counter | None, neighbours: Neighbours, previous: Counter | None) -> Counter | None:
    if counter is not None and previous is not None and counter.product_id not in (None, previous.product_id):
        pricings = neighbours.entities(CounterPricing, counter_id=counter.id)
        others = [pricing.id for pricing in pricings if priced_product_id(pricing, neighbours) != counter.product_id]
        refuse([(bool(others), "productId", f"counter pricings of plans of another product use this counter: {', '.join(others[:3])}")])
    return counter


def _checked_pricing(pricing: CounterPricing | None, neighbours: Neighbours, previous: CounterPricing | None) -> CounterPricing | None:
    if pricing is None:
        return None
    choice = tuple(choice_problems(pricing, "plan_id", "plan_template_id"))
    bands = band_problems("pricingBands", pricing.pricing_bands, "a counter pricing has no negative prices")
    own = (*choice, *period_problems(pricing), *bands)
    if any(is_wrong for is_wrong, _, _ in choice):
        refuse(own)
    refuse((*own, *_product_problems(pricing, neighbours), *_overlap_problems(pricing, neighbours)))
    known = previous.pricing_bands if previous is not None else []
    return pricing.model_copy(update={"pricing_bands": identified("STANDARD", pricing.pricing_bands, known, pricing.id)})


def _product_problems(pricing: CounterPricing, neighbours: Neighbours) -> Problems:
    counter, product_id = neighbours.entity(Counter, pricing.counter_id), priced_product_id(pricing, neighbours)
    assert counter is not None, "references are looked up before the check"
    yield (
        counter.product_id not in (None, product_id),
        "counterId",
        (
            f"counter {counter.code or counter.name} belongs to product {counter.product_id}, the plan to product {product_id}: "
            "only counters of the plan's product and global ones can be priced on it"
        ),
    )


def _overlap_problems(pricing: CounterPricing, neighbours: Neighbours) -> Problems:
    others = neighbours.entities(CounterPricing, plan_id=pricing.plan_id, plan_template_id=pricing.plan_template_id, counter_id=pricing.counter_id)
    for other in others:
        yield (
            other.id != pricing.id and overlaps(pricing.start_date, pricing.end_date, other.start_date, other.end_date),
            "startDate",
            (
                f"the counter is already priced here from {other.start_date:%Y-%m-%d} to "
                f"{f'{other.end_date:%Y-%m-%d}' if other.end_date else 'no end'} (counter pricing {other.id}); end that one first"
            ),
        )


RESOURCES = (
    Resource(
        Counter,
        "counters",
        unique=(("code",),),
        filters=IDS | CODES | {"productId": Filter("product_id")},
        check=_checked_counter,
        page_size_max=200,
    ),
    Resource(
        CounterPricing,
        "counterpricings",
        filters=IDS
        | {
            "planId": Filter("plan_id", "equal"),
            "planTemplateId": Filter("plan_template_id", "equal"),
            "date": Filter("start_date", "active"),
        },
        check=_checked_pricing,
        page_size_max=200,
    ),
)
