"""Counter charges: the running total of a period, and what each adjustment within it adds or takes away (billing.md 6.4, DECISIONS 30).

The value in force when the window starts is the running total; an adjustment on the first day is an adjustment. Each
adjustment charges or credits the difference of the band formula, for the days that remain, its own included. Put here
counters; keep out which pricings there are (``counter_offers.py``).
"""

import polars as pl

from transforms.billing.band_usage import with_bands
from transforms.billing.conversions import finished
from transforms.datasets import INSTANT
from transforms.money import DECIMAL
from transforms.rating.amounts import ZERO, product, quotient, total
from transforms.rating.bands import PriceList, band_table, rated_bands
from transforms.rating.lines import LINES, Kind, no_lines
from transforms.rating.standing_charges import prorated, windows_in_advance, windows_in_arrears
from transforms.rating.state import Progress, Rating
from transforms.rating.windows import first_whole_day, local_day, midnights, with_factor

_OFFERS: dict[str, pl.DataType | type[pl.DataType]] = {
    "offer": pl.UInt32,
    "plan_number": pl.UInt32,
    "counter_id": pl.String,
    "pricing_start": INSTANT,
    "pricing_end": INSTANT,
    "in_advance": pl.Boolean,
    "prorates_total": pl.Boolean,
    "prorates_debit": pl.Boolean,
    "prorates_credit": pl.Boolean,
}
_WINDOW = ("due", "exchange", "account_id", "epoch", "step_days", "step_months", "service_start", "service_end", "first_day", "end_day", *_OFFERS)


def counter_charges(progress: Progress) -> pl.DataFrame:
    """The counter lines of the due account plans: running totals, then adjustments; those of zero are left out."""
    rating = progress.rating
    adjustments = rating.configuration.frame("CounterAdjustment")
    if not rating.counter_offers or adjustments.is_empty():
        return no_lines()
    offers = _offers(rating)
    arrears = _windows(windows_in_arrears(rating.plans), offers, rating.zone)
    coming = _windows(windows_in_advance(rating.plans), offers, rating.zone)
    # Numbered anew: a window in arrears and one in advance may have the same number.
    running = pl.concat([arrears.filter(~pl.col("in_advance")), coming.filter("in_advance")]).drop("window").with_row_index("window")
    return pl.concat([_running_totals(running, adjustments, rating), _adjusted(arrears, adjustments, rating)])


def _offers(rating: Rating) -> pl.DataFrame:
    rows = [
        (
            number,
            offer.plan_number,
            offer.counter.id,
            offer.pricing.start_date,
            offer.pricing.end_date,
            offer.pricing.running_total_bill_in_advance,
            offer.pricing.pro_rate_running_total,
            offer.pricing.pro_rate_adjustment_debit,
            offer.pricing.pro_rate_adjustment_credit,
        )
        for number, offer in enumerate(rating.counter_offers)
    ]
    return pl.DataFrame(rows, schema=_OFFERS, orient="row")


def _windows(windows: pl.DataFrame, offers: pl.DataFrame, zone: str) -> pl.DataFrame:
    """One row per window and counter pricing of its plan, cut to the pricing's dates, without the empty ones."""
    cut = windows.join(offers, on="plan_number").with_columns(
        service_start=pl.max_horizontal("service_start", "pricing_start"),
        service_end=pl.min_horizontal("service_end", "pricing_end"),
    )
    kept = cut.filter(pl.col("service_start") < pl.col("service_end"))
    days = {"first_day": first_whole_day("service_start", zone), "end_day": local_day("service_end", zone)}
    return kept.with_columns(**days).select(_WINDOW).with_row_index("window")


def _in_force(windows: pl.DataFrame, adjustments: pl.DataFrame) -> pl.DataFrame:
    """``window`` and ``value``: what the last adjustment before the window's first day set; no row where there is none."""
    known = windows.select("window", "account_id", "counter_id", "first_day").join(
        adjustments.select("account_id", "counter_id", "date", "value"), on=["account_id", "counter_id"]
    )
    before = known.filter(pl.col("date") < pl.col("first_day"))
    return before.sort("window", "date").unique("window", keep="last", maintain_order=True).select("window", pl.col("value").cast(DECIMAL))


def _table(rating: Rating) -> list[PriceList]:
    return [PriceList(o.pricing.id, o.pricing.pricing_bands, o.pricing.cumulative) for o in rating.counter_offers]


