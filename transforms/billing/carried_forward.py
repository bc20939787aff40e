"""Late usage of bills that may not change, carried on a later bill of the account (DECISIONS 32).

A bill is *closed* to a run when the run does not write it anew: because it is locked, mostly. What its usage lines would come
to now, less what they come to with the usage that it was calculated from, less what other bills carry of it already, stands
as a line on a later bill: USAGE above zero, USAGE_CREDIT below, with the service period that it is of. Both sides are
computed with the configuration that the closed bill was calculated with, so only usage makes a difference, no later price.

Put here the difference and the lines. Keep out which bills are concerned and on which bill they are carried
(pipelines/storage/late_usage.py). Only usage lines count: minimum spends, caps, commitments and balances of the closed bill
stay as they were, and nothing draws on a carried line.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from transforms.billing.conversions import exchanges, finished
from transforms.billing.ids import uuids
from transforms.billing.line_item_types import LineItemType
from transforms.configuration import Configuration
from transforms.datasets import BILL_LINE_ITEMS
from transforms.entities.organization import CurrencyConversion
from transforms.money import DECIMAL
from transforms.rating.amounts import SAFE, ZERO, quotient

#: What a usage line charges for; lines of one key are one amount, whatever bill they stand on.
KEY = ("account_plan_id", "pricing_id", "segment", "child_account_id", "service_period_start", "service_period_end")
#: The types of lines that are compared.
TYPES = (LineItemType.USAGE.value, LineItemType.USAGE_CREDIT.value)
#: Dataset BILL_LINE_ITEMS as a run yields it.
LINES = {name: dtype for name, dtype in BILL_LINE_ITEMS.schema.items() if name != "calculation_id"}
#: One row per closed bill with late usage: the bill that carries it.
TARGETS: dict[str, pl.DataType | type[pl.DataType]] = {
    "referenced_bill_id": pl.String,
    "bill_id": pl.String,
    "bill_date": pl.Date,
    "account_id": pl.String,
    "bill_currency": pl.String,
    # The carrying bill's lines so far; those carried follow them.
    "line_count": pl.Int32,
}
_AMOUNTS = ("quantity", "units", "subtotal")
TOO_LARGE = "the late usage that it would carry has too many digits before the point"


@dataclass(frozen=True)
class CarriedForward:
    """What later bills carry.

    Attributes:
        lines: See LINES, by bill and position; their ``bands`` are null.
        failures: ``bill_id`` and ``reason`` of carrying bills that can't be made, see DECISIONS 34.
    """

    lines: pl.DataFrame
    failures: pl.DataFrame


def late_amounts(*, before: pl.DataFrame, after: pl.DataFrame, carried: pl.DataFrame) -> pl.DataFrame:
    """What is left to carry of each usage line of closed bills: one row per bill and KEY whose amount is not zero.

    Args:
        before: The closed bills' lines with the usage that they were calculated from, see LINES; other types are left out.
        after: The same with the usage as it is now.
        carried: Lines with ``referenced_bill_id`` that other bills carry of them.

    Returns:
        ``referenced_bill_id``, KEY, ``quantity``, ``units``, ``subtotal``, ``is_too_large`` and what else a line says.
    """
    usage = pl.col("line_item_type").is_in(TYPES)
    sides = (
        after.filter(usage).with_columns(referenced_bill_id="bill_id", referenced_line_item_id=pl.lit(None, pl.String), _side=pl.lit(0)),
        before.filter(usage).with_columns(referenced_bill_id="bill_id", referenced_line_item_id="line_item_id", _side=pl.lit(1)),
        carried.filter(usage).with_columns(_side=pl.lit(2)),
    )
    # What a line says comes from the side that knows it best: as it is now, as it was, as it is carried.
    every = pl.concat([side.select(*LINES, "_side") for side in sides]).sort("referenced_bill_id", *KEY, "_side", "line_item_id")
    keys = ("referenced_bill_id", *KEY)
    # Sums of decimals that do not fit raise for all of them, or wrap.
    is_large = pl.any_horizontal(*(pl.col(name).cast(pl.Float64).abs().sum().over(keys) >= float(SAFE) for name in _AMOUNTS))
    every = every.with_columns(is_too_large=is_large).with_columns(pl.when("is_too_large").then(ZERO).otherwise(pl.col(_AMOUNTS)).name.keep())
    added = pl.col("_side") == 0
    said = [name for name in LINES if name not in {*keys, *_AMOUNTS, "referenced_line_item_id"}]
    left = ((pl.col(name).filter(added).sum() - pl.col(name).filter(~added).sum()).alias(name) for name in _AMOUNTS)
    return (
        every.group_by(keys, maintain_order=True)
        .agg(pl.col(*said, "is_too_large").first(), pl.col("referenced_line_item_id").drop_nulls().first(), *left)
        .filter((pl.col("subtotal") != ZERO) | pl.col("is_too_large"))
    )


def carried_lines(
    late: pl.DataFrame, targets: pl.DataFrame, *, configuration: Configuration, conversions: Sequence[CurrencyConversion]
) -> CarriedForward:
    """The late amounts as lines of the bills that carry them.

    Args:
        late: See ``late_amounts``.
        targets: See TARGETS; late amounts of other bills are left out.
        configuration: The organization's, for currencies and rates.
        conversions: The run's own rates, which come before the organization's.
    """
    said = [name for name in late.columns if name not in {"bill_id", "bill_date", "account_id"}]
    placed = late.select(said).join(targets, on="referenced_bill_id")
    pairs = placed.select("currency", "bill_currency").unique().sort("currency", "bill_currency")
    rates = exchanges(pairs.rows(), configuration, conversions)
    placed = placed.join(pairs.with_row_index("exchange"), on=["currency", "bill_currency"], maintain_order="left")
    converted = finished(placed.with_columns(amount="subtotal").drop("subtotal", "converted_subtotal"), rates)
    broken = pl.when("is_too_large").then(pl.lit(TOO_LARGE)).otherwise(pl.col("failure"))
    converted = converted.with_columns(failure=broken)
    reason = pl.format("late usage of bill {}: {}", "referenced_bill_id", "failure")
    failures = converted.filter(pl.col("failure").is_not_null()).select("bill_id", reason=reason)
    good = converted.filter(~pl.col("bill_id").is_in(failures["bill_id"].unique().implode())).sort("bill_id", "referenced_bill_id", *KEY)
    rate = pl.Series("rate", [one.rate for one in rates], dtype=DECIMAL)
    lines = good.with_columns(
        uuids(good.select(_name()).to_series()).alias("line_item_id"),
        rate.gather(good["exchange"]).alias("conversion_rate"),
        quotient(good["subtotal"], good["units"]).fill_null(0).cast(DECIMAL).alias("average_unit_price"),
        line_item_type=pl.when(pl.col("subtotal") > ZERO).then(pl.lit(LineItemType.USAGE.value)).otherwise(pl.lit(LineItemType.USAGE_CREDIT.value)),
        sequence_number=(pl.col("line_count") + pl.int_range(1, pl.len() + 1).over("bill_id")).cast(pl.Int32),
        bands=pl.lit(None, dtype=LINES["bands"]),
    )
    return CarriedForward(lines.select(pl.col(n).cast(t) for n, t in LINES.items()), failures.unique().sort("bill_id", "reason"))


def _name() -> pl.Expr:
    """What a line's id is made of: the same for the same thing in every calculation (DECISIONS 32)."""
    parts = [pl.col(key).cast(pl.String).fill_null("") for key in ("bill_id", "referenced_bill_id", *KEY)]
    return pl.format("carried" + "/{}" * len(parts), *parts)


def with_carried(headers: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """The headers with the totals and counts of the lines that they carry, and the bills that those refer to as ``carried_from``.

    Args:
        headers: See ``stored_headers``.
        lines: See ``CarriedForward.lines``.
    """
    own = lines.group_by("bill_id").agg(
        _total=pl.col("converted_subtotal").sum(),
        _count=pl.len().cast(pl.Int32),
        _from=pl.col("referenced_bill_id").unique().sort(),
    )
    joined = headers.join(own, left_on="id", right_on="bill_id", how="left", maintain_order="left")
    return joined.with_columns(
        bill_total=pl.col("bill_total") + pl.col("_total").fill_null(ZERO),
        line_count=pl.col("line_count") + pl.col("_count").fill_null(0),
        # Ids have no characters that an array literal of PostgreSQL would have to quote.
        carried_from=pl.concat_str(pl.lit("{"), pl.col("_from").list.join(",").fill_null(""), pl.lit("}")),
    ).select(headers.columns)
