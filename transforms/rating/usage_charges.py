"""From quantities to rated usage: windows of each pricing, units, bands, finished amounts.

Put here how usage meets pricings. Keep out how quantities are aggregated (``transforms/aggregations``) and what happens
to rated credits (``usage_credits.py``). Source: billing.md 1.3-1.8, 1.12, DECISIONS 22 and 25.
"""

import polars as pl

from transforms.billing.band_usage import with_bands
from transforms.billing.siblings import billed_to_children
from transforms.datasets import INSTANT
from transforms.entities.accounts import ChildBillingMode
from transforms.entities.plans import PricingType
from transforms.entities.usage import CompoundAggregation
from transforms.money import DECIMAL
from transforms.rating.bands import rated_bands
from transforms.rating.grants import with_grants_taken
from transforms.rating.lines import LINES, Kind, no_lines
from transforms.rating.measured_usage import measured
from transforms.rating.spanning import earlier_windows, with_earlier_units
from transforms.rating.state import DRAWN, Progress, Rating
from transforms.rating.units import with_units

#: One row per offer, and the pricing window that it shares with the other segments of its aggregation.
_OFFERS: dict[str, pl.DataType | type[pl.DataType]] = {
    "offer": pl.UInt32,
    "plan_number": pl.UInt32,
    "aggregation_id": pl.String,
    "is_compound": pl.Boolean,
    "pricing_start": INSTANT,
    "pricing_end": INSTANT,
    "segment_index": pl.Int32,
    "offer_spans": pl.Boolean,
}
_TOO_MANY = "the rated units have more than 26 digits before the point"
_SHARES: dict[str, pl.DataType | type[pl.DataType]] = {
    "due": pl.UInt32,
    "subject": pl.UInt32,
    "service_start": INSTANT,
    "account_number": pl.Int32,
    "quantity": DECIMAL,
}
_BREAKDOWN = ChildBillingMode.PARENT_BREAKDOWN.value


def offer_frame(rating: Rating) -> pl.DataFrame:
    """One row per offer; see ``_OFFERS``. ``pricing_window`` numbers (plan, aggregation, pricing dates)."""
    rows = [
        (
            number,
            offer.plan_number,
            offer.aggregation.id,
            isinstance(offer.aggregation, CompoundAggregation),
            offer.pricing.start_date,
            offer.pricing.end_date,
            offer.segment_index,
            offer.pricing.tiers_span_plan,
        )
        for number, offer in enumerate(rating.offers)
    ]
    frame = pl.DataFrame(rows, schema=_OFFERS, orient="row")
    keys = ["plan_number", "aggregation_id", "pricing_start", "pricing_end"]
    windows = frame.select(keys).unique(maintain_order=True).with_row_index("pricing_window")
    return frame.join(windows, on=keys, nulls_equal=True, maintain_order="left")


def rated_windows(rating: Rating, offers: pl.DataFrame) -> pl.DataFrame:
    """Billing period, account plan and pricing dates intersected: one row per due account plan and pricing window."""
    per_window = offers.with_columns(spans=pl.col("offer_spans").any().over("pricing_window"))
    per_window = per_window.unique("pricing_window", maintain_order=True).drop("offer", "segment_index", "offer_spans")
    return (
        rating.plans.filter("has_arrears")
        .select(
            "due",
            "exchange",
            "plan_number",
            "product_id",
            "account_plan_id",
            "plan_id",
            "contract_id",
            "account_id",
            "account_number",
            "active_start",
            "active_end",
        )
        .join(per_window, on="plan_number")
        .with_columns(
            window_start=pl.max_horizontal("active_start", "pricing_start"),
            window_end=pl.min_horizontal("active_end", "pricing_end"),
        )
        .filter(pl.col("window_start") < pl.col("window_end"))
        .with_row_index("window")
        .drop("active_start", "active_end", "pricing_start", "pricing_end")
    )


def _with_earlier(rating: Rating, windows: pl.DataFrame) -> pl.DataFrame:
    """The windows with ``line_window``, their own number, and those of earlier periods where tiers span the plan."""
    own = windows.with_columns(line_window="window")
    spanning = windows.filter("spans")
    if spanning.is_empty():
        return own
    both = pl.concat([own, earlier_windows(spanning, rating.due, rating.zone)])
    return both.with_columns(window=pl.int_range(pl.len(), dtype=pl.UInt32))


