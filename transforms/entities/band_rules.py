"""What pricings and counter pricings have in common: where they stand, their dates, their bands and the ids of these.

Source: billing.md 1.1, 1.4, 6.3. Keep out what only one of the two has.
"""

import uuid
from collections import Counter as Occurrences
from collections.abc import Iterator, Sequence

from transforms.entities.counters import CounterPricing
from transforms.entities.plans import Plan, PlanTemplate, Pricing, PricingBand
from transforms.entities.resource import Neighbours
from transforms.money import wire_number

Problems = Iterator[tuple[bool, str, str]]


def choice_problems(pricing: Pricing | CounterPricing, one: str, other: str) -> Problems:
    """Of two fields (snake_case ids) exactly one is given."""
    given = (getattr(pricing, one) is not None) + (getattr(pricing, other) is not None)
    wires = [str(type(pricing).model_fields[name].alias) for name in (one, other)]
    yield given != 1, wires[0], f"{wires[0]} and {wires[1]}: exactly one of them must be given, not {'both' if given else 'neither'}"


def period_problems(pricing: Pricing | CounterPricing) -> Problems:
    """It ends after it starts."""
    yield (
        pricing.end_date is not None and pricing.end_date <= pricing.start_date,
        "endDate",
        "endDate must be after startDate: the pricing is active from startDate until just before endDate",
    )


def band_problems(name: str, bands: Sequence[PricingBand], refused_negative: str | None) -> Problems:
    """Each band starts elsewhere; without negative prices where ``refused_negative`` says why there are none."""
    seen = Occurrences(band.lower_limit for band in bands)
    for index, band in enumerate(bands):
        yield (
            seen[band.lower_limit] > 1,
            f"{name}[{index}].lowerLimit",
            f"lowerLimit {wire_number(band.lower_limit)} occurs more than once; each band starts elsewhere",
        )
        for field, price in (("fixedPrice", band.fixed_price), ("unitPrice", band.unit_price)):
            yield price < 0 and refused_negative is not None, f"{name}[{index}].{field}", f"{field} is {wire_number(price)}; {refused_negative}"


def priced_product_id(pricing: Pricing | CounterPricing, neighbours: Neighbours) -> str | None:
    """The product of the plan or template that the pricing is on."""
    on = neighbours.entity(Plan, pricing.plan_id) if pricing.plan_id is not None else neighbours.entity(PlanTemplate, pricing.plan_template_id or "")
    return on.product_id if on is not None else None


def identified(kind: str, bands: Sequence[PricingBand], previous: Sequence[PricingBand], pricing_id: str) -> list[PricingBand]:
    """The bands, each with an id; one that the stored pricing has already, by id or by lower limit, keeps it."""
    known = {band.id for band in previous}
    by_limit = {band.lower_limit: band.id for band in previous}
    claimed = {band.id for band in bands if band.id in known}
    with_ids = []
    for band in bands:
        band_id = band.id if band.id in known else by_limit.get(band.lower_limit)
        if band_id is None or (band.id != band_id and band_id in claimed):
            generation = 0
            while band_id is None or band_id in known or band_id in claimed:
                band_id = str(uuid.uuid5(uuid.UUID(pricing_id), f"{kind} {band.lower_limit:f} {generation}"))
                generation += 1
        with_ids.append(band.model_copy(update={"id": band_id}))
        claimed.add(band_id)
    return with_ids
