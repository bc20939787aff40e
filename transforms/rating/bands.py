"""Units over pricing bands: tiered, volume, stairstep, custom tiered and custom volume (billing.md 1.2-1.5, DECISIONS 22).

The bands of all pricings are one small frame; a line's bands are found by position in it, so nothing loops over lines.
Lines with the same number of bands are laid out line by line, which makes sums and nested lists strided views. Put here
what a band holds and costs before rounding; keep out currencies and rounding (``rating/finish.py``).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from transforms.entities.plans import PricingBand
from transforms.money import DECIMAL, Rounding, exact
from transforms.rating.amounts import SAFE, ZERO, product, total
from transforms.rating.terms import Offer

#: Units of the account plan's earlier periods, and whether there was any value in them; only on lines whose tiers span the plan.
_BEFORE, _BEGUN = "units_before", "is_begun"
#: A column of lines from whose units a grant was taken, so that their quantity says no more how many are rated.
GRANTED = "granted"

#: One row per band of an offer, ascending, the bands of an offer together.
_BAND_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "offer": pl.UInt32,
    "band": pl.UInt32,
    "pricing_band_id": pl.String,
    "lower_limit": DECIMAL,
    "upper_limit": DECIMAL,
    "fixed_price": DECIMAL,
    "unit_price": DECIMAL,
    "lower_quantity": DECIMAL,
    "upper_quantity": DECIMAL,
}


@dataclass(frozen=True)
class BandTable:
    """The bands of every offer.

    Attributes:
        bands: See ``_BAND_SCHEMA``.
        offers: One row per offer: ``first`` (its first row in ``bands``), ``count``, ``entries`` (bands shown on a line: all
            of a cumulative pricing, the one reached otherwise), ``is_cumulative``, ``is_measured`` (quantity and units are
            the same number), ``per`` (quantityPerUnit).
    """

    bands: pl.DataFrame
    offers: pl.DataFrame


@dataclass(frozen=True)
class PriceList:
    """The bands of one pricing.

    Attributes:
        pricing_id: The pricing.
        bands: In any order.
        cumulative: Each band at its own price, else all units at the price of the highest band reached.
        per: quantityPerUnit.
        is_measured: Quantity and units are the same number.
    """

    pricing_id: str
    bands: list[PricingBand]
    cumulative: bool
    per: Decimal = Decimal(1)
    is_measured: bool = True


def price_list(offer: Offer) -> PriceList:
    """The bands that rate an offer's usage."""
    per = exact(offer.aggregation.quantity_per_unit)
    is_measured = per == 1 and offer.aggregation.rounding is Rounding.NONE
    return PriceList(offer.pricing.id, offer.pricing.pricing_bands, offer.pricing.cumulative, per, is_measured)


def band_table(lists: Iterable[PriceList]) -> BandTable:
    """The bands of every price list, looked up by its position."""
    rows: list[tuple[object, ...]] = []
    heads: list[tuple[object, ...]] = []
    for number, one in enumerate(lists):
        bands = sorted(one.bands, key=lambda b: b.lower_limit)
        heads.append((len(rows), len(bands), len(bands) if one.cumulative else 1, one.cumulative, one.is_measured, one.per))
        rows += [_row(number, n, bands, one.pricing_id, one.per) for n in range(len(bands))]
    head_schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "first": pl.UInt32,
        "count": pl.UInt32,
        "entries": pl.UInt32,
        "is_cumulative": pl.Boolean,
        "is_measured": pl.Boolean,
        "per": DECIMAL,
    }
    return BandTable(pl.DataFrame(rows, schema=_BAND_SCHEMA, orient="row"), pl.DataFrame(heads, schema=head_schema, orient="row"))


def _row(offer: int, n: int, bands: list[PricingBand], pricing_id: str, per: Decimal) -> tuple[object, ...]:
    band, following = bands[n], bands[n + 1].lower_limit if n + 1 < len(bands) else None
    upper_quantity = None if following is None else min(exact(following * per), SAFE)
    return (
        offer,
        n,
        band.id or f"{pricing_id}.{n}",
        exact(band.lower_limit),
        None if following is None else exact(following),
        exact(band.fixed_price),
        exact(band.unit_price),
        min(exact(band.lower_limit * per), SAFE),
        upper_quantity,
    )


