"""Standing charges and minimum spends explained: the days, the factor, the amounts, and the lines that count.

The factor is computed here on single dates (transforms/periods.py), not on columns as in a bill run. Source: billing.md 1.10,
2.3, 2.6, 2.7, DECISIONS 24, 26 and 27.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import polars as pl

from transforms.entities.plans import Pricing
from transforms.entities.resource import BillingFrequency
from transforms.periods import REGULAR, Schedule, whole_days
from transforms.provenance.calculation_steps import Check, Explained, Explanation, Line, Step, divided, in_money, money_steps, number
from transforms.rating.epochs import general_epoch
from transforms.rating.selection import zone_of
from transforms.rating.terms import GroupTerms, PlanTerms, group_terms, plan_terms

_SPEND = ("USAGE", "OVERAGE_USAGE", "COUNTER_RUNNING_TOTAL_CHARGE", "COUNTER_ADJUSTMENT_DEBIT", "COUNTER_ADJUSTMENT_CREDIT")
#: Of an account plan and what it attaches: the plan's schedule, and what the plan or its group charges.
_Terms = PlanTerms | GroupTerms


def explained_standing_charge(explained: Explained) -> Explanation | None:
    """The explanation of a standing charge: the whole amount times the part of the billing period that it covers."""
    line = explained.line
    terms, schedule = _terms(explained), _schedule(explained)
    if terms is None or schedule is None:
        return None
    steps, amount = _prorated(explained, schedule, terms.standing_charge, "standing charge")
    computed = in_money(amount, line["currency"], explained.configuration)
    return Explanation(
        line=line,
        formula=f"{line['description']}: {number(terms.standing_charge)} {line['currency']} per billing period, by whole local days",
        steps=(*steps, *money_steps(line, explained.configuration, amount)),
        checks=(Check(name="prorated standing charge = subtotal", stated=line["subtotal"], computed=computed),),
    )


def explained_minimum_spend(explained: Explained) -> Explanation | None:
    """The explanation of a minimum spend or its refund: the prorated minimum, and the lines that count as spend against it."""
    line, configuration = explained.line, explained.configuration
    schedule, minimum = _schedule(explained), _minimum(explained)
    if schedule is None or minimum is None:
        return None
    whole, in_advance = minimum
    steps, amount = _prorated(explained, schedule, whole, "minimum spend")
    least = in_money(amount, line["currency"], configuration)
    is_refund = line["line_item_type"] == "MINIMUM_SPEND_REFUND"
    text = f"{line['description']}: {number(whole)} {line['currency']} per billing period"
    if in_advance and not is_refund:
        check = Check(name="prorated minimum spend = subtotal", stated=line["subtotal"], computed=least)
        steps += money_steps(line, configuration, amount)
        return Explanation(line=line, formula=f"{text}, billed in advance", steps=tuple(steps), checks=(check,))
    counted = _counted(explained)
    spend = sum((one["subtotal"] for one in counted), Decimal(0))
    formula = " + ".join(number(one["subtotal"]) for one in counted) or "no line"
    steps += [Step(name="spend", formula=formula, value=spend)]
    if is_refund:
        computed, how = -min(least, spend), f"min({number(least)}, {number(spend)}) of what was billed in advance is given back"
    else:
        computed, how = max(least, spend) - spend, f"max({number(least)}, {number(spend)}) - {number(spend)}"
    # What a commitment or balance left uncovered may stand at overage prices, which the minimum never saw.
    is_known = not any(one["line_item_type"] == "OVERAGE_USAGE" for one in counted)
    checks = (Check(name="minimum spend against the lines that count = subtotal", stated=line["subtotal"], computed=computed),) if is_known else ()
    return Explanation(
        line=line,
        formula=f"{text}, against usage and counters of its {_owner(line)}",
        steps=(*steps, Step(name="amount", formula=how, value=computed), *money_steps(line, configuration, None)),
        checks=checks,
        counted=tuple(one["line_item_id"] for one in counted),
    )


def _owner(line: Line) -> str:
    return "pricing" if line["pricing_id"] is not None else "plan" if line["plan_id"] is not None else "plan group"


def _terms(explained: Explained) -> _Terms | None:
    """What the plan, or the plan group, of the line asks for."""
    line, configuration = explained.line, explained.configuration
    if line["plan_id"] is not None:
        return next((one for one in plan_terms(configuration) if one.plan_id == line["plan_id"]), None)
    return next((one for one in group_terms(configuration) if one.plan_group_id == line["plan_group_id"]), None)


def _minimum(explained: Explained) -> tuple[Decimal, bool] | None:
    """The minimum per billing period, and whether it is billed in advance."""
    pricing = explained.configuration.entities(Pricing).get(explained.line["pricing_id"] or "")
    if pricing is not None:
        general = explained.configuration.organization.minimum_spend_bill_in_advance
        in_advance = general if pricing.minimum_spend_bill_in_advance is None else pricing.minimum_spend_bill_in_advance
        return pricing.minimum_spend or Decimal(0), in_advance
    terms = _terms(explained)
    return None if terms is None else (terms.minimum_spend, terms.minimum_spend_in_advance)


def _counted(explained: Explained) -> list[Line]:
    """The lines that count as spend: usage and counters of the pricing, plan or group, and lifts of what is below it."""
    line = explained.line
    of_plan = [one for one in explained.lines if one["account_plan_id"] == line["account_plan_id"] and one["referenced_bill_id"] is None]
    if line["pricing_id"] is not None:
        return [one for one in of_plan if one["pricing_id"] == line["pricing_id"] and one["line_item_type"] in _SPEND]
    if line["plan_id"] is not None:
        of_plan = [one for one in of_plan if one["plan_id"] == line["plan_id"]]
    is_group = line["plan_id"] is None
    return [
        one
        for one in of_plan
        if one["line_item_type"] in _SPEND
        or (one["line_item_type"] == "MINIMUM_SPEND" and one["line_item_id"] != line["line_item_id"] and (is_group or one["pricing_id"] is not None))
    ]


def _schedule(explained: Explained) -> Schedule | None:
    """The billing periods of the line's account plan; None where it has none (AD_HOC) or the configuration lacks the plan."""
    line, configuration, run = explained.line, explained.configuration, explained.run
    attached = configuration.account_plans.filter(pl.col("account_plan_id") == line["account_plan_id"])
    plan_ids = {line["plan_id"]} - {None} or {one["plan_id"] for one in explained.lines if one["account_plan_id"] == line["account_plan_id"]}
    terms = next((one for one in plan_terms(configuration) if one.plan_id in plan_ids), None)
    if attached.is_empty() or terms is None or terms.frequency not in REGULAR:
        return None
    accounts = configuration.accounts.filter(pl.col("account_id") == attached["account_id"][0])
    epochs: Sequence[date | None] = [attached["bill_epoch"][0], accounts["bill_epoch"][0] if accounts.height else None]
    epoch = next((one for one in epochs if one is not None), None)
    frequency = BillingFrequency(terms.frequency)
    return Schedule(frequency, terms.interval, epoch or general_epoch(frequency, terms.interval, configuration.organization, run))


def _prorated(explained: Explained, schedule: Schedule, whole: Decimal, name: str) -> tuple[list[Step], Decimal]:
    """The steps to the prorated amount, and the amount before it is rounded to money."""
    line = explained.line
    first, end = whole_days(line["service_period_start"], line["service_period_end"], zone_of(explained.configuration, explained.run))
    factor = schedule.factor(first, end)
    amount = whole if factor == 1 else divided(whole * factor.numerator, Decimal(factor.denominator))
    days = f"{first} to {end}, the latter exclusive: {(end - first).days} whole local days"
    share = divided(Decimal(factor.numerator), Decimal(factor.denominator))
    parts = [
        Step(name="days", formula=days, value=Decimal((end - first).days)),
        Step(name="factor", formula=f"{_fraction(factor)} of a billing period: {schedule.frequency.value}, every {schedule.interval}", value=share),
        Step(name=name, formula=f"{number(whole)} × {_fraction(factor)}", value=amount),
    ]
    return parts, amount


def _fraction(factor: Fraction) -> str:
    return str(factor.numerator) if factor.denominator == 1 else f"{factor.numerator}/{factor.denominator}"
