"""Minimum spends of pricings and plans, in arrears and in advance (billing.md 1.10, DECISIONS 24 and 26).

In arrears one line lifts what was spent to the minimum; in advance the minimum is charged at the start of the period and
refunded at its end as far as usage consumed it, so that either way the period costs max(minimum, spend). Put here
minimums; keep out what counts as spend beyond usage, counters and the pricings' own minimums.
"""

import polars as pl

from transforms.billing.conversions import Exchange, finished
from transforms.datasets import INSTANT
from transforms.entities.plans import PricingType
from transforms.money import DECIMAL
from transforms.rating.amounts import ZERO, sums
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
    return known.with_columns(
        pl.when(is_known).then(pl.max_horizontal("minimum", "spend") - pl.col("spend")).alias(_LIFT),
        pl.when(is_known).then(-pl.min_horizontal("minimum", "spend")).alias(_REFUND),
    )


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
        "offer": pl.UInt32,
        "pricing_id": pl.String,
        "minimum_spend": DECIMAL,
        "minimum_spend_in_advance": pl.Boolean,
        "pricing_start": INSTANT,
        "pricing_end": INSTANT,
    }
    return pl.DataFrame(list(rows.values()), schema=schema, orient="row")


def _spent(lines: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return sums(_usage(lines, keys), keys, "subtotal")


def _usage(lines: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Keys and subtotals of the USAGE lines."""
    return lines.select(*keys, "subtotal", "kind").filter(pl.col("kind") == Kind.USAGE.value).drop("kind")


def minimum_spends(progress: Progress) -> pl.DataFrame:
    """The minimum spend lines of the due account plans: of their pricings first, whose lifts count as spend of the plan.

    The USAGE lines so far are the spend.
    """
    rating, lines = progress.rating, progress.lines
    found = [no_lines()]
    priced = _priced(rating)
    lifts = pl.DataFrame(schema={"due": pl.UInt32, "subtotal": DECIMAL})
    if not priced.is_empty():
        pricing_ids = pl.Series("pricing_id", [o.pricing.id for o in rating.offers], dtype=pl.String)
        usage = lines.with_columns(pricing_ids.gather(lines["offer"]))
        arrears = _within_pricing(windows_in_arrears(rating.due).join(priced, on="plan_number"), rating.zone)
        coming = _within_pricing(windows_in_advance(rating.due).join(priced, on="plan_number"), rating.zone)
        settled = _settled(arrears, _spent(usage, ["due", "pricing_id"]), ["due", "pricing_id"], rating.exchanges)
        found += _lines(settled, coming, (Kind.PRICING_MINIMUM_SPEND, Kind.PRICING_MINIMUM_SPEND_REFUND), rating.exchanges)
        lifts = settled.select("due", subtotal=_LIFT)
    due = rating.due.with_columns(rating.by_plan("minimum_spend", DECIMAL), rating.by_plan("minimum_spend_in_advance", pl.Boolean))
    due = due.filter(pl.col("minimum_spend") > 0)
    if not due.is_empty():
        usage = _usage(lines, ["due"])
        spent = sums(pl.concat([usage, lifts]), ["due"], "subtotal")
        settled = _settled(windows_in_arrears(due), spent, ["due"], rating.exchanges)
        kinds = (Kind.PLAN_MINIMUM_SPEND, Kind.PLAN_MINIMUM_SPEND_REFUND)
        found += _lines(settled, windows_in_advance(due), kinds, rating.exchanges)
    return pl.concat(found)
