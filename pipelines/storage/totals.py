"""What the datasets hold, counted: rows per day, measurements and their fate per day, bills per month.

Put here the totals that operators see (Dagster, ``meterhouse status``) and that checks compare. Keep out what a bill is
computed from.
"""

from collections.abc import Iterable, Sequence
from datetime import date

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage import memo_lines
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.database import Database
from pipelines.storage.ingest import LOCK
from pipelines.storage.ingest_tables import MEASUREMENT_COUNTS
from pipelines.storage.lake import Lake
from transforms.aggregations.states import state_specs
from transforms.aggregations.usage import Grain
from transforms.configuration import Configuration
from transforms.datasets import BILL_LINE_ITEMS, BILLS as BILLS_DATASET, DAILY_AGGREGATES, MEASUREMENTS, REJECTED_MEASUREMENTS, Dataset
from transforms.entities.usage import Meter
from transforms.money import DECIMAL

#: Names of the counts of measurements; landed = accepted + duplicates + rejected (DECISIONS 16).
COUNTS = ("landed", "accepted", "duplicates", "rejected")

#: One row per event day.
MEASUREMENT_COUNTS_SCHEMA = {"date": pl.Date, **dict.fromkeys(COUNTS, pl.Int64)}

#: One row per month (``YYYY-MM``) that billing periods end in, and bill currency.
BILL_TOTALS_SCHEMA = {"month": pl.String, "currency": pl.String, "bills": pl.Int64, "line_items": pl.Int64, "bill_total": DECIMAL}


def parts_of(dataset: Dataset, configuration: Configuration, *, by_day: bool = False) -> list[tuple[str, ...]]:
    """What names the dataset's tables within the organization: meter ids, meter ids with state keys, or nothing.

    Args:
        dataset: The dataset.
        configuration: The organization.
        by_day: Leave out the states by month.
    """
    if dataset is MEASUREMENTS:
        return [(meter_id,) for meter_id in configuration.entities(Meter)]
    if dataset is DAILY_AGGREGATES:
        return [(spec.meter_id, spec.key) for spec in state_specs(configuration) if not by_day or spec.grain is Grain.DAY]
    return [()]


def rows_by_day(lake: Lake, dataset: Dataset, configuration: Configuration, *, day: str, first: date, last: date) -> dict[date, int]:
    """Day -> rows of the organization's tables of the dataset (of states those by day); days without rows are left out.

    Args:
        lake: The lake.
        dataset: A dataset with a column ``day``.
        configuration: The organization; it says which tables there are.
        day: Name of the date column.
        first: First day.
        last: Last day, inclusive.
    """
    scans = [
        lake.scan(dataset, configuration.organization_id, *parts).filter(pl.col(day).is_between(first, last)).select(day)
        for parts in parts_of(dataset, configuration, by_day=True)
    ]
    if not scans:
        return {}
    counted = pl.concat(scans).group_by(day).len().collect(engine="streaming")
    return dict(counted.iter_rows())


def measurement_counts(connection: Connection, org_ids: Sequence[str], first: date, last: date) -> pl.DataFrame:
    """How many measurements landed and what became of them: one row per event day with any, ascending; see MEASUREMENT_COUNTS_SCHEMA."""
    counts = MEASUREMENT_COUNTS.c
    sums = (sa.cast(sa.func.sum(counts[name]), sa.BigInteger).label(name) for name in COUNTS)
    query = (
        sa.select(counts.date, *sums).where(counts.org_id.in_(org_ids), counts.date.between(first, last)).group_by(counts.date).order_by(counts.date)
    )
    return pl.DataFrame([tuple(row) for row in connection.execute(query)], schema=MEASUREMENT_COUNTS_SCHEMA, orient="row")


