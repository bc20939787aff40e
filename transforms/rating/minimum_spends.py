"""Minimum spends of pricings, plans and plan groups, in arrears and in advance (billing.md 1.10, DECISIONS 24 and 26).

In arrears one line lifts what was spent to the minimum; in advance the minimum is charged at the start of the period and
refunded at its end as far as usage consumed it, so that either way the period costs max(minimum, spend). Put here
minimums; keep out what counts as spend beyond usage, counters and the pricings' own minimums.
"""

import polars as pl

from transforms.billing.conversions import Exchange, finished
from transforms.datasets import INSTANT
from transforms.entities.plans import PricingType
from transforms.money import DECIMAL
from transforms.rating.amounts import ZERO, sums, total
from transforms.rating.anchors import Role
from transforms.rating.lines import Kind, charges, no_lines
from transforms.rating.standing_charges import prorated, windows_in_advance, windows_in_arrears
from transforms.rating.state import Progress, Rating
from transforms.rating.windows import first_whole_day, local_day

_LIFT, _REFUND = "lift", "refund"


def _minimums(windows: pl.DataFrame, rates: tuple[Exchange, ...]) -> pl.DataFrame:
    """The windows with their prorated minimum as a finished ``subtotal``."""
    return finished(prorated(windows, "minimum_spend", first="first_day", end="end_day"), rates)


def _settled(windows: pl.DataFrame, spent: pl.DataFrame, keys: list[str], rates: tuple[Exchange, ...]) -> pl.DataFrame:
    """The windows in arrears with ``minimum`` and ``spend`` (0 where nothing was spent), and what follows from them.

    That is ``lift``, what the minimum adds to the spend, and ``refund``, what the spend consumed of the minimum, negative.
    """
    minimums = _minimums(windows, rates).rename({"subtotal": "minimum"}).drop("converted_subtotal")
    known = minimums.join(spent.rename({"subtotal": "spend"}), on=keys, how="left", maintain_order="left")
    known = known.with_columns(pl.when(pl.col("rows").is_null()).then(ZERO).otherwise("spend").alias("spend"))
    # The horizontal extremes skip nulls: an amount that could not be computed must stay null, so that its bill fails.
    is_known = pl.col("minimum").is_not_null() & pl.col("spend").is_not_null()
    known = known.with_columns(
        most=pl.when(is_known).then(pl.max_horizontal("minimum", "spend")),
        least=pl.when(is_known).then(pl.min_horizontal("minimum", "spend")),
    )
    return known.with_columns(total([known["most"], -known["spend"]]).alias(_LIFT), (-pl.col("least")).alias(_REFUND)).drop("most", "least")


def _lines(settled: pl.DataFrame, coming: pl.DataFrame, kinds: tuple[Kind, Kind], rates: tuple[Exchange, ...]) -> list[pl.DataFrame]:
    """The lines of settled windows in arrears, of those billed in advance, and of coming windows."""
    in_arrears = settled.filter(~pl.col("minimum_spend_in_advance")).with_columns(amount=_LIFT)
    refunds = settled.filter("minimum_spend_in_advance").with_columns(amount=_REFUND)
    charged = _minimums(coming.filter("minimum_spend_in_advance"), rates)
    return [
        charges(finished(in_arrears.drop("failure"), rates), kinds[0]),
        charges(charged, kinds[0]),
        charges(finished(refunds.drop("failure"), rates), kinds[1]),
    ]


def _within_pricing(windows: pl.DataFrame, zone: str) -> pl.DataFrame:
    """The windows cut to their pricing's dates, without the empty ones."""
    return (
        windows.with_columns(
            service_start=pl.max_horizontal("service_start", "pricing_start"),
            service_end=pl.min_horizontal("service_end", "pricing_end"),
        )
        .filter(pl.col("service_start") < pl.col("service_end"))
        .with_columns(first_day=first_whole_day("service_start", zone), end_day=local_day("service_end", zone))
    )


def _priced(rating: Rating) -> pl.DataFrame:
    """The offers that have a minimum spend, one row per plan and pricing: a pricing without a segment may make several offers."""
    rows: dict[tuple[int, str], tuple[object, ...]] = {}
    for number, offer in enumerate(rating.offers):
        pricing = offer.pricing
        if pricing.minimum_spend and pricing.type is PricingType.DEBIT:
            row = (offer.plan_number, number, pricing.id, pricing.minimum_spend, offer.minimum_spend_in_advance, pricing.start_date, pricing.end_date)
            rows.setdefault((offer.plan_number, pricing.id), row)
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "plan_number": pl.UInt32,
        "subject": pl.UInt32,
        "pricing_id": pl.String,
        "minimum_spend": DECIMAL,
        "minimum_spend_in_advance": pl.Boolean,
        "pricing_start": INSTANT,
        "pricing_end": INSTANT,
    }
    return pl.DataFrame(list(rows.values()), schema=schema, orient="row")


