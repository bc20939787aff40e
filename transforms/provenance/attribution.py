"""Why two calculations of one bill differ: each changed line with what software, configuration and data made of it.

The bill is computed step by step from the earlier calculation to the later one, changing one cause at a time; what changes
with a step is that step's doing, so the effects of a line add up to its whole change. Put here the arithmetic of steps;
keep out how each is computed. Source: DECISIONS 33.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from transforms.datasets import INSTANT
from transforms.money import DECIMAL
from transforms.provenance.comparison import differences
from transforms.rating.amounts import ZERO, total

_KEY = "line_item_id"
#: Where a line stands on the bill follows from the lines before it, and says nothing of itself.
_OF_PLACE = ("calculation_id", "sequence_number", "bill_id", "bill_date")
_AMOUNTS = ("quantity", "subtotal", "converted_subtotal")
_SHOWN = ("line_item_type", "description", "currency", "service_period_start", "service_period_end")

EFFECT = pl.Struct({"cause": pl.String, "quantity": DECIMAL, "subtotal": DECIMAL, "converted_subtotal": DECIMAL})
#: One row per line that the two calculations state differently.
CHANGES: dict[str, pl.DataType | type[pl.DataType]] = {
    "line_item_id": pl.String,
    # ADDED, REMOVED or CHANGED.
    "change": pl.String,
    "line_item_type": pl.String,
    "description": pl.String,
    "currency": pl.String,
    "service_period_start": INSTANT,
    "service_period_end": INSTANT,
    # The columns that differ; empty for a line that only one of them has.
    "fields": pl.List(pl.String),
    **{f"{name}_{side}": DECIMAL for name in _AMOUNTS for side in ("before", "after")},
    # In the order of the steps; the amounts are what the cause added. A cause may change a text and no amount.
    "effects": pl.List(EFFECT),
}


class Cause(StrEnum):
    """What may make a bill come out differently. Configuration includes the overrides of the bill's job."""

    SOFTWARE = "SOFTWARE"
    CONFIGURATION = "CONFIGURATION"
    DATA = "DATA"


@dataclass(frozen=True)
class Step:
    """The bill's lines after one more cause was changed: what it was, and dataset BILL_LINE_ITEMS of the one bill."""

    cause: Cause
    lines: pl.DataFrame


def attributed(before: pl.DataFrame, steps: Sequence[Step]) -> pl.DataFrame:
    """The changed lines with their causes: CHANGES, in the order of the bill (the earlier one's for lines that are gone).

    Args:
        before: The bill's lines in the earlier calculation, as stored.
        steps: The lines after each step, the last as stored by the later calculation. Several steps may have one cause.
    """
    after = steps[-1].lines
    found = _different(before, after)
    fields = found.group_by(_KEY).agg(fields=pl.col("field").drop_nulls())
    effects = _effects(before, steps).join(found.select(_KEY).unique(), on=_KEY, how="semi")
    rows = fields.join(effects, on=_KEY, how="left")
    sides = [frame.select(_KEY, *_SHOWN, *_AMOUNTS, position="sequence_number") for frame in (before, after)]
    for frame, side in zip(sides, ("before", "after"), strict=True):
        rows = rows.join(frame.rename({name: f"{name}_{side}" for name in frame.columns if name != _KEY}), on=_KEY, how="left")
    was, is_now = pl.col("line_item_type_before").is_not_null(), pl.col("line_item_type_after").is_not_null()
    change = pl.when(was & is_now).then(pl.lit("CHANGED")).when(is_now).then(pl.lit("ADDED")).otherwise(pl.lit("REMOVED"))
    rows = rows.with_columns(change.alias("change"), *(pl.coalesce(f"{name}_after", f"{name}_before").alias(name) for name in _SHOWN))
    place = pl.coalesce("position_after", "position_before")
    return rows.sort(place, _KEY).select(pl.col(name).cast(dtype) for name, dtype in CHANGES.items())


def _different(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    return differences(one.drop(_OF_PLACE, strict=False), other.drop(_OF_PLACE, strict=False), keys=[_KEY])


def _effects(before: pl.DataFrame, steps: Sequence[Step]) -> pl.DataFrame:
    """``line_item_id`` and ``effects``: of every line that some step changed."""
    parts = []
    previous = before
    for position, step in enumerate(steps):
        ids = _different(previous, step.lines).select(_KEY).unique()
        amounts = [ids.join(frame.select(_KEY, *_AMOUNTS), on=_KEY, how="left", maintain_order="left") for frame in (previous, step.lines)]
        old, new = (frame.with_columns(pl.col(_AMOUNTS).fill_null(ZERO)) for frame in amounts)
        added = [total([new[name], old.select(-pl.col(name)).to_series()]).alias(name) for name in _AMOUNTS]
        parts.append(ids.with_columns(pl.lit(position).alias("position"), pl.lit(step.cause.value).alias("cause"), *added))
        previous = step.lines
    by_cause = pl.concat(parts).group_by(_KEY, "cause").agg(pl.col("position").min(), pl.col(_AMOUNTS).sum())
    return by_cause.sort("position").group_by(_KEY, maintain_order=True).agg(effects=pl.struct("cause", *_AMOUNTS))
