"""Usage that commitments and balances leave uncovered: a surcharge, or lines of its own at overage prices.

The fund that speaks is the last, in the order of drawing, that may cover the line and says anything about overage. Put here
what uncovered usage costs. Keep out what covers what (``draw_downs.py``). Source: billing.md 1.11, 5.2, 5.8, DECISIONS 29.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from transforms.billing.band_usage import with_bands
from transforms.billing.conversions import finished, restated, rounded_amounts
from transforms.datasets import BAND
from transforms.money import DECIMAL
from transforms.rating.amounts import ZERO, product, quotient
from transforms.rating.bands import PriceList, band_table, price_list, rated_bands
from transforms.rating.funds import BALANCE, COMMITMENT
from transforms.rating.lines import LINES, Kind, charges, no_lines

if TYPE_CHECKING:
    from transforms.rating.state import Progress, Rating
    from transforms.rating.terms import Offer

_SURCHARGES = {COMMITMENT: Kind.COMMITMENT_OVERAGE_SURCHARGE, BALANCE: Kind.BALANCE_OVERAGE_SURCHARGE}
_SUMS = ("band_quantity", "band_units", "unit_subtotal", "band_subtotal", "converted_band_subtotal")


def overage(progress: "Progress", found: pl.DataFrame, step: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines so far with uncovered usage set apart, and the lines of surcharges.

    Args:
        progress: The run so far.
        found: What funds cover, see COVERED.
        step: Position of this step, for the lines it adds.
    """
    uncovered = _uncovered(progress, found)
    percent = uncovered.filter(pl.col("overage_surcharge_percent").fill_null(ZERO) != ZERO)
    separate = uncovered.filter((pl.col("overage_surcharge_percent").fill_null(ZERO) == ZERO) & pl.col("is_separate"))
    lines = progress.lines if separate.is_empty() else _separated(progress, separate, step)
    return lines, _surcharges(percent, progress.rating)


def _uncovered(progress: "Progress", found: pl.DataFrame) -> pl.DataFrame:
    """One row per USAGE line of which something is uncovered: ``line``, ``bill``, ``fund``, ``uncovered`` (bill currency) and what the fund says."""
    rating = progress.rating
    has_bands = [n for n, offer in enumerate(rating.offers) if offer.pricing.overage_pricing_bands]
    usage = progress.lines.select("kind", has_overage_bands=pl.col("subject").is_in(has_bands)).with_row_index("line")
    usage = usage.filter(pl.col("kind") == Kind.USAGE.value).drop("kind")
    funds = rating.funds.select("fund_kind", "overage_surcharge_percent", "separate_overage_usage").with_row_index("fund")
    joined = found.join(usage, on="line").join(funds, on="fund")
    is_separate = pl.col("separate_overage_usage") & ((pl.col("fund_kind") == COMMITMENT) | pl.col("has_overage_bands"))
    joined = joined.with_columns(is_separate=is_separate)
    speaks = pl.col("is_separate") | (pl.col("overage_surcharge_percent").fill_null(ZERO) != ZERO)
    last = joined.filter(speaks).sort("line", "fund").unique("line", keep="last", maintain_order=True)
    last = last.join(found.group_by("line").agg(covered=pl.col("taken").sum()), on="line", maintain_order="left")
    # What lies outside the fund's life is no overage; the first units are the covered ones.
    return last.with_columns(uncovered=pl.max_horizontal(pl.col("share") - pl.col("covered"), ZERO)).filter(pl.col("uncovered") > ZERO)


def _surcharges(uncovered: pl.DataFrame, rating: "Rating") -> pl.DataFrame:
    """One line per bill and fund: the percentage of what is uncovered; below zero for a negative percentage."""
    if uncovered.is_empty():
        return no_lines()
    summed = uncovered.group_by("bill", "fund", "fund_kind", maintain_order=True).agg(
        pl.col("uncovered").sum(), pl.col("overage_surcharge_percent").first()
    )
    exchange = rating.funds.select("exchange").with_row_index("fund")
    periods = rating.headers.select("bill", service_start="start_at", service_end="end_at")
    placed = summed.join(exchange, on="fund").join(periods, on="bill").join(rating.account_anchors, on="bill").sort("bill", "fund")

    based = restated(placed.with_columns(base="uncovered"), "base", rating.exchanges, rounds=False)
    hundredth = quotient(based["overage_surcharge_percent"], pl.repeat(100, based.height, dtype=DECIMAL, eager=True))
    amounts = based.with_columns(product(based["base"], hundredth).alias("amount"), subject="fund")
    done = finished(amounts, rating.exchanges)
    return pl.concat([charges(done.filter(pl.col("fund_kind") == kind), surcharge) for kind, surcharge in _SURCHARGES.items()])


def _separated(progress: "Progress", uncovered: pl.DataFrame, step: int) -> pl.DataFrame:
    """All lines, those with uncovered usage split in two: USAGE for what is covered, OVERAGE_USAGE for the rest."""
    rating = progress.rating
    found = uncovered.select("line", "uncovered").sort("line")
    split = pl.concat([found, progress.lines[found["line"]]], how="horizontal")
    split = split.with_columns(credit_converted=pl.col("converted_subtotal") - pl.col("uncovered"))
    credit = quotient(product(split["subtotal"], split["credit_converted"]), split["converted_subtotal"])
    split = rounded_amounts(split.with_columns(credit=credit), "credit", rating.exchanges)
    first, rest = _divided(split, rating)
    positions = pl.int_range(progress.lines.height, dtype=pl.UInt32, eager=True)
    kept = progress.lines.filter(~positions.is_in(found["line"].implode()))
    covered = first.filter(pl.col("converted_subtotal") > ZERO)
    over = _overage_lines(rest, rating).with_columns(step=pl.lit(step, dtype=pl.UInt8))
    columns = progress.lines.columns
    return pl.concat([kept.select(columns), covered.select(columns), over.select(columns)])