def _running_totals(windows: pl.DataFrame, adjustments: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    valued = windows.join(_in_force(windows, adjustments), on="window", maintain_order="left")
    factors = with_factor(valued, "first_day", "end_day")
    whole = pl.lit(1, dtype=pl.Int64)
    prorates = pl.col("prorates_total")
    rated = factors.with_columns(
        pl.when(prorates).then("factor_over").otherwise(whole).cast(DECIMAL).alias("factor_over"),
        pl.when(prorates).then("factor_under").otherwise(whole).cast(DECIMAL).alias("factor_under"),
        quantity="value",
        units="value",
    )

    def finish(lines: pl.DataFrame, bands: pl.DataFrame, entries: int) -> pl.DataFrame:
        scaled = bands.with_columns(_scaled(bands, name) for name in ("unit_amount", "fixed_amount", "band_amount"))
        # A line is the sum of its prorated bands, so that both say the same.
        parts = [scaled["band_amount"].gather_every(entries, offset) for offset in range(entries)]
        return with_bands(lines.with_columns(amount=total(parts)), scaled, entries, rating.exchanges)

    frames = rated_bands(rated, band_table(_table(rating)), finish)
    kind = pl.lit(Kind.COUNTER_RUNNING_TOTAL_CHARGE.value, dtype=pl.UInt8)
    return _lines([frame.with_columns(kind=kind) for frame in frames])


def _scaled(bands: pl.DataFrame, name: str) -> pl.Series:
    return quotient(product(bands[name], bands["factor_over"]), bands["factor_under"]).alias(name)


def _adjusted(windows: pl.DataFrame, adjustments: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """One line per adjustment in a window whose charge differs from the value before it."""
    inside = windows.join(adjustments.select("account_id", "counter_id", "date", "value"), on=["account_id", "counter_id"])
    inside = inside.filter((pl.col("date") >= pl.col("first_day")) & (pl.col("date") < pl.col("end_day"))).with_columns(pl.col("value").cast(DECIMAL))
    if inside.is_empty():
        return no_lines()
    start = windows.join(_in_force(windows, adjustments), on="window").with_columns(date=pl.lit(None, dtype=pl.Date))
    values = pl.concat([start.select(inside.columns), inside]).with_columns(quantity="value", units="value")
    rated = pl.concat(rated_bands(values, band_table(_table(rating)), lambda lines, _bands, _entries: lines))
    # Before the first value of all there was no charge, not that of an explicit 0.
    steps = rated.sort("window", "date", nulls_last=False).with_columns(
        before=pl.col("amount").shift(1).over("window").fill_null(ZERO), value_before=pl.col("value").shift(1).over("window").fill_null(ZERO)
    )
    steps = steps.filter(pl.col("date").is_not_null()).with_columns(difference=pl.col("amount") - pl.col("before"))
    is_credit = pl.col("difference") < ZERO
    steps = steps.with_columns(
        prorates=pl.when(is_credit).then("prorates_credit").otherwise("prorates_debit"),
        kind=pl.when(is_credit).then(Kind.COUNTER_ADJUSTMENT_CREDIT.value).otherwise(Kind.COUNTER_ADJUSTMENT_DEBIT.value).cast(pl.UInt8),
    ).drop("amount")
    amounts = prorated(steps, "difference", first="date", end="end_day")
    amounts = amounts.with_columns(amount=pl.when("prorates").then("amount").otherwise("difference"))
    days = midnights(amounts["date"], rating.zone).rename({"day": "date"})
    amounts = amounts.join(days, on="date", maintain_order="left").with_columns(service_start=pl.max_horizontal("service_start", "at")).drop("at")
    done = finished(amounts, rating.exchanges).with_columns(
        quantity=pl.col("value") - pl.col("value_before"),
        units=pl.col("value") - pl.col("value_before"),
        bands=pl.lit(None, dtype=LINES["bands"]),
    )
    return _lines([done])


def _lines(frames: list[pl.DataFrame]) -> pl.DataFrame:
    named = [frame.rename({"offer": "subject"}).with_columns(child=pl.lit(None, dtype=pl.Int32)) for frame in frames]
    lines = pl.concat([no_lines(), *(frame.select(pl.col(name).cast(dtype) for name, dtype in LINES.items()) for frame in named)])
    return lines.filter((pl.col("subtotal") != ZERO) | pl.col("failure").is_not_null())
