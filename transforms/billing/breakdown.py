"""A family's usage line as one line per account: the block's charge split by what each account used (DECISIONS 31).

A parent's plan rates its own and its children's usage as one block. Unless the account plan asks for a summary, the block's
line is split afterwards, so whatever was computed from the block stays as it is: the parts sum to it to the last cent
(largest remainder). A block without quantity stays whole, as does one that adds quantities above and below zero, and a
formula over a family, whose result is no sum over accounts. Put here the split; keep out whose usage counts (``rating/families.py``). Source:
billing.md 7.
"""

from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from transforms.billing.conversions import CurrencyRounding, Exchange
from transforms.datasets import BAND
from transforms.money import DECIMAL, SCALE, RoundingMode, rounded_column
from transforms.rating.amounts import SAFE, ZERO, by_part, literal, shared
from transforms.rating.lines import Kind

_KEYS = ["due", "subject", "service_start"]
_BAND = list(BAND.to_schema())
#: Units are split to the last digit that they have.
_UNITS = CurrencyRounding("", places=SCALE)


def broken_down(lines: pl.DataFrame, shares: pl.DataFrame, rates: Sequence[Exchange]) -> pl.DataFrame:
    """The lines with those of families split by account.

    Args:
        lines: The columns of LINES and any more.
        shares: ``due``, ``subject``, ``service_start``, ``account_number`` (null for the account that pays), ``quantity``.
        rates: The exchanges of the run.
    """
    if shares.is_empty():
        return lines
    is_usage = pl.col("kind").is_in([Kind.USAGE.value, Kind.USAGE_CREDIT.value, Kind.OVERAGE_USAGE.value])
    # Narrow as long as most lines are of no family: bands are most of a line.
    narrow = lines.select(*_KEYS, "kind", "failure").with_row_index("line")
    fits = pl.col("quantity").cast(pl.Float64).abs().sum().over(_KEYS) < float(SAFE)
    usable = shares.filter(fits).with_columns(total=pl.col("quantity").sum().over(_KEYS), weight=pl.col("quantity").abs().sum().over(_KEYS))
    usable = usable.filter((pl.col("total").abs() == pl.col("weight")) & (pl.col("total") != ZERO)).drop("weight")
    found = narrow.filter(is_usage & pl.col("failure").is_null()).join(usable, on=_KEYS).drop(*_KEYS, "kind", "failure")
    if found.is_empty():
        return lines
    found = found.sort("line", "account_number").rename({"account_number": "child", "quantity": "quantity_own"}).with_row_index("part")
    parts = pl.concat([found, lines.drop("child")[found["line"]]], how="horizontal")
    parts = by_part(parts, "exchange", lambda part, number: _split(part, rates[number]))
    rest = lines.filter(~narrow["line"].is_in(found["line"].unique().implode()))
    return pl.concat([rest, parts.select(lines.columns)])


def _split(parts: pl.DataFrame, exchange: Exchange) -> pl.DataFrame:
    if parts.is_empty():
        return parts
    block = parts.select("part", "line", "bands", "quantity_own", "total", block="subtotal", block_converted="converted_subtotal")
    own = parts.with_columns(
        # A line with the whole quantity has each account's own; one of usage within or beyond a credit has its part of it.
        quantity=pl.when(pl.col("quantity") == pl.col("total")).then("quantity_own").otherwise(_part(parts, "quantity", _UNITS)),
        units=_part(parts, "units", _UNITS),
        subtotal=_part(parts, "subtotal", exchange.pricing),
        converted_subtotal=_part(parts, "converted_subtotal", exchange.bill),
    ).sort("part")
    return own.drop("bands").join(_bands(block, own, exchange), on="part", how="left", maintain_order="left")


def _share(parts: pl.DataFrame, column: str) -> pl.Series:
    """The column times own quantity / total quantity."""
    return shared(parts[column], parts["quantity_own"], parts["total"])


def _part(parts: pl.DataFrame, column: str, rounding: CurrencyRounding) -> pl.Series:
    """The account's part of the line's amount."""
    return allocated(_share(parts, column), parts["line"], parts[column], rounding).alias(column)


def allocated(shares: pl.Series, groups: pl.Series, targets: pl.Series, rounding: CurrencyRounding) -> pl.Series:
    """The shares in whole units of the last place, so that those of each group sum to its target.

    Rounded down first; then the largest remainders get one unit more, the earlier part at a tie. Groups are together.
    """
    step = Decimal(1).scaleb(-rounding.places)
    frame = pl.DataFrame({"group": groups, "share": shares, "target": targets}).with_row_index("row")
    frame = frame.with_columns(floor=rounded_column(pl.col("share"), places=rounding.places, mode=RoundingMode.FLOOR))
    ranked = frame.with_columns(rest=pl.col("share") - pl.col("floor")).sort("group", "rest", "row", descending=[False, True, False])
    missing = ((pl.col("target") - pl.col("floor").sum().over("group")) / literal(step)).cast(pl.Int64)
    ranked = ranked.with_columns(rank=pl.int_range(pl.len()).over("group"), missing=missing, count=pl.len().over("group").cast(pl.Int64))
    steps = pl.col("missing").floordiv(pl.col("count")) + (pl.col("rank") < pl.col("missing") % pl.col("count")).cast(pl.Int64)
    return ranked.sort("row").select((pl.col("floor") + steps.cast(DECIMAL) * literal(step)).alias(shares.name)).to_series()


def _bands(block: pl.DataFrame, own: pl.DataFrame, exchange: Exchange) -> pl.DataFrame:
    """``part`` and its ``bands``: those of the block in proportion, summing to the part's own subtotals."""
    long = block.filter(pl.col("bands").is_not_null()).explode("bands").unnest("bands")
    if long.is_empty():
        return block.select("part", "bands")
    target = long.select("part").join(own.select("part", "subtotal", "converted_subtotal"), on="part", how="left", maintain_order="left")
    fixed = long.with_columns(fixed=pl.col("band_subtotal") - pl.col("unit_subtotal"))
    done = long.with_columns(
        _share(long, "band_quantity"),
        _share(long, "band_units"),
        allocated(_share(long, "band_subtotal"), long["part"], target["subtotal"], exchange.pricing),
        allocated(_share(long, "converted_band_subtotal"), long["part"], target["converted_subtotal"], exchange.bill),
        _share(fixed, "fixed"),
    ).with_columns(unit_subtotal=pl.col("band_subtotal") - exchange.pricing.rounded("fixed"))
    return done.group_by("part", maintain_order=True).agg(bands=pl.struct(_BAND))
