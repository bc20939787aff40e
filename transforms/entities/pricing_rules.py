"""Rules of pricings: what they price, where, when, and their bands. Source: billing.md 1.1, 1.4, 1.11, 1.12; DECISIONS 25."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transforms.entities.band_rules import band_problems, choice_problems, identified, period_problems, priced_product_id
from transforms.entities.plans import AggregationType, Pricing, PricingType
from transforms.entities.resource import IDS, Filter, Neighbours, Resource, overlaps, refuse
from transforms.entities.usage import Aggregation, CompoundAggregation, Meter, Segment, segment_string

Problems = Iterator[tuple[bool, str, str]]


@dataclass(frozen=True)
class _Target:
    """What a pricing prices and where: the segments it may name, and both products (None: any)."""

    segments: Sequence[Segment] | None
    product_id: str | None
    plan_product_id: str | None


def _checked_pricing(pricing: Pricing | None, neighbours: Neighbours, previous: Pricing | None) -> Pricing | None:
    if pricing is None:
        return None
    is_simple = pricing.aggregation_id is not None
    pricing = pricing.model_copy(
        update={
            "aggregation_type": AggregationType.SIMPLE if is_simple else AggregationType.COMPOUND,
            "segment": pricing.segment or None,
            "segment_string": segment_string(pricing.segment) if pricing.segment else None,
            "overage_pricing_bands": pricing.overage_pricing_bands or None,
        }
    )
    choices = (
        *choice_problems(pricing, "plan_id", "plan_template_id"),
        *choice_problems(pricing, "aggregation_id", "compound_aggregation_id"),
    )
    own = (*choices, *period_problems(pricing), *_band_problems(pricing))
    if any(is_wrong for is_wrong, _, _ in choices):
        refuse(own)
    refuse((*own, *_target_problems(pricing, _target(pricing, neighbours)), *_overlap_problems(pricing, neighbours)))
    return _with_band_ids(pricing, previous)


def _band_problems(pricing: Pricing) -> Problems:
    overage = pricing.overage_pricing_bands or []
    yield bool(overage) and not pricing.cumulative, "overagePricingBands", "overagePricingBands need cumulative true (tiered pricing)"
    yield bool(overage) and pricing.tiers_span_plan, "overagePricingBands", "overagePricingBands can't be combined with tiersSpanPlan true"
    refused_negative = "a DEBIT pricing has no negative prices (a credit has type PRODUCT_CREDIT or GLOBAL_CREDIT)"
    for name, bands in (("pricingBands", pricing.pricing_bands), ("overagePricingBands", overage)):
        yield from band_problems(name, bands, refused_negative if pricing.type is PricingType.DEBIT else None)


def _target(pricing: Pricing, neighbours: Neighbours) -> _Target:
    segments: Sequence[Segment] | None
    if pricing.aggregation_id is not None:
        aggregation = neighbours.entity(Aggregation, pricing.aggregation_id)
        assert aggregation is not None, "references are looked up before the check"
        meter = neighbours.entity(Meter, aggregation.meter_id)
        segments, product_id = (aggregation.segments if aggregation.is_segmented else None), meter.product_id if meter else None
    else:
        compound = neighbours.entity(CompoundAggregation, pricing.compound_aggregation_id or "")
        assert compound is not None, "references are looked up before the check"
        segments, product_id = compound.segments, compound.product_id
    return _Target(segments, product_id, priced_product_id(pricing, neighbours))


def _target_problems(pricing: Pricing, target: _Target) -> Problems:
    field = "aggregationId" if pricing.aggregation_id is not None else "compoundAggregationId"
    yield (
        target.product_id is not None and target.product_id != target.plan_product_id,
        field,
        (
            f"the aggregation belongs to product {target.product_id}, the plan to product {target.plan_product_id}: "
            "only aggregations of the plan's product and global ones can be priced on it"
        ),
    )
    yield target.segments is None and pricing.segment is not None, "segment", "segment is given, but the aggregation is not segmented; leave it out"
    yield (
        target.segments is not None and pricing.segment is None,
        "segment",
        "segment is required: the aggregation is segmented, each segment has its own pricing",
    )
    if target.segments is not None and pricing.segment is not None:
        defined = ", ".join(map(segment_string, target.segments[:10])) or "none"
        yield (
            pricing.segment not in target.segments,
            "segment",
            f"segment {segment_string(pricing.segment)} is not one of the aggregation's segments: {defined}",
        )


def _overlap_problems(pricing: Pricing, neighbours: Neighbours) -> Problems:
    others = neighbours.entities(
        Pricing,
        plan_id=pricing.plan_id,
        plan_template_id=pricing.plan_template_id,
        aggregation_id=pricing.aggregation_id,
        compound_aggregation_id=pricing.compound_aggregation_id,
    )
    for other in others:
        yield (
            other.id != pricing.id
            and other.segment == pricing.segment
            and overlaps(pricing.start_date, pricing.end_date, other.start_date, other.end_date),
            "startDate",
            (
                f"the aggregation is already priced here from {other.start_date:%Y-%m-%d} to "
                f"{f'{other.end_date:%Y-%m-%d}' if other.end_date else 'no end'} (pricing {other.id}); end that one first"
            ),
        )


def _with_band_ids(pricing: Pricing, previous: Pricing | None) -> Pricing:
    """Every band gets an id; one that the stored pricing has already, by id or by lower limit, keeps it."""
    kept = previous.overage_pricing_bands if previous is not None else None
    return pricing.model_copy(
        update={
            "pricing_bands": identified("STANDARD", pricing.pricing_bands, previous.pricing_bands if previous is not None else [], pricing.id),
            "overage_pricing_bands": identified("OVERAGE", pricing.overage_pricing_bands, kept or [], pricing.id)
            if pricing.overage_pricing_bands
            else None,
        }
    )


RESOURCES = (
    Resource(
        Pricing,
        "pricings",
        filters=IDS
        | {
            "planId": Filter("plan_id", "equal"),
            "planTemplateId": Filter("plan_template_id", "equal"),
            "aggregationId": Filter("aggregation_id", "equal"),
            "date": Filter("start_date", "active"),
        },
        check=_checked_pricing,
    ),
)