def measurement_balances(database: Database, lake: Lake, configuration: Configuration, first: date, last: date) -> pl.DataFrame:
    """What was counted against what is stored, while no batch is being taken in.

    Args:
        database: PostgreSQL.
        lake: The lake.
        configuration: The organization.
        first: First event day.
        last: Last event day, inclusive.

    Returns:
        One row per event day with any: ``org_id``, ``date``, the counts of MEASUREMENT_COUNTS_SCHEMA, and the rows stored as
        ``measurements`` and ``rejected_measurements``.
    """
    org_id = configuration.organization_id
    with database.locked(LOCK) as connection:
        counts = measurement_counts(connection, [org_id], first, last)
        rows = {d.name: rows_by_day(lake, d, configuration, day="date", first=first, last=last) for d in (MEASUREMENTS, REJECTED_MEASUREMENTS)}
    for name, found in rows.items():
        stored = pl.DataFrame({"date": list(found), name: list(found.values())}, schema={"date": pl.Date, name: pl.Int64})
        counts = counts.join(stored, on="date", how="full", coalesce=True)
    return counts.with_columns(pl.exclude("date").fill_null(0)).select(pl.lit(org_id).alias("org_id"), *counts.columns).sort("date")


def bill_headers(connection: Connection, org_ids: Sequence[str], first: date, last: date) -> pl.DataFrame:
    """One row per bill whose last day lies in [first, last], sorted by bill_id.

    Returns:
        The dataset BILLS with ``org_id``, ``calculation_id``, ``status`` and ``memo_lines`` (see memo_lines.py).
    """
    columns = ["org_id", "calculation_id", "status", *("id" if name == "bill_id" else name for name in BILLS_DATASET.columns)]
    query = (
        sa.select(*(BILLS.c[name] for name in columns)).where(BILLS.c.org_id.in_(org_ids), BILLS.c.end_date.between(first, last)).order_by(BILLS.c.id)
    )
    schema = {"org_id": pl.String, "calculation_id": pl.String, "status": pl.String, **BILLS_DATASET.schema}
    headers = pl.DataFrame([tuple(row) for row in connection.execute(query)], schema=schema, orient="row")
    with_memos = query.with_only_columns(*(BILLS.c[name] for name in memo_lines.NEEDED)).where(BILLS.c.memo_count > 0)
    rows = [dict(row) for row in connection.execute(with_memos).mappings()]
    for org_id in org_ids:
        memo_lines.attached(connection, [row for row in rows if row["org_id"] == org_id])
    memos = {"bill_id": [row["id"] for row in rows], memo_lines.COLUMN: [row[memo_lines.COLUMN] for row in rows]}
    return headers.join(pl.DataFrame(memos, schema={"bill_id": pl.String, memo_lines.COLUMN: memo_lines.COLUMN_TYPE}), on="bill_id", how="left")


def bill_totals(headers: pl.DataFrame) -> pl.DataFrame:
    """Bills per month and currency, sorted; see BILL_TOTALS_SCHEMA.

    Args:
        headers: See ``bill_headers``.
    """
    return (
        headers.group_by(month=pl.col("end_date").dt.strftime("%Y-%m"), currency="currency")
        .agg(bills=pl.len().cast(pl.Int64), line_items=pl.col("line_count").cast(pl.Int64).sum(), bill_total=pl.col("bill_total").sum())
        .sort("month", "currency")
    )


def current_lines(lake: Lake, org_id: str, headers: pl.DataFrame) -> pl.LazyFrame:
    """The current line items of the bills (of the calculation that the header names, and memo lines): dataset BILL_LINE_ITEMS, unordered.

    Args:
        lake: The lake.
        org_id: The organization.
        headers: See ``bill_headers``; those of other organizations are passed over.
    """
    own = headers.filter(pl.col("org_id") == org_id)
    dates: Iterable[date] = own["bill_date"].unique().sort()
    keys = own.lazy().select("bill_id", "calculation_id")
    lines = lake.scan(BILL_LINE_ITEMS, org_id).filter(pl.col("bill_date").is_in(list(dates))).join(keys, on=["bill_id", "calculation_id"], how="semi")
    memos = own.select(pl.col(memo_lines.COLUMN).explode()).drop_nulls().unnest(memo_lines.COLUMN)
    return lines if memos.is_empty() else pl.concat([lines, memos.lazy()])
