"""How much was used in each period of a statement, by the same aggregation code as bills.

Put here the way from usages and periods to quantities. Keep out which lines a usage has (usage_lines.py) and the layout
(documents.py). Source: billing.md 8, DECISIONS 40.
"""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from transforms.aggregations.aggregate import quantities
from transforms.aggregations.compound import compound_quantities, required_aggregations
from transforms.aggregations.usage import MeterUsage
from transforms.configuration import Configuration
from transforms.entities.usage import Aggregation, CompoundAggregation
from transforms.money import DECIMAL
from transforms.rating.families import pooled, with_children, without_own_plans
from transforms.rating.usage_filters import filtered_usage
from transforms.statements.users import users

_WINDOW = ("account_number", "window_start", "window_end")
_VALUES: dict[str, pl.DataType | type[pl.DataType]] = {"part": pl.get_index_type(), "segment_index": pl.Int32, "quantity": DECIMAL}


def without_defaults(configuration: Configuration) -> Configuration:
    """The configuration with aggregations that have no default value: what stands for a whole period without usage is no day's."""
    plain = {key: one.model_copy(update={"default_value": None}) for key, one in configuration.entities(Aggregation).items()}
    return replace(configuration, small={**configuration.small, Aggregation.__name__: plain})


def measured(windows: pl.DataFrame, *, configuration: Configuration, usage: Mapping[str, MeterUsage]) -> pl.DataFrame:
    """The windows with their ``quantity`` (before quantityPerUnit and rounding), null where there is none.

    Args:
        windows: The columns of ``usage_lines.usages`` without ``quantity``, with ``window_start`` and ``window_end`` and any more;
            one row per usage and window.
        configuration: That of the bill's calculation.
        usage: By meter id, for every meter of the aggregations.
    """
    keyed = windows.with_row_index("window")
    who = users(windows.unique("usage", maintain_order=True), configuration)
    # One measuring per window and account that is measured by itself.
    asked = keyed.drop("account_id", "account_plan_id").join(who, on="usage").with_row_index("part")
    parts = [
        _values(part, configuration=configuration, usage=kept)
        for part, kept in filtered_usage(asked, configuration=configuration, usage=usage)
        if not part.is_empty()
    ]
    found = pl.concat([pl.DataFrame(schema=_VALUES), *parts]).join(asked.select("part", "window", wanted="segment_index"), on="part")
    own = found.filter(pl.col("segment_index").eq_missing(pl.col("wanted")) & pl.col("quantity").is_not_null())
    return keyed.join(own.group_by("window").agg(pl.col("quantity").sum()), on="window", how="left", maintain_order="left").drop("window")


def _values(windows: pl.DataFrame, *, configuration: Configuration, usage: Mapping[str, MeterUsage]) -> pl.DataFrame:
    """``part``, ``segment_index``, ``quantity`` of every window, of all its segments."""
    columns = ("part", "segment_index", "quantity")
    covered = _with_accounts(_asked(windows, configuration), configuration)
    answered = quantities(covered, configuration=configuration, usage=usage).collect(engine="streaming")
    simple = pooled(answered, ["aggregation_id", "part", "window_start", "window_end"])
    compounds = windows.filter("is_compound")
    if compounds.is_empty():
        return simple.select(columns)
    names = ("account_plan_id", "plan_id", "account_id")
    over = compounds.select("part", *names, *_WINDOW, compound_aggregation_id="subject_id")
    # An operand may be asked by several compounds for one window: equal rows count once.
    computed = compound_quantities(over, configuration=configuration, quantities=simple.lazy()).collect(engine="streaming")
    alone = simple.join(windows.filter(~pl.col("is_compound")).select("part"), on="part", how="semi")
    return pl.concat([alone.select(columns), computed.select(columns)])


def _asked(windows: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """The windows once per simple aggregation that they need."""
    needed = [
        (subject_id, aggregation_id)
        for (subject_id,) in windows.filter("is_compound").select("subject_id").unique().sort("subject_id").iter_rows()
        for aggregation_id in required_aggregations(configuration.entity(CompoundAggregation, subject_id), configuration)
    ]
    operands = pl.DataFrame(needed, schema={"subject_id": pl.String, "operand_id": pl.String}, orient="row")
    columns = ("part", "product_id", "account_id", "is_pooled", "is_covered", *_WINDOW)
    own = windows.filter(~pl.col("is_compound")).select(*columns, aggregation_id="subject_id")
    read = windows.filter("is_compound").join(operands, on="subject_id").select(*columns, aggregation_id="operand_id")
    return pl.concat([own, read])


def _with_accounts(windows: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    """The windows by account whose usage counts, with ``payer_number``."""
    shared = with_children(windows.filter("is_pooled"), configuration)
    alone = windows.filter(~pl.col("is_pooled"))
    covered = without_own_plans(alone.filter("is_covered").with_columns(child_id="account_id"), configuration).drop("child_id")
    alone = pl.concat([alone.filter(~pl.col("is_covered")), covered]).with_columns(
        payer_number="account_number", payer_start="window_start", payer_end="window_end"
    )
    return pl.concat([shared, alone.select(shared.columns)])