def _divided(split: pl.DataFrame, rating: "Rating") -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines cut where the charge of their first units, in band order, equals ``credit``; volume lines in proportion.

    Args:
        split: Lines with ``line``, ``credit`` (pricing currency), ``credit_converted`` and ``uncovered`` (bill currency).
        rating: The run.

    Returns:
        The first units of each line, then the rest; their quantities, units, amounts and bands sum to the line's.
    """
    long = _bands(split, rating)
    first = _first_units(long)
    rest = long.with_columns(long[name] - first[name] for name in _SUMS)
    sums = first.group_by("line", maintain_order=True).agg(units=pl.col("band_units").sum(), quantity=pl.col("band_quantity").sum())
    covered = split.drop("units", "quantity").join(sums, on="line", maintain_order="left")
    # What rounding leaves of the quantity is the rest's.
    left = split.with_columns(split[name] - covered[name] for name in ("units", "quantity"))
    return (
        _with_bands(covered.with_columns(subtotal="credit", converted_subtotal="credit_converted"), first),
        _with_bands(left.with_columns(subtotal=pl.col("subtotal") - pl.col("credit"), converted_subtotal="uncovered"), rest),
    )


def _bands(split: pl.DataFrame, rating: "Rating") -> pl.DataFrame:
    """One row per band of the lines, in order: its columns, ``fixed`` (its fixed price), and what of the line's credit falls to it.

    That is ``part`` and ``part_converted``; ``is_full`` where it is the whole band. Later bands get none once the credit is gone.
    """
    cumulative = rating.bands.offers["is_cumulative"]
    heads = split.select("line", "credit", "credit_converted", is_cumulative=cumulative.gather(split["subject"]))
    long = split.select("line", "bands").explode("bands").unnest("bands").join(heads, on="line", maintain_order="left")

    def before(column: str) -> pl.Expr:
        return pl.col(column).cum_sum().over("line") - pl.col(column)

    def part(column: str, credit: str) -> pl.Expr:
        return pl.max_horizontal(pl.min_horizontal(pl.col(credit) - before(column), column), ZERO)

    return long.with_columns(
        part=part("band_subtotal", "credit"),
        part_converted=part("converted_band_subtotal", "credit_converted"),
        fixed=pl.col("band_subtotal") - pl.col("unit_subtotal"),
        is_full=(before("band_subtotal") < pl.col("credit")) & (before("band_subtotal") + pl.col("band_subtotal") <= pl.col("credit")),
    )


def _first_units(long: pl.DataFrame) -> pl.DataFrame:
    """The bands (see :func:`_bands`) with what is covered of them."""
    # Of a tiered band the fixed price comes first, then its units; a volume band in proportion to the whole.
    over = pl.when("is_cumulative").then(pl.max_horizontal(pl.col("part") - pl.col("fixed"), ZERO)).otherwise("part")
    under = pl.when("is_cumulative").then("unit_subtotal").otherwise("band_subtotal")
    fraction = long.select(over=over, under=under)
    units = {name: quotient(product(long[name], fraction["over"]), fraction["under"]) for name in ("band_units", "band_quantity")}
    return long.with_columns(
        *(pl.when("is_full").then(pl.col(name)).otherwise(values.fill_null(0).cast(DECIMAL)).alias(name) for name, values in units.items()),
        band_subtotal="part",
        converted_band_subtotal="part_converted",
        unit_subtotal=pl.col("part") - pl.min_horizontal("part", "fixed"),
    )


def _with_bands(lines: pl.DataFrame, long: pl.DataFrame) -> pl.DataFrame:
    nested = long.group_by("line", maintain_order=True).agg(bands=pl.struct(list(BAND.to_schema())))
    return lines.drop("bands").join(nested, on="line", maintain_order="left")


def _overage_lines(rest: pl.DataFrame, rating: "Rating") -> pl.DataFrame:
    """The rest as OVERAGE_USAGE: rated by its own bands from zero where the pricing has overage bands, else as it was priced."""
    has_bands = [n for n, offer in enumerate(rating.offers) if offer.pricing.overage_pricing_bands]
    is_rated = pl.col("subject").is_in(has_bands)
    kind = pl.lit(Kind.OVERAGE_USAGE.value, dtype=pl.UInt8)
    as_priced = rest.filter(~is_rated).with_columns(kind=kind)
    rated = rest.filter(is_rated)
    parts = [as_priced.select(pl.col(name).cast(dtype) for name, dtype in LINES.items())]
    if not rated.is_empty():
        overage_table = band_table(map(_overage_prices, rating.offers))
        fresh = rated.drop("bands", "subtotal", "converted_subtotal", "failure").rename({"subject": "offer"})
        for frame in rated_bands(fresh, overage_table, lambda part, bands, n: with_bands(part, bands, n, rating.exchanges)):
            lines = frame.rename({"offer": "subject"}).with_columns(kind=kind)
            parts.append(lines.select(pl.col(name).cast(dtype) for name, dtype in LINES.items()))
    return pl.concat(parts)


def _overage_prices(offer: "Offer") -> PriceList:
    standard = price_list(offer)
    return replace(standard, bands=offer.pricing.overage_pricing_bands or standard.bands)
