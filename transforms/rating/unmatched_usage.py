"""Usage that a bill's plans do not charge because no segment of the priced aggregation matches it.

Put here whose and how much it is, for the bill's certificate. Keep out the counting itself
(``transforms/aggregations/aggregate.py``). Source: usage.md 5, DECISIONS 19.
"""

import polars as pl

from transforms.aggregations.aggregate import unmatched
from transforms.aggregations.compound import required_aggregations
from transforms.aggregations.segments import ANY, aggregation_segments
from transforms.configuration import Configuration
from transforms.entities.usage import Aggregation, CompoundAggregation
from transforms.rating.families import with_children
from transforms.rating.run import UNMATCHED_SCHEMA
from transforms.rating.state import Rating
from transforms.rating.usage_charges import offer_frame, rated_windows

_WINDOW = ("account_number", "window_start", "window_end")


def _read(rating: Rating) -> dict[str, list[str]]:
    """What is priced, by id -> the segmented aggregations that it reads and that may leave usage unmatched."""
    found: dict[str, list[str]] = {}
    for priced in {offer.aggregation.id: offer.aggregation for offer in rating.offers}.values():
        ids = required_aggregations(priced, rating.configuration) if isinstance(priced, CompoundAggregation) else (priced.id,)
        leaving = [i for i in ids if _may_leave(rating.configuration.entity(Aggregation, i))]
        if leaving:
            found[priced.id] = leaving
    return found


def _may_leave(aggregation: Aggregation) -> bool:
    """True when not every row matches: there are segments and none leaves all fields open."""
    return aggregation.is_segmented and not any(set(values) == {ANY} for values in aggregation_segments(aggregation))


def unmatched_usage(rating: Rating, headers: pl.DataFrame) -> pl.DataFrame:
    """What no segment matched in the pricing windows of each bill that is made; the usage of children counts for the payer's bill.

    Args:
        rating: The run.
        headers: The bills of the run, with ``bill``, ``is_made`` and ``bill_id``.

    Returns:
        See UNMATCHED_SCHEMA. Windows that several pricings of one aggregation share count once.
    """
    read = _read(rating)
    if not read:
        return pl.DataFrame(schema=UNMATCHED_SCHEMA)
    offers = offer_frame(rating).filter(pl.col("aggregation_id").is_in(list(read)))
    windows = with_children(rated_windows(rating, offers), rating.configuration)
    made = headers.filter("is_made").select("bill", "bill_id").with_row_index("position")
    asked = (
        windows.select("aggregation_id", *_WINDOW, bill=rating.due["bill"].gather(windows["due"]))
        .rename({"aggregation_id": "priced_id"})
        .join(_pairs(read), on="priced_id")
        .join(made, on="bill")
        .select("aggregation_id", *_WINDOW, "bill_id", "position")
        .unique()
    )
    counted = unmatched(asked, configuration=rating.configuration, usage=rating.usage).collect(engine="streaming")
    return (
        counted.group_by("position", "bill_id", "aggregation_id")
        .agg(pl.col("measurements").sum())
        .with_columns(aggregation_code=pl.col("aggregation_id").replace_strict(_codes(rating.configuration, read), return_dtype=pl.String))
        .sort("position", "aggregation_code", "aggregation_id")
        .select(*UNMATCHED_SCHEMA)
    )


def _pairs(read: dict[str, list[str]]) -> pl.DataFrame:
    rows = [(priced_id, aggregation_id) for priced_id, ids in read.items() for aggregation_id in ids]
    return pl.DataFrame(rows, schema={"priced_id": pl.String, "aggregation_id": pl.String}, orient="row")


def _codes(configuration: Configuration, read: dict[str, list[str]]) -> dict[str, str | None]:
    return {i: configuration.entity(Aggregation, i).code for ids in read.values() for i in ids}
