"""From a line back to the usage behind it: which measurements count for it, and what they come to.

The choice of measurements here is made row by row from their accounts, instants and fields, on a way of its own; what they
come to is computed by the one aggregation code, of exactly these rows and no stored state. Put here the way back. Keep out
prices and texts (explanation.py). Source: usage.md 4-6, DECISIONS 19, 20 and 33.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from transforms.aggregations.aggregate import quantities
from transforms.aggregations.compound import compound_quantities, required_aggregations
from transforms.aggregations.segments import SEGMENT, aggregation_segments
from transforms.aggregations.states import segmented
from transforms.aggregations.usage import MeterUsage
from transforms.configuration import Configuration
from transforms.datasets import BILL_LINE_ITEMS, INSTANT
from transforms.entities.formulas import compound_segments
from transforms.entities.usage import Aggregation, CompoundAggregation, Meter, Segment, segment_string
from transforms.rating.families import pooled, with_children
from transforms.rating.usage_filters import filtered_usage
from transforms.statements.usage_lines import usages, with_usage_number
from transforms.statements.users import users

Line = Mapping[str, Any]

#: What tells apart the lines that one quantity may have been split into: parts that credit covered, overage, accounts of a family.
_WINDOW = ("account_plan_id", "pricing_id", "segment", "service_period_start", "service_period_end", "referenced_bill_id")
#: The types of lines that state measured usage.
USAGE_TYPES = ("USAGE", "OVERAGE_USAGE", "USAGE_CREDIT")


@dataclass(frozen=True, kw_only=True)
class Source:
    """The usage of one simple aggregation behind a line.

    Attributes:
        accounts: Whose usage it is: ``account_id``, ``account_number``, ``account_code``; the account with the plan first.
        start: Start of the window, inclusive.
        end: End of the window, exclusive.
        segment: The segment, None when the aggregation has none.
        measurements: Dataset ``measurements`` with the fields of the meter, unordered: the rows that count.
        quantity: What they come to, before quantityPerUnit and rounding; None where there is no value.
        failure: Why there is none though there should be.
    """

    aggregation: Aggregation
    meter: Meter
    accounts: pl.DataFrame
    start: datetime
    end: datetime
    segment: Segment | None
    measurements: pl.LazyFrame
    quantity: Decimal | None
    failure: str | None


def siblings(line: Line, lines: Sequence[Line]) -> list[Line]:
    """The lines of the bill, in its order, that charge parts of the usage that the line charges a part of; itself among them."""
    return [
        other
        for other in lines
        if other["line_item_type"] in USAGE_TYPES and all(other[name] == line[name] for name in (*_WINDOW, "child_account_id"))
    ]


def blocks_of(line: Line, lines: Sequence[Line], configuration: Configuration) -> list[pl.DataFrame]:
    """Whose usage the line charges: ``account_id``, ``account_number``, ``account_code``.

    Each block is measured as one, and what blocks come to adds up: an account, or an account with the children whose usage its
    plan covers, itself first; several where a summary adds up children's own plans (billing.md 7).

    Args:
        line: A usage line, columns of BILL_LINE_ITEMS.
        lines: All lines of its bill, in order.
        configuration: The organization's, at least the whole family.
    """
    numbered = with_usage_number(pl.DataFrame(lines, schema=BILL_LINE_ITEMS.schema))
    own = numbered.filter(pl.col("line_item_id") == line["line_item_id"])["usage"][0]
    who = users(usages(numbered, configuration).filter(pl.col("usage") == own), configuration)
    names = configuration.accounts.select("account_id", "account_number", "account_code")
    found = []
    for user in who.iter_rows(named=True):
        alone = names.filter(pl.col("account_number") == user["account_number"])
        found.append(_with_children(alone, line, configuration) if user["is_pooled"] else alone)
    return found


def _with_children(owner: pl.DataFrame, line: Line, configuration: Configuration) -> pl.DataFrame:
    window = owner.with_columns(
        product_id=pl.lit(line["product_id"], dtype=pl.String),
        window_start=pl.lit(line["service_period_start"], dtype=INSTANT),
        window_end=pl.lit(line["service_period_end"], dtype=INSTANT),
    )
    numbers = with_children(window, configuration).select("account_number", is_child=pl.col("account_number") != pl.col("payer_number")).unique()
    names = configuration.accounts.select("account_id", "account_number", "account_code")
    return names.join(numbers, on="account_number").sort("is_child", "account_number").drop("is_child")


def charged_usage(line: Line, configuration: Configuration, usage: Mapping[str, MeterUsage]) -> Mapping[str, MeterUsage]:
    """The usage that the contract of the line lets its plans charge for; all of it without usage filters (billing.md 6.2)."""
    window = pl.DataFrame({"contract_id": [line["contract_id"]]}, schema={"contract_id": pl.String})
    ((_, kept),) = filtered_usage(window, configuration=configuration, usage=usage)
    return kept


def measurements_in(usage: MeterUsage, accounts: pl.Series, *, start: datetime, end: datetime, time_zone: str) -> pl.LazyFrame:
    """The meter's measurements of the accounts in [start, end).

    Args:
        usage: The meter's usage.
        accounts: Account numbers.
        start: Inclusive.
        end: Exclusive.
        time_zone: What event days are cut in; they only leave files unread.
    """
    at = pl.Series([start, end], dtype=INSTANT)
    days = at.dt.convert_time_zone(time_zone).dt.date()
    ts = pl.col("ts")
    return usage.measurements.filter(
        pl.col("date").is_between(days[0], days[1]),
        pl.col("account_number").is_in(accounts.to_list()),
        (ts >= pl.lit(at[0], dtype=INSTANT)) & (ts < pl.lit(at[1], dtype=INSTANT)),
    )


def in_segment(rows: pl.LazyFrame, aggregation: Aggregation, segment: Segment | None) -> pl.LazyFrame:
    """Those of the measurements that belong to the segment of the aggregation; all where there is none."""
    if segment is None or not aggregation.is_segmented:
        return rows
    fields = tuple(aggregation.segmented_fields or ())
    found = segmented(rows, fields, aggregation_segments(aggregation))
    return found.filter(pl.col(SEGMENT) == (aggregation.segments or []).index(segment)).drop(SEGMENT)


def source(
    aggregation: Aggregation,
    accounts: pl.DataFrame,
    *,
    start: datetime,
    end: datetime,
    segment: Segment | None,
    configuration: Configuration,
    usage: Mapping[str, MeterUsage],
) -> Source:
    """The usage of the aggregation by the accounts in [start, end), with what it comes to: the sum of what each account's comes to.

    Args:
        aggregation: A simple aggregation.
        accounts: ``account_id``, ``account_number``, ``account_code``; what each of them used adds up.
        start: Inclusive.
        end: Exclusive.
        segment: One of its segments; None when it has none.
        configuration: The organization's.
        usage: By meter id.
    """
    of = usage[aggregation.meter_id]
    window = measurements_in(of, accounts["account_number"], start=start, end=end, time_zone=configuration.time_zone)
    rows = in_segment(window, aggregation, segment)
    windows = accounts.select(
        "account_number",
        aggregation_id=pl.lit(aggregation.id),
        window_start=pl.lit(start, dtype=INSTANT),
        window_end=pl.lit(end, dtype=INSTANT),
        payer_number=pl.col("account_number").first(),
    )
    read = {of.meter.id: MeterUsage(of.meter, rows)}
    found = quantities(windows, configuration=configuration, usage=read).collect(engine="streaming")
    if aggregation.is_segmented and segment is not None:
        found = found.filter(pl.col(SEGMENT) == (aggregation.segments or []).index(segment))
    values = pooled(found, ["aggregation_id", "window_start", "window_end"])
    quantity, failure = values.select("quantity", "failure").row(0) if values.height else (None, None)
    return Source(
        aggregation=aggregation,
        meter=of.meter,
        accounts=accounts,
        start=start,
        end=end,
        segment=segment if aggregation.is_segmented else None,
        measurements=rows,
        quantity=quantity,
        failure=failure,
    )


def sources(line: Line, accounts: pl.DataFrame, configuration: Configuration, usage: Mapping[str, MeterUsage]) -> list[Source]:
    """The usage of the accounts behind a usage line: of its aggregation, or of each that its compound aggregation names.

    Args:
        line: A usage line, columns of BILL_LINE_ITEMS.
        accounts: One of ``blocks_of``, or several of a simple aggregation.
        configuration: The organization's.
        usage: By meter id, see ``charged_usage``.
    """
    return [
        source(
            one,
            accounts,
            start=line["service_period_start"],
            end=line["service_period_end"],
            segment=segment_of(line, one),
            configuration=configuration,
            usage=usage,
        )
        for one in aggregations_of(line, configuration)
    ]


def aggregations_of(line: Line, configuration: Configuration) -> list[Aggregation]:
    """The simple aggregations behind a usage line: its own, or those that its compound aggregation names."""
    if line["aggregation_id"] is not None:
        return [configuration.entity(Aggregation, line["aggregation_id"])]
    compound = configuration.entity(CompoundAggregation, line["compound_aggregation_id"])
    return [configuration.entity(Aggregation, i) for i in required_aggregations(compound, configuration)]


def segment_of(line: Line, aggregation: Aggregation) -> Segment | None:
    """The segment of the aggregation that the line's usage is in."""
    if line["segment"] is None or not aggregation.is_segmented:
        return None
    return next((one for one in aggregation.segments or [] if segment_string(one) == line["segment"]), None)


