"""Standing charges of plans and plan groups, in arrears or in advance, prorated by whole local days (billing.md 2.3, 2.6, 2.7, DECISIONS 24, 27).

Put here what they charge whatever the usage. Keep out minimum spends.
"""

import polars as pl

from transforms.billing.conversions import finished
from transforms.money import DECIMAL
from transforms.rating.amounts import product, quotient
from transforms.rating.anchors import Role
from transforms.rating.lines import Kind, charges, no_lines
from transforms.rating.selection import bill_index
from transforms.rating.state import Progress
from transforms.rating.windows import with_factor


def prorated(frame: pl.DataFrame, column: str, *, first: str, end: str) -> pl.DataFrame:
    """The frame with ``amount``: the column times its part of the billing periods that the days [first, end) touch.

    The factor is kept as a fraction: one product, one quotient, so that only the result is rounded.
    """
    frame = with_factor(frame, first, end)
    is_whole = pl.col("factor_over") == pl.col("factor_under")
    over, under = frame["factor_over"].cast(DECIMAL), frame["factor_under"].cast(DECIMAL)
    # A whole period needs no arithmetic, so an amount near the limit still fits.
    parts = frame.select(pl.when(~is_whole).then(column)).to_series()
    frame = frame.with_columns(part=quotient(product(parts, over), under))
    return frame.with_columns(amount=pl.when(is_whole).then(column).otherwise("part")).drop("factor_over", "factor_under", "part")


def windows_in_arrears(due: pl.DataFrame) -> pl.DataFrame:
    """The due account plans with the window just ended as ``service_start``, ``service_end``, ``first_day``, ``end_day``."""
    return due.filter("has_arrears").with_columns(
        service_start="active_start", service_end="active_end", first_day="active_first_day", end_day="active_end_day"
    )


def windows_in_advance(due: pl.DataFrame) -> pl.DataFrame:
    """The same for what is billed in advance: the window to come, and a plan's first window where no earlier bill could carry it."""
    coming = due.filter("has_advance").with_columns(
        service_start="advance_start", service_end="advance_end", first_day="advance_first_day", end_day="advance_end_day"
    )
    return pl.concat([windows_in_arrears(due.filter("first_in_advance")), coming])


def standing_charges(progress: Progress) -> pl.DataFrame:
    """The standing charge lines of the due account plans and plan groups.

    A plan's ``standing_charge_interval`` n and ``standing_charge_offset`` o charge on its bills o, o + n, o + 2n, ...
    """
    rating = progress.rating
    plans, groups = rating.plans, rating.of_role(Role.GROUP)
    due = [
        plans.with_columns(
            rating.by_plan(plans, "standing_charge", DECIMAL),
            rating.by_plan(plans, "standing_charge_in_advance", pl.Boolean),
            rating.by_plan(plans, "standing_charge_interval", pl.Int32),
            rating.by_plan(plans, "standing_charge_offset", pl.Int32),
        )
    ]
    if not groups.is_empty():
        every_bill = (pl.lit(1, dtype=pl.Int32).alias("standing_charge_interval"), pl.lit(0, dtype=pl.Int32).alias("standing_charge_offset"))
        amounts = (rating.by_group(groups, "standing_charge", DECIMAL), rating.by_group(groups, "standing_charge_in_advance", pl.Boolean))
        due.append(groups.with_columns(*amounts, *every_bill))
    charged = pl.concat([frame.filter(pl.col("standing_charge") > 0) for frame in due])
    found = [no_lines()]
    for in_advance, windows in ((False, windows_in_arrears), (True, windows_in_advance)):
        mine = charged.filter(pl.col("standing_charge_in_advance") == in_advance)
        if mine.is_empty():
            continue
        since_offset = bill_index(mine, rating.zone, in_advance=in_advance) - mine["standing_charge_offset"]
        now = mine.filter((since_offset >= 0) & (since_offset % mine["standing_charge_interval"] == 0))
        prorata = prorated(windows(now), "standing_charge", first="first_day", end="end_day")
        found.append(charges(finished(prorata, rating.exchanges), Kind.STANDING_CHARGE))
    return pl.concat(found)
