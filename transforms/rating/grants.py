"""Grants: balances that hold a quantity, taken from usage before it is rated (billing.md 5.8, DECISIONS 28).

The units that a grant covers are free, and bands start at the excess. Put here what grants take from usage. Keep out which
balances are grants (``funds.py``) and the order of drawing (``draw_downs.py``).
"""

import polars as pl

from transforms.entities.plans import PricingType
from transforms.rating.amounts import ZERO
from transforms.rating.availability import available
from transforms.rating.bands import GRANTED
from transforms.rating.coverage import holding_anchors
from transforms.rating.draw_downs import by_rank
from transforms.rating.lines import Kind
from transforms.rating.state import DRAWN, Rating


def with_grants_taken(rated: pl.DataFrame, windows: pl.DataFrame, rating: Rating) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """The usage with the units left to rate, and what was taken.

    Args:
        rated: ``line_window``, ``offer``, ``quantity``, ``units`` and any more columns.
        windows: Rated windows by number.
        rating: The run.

    Returns:
        The rows that no grant may cover, then those from whose units one was taken, with the column ``granted``; then DRAWN.
    """
    grants = rating.funds.with_row_index("fund").filter(pl.col("is_grant") & pl.col("draw_rank").is_not_null())
    if grants.is_empty() or rated.is_empty():
        return [rated], pl.DataFrame(schema=DRAWN)
    granted = set(grants["currency"])
    offers = pl.DataFrame(
        [(n, o.aggregation.unit) for n, o in enumerate(rating.offers) if o.pricing.type is PricingType.DEBIT and o.aggregation.unit in granted],
        schema={"offer": pl.UInt32, "unit": pl.String},
        orient="row",
    )
    numbered = rated.with_row_index("line")
    places = windows.select("due", "exchange", service_start="window_start", service_end="window_end")
    candidates = numbered.select("line", "line_window", "offer", "quantity", "units").join(offers, on="offer").filter(pl.col("units") > ZERO)
    lines = (
        pl.concat([candidates, places[candidates["line_window"]]], how="horizontal")
        .join(holding_anchors(rating, grants), on="due")
        .with_columns(
            subject="offer",
            converted_subtotal="units",
            line_item_type=pl.lit(Kind.USAGE.line_item_type),
            kind=pl.lit(Kind.USAGE.value, dtype=pl.UInt8),
            is_grant=pl.lit(True),
        )
        # What comes first on the bill is covered first.
        .sort("due", "offer", "service_start")
        .with_row_index("place")
    )
    held = available(rating).join(grants.select("fund", "allow_overdraft"), on="fund").with_columns(limit="available")
    found, draws = [], []
    # A grant covers usage of its own unit alone.
    for unit in grants["currency"].unique().sort():
        mine = lines.filter(pl.col("unit") == unit)
        if not mine.is_empty():
            taken, used = by_rank(mine, grants.filter(pl.col("currency") == unit), held, rating)
            found.append(taken)
            draws.append(used)
    if not found:
        return [rated], pl.DataFrame(schema=DRAWN)
    by_line = pl.concat(found).group_by("line").agg(pl.col("taken").sum()).filter(pl.col("taken") > ZERO)
    untouched = numbered.join(by_line, on="line", how="anti", maintain_order="left").select(rated.columns)
    touched = numbered.join(by_line, on="line", maintain_order="left").with_columns(units=pl.col("units") - pl.col("taken"))
    drawn = pl.concat(draws).join(rating.account_anchors, on="bill").select("due", "fund", amount="drawn").sort("due", "fund")
    return [untouched, touched.rename({"taken": GRANTED}).select(*rated.columns, GRANTED)], drawn.cast(dict(DRAWN))  # type: ignore[arg-type]