def compound_quantity(line: Line, found: Sequence[Source], configuration: Configuration) -> tuple[Decimal | None, str | None]:
    """What the formula of the line's compound aggregation gives over the sources, and why it gives nothing.

    Args:
        line: A usage line of a compound aggregation.
        found: Its ``sources``.
        configuration: The organization's.
    """
    compound = configuration.entity(CompoundAggregation, line["compound_aggregation_id"])
    segments = compound_segments(compound, {a.code: a for a in configuration.entities(Aggregation).values() if a.code})
    index = None if segments is None else next((n for n, one in enumerate(segments) if segment_string(one) == line["segment"]), None)
    number = found[0].accounts["account_number"][0] if found else 0
    place = {"account_number": number, "window_start": line["service_period_start"], "window_end": line["service_period_end"]}
    schema: dict[str, pl.DataType | type[pl.DataType]] = {"account_number": pl.Int32, "window_start": INSTANT, "window_end": INSTANT}
    values = [
        {
            **place,
            "aggregation_id": one.aggregation.id,
            SEGMENT: None if one.segment is None else (one.aggregation.segments or []).index(one.segment),
            "quantity": one.quantity,
            "failure": one.failure,
        }
        for one in found
        # A segmented operand without usage has no row, as in a bill run.
        if one.quantity is not None or one.failure is not None or one.segment is None
    ]
    quantity_schema = {**schema, "aggregation_id": pl.String, SEGMENT: pl.Int32, "quantity": pl.Decimal(38, 12), "failure": pl.String}
    names = ("account_plan_id", "plan_id", "account_id", "compound_aggregation_id")
    over = pl.DataFrame([{**place, **{name: line[name] for name in names}}], schema={**schema, **dict.fromkeys(names, pl.String)})
    given = pl.DataFrame(values, schema=quantity_schema)
    answered = compound_quantities(over, configuration=configuration, quantities=given.lazy()).collect(engine="streaming")
    mine = answered.filter(pl.col(SEGMENT).eq_missing(pl.lit(index, dtype=pl.Int32)))
    return mine.select("quantity", "failure").row(0) if mine.height else (None, None)
