"""Bill headers as they are stored: a computed bill with what its job and its lines add to it.

Put here columns that follow from a bill, its lines and its job. Keep out the state that people give a bill (approved,
locked). Source: billing.md 4.5.
"""

import json

import polars as pl

from transforms.billing.job_requests import BillJobOverrides, document
from transforms.datasets import BILL_LINE_ITEMS, BILLS
from transforms.rating.run import UNMATCHED_SCHEMA


def stored_headers(
    bills: pl.DataFrame, line_items: pl.DataFrame, *, unmatched: pl.DataFrame, overrides: BillJobOverrides, timezone: str
) -> pl.DataFrame:
    """Dataset BILLS, ``bill_id`` called ``id``, with what is stored beside it.

    ``timezone``; as JSON text ``overrides``, ``currency_conversions`` and ``unmatched``; ``carried_from``, an empty array of PostgreSQL.

    Args:
        bills: Dataset BILLS.
        line_items: Their lines, dataset BILL_LINE_ITEMS with or without calculation_id.
        unmatched: What no segment matched, see ``UNMATCHED_SCHEMA``, in the order in which a bill shall list it.
        overrides: The job's departures from the organization's settings.
        timezone: The time zone of the bills' periods.
    """
    return (
        bills.rename({"bill_id": "id"})
        .join(_conversions(bills, line_items), on="id", how="left", maintain_order="left")
        .join(_unmatched(unmatched), on="id", how="left", maintain_order="left")
        .with_columns(
            pl.col("currency_conversions", "unmatched").fill_null("[]"),
            overrides=pl.lit(json.dumps(document(overrides), sort_keys=True)),
            timezone=pl.lit(timezone),
            carried_from=pl.lit("{}"),
        )
    )


def no_headers() -> pl.DataFrame:
    """The headers of no bills."""
    nothing = pl.DataFrame(schema=BILL_LINE_ITEMS.schema)
    unmatched = pl.DataFrame(schema=UNMATCHED_SCHEMA)
    return stored_headers(pl.DataFrame(schema=BILLS.schema), nothing, unmatched=unmatched, overrides=BillJobOverrides(), timezone="UTC")


def _conversions(bills: pl.DataFrame, line_items: pl.DataFrame) -> pl.DataFrame:
    """Bill id -> the rates that its lines were converted with, as a JSON array in a fixed order."""
    rates = (
        line_items.select("bill_id", pl.col("currency").alias("from"), multiplier=pl.col("conversion_rate").cast(pl.String))
        .join(bills.select("bill_id", to="currency"), on="bill_id")
        .filter(pl.col("from") != pl.col("to"))
        .unique(["bill_id", "from", "multiplier"])
        .sort("bill_id", "from", "multiplier")
    )
    rate = pl.struct("from", "to", "multiplier").struct.json_encode()
    return (
        rates.group_by("bill_id", maintain_order=True)
        .agg(currency_conversions=pl.format("[{}]", rate.str.join(",")))
        .select(id="bill_id", currency_conversions=pl.col("currency_conversions").cast(pl.String))
    )


def _unmatched(unmatched: pl.DataFrame) -> pl.DataFrame:
    """Bill id -> its unmatched usage as a JSON array."""
    entry = pl.struct(aggregationId="aggregation_id", aggregationCode="aggregation_code", measurements="measurements").struct.json_encode()
    return (
        unmatched.group_by("bill_id", maintain_order=True)
        .agg(unmatched=pl.format("[{}]", entry.str.join(",")))
        .select(id="bill_id", unmatched=pl.col("unmatched").cast(pl.String))
    )