def _priced(rating: Rating, windows: pl.DataFrame, offers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What was used, by offer: ``line_window``, ``is_earlier``, ``offer``, ``quantity``, ``failure``; then the shares, see ``rated_usage``."""
    places = windows.select("line_window", "pricing_window", is_earlier=pl.col("window") != pl.col("line_window"))
    # In one piece while it is narrow: frames whose columns come in different pieces are copied by every later step.
    found, by_account = measured(rating, windows)
    valued = found.with_columns(pl.col("segment_index").fill_null(-1)).rechunk()
    # A window's number is its position.
    valued = pl.concat([valued, places[valued["window"]]], how="horizontal")
    by_segment = offers.select("offer", "pricing_window", "segment_index", "offer_spans")
    columns = ("line_window", "is_earlier", "offer", "quantity", "failure")
    priced = valued.join(by_segment, on=["pricing_window", "segment_index"]).filter(~pl.col("is_earlier") | pl.col("offer_spans"))
    # A formula that fails as a whole has no segment, whatever segments are priced.
    whole = valued.filter(pl.col("failure").is_not_null() & (pl.col("segment_index") < 0))
    failed = whole.join(by_segment.unique("pricing_window", keep="first"), on="pricing_window").select(columns)
    return pl.concat([priced.select(columns), failed]), _shares(rating, by_account, windows, by_segment)


def _shares(rating: Rating, by_account: pl.DataFrame, windows: pl.DataFrame, by_segment: pl.DataFrame) -> pl.DataFrame:
    if by_account.is_empty():
        return pl.DataFrame(schema=_SHARES)
    is_split = pl.col("child_billing_mode").fill_null(_BREAKDOWN) != ChildBillingMode.PARENT_SUMMARY.value
    split = rating.plans.filter(is_split).select("due")
    own = windows.filter(pl.col("window") == pl.col("line_window")).join(split, on="due", how="semi")
    places = own.select("window", "due", "pricing_window", service_start="window_start")
    offered = by_account.with_columns(pl.col("segment_index").fill_null(-1)).join(places, on="window")
    joined = offered.join(by_segment, on=["pricing_window", "segment_index"])
    return joined.select("due", pl.col("offer").alias("subject"), "service_start", "account_number", "quantity")


def rated_usage(rating: Rating) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The usage of every due account plan, rated: lines of debit and of credit pricings, the latter with what they would credit.

    A null quantity gives no line; a quantity or amount that can't be computed gives a line with a failure.

    Returns:
        The lines, see LINES; then the shares of lines that are to be split among the accounts of a family: ``due``,
        ``subject``, ``service_start``, ``account_number`` (null for the account that pays), ``quantity``; then what grants
        gave, see DRAWN.
    """
    offers = offer_frame(rating)
    windows = rated_windows(rating, offers)
    if windows.is_empty():
        return no_lines(), pl.DataFrame(schema=_SHARES), pl.DataFrame(schema=DRAWN)
    priced, shares = _priced(rating, _with_earlier(rating, windows), offers)
    broken = priced.filter(pl.col("failure").is_not_null())
    valued = with_units(priced.filter(pl.col("failure").is_null()).drop("failure"), rating.offers)
    known = valued.filter(~pl.col("is_earlier"))
    charged, granted = with_grants_taken(known, windows, rating)
    every = [part for frame in charged for part in _spanned(frame, offers, valued)]
    rated = [broken, *(frame.filter(pl.col("units").is_null()).with_columns(failure=pl.lit(_TOO_MANY)) for frame in every)]
    places = windows.select("due", "exchange", service_start="window_start", service_end="window_end")
    for frame in every:
        lines = frame.filter(pl.col("units").is_not_null())
        placed = pl.concat([lines, places.select("exchange")[lines["line_window"]]], how="horizontal")
        # By exchange while lines are narrow: cutting their bands later would copy them.
        for number in range(len(rating.exchanges)):
            mine = placed.filter(pl.col("exchange") == number) if len(rating.exchanges) > 1 else placed
            rated += rated_bands(mine, rating.bands, lambda part, bands, n: with_bands(part, bands, n, rating.exchanges))
    lines = pl.concat([no_lines(), *(_lines(f, places) for f in rated if not f.is_empty())])
    return *billed_to_children(lines, shares, rating.due, rating.exchanges), granted


def _spanned(known: pl.DataFrame, offers: pl.DataFrame, valued: pl.DataFrame) -> tuple[pl.DataFrame, ...]:
    """The rows whose bands begin anew, and those whose tiers span the plan, with the units of earlier periods, granted ones too."""
    spans = offers.sort("offer")["offer_spans"]
    if not spans.any():
        return (known,)
    is_spanning = spans.gather(known["offer"])
    return known.filter(~is_spanning), with_earlier_units(known.filter(is_spanning), valued.filter("is_earlier"))


def _lines(frame: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    placed = pl.concat([frame.drop("exchange", strict=False).rename({"offer": "subject"}), places[frame["line_window"]]], how="horizontal")
    kind = pl.lit(Kind.USAGE.value, dtype=pl.UInt8).alias("kind")
    columns = placed.with_columns(kind)
    return columns.select((pl.col(n) if n in columns.columns else pl.lit(None).alias(n)).cast(t) for n, t in LINES.items())


def is_credit(rating: Rating) -> pl.Series:
    """For every offer, whether its pricing credits instead of charging."""
    return pl.Series("is_credit", [o.pricing.type is not PricingType.DEBIT for o in rating.offers], dtype=pl.Boolean)


def usage_charges(progress: Progress) -> pl.DataFrame:
    """The USAGE lines: the rated usage of all pricings that charge."""
    return progress.rated.filter(~is_credit(progress.rating).gather(progress.rated["subject"]))
