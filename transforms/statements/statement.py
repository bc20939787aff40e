"""A statement from its beginning: a bill's lines, a definition, the configuration and usage of the bill's calculation.

Put here the order of a statement's parts. Keep out each of them. Source: billing.md 8.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from transforms.aggregations.compound import required_aggregations
from transforms.aggregations.usage import MeterUsage
from transforms.configuration import Configuration
from transforms.entities.organization import time_zone
from transforms.entities.statements import AggregationFrequency, StatementDefinition
from transforms.entities.usage import Aggregation, CompoundAggregation
from transforms.statements.breakdown import MeterBreakdown, broken_down
from transforms.statements.documents import Measured, statement_document
from transforms.statements.periods import statement_periods
from transforms.statements.quantities import measured, without_defaults
from transforms.statements.usage_lines import usages, with_usage_number
from transforms.statements.users import users

#: Where neither the account nor the organization has a definition: a row per usage and day, with its price.
DEFAULT = StatementDefinition(aggregation_frequency=AggregationFrequency.DAY, include_price_per_unit=True)


def simple_aggregations(subject_id: str, configuration: Configuration) -> tuple[Aggregation, ...]:
    """The simple aggregations that an aggregation or compound reads."""
    simple = configuration.entities(Aggregation)
    if subject_id in simple:
        return (simple[subject_id],)
    compound = configuration.entities(CompoundAggregation).get(subject_id)
    return () if compound is None else tuple(simple[i] for i in required_aggregations(compound, configuration))


def _covered(found: pl.DataFrame, configuration: Configuration, meter_ids: Sequence[str] | None) -> pl.DataFrame:
    """The usages that the statement is about: all, or those that read one of the meters."""
    by_subject = {i: {a.meter_id for a in simple_aggregations(i, configuration)} for i in found["subject_id"].unique()}
    wanted = [i for i, meters in by_subject.items() if meters and (not meter_ids or meters & set(meter_ids))]
    return found.filter(pl.col("subject_id").is_in(wanted))


def _breakdown(
    found: pl.DataFrame,
    definition: StatementDefinition,
    *,
    configuration: Configuration,
    usage: Mapping[str, MeterUsage],
    zone: str,
    meter_ids: Sequence[str] | None,
) -> list[MeterBreakdown]:
    if found.is_empty() or not (definition.measures or definition.dimensions):
        return []
    aggregations = {a.id: a for subject_id in found["subject_id"].unique() for a in simple_aggregations(subject_id, configuration)}
    span = found.select(pl.col("service_start").min(), pl.col("service_end").max()).row(0)
    numbers = _accounts(found, configuration)
    every = sorted({a.meter_id for a in aggregations.values()})
    wanted = (usage[meter_id] for meter_id in every if not meter_ids or meter_id in meter_ids)
    parts = (broken_down(definition, one, span=span, time_zone=zone, account_numbers=numbers, aggregations=aggregations.values()) for one in wanted)
    return [part for part in parts if part is not None]


def _accounts(found: pl.DataFrame, configuration: Configuration) -> list[int]:
    """The numbers of the accounts whose usage may be in the usages."""
    who = users(found, configuration)
    pooled = who.filter("is_pooled").select(parent_account_id="account_id").unique()
    children = configuration.accounts.join(pooled, on="parent_account_id", how="semi")
    return sorted({*who["account_number"], *children["account_number"]})


def statement(
    header: Mapping[str, Any],
    lines: pl.DataFrame,
    definition: StatementDefinition,
    *,
    configuration: Configuration,
    usage: Mapping[str, MeterUsage],
    meter_ids: Sequence[str] | None = None,
    line_item_id: str | None = None,
) -> dict[str, Any]:
    """The statement of a bill as a JSON document, see ``documents.py``.

    Args:
        header: The bill, a row of ``bills``.
        lines: Its lines, dataset BILL_LINE_ITEMS, in order.
        definition: What is shown, and by which periods; ``DEFAULT`` where nobody chose.
        configuration: That of the bill's calculation, so that usage is read as it was billed.
        usage: By meter id, at the versions of the bill's calculation.
        meter_ids: Only usage of these meters; None for all.
        line_item_id: Only the usage behind this line.
    """
    zone = time_zone(header["timezone"])
    numbered = with_usage_number(lines)
    found = _covered(usages(numbered, configuration), configuration, meter_ids)
    if line_item_id is not None:
        found = found.filter(pl.col("usage").is_in(numbered.filter(pl.col("line_item_id") == line_item_id)["usage"].implode()))
    found = found.rename({"quantity": "billed"})
    whole = found.with_columns(window_start="service_start", window_end="service_end")
    totals = measured(whole, configuration=configuration, usage=usage).rename({"quantity": "measured", "billed": "quantity"})
    periods = statement_periods(found, definition.aggregation_frequency, time_zone=zone)
    cut = periods.with_columns(window_start="period_start", window_end="period_end")
    rows = measured(cut, configuration=without_defaults(configuration), usage=usage).sort("usage", "period_start")
    parts = Measured(
        lines=numbered,
        usages=totals,
        rows=rows.select("usage", "period_start", "period_end", "quantity"),
        breakdown=_breakdown(found, definition, configuration=configuration, usage=usage, zone=zone, meter_ids=meter_ids),
    )
    return statement_document(header, parts, definition, configuration, meter_ids)
