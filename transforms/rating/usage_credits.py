"""Credit pricings: what they credit, capped so that they never make a product or a bill negative (billing.md 1.7).

A PRODUCT_CREDIT is capped at the lines of its product so far, a GLOBAL_CREDIT at all lines of the bill so far, in the bill
currency; product credits come first, so a global one sees them. What the cap cuts off is lost. Put here the cap; the rated
amount comes from ``usage_charges.py``.
"""

import polars as pl

from transforms.billing.conversions import TOO_LARGE, Exchange, restated
from transforms.entities.plans import PricingType
from transforms.rating.amounts import SAFE, ZERO, sums
from transforms.rating.lines import LINES, Kind, no_lines
from transforms.rating.state import Progress, Rating
from transforms.rating.usage_charges import is_credit

_BAND_AMOUNTS = ("unit_subtotal", "band_subtotal", "converted_band_subtotal")


def usage_credits(progress: Progress) -> pl.DataFrame:
    """The USAGE_CREDIT lines, product credits before global ones.

    The rated usage of credit pricings is what they would credit, as positive amounts.
    """
    rating, lines = progress.rating, progress.lines
    rated = progress.rated.filter(is_credit(rating).gather(progress.rated["subject"]))
    if rated.is_empty():
        return no_lines()
    types = pl.Series("type", [str(o.pricing.type) for o in rating.offers], dtype=pl.String)
    keyed = _keyed(rating, rated).with_columns(types.gather(rated["subject"]))
    so_far = _keyed(rating, lines.select(*LINES))
    done: list[pl.DataFrame] = []
    for kind, keys in ((PricingType.PRODUCT_CREDIT, ["bill", "product_id"]), (PricingType.GLOBAL_CREDIT, ["bill"])):
        mine = keyed.filter(pl.col("type") == kind).drop("type")
        capped = _capped(mine, so_far, keys, rating.exchanges)
        so_far = pl.concat([so_far, capped])
        done.append(capped)
    return pl.concat(done).select(*LINES)


def _keyed(rating: Rating, lines: pl.DataFrame) -> pl.DataFrame:
    due = rating.due
    return lines.with_columns(due["bill"].gather(lines["due"]), due["product_id"].gather(lines["due"]))


def _capped(credited: pl.DataFrame, lines: pl.DataFrame, keys: list[str], rates: tuple[Exchange, ...]) -> pl.DataFrame:
    """The credits as negative lines; each takes what the ones before it left of its cap."""
    bases = sums(lines, keys, "converted_subtotal").rename({"converted_subtotal": "base"})
    frame = credited.sort("bill", "due", "subject", "service_start").join(bases, on=keys, how="left", maintain_order="left")
    amount = pl.max_horizontal(pl.col("converted_subtotal").fill_null(ZERO), ZERO)
    cap = pl.max_horizontal(pl.col("base").fill_null(ZERO), ZERO)
    # A running sum that does not fit would raise for the whole run, so such bills fail instead (DECISIONS 34).
    fits = pl.col("taken").cast(pl.Float64).sum().over(keys) < float(SAFE)
    frame = frame.with_columns(taken=amount, cap=cap, original="subtotal").with_columns(taken=pl.when(fits).then("taken"))
    frame = frame.with_columns(until=pl.col("taken").cum_sum().over(keys))
    granted = pl.min_horizontal("until", "cap") - pl.min_horizontal(pl.col("until") - pl.col("taken"), "cap")
    # Usage below zero would be credited twice over: it charges, uncapped.
    frame = frame.with_columns(granted=pl.when(pl.col("converted_subtotal") < ZERO).then("converted_subtotal").otherwise(granted))
    is_cut = pl.col("granted") != pl.col("converted_subtotal")
    frame = restated(frame.with_columns(restated="granted"), "restated", rates, rounds=True)
    frame = frame.with_columns(
        subtotal=-pl.when(is_cut).then("restated").otherwise("subtotal"),
        converted_subtotal=pl.when(pl.col("converted_subtotal").is_null()).then(None).otherwise(-pl.col("granted")),
        kind=pl.lit(Kind.USAGE_CREDIT.value, dtype=pl.UInt8),
        failure=pl.when(pl.col("taken").is_null()).then(pl.coalesce("failure", pl.lit(TOO_LARGE))).otherwise("failure"),
    )
    return _with_credited_bands(frame).select(*LINES, "bill", "product_id")


def _with_credited_bands(frame: pl.DataFrame) -> pl.DataFrame:
    """The bands of credits as negative amounts; where the cap cut, the first bands are credited first, so they sum to the line."""
    numbered = frame.with_row_index("line")
    if numbered["bands"].null_count() == numbered.height:
        return frame
    long = numbered.select("line", pl.col("bands"), total=-pl.col("subtotal"), converted=-pl.col("converted_subtotal"), original="original")
    long = long.filter(pl.col("bands").is_not_null()).explode("bands").unnest("bands")
    negative = pl.col("original") < ZERO
    for name, limit in (("band_subtotal", "total"), ("converted_band_subtotal", "converted")):
        long = long.with_columns(until=pl.col(name).cum_sum().over("line"))
        cut = pl.min_horizontal("until", limit) - pl.min_horizontal(pl.col("until") - pl.col(name), limit)
        long = long.with_columns(pl.when(negative).then(pl.col(name)).otherwise(cut).alias(name))
    fixed = pl.min_horizontal("fixed_price", "band_subtotal")
    has_fixed = pl.col("band_subtotal") - pl.col("unit_subtotal") > ZERO
    long = long.with_columns(unit_subtotal=pl.when(has_fixed & ~negative).then(pl.col("band_subtotal") - fixed).otherwise("band_subtotal"))
    long = long.with_columns(-pl.col(name) for name in _BAND_AMOUNTS)
    fields = [f.name for f in LINES["bands"].inner.fields]  # type: ignore[union-attr]
    nested = long.group_by("line", maintain_order=True).agg(bands=pl.struct(fields))
    return numbered.drop("bands").join(nested, on="line", how="left", maintain_order="left").drop("line")