def _reached(frame: pl.DataFrame, units: pl.Expr, table: BandTable) -> pl.Series:
    """How many bands after the first the units reach; frame has ``first`` and ``count``."""
    deepest = frame["count"].max()
    if not isinstance(deepest, int) or deepest <= 1:
        return pl.repeat(0, frame.height, dtype=pl.UInt32, eager=True)
    limits = pl.lit(table.bands["lower_limit"])
    # Limits ascend, so the number of limits exceeded is the band reached.
    above = [
        ((units > limits.gather(pl.col("first") + pl.min_horizontal(pl.lit(n, dtype=pl.UInt32), pl.col("count") - 1))) & (n < pl.col("count"))).cast(
            pl.UInt32
        )
        for n in range(1, deepest)
    ]
    return frame.select(pl.sum_horizontal(above).cast(pl.UInt32)).to_series()


def _shown_rows(rated: pl.DataFrame, table: BandTable) -> pl.DataFrame:
    """The rated rows with ``row``, the first row in the band table that the line shows, and ``entries``."""
    frame = pl.concat([rated, table.offers[rated["offer"]]], how="horizontal")
    if _BEFORE in rated.columns:
        frame = frame.with_columns(_reached(frame, pl.col(_BEFORE), table).alias("was_reached"))
    if frame["is_cumulative"].all():
        return frame.with_columns(row="first").drop("first", "count")
    frame = frame.with_columns(_reached(frame, _until(rated), table).alias("reached"))
    first, reached = pl.col("first"), pl.col("reached")
    return frame.with_columns(row=pl.when("is_cumulative").then(first).otherwise(first + reached)).drop("first", "count", "reached")


def _until(rated: pl.DataFrame) -> pl.Expr:
    """The units that the band position is found by: with those of the periods before, where tiers span the plan."""
    return pl.col(_BEFORE) + pl.col("units") if _BEFORE in rated.columns else pl.col("units")


