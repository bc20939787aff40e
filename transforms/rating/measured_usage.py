"""What account plans used in windows: quantities of aggregations and compounds, families pooled, contracts' filters applied.

Put here the way from windows to quantities, for whoever asks. Keep out prices. Source: billing.md 1.3, 6.2, 7.
"""

from collections.abc import Mapping

import polars as pl

from transforms.aggregations.aggregate import quantities
from transforms.aggregations.compound import compound_quantities, required_aggregations
from transforms.aggregations.usage import MeterUsage
from transforms.entities.usage import CompoundAggregation
from transforms.rating.families import pooled, with_children
from transforms.rating.state import Rating
from transforms.rating.usage_filters import filtered_usage

_WINDOW = ["account_number", "window_start", "window_end"]


def _asked(rating: Rating, windows: pl.DataFrame) -> pl.DataFrame:
    """What to aggregate: the windows priced by themselves with their ``window``, and, with none, those that only a compound reads."""
    is_compound = pl.col("is_compound")
    columns = [*_WINDOW, "payer_number", "payer_start", "payer_end"]
    priced = windows.filter(~is_compound).select("aggregation_id", *columns, "window")
    read = [priced.clear().drop("window")]
    for compound_id in windows.filter(is_compound)["aggregation_id"].unique().sort():
        compound = rating.configuration.entity(CompoundAggregation, compound_id)
        over = windows.filter(pl.col("aggregation_id") == compound_id).select(columns)
        for aggregation_id in required_aggregations(compound, rating.configuration):
            # What is priced by itself too is asked once.
            asked = priced.filter(pl.col("aggregation_id") == aggregation_id)
            missing = over.join(asked, on=columns, how="anti")
            read.append(missing.select(pl.lit(aggregation_id).alias("aggregation_id"), *columns))
    return pl.concat([priced, pl.concat(read).unique()], how="diagonal")


def measured(rating: Rating, windows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row per window (and segment): ``window``, ``segment_index``, ``quantity``, ``failure``; then the same by account of families.

    Args:
        rating: The run.
        windows: ``window``, what is aggregated (``aggregation_id``, ``is_compound``), whose it is (``account_plan_id``, ``plan_id``,
            ``contract_id``, ``product_id``, ``account_id``, ``account_number``), ``window_start`` and ``window_end``.
    """
    parts = [_measured(rating, part, usage) for part, usage in filtered_usage(windows, configuration=rating.configuration, usage=rating.usage)]
    return pl.concat([found for found, _ in parts]), pl.concat([by_account for _, by_account in parts])


def _measured(rating: Rating, windows: pl.DataFrame, usage: Mapping[str, MeterUsage]) -> tuple[pl.DataFrame, pl.DataFrame]:
    asked = _asked(rating, with_children(windows, rating.configuration))
    # Aggregations pass further columns through, so ``window`` comes back with each quantity.
    answered = quantities(asked, configuration=rating.configuration, usage=usage).collect(engine="streaming")
    values = pooled(answered, ["aggregation_id", "window", "window_start", "window_end"])
    columns = ("window", "segment_index", "quantity", "failure")
    compounds = windows.filter("is_compound")
    if compounds.is_empty():
        found = values.select(columns)
    else:
        keys = ("account_plan_id", "plan_id", "account_id")
        over = compounds.select("window", pl.col("aggregation_id").alias("compound_aggregation_id"), *keys, *_WINDOW)
        computed = compound_quantities(over, configuration=rating.configuration, quantities=values.lazy()).collect(engine="streaming")
        found = pl.concat([values.filter(pl.col("window").is_not_null()).select(columns), computed.select(columns)])
    return found.filter(pl.col("quantity").is_not_null() | pl.col("failure").is_not_null()), _by_account(answered)


def _by_account(answered: pl.DataFrame) -> pl.DataFrame:
    """``window``, ``segment_index``, ``account_number`` (null for the account that pays) and ``quantity``, of windows with usage of children."""
    is_child = pl.col("account_number") != pl.col("payer_number")
    columns = ("window", "segment_index", "account_number", "quantity")
    valued = (
        answered.filter(pl.col("window").is_not_null() & pl.col("quantity").is_not_null())
        if answered.select(is_child.any()).item()
        else answered.clear()
    )
    shared = valued.filter(pl.col("window").is_in(valued.filter(is_child)["window"].unique().implode()))
    named = shared.with_columns(pl.when(is_child).then("account_number").alias("account_number"))
    # A child has several rows for a window in which it had an account plan of its own.
    return named.group_by("window", "segment_index", "account_number", maintain_order=True).agg(pl.col("quantity").sum()).select(columns)
