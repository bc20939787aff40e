"""What a finished line shows of its pricing bands: rounded parts that sum to the line (largest remainder).

Put here the division of a line's rounded subtotals among its bands. Keep out how units fall into bands
(``rating/bands.py``). Source: billing.md 4.3, DECISIONS 23.
"""

from decimal import Decimal

import polars as pl

from transforms.billing.conversions import Exchange, finished
from transforms.datasets import BAND
from transforms.money import DECIMAL, RoundingMode, rounded_column
from transforms.rating.amounts import ZERO, by_part, literal, product


def allocated(shares: pl.Series, targets: pl.Series, *, entries: int, places: int) -> pl.Series:
    """The shares rounded to ``places`` so that the ``entries`` shares of each line sum to its target.

    Each share is rounded down, then the largest remainders get one step more until the sum is right; the earlier band
    wins a tie.

    Args:
        shares: ``entries`` exact shares a line, the lines together; they sum to about the target.
        targets: One rounded amount a line.
        entries: Shares per line.
        places: Decimals of the targets.
    """
    if entries == 1:
        return targets
    step = Decimal(1).scaleb(-places)
    frame = shares.to_frame("share").with_row_index("row").with_columns(line=pl.col("row") // entries)
    frame = frame.with_columns(floor=rounded_column(pl.col("share"), places=places, mode=RoundingMode.FLOOR))
    floors = [frame["floor"].gather_every(entries, offset) for offset in range(entries)]
    missing = targets - sum(floors[1:], floors[0])
    steps = (missing.to_frame("m").select((pl.col("m") / literal(step)).cast(pl.Int64)).to_series()).alias("steps")
    short = frame.filter(steps.gather(frame["line"]) != 0)
    if short.is_empty():
        return frame["floor"]
    ranked = short.with_columns(rest=pl.col("share") - pl.col("floor")).sort("line", "rest", "row", descending=[False, True, False])
    ranked = ranked.with_columns(rank=pl.int_range(pl.len()) % entries, steps=steps.gather(ranked["line"]))
    up = (pl.col("rank") < pl.col("steps")).cast(pl.Int64)
    # Converted shares are rounded at the 12th digit, so their floors may by chance exceed the target.
    down = (pl.col("rank") >= entries + pl.col("steps")).cast(pl.Int64)
    change = ranked.select("row", change=(up - down).cast(DECIMAL) * literal(step))
    return frame.join(change, on="row", how="left", maintain_order="left").select(pl.col("floor") + pl.col("change").fill_null(ZERO)).to_series()


def nested(bands: pl.DataFrame, entries: int) -> pl.Series:
    """One list of bands a line, from ``entries`` rows a line."""
    structs = bands.select(pl.struct(list(BAND.to_schema())).alias("bands")).to_series()
    return structs.reshape((bands.height // entries, entries)).arr.to_list().alias("bands")


def with_bands(lines: pl.DataFrame, bands: pl.DataFrame, entries: int, rates: tuple[Exchange, ...]) -> pl.DataFrame:
    """The lines finished (see ``finished``), with their ``bands`` (DECISIONS 23).

    Args:
        lines: ``exchange``, ``amount`` and any more columns.
        bands: ``entries`` rows a line in the order of the lines; see ``rated_bands``.
        entries: Bands per line.
        rates: The exchanges of the run.
    """
    if lines.is_empty():
        return finished(lines, rates).with_columns(pl.Series("bands", [], dtype=pl.List(BAND)))

    def finish(part: pl.DataFrame, number: int) -> pl.DataFrame:
        mine = bands.filter(pl.col("exchange") == number) if part.height < lines.height else bands
        done = finished(part, rates)
        exchange = rates[number]
        subtotal = allocated(mine["band_amount"], done["subtotal"], entries=entries, places=exchange.pricing.places)
        mine = mine.with_columns(band_subtotal=subtotal)
        if exchange.rate is None or exchange.pricing == exchange.bill:
            converted = subtotal
        else:
            shares = product(subtotal, pl.repeat(exchange.rate, mine.height, dtype=DECIMAL, eager=True))
            converted = allocated(shares, done["converted_subtotal"], entries=entries, places=exchange.bill.places)
        mine = mine.with_columns(converted_band_subtotal=converted, unit_subtotal=pl.col("band_subtotal") - pl.col("fixed_amount"))
        return done.with_columns(nested(mine, entries))

    return by_part(lines, "exchange", finish)
