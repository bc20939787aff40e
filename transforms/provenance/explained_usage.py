"""Usage lines explained: from the measurements to the quantity, from the quantity to units, from units to bands.

Put here the formula of aggregations and prices in words and numbers. Keep out which measurements count (trail.py). Source:
billing.md 1.3-1.8, usage.md 4-6.
"""

from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from transforms.entities.plans import Pricing, PricingType
from transforms.entities.usage import Aggregation, CompoundAggregation, Method
from transforms.money import Rounding, RoundingMode, exact, rounded
from transforms.provenance.calculation_steps import Check, Explained, Explanation, Line, Step, band_checks, band_steps, divided, money_steps, number
from transforms.provenance.trail import Source, blocks_of, charged_usage, compound_quantity, siblings, sources

_MODES = {Rounding.UP: RoundingMode.UP, Rounding.DOWN: RoundingMode.DOWN, Rounding.NEAREST: RoundingMode.HALF_UP}


def explained_usage(explained: Explained) -> Explanation | None:
    """The explanation of a line that states measured usage; None for one that carries usage of another bill forward."""
    line, configuration = explained.line, explained.configuration
    priced = priced_aggregation(explained)
    if priced is None or line["referenced_bill_id"] is not None:
        return None
    usage = charged_usage(line, configuration, explained.usage)
    blocks = blocks_of(line, explained.lines, configuration)
    if isinstance(priced, CompoundAggregation):
        by_block = [sources(line, block, configuration, usage) for block in blocks]
        found = [one for own in by_block for one in own]
        answers = [compound_quantity(line, own, configuration) for own in by_block]
    else:
        found = sources(line, pl.concat(blocks), configuration, usage)
        answers = [(one.quantity, one.failure) for one in found]
    steps = [_source_step(one) for one in found]
    values = [quantity for quantity, _ in answers if quantity is not None]
    measured = sum(values, Decimal(0)) if values else None
    reason = "; ".join(text for _, text in answers if text is not None)
    if isinstance(priced, CompoundAggregation):
        steps.append(Step(name="formula", formula=priced.calculation + (f": {reason}" if reason else ""), value=measured))
    parts = siblings(line, explained.lines)
    checks = [_quantity_check(parts, measured)]
    if len(parts) > 1:
        others = " + ".join(number(one["quantity"]) for one in parts)
        steps.append(Step(name="quantity of this line", formula=f"its part of {others}, which the usage was split into", value=line["quantity"]))
    else:
        units = _units(line["quantity"], priced)
        granted = _granted(explained, priced, units)
        steps.append(_units_step(line, priced, granted))
        if _is_whole(line, explained.lines):
            checks.append(Check(name="units", stated=line["units"], computed=units - granted))
    steps += band_steps(line)
    return Explanation(
        line=line,
        formula=_formula(explained, priced),
        steps=(*steps, *money_steps(line, configuration, None)),
        checks=(*checks, *band_checks(line)),
        sources=tuple(found),
        counted=tuple(one["line_item_id"] for one in parts if one is not line and one["line_item_id"] != line["line_item_id"]),
    )


def priced_aggregation(explained: Explained) -> Aggregation | CompoundAggregation | None:
    """What the line prices; None where the configuration does not have it."""
    line, configuration = explained.line, explained.configuration
    compound = configuration.entities(CompoundAggregation).get(line["compound_aggregation_id"] or "")
    return compound or configuration.entities(Aggregation).get(line["aggregation_id"] or "")


def _quantity_check(parts: Sequence[Line], measured: Decimal | None) -> Check:
    total = sum((one["quantity"] for one in parts), Decimal(0))
    name = "aggregate of the measurements = quantity" if len(parts) == 1 else f"aggregate of the measurements = quantity of {len(parts)} lines"
    return Check(name=name, stated=total, computed=measured)


def _granted(explained: Explained, priced: Aggregation | CompoundAggregation, units: Decimal) -> Decimal:
    """How many of the units balances granted (billing.md 5.8): those that the line lacks, at most what the bill drew of them."""
    drawn = explained.granted.get(priced.unit, Decimal(0))
    missing: Decimal = units - explained.line["units"]
    return max(min(missing, drawn), Decimal(0))


def _source_step(source: Source) -> Step:
    aggregation, accounts = source.aggregation, source.accounts["account_code"].to_list()
    what = "its SQL" if aggregation.aggregation is Method.CUSTOM_SQL else f"{aggregation.aggregation.value} of {aggregation.target_field}"
    where = "" if source.segment is None else f" where {', '.join(f'{name} is {value}' for name, value in source.segment.items())}"
    by = accounts[0] if len(accounts) == 1 else f"{accounts[0]} and {len(accounts) - 1} other accounts of its family, added up"
    span = f"from {source.start.isoformat()} to {source.end.isoformat()}"
    formula = f"{what} over the measurements of meter {source.meter.code} by {by} {span}{where}"
    if aggregation.default_value is not None:
        formula += f"; {number(aggregation.default_value)} where there are none"
    return Step(name=f"aggregation {aggregation.code or aggregation.name}", formula=formula, value=source.quantity)


def _units(quantity: Decimal, priced: Aggregation | CompoundAggregation) -> Decimal:
    per = exact(priced.quantity_per_unit)
    units = quantity if per == 1 else divided(quantity, per)
    return units if priced.rounding is Rounding.NONE else rounded(units, places=0, mode=_MODES[priced.rounding])


def _units_step(line: Line, priced: Aggregation | CompoundAggregation, granted: Decimal) -> Step:
    formula = f"{number(line['quantity'])} / {number(priced.quantity_per_unit)}"
    formula += "" if priced.rounding is Rounding.NONE else f", rounded {priced.rounding.value}"
    formula += f", less {number(granted)} that a balance granted" if granted else ""
    return Step(name="units" if priced.unit == "1" else f"units ({priced.unit})", formula=formula, value=line["units"])


def _is_whole(line: Line, lines: Sequence[Line]) -> bool:
    """False for a line of a family's block: its units are a share of the block's."""
    return not any(one["child_account_id"] is not None and one["pricing_id"] == line["pricing_id"] for one in lines)


def _formula(explained: Explained, priced: Aggregation | CompoundAggregation) -> str:
    line = explained.line
    pricing = explained.configuration.entities(Pricing).get(line["pricing_id"] or "")
    text = f"{line['description']}: {priced.name}, in units of {number(priced.quantity_per_unit)}, rounding {priced.rounding.value}"
    if pricing is None:
        return text
    kind = "every band prices the units inside it" if pricing.cumulative else "the band that the units reach prices all of them"
    text += f"; {kind}"
    if pricing.tiers_span_plan:
        text += "; bands go on from the units of the account plan's earlier periods"
    if line["line_item_type"] == "OVERAGE_USAGE":
        text += "; what commitments and balances left uncovered, at overage prices"
    if pricing.type is not PricingType.DEBIT:
        text += "; credited, at most what it is set against"
    return text