#: What counts as spend: usage and counters, with what counters credit (DECISIONS 26).
_SPEND = [kind.value for kind in (Kind.USAGE, Kind.COUNTER_RUNNING_TOTAL_CHARGE, Kind.COUNTER_ADJUSTMENT_DEBIT, Kind.COUNTER_ADJUSTMENT_CREDIT)]


def _spend(lines: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Keys and subtotals of the lines that are spend."""
    return lines.select(*keys, "subtotal", "kind").filter(pl.col("kind").is_in(_SPEND)).drop("kind")


def minimum_spends(progress: Progress) -> pl.DataFrame:
    """The minimum spend lines: of pricings first, whose lifts count as spend of the plan, then of plans, whose lifts count for the group.

    The usage and counter lines so far are the spend; what is billed to a child for its parent's plan is spend of that plan.
    """
    rating = progress.rating
    lines = progress.lines.with_columns(rating.due["plan_due"].gather(progress.lines["due"]).alias("due"))
    of_pricings, pricing_lifts = _of_pricings(rating, lines)
    spend = pl.concat([_spend(lines, ["due"]), pricing_lifts])
    plans = rating.plans
    plans = plans.with_columns(rating.by_plan(plans, "minimum_spend", DECIMAL), rating.by_plan(plans, "minimum_spend_in_advance", pl.Boolean))
    of_plans, plan_lifts = _of_anchors(rating, plans, spend, (Kind.PLAN_MINIMUM_SPEND, Kind.PLAN_MINIMUM_SPEND_REFUND))
    groups = rating.of_role(Role.GROUP)
    if groups.is_empty():
        return pl.concat([no_lines(), *of_pricings, *of_plans])
    groups = groups.with_columns(rating.by_group(groups, "minimum_spend", DECIMAL), rating.by_group(groups, "minimum_spend_in_advance", pl.Boolean))
    members = plans.select("due", "account_plan_id", "bill").join(
        groups.select("account_plan_id", "bill", group_due="due"), on=["account_plan_id", "bill"]
    )
    of_members = (
        pl.concat([spend, plan_lifts]).join(members.select("due", "group_due"), on="due").select(pl.col("group_due").alias("due"), "subtotal")
    )
    of_groups, _ = _of_anchors(rating, groups, of_members, (Kind.GROUP_MINIMUM_SPEND, Kind.GROUP_MINIMUM_SPEND_REFUND))
    return pl.concat([no_lines(), *of_pricings, *of_plans, *of_groups])


_LIFTS: dict[str, pl.DataType | type[pl.DataType]] = {"due": pl.UInt32, "subtotal": DECIMAL}


def _of_pricings(rating: Rating, lines: pl.DataFrame) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """The lines of pricings' minimums, and their lifts by anchor."""
    priced = _priced(rating)
    if priced.is_empty():
        return [], pl.DataFrame(schema=_LIFTS)
    plans = rating.plans
    pricing_ids = pl.Series("pricing_id", [o.pricing.id for o in rating.offers], dtype=pl.String)
    usage = lines.filter(pl.col("kind") == Kind.USAGE.value)
    usage = usage.with_columns(pricing_ids.gather(usage["subject"]))
    arrears = _within_pricing(windows_in_arrears(plans).join(priced, on="plan_number"), rating.zone)
    coming = _within_pricing(windows_in_advance(plans).join(priced, on="plan_number"), rating.zone)
    spent = sums(_spend(usage, ["due", "pricing_id"]), ["due", "pricing_id"], "subtotal")
    settled = _settled(arrears, spent, ["due", "pricing_id"], rating.exchanges)
    kinds = (Kind.PRICING_MINIMUM_SPEND, Kind.PRICING_MINIMUM_SPEND_REFUND)
    return _lines(settled, coming, kinds, rating.exchanges), settled.select("due", subtotal=_LIFT)


def _of_anchors(rating: Rating, due: pl.DataFrame, spend: pl.DataFrame, kinds: tuple[Kind, Kind]) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """The lines of the minimums of plans or plan groups, and their lifts by anchor."""
    due = due.filter(pl.col("minimum_spend") > 0)
    if due.is_empty():
        return [], pl.DataFrame(schema=_LIFTS)
    settled = _settled(windows_in_arrears(due), sums(spend, ["due"], "subtotal"), ["due"], rating.exchanges)
    return _lines(settled, windows_in_advance(due), kinds, rating.exchanges), settled.select("due", subtotal=_LIFT)