def _spread(part: pl.DataFrame, entries: int, table: BandTable) -> pl.DataFrame:
    """The part's bands, line by line: what each band holds and costs."""
    n = part.height
    repeated = part if entries == 1 else part[pl.int_range(n * entries, dtype=pl.UInt32, eager=True) // entries]
    offset = pl.int_range(n * entries, dtype=pl.UInt32, eager=True) % entries
    bands = table.bands[repeated["row"] + offset].drop("offer")
    frame = pl.concat([repeated, bands], how="horizontal")
    held, entered = _spanned() if _BEFORE in part.columns else _fresh()
    frame = frame.with_columns(band_units=held, entered=entered).with_columns(fixed_amount=pl.when("entered").then("fixed_price").otherwise(ZERO))
    frame = frame.with_columns(unit_amount=product(frame["band_units"], frame["unit_price"]))
    return frame.with_columns(band_amount=total([frame["unit_amount"], frame["fixed_amount"]]), band_quantity=_band_quantity(frame))


def _fresh() -> tuple[pl.Expr, pl.Expr]:
    """Units held by a band, and whether its fixed price falls, when bands begin anew with the period."""
    units, lower, upper = pl.col("units"), pl.col("lower_limit"), pl.col("upper_limit")
    is_base, negative = pl.col("band") == 0, units < ZERO
    tiered = pl.max_horizontal(pl.min_horizontal(units, upper) - pl.min_horizontal(units, lower), ZERO)
    # Below the first band's limit usage is free; a volume band takes all units, or none where nothing is above that limit.
    volume = pl.when((units > lower) | negative).then(units).otherwise(ZERO)
    held = pl.when(negative).then(pl.when(is_base).then(units).otherwise(ZERO)).otherwise(pl.when("is_cumulative").then(tiered).otherwise(volume))
    return held, ~negative & (is_base | (units > lower))


def _spanned() -> tuple[pl.Expr, pl.Expr]:
    """The same when units add up over the periods of the account plan (billing.md 1.6).

    A tiered band holds what it holds of all units less what it held before; a volume band takes the period's units. The
    fixed price falls in the period in which the band is first reached.
    """
    lower, upper = pl.col("lower_limit"), pl.col("upper_limit")
    before, until = pl.col(_BEFORE), pl.col(_BEFORE) + pl.col("units")
    is_base = pl.col("band") == 0

    def below(units: pl.Expr) -> pl.Expr:
        inside = pl.max_horizontal(pl.min_horizontal(units, upper) - lower, ZERO)
        return pl.when(is_base & (units < ZERO)).then(units).otherwise(inside)

    volume = pl.when((until > lower) | (pl.col("units") < ZERO)).then("units").otherwise(ZERO)
    held = pl.when("is_cumulative").then(below(until) - below(before)).otherwise(volume)
    is_new = ~pl.col(_BEGUN)
    tiered_entered = pl.when(is_base).then(is_new).otherwise((until > lower) & ~(before > lower))
    volume_entered = is_new | (pl.col("band") > pl.col("was_reached"))
    return held, (until >= ZERO) & pl.when("is_cumulative").then(tiered_entered).otherwise(volume_entered)


def _band_quantity(frame: pl.DataFrame) -> pl.Series:
    """The measured quantity behind the band's units: cut at the limits times quantityPerUnit, the last band entered takes the rest."""
    if frame["is_measured"].all():
        return frame["band_units"]
    if _BEFORE in frame.columns or GRANTED in frame.columns:
        # Where grants took units, or where limits were passed in earlier periods no quantity can be cut; the units say it.
        return product(frame["band_units"], frame["per"])
    quantity, lower, upper = pl.col("quantity"), pl.col("lower_quantity"), pl.col("upper_quantity")
    is_base = pl.col("band") == 0
    is_last = pl.col("entered") & (pl.col("upper_limit").is_null() | (pl.col("units") <= pl.col("upper_limit")))
    ceiling = pl.when(is_last).then(quantity).otherwise(pl.min_horizontal(quantity, upper))
    tiered = pl.when("entered").then(ceiling - pl.min_horizontal(quantity, lower)).otherwise(ZERO)
    volume = pl.when(pl.col("band_units") != ZERO).then(quantity).otherwise(ZERO)
    general = pl.when("is_cumulative").then(tiered).otherwise(volume)
    by_sign = pl.when(pl.col("units") < ZERO).then(pl.when(is_base).then(quantity).otherwise(ZERO)).otherwise(general)
    return frame.select(pl.when("is_measured").then("band_units").otherwise(by_sign)).to_series()


def every(frame: pl.DataFrame, column: str, entries: int) -> list[pl.Series]:
    """The column of a frame of ``entries`` rows a line, as one column of lines per band."""
    return [frame[column].gather_every(entries, offset) for offset in range(entries)]


def rated_bands(rated: pl.DataFrame, table: BandTable, finish: Callable[[pl.DataFrame, pl.DataFrame, int], pl.DataFrame]) -> list[pl.DataFrame]:
    """The rated rows with ``amount`` (exact, before rounding; null where it does not fit) and, through ``finish``, their bands.

    Args:
        rated: ``offer``, ``quantity``, ``units`` and any more columns; with ``units_before`` and ``is_begun`` for lines whose
            tiers span the plan.
        table: The bands.
        finish: Called with (lines, bands, entries) for the lines that show the same number of bands: the bands have that
            many rows a line, together and ascending, with ``band_units``, ``band_quantity``, ``unit_amount``,
            ``fixed_amount`` and ``band_amount``. Returns the lines finished.

    Returns:
        One frame per number of bands shown.
    """
    frame = _shown_rows(rated, table)
    own = rated.columns
    done = []
    for entries in sorted(frame["entries"].unique().to_list()):
        part = frame.filter(pl.col("entries") == entries)
        bands = _spread(part, entries, table)
        lines = part.select(own).with_columns(amount=total(every(bands, "band_amount", entries)))
        done.append(finish(lines, bands, entries))
    return done
