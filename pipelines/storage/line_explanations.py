"""A line of a bill explained from what its calculation read: measurements at their versions, the configuration as of then.

Put here the reading. Keep out the explanation itself (transforms/provenance/explanation.py) and how it is shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.storage import bill_lines
from pipelines.storage.bill_scopes import scopes_of
from pipelines.storage.calculations import Calculation, Past, calculations, inputs_of, past
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from transforms.billing.shards import shards
from transforms.datasets import MEASUREMENTS
from transforms.errors import NotFound
from transforms.provenance.calculation_steps import Explained, Explanation
from transforms.provenance.explanation import explanation
from transforms.provenance.trail import Source

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ExplainedLine:
    """An explanation and the calculation whose line it explains."""

    calculation: Calculation
    explanation: Explanation


def explained(database: Database, lake: Lake, bill: Row, line: str) -> ExplainedLine:
    """The explanation of a line of the bill's current calculation.

    Args:
        database: PostgreSQL.
        lake: Where the datasets are.
        bill: A row of ``bills``.
        line: Id of the line, or its sequence number.

    Raises:
        NotFound: The bill has no such line.
        VersionGone: A version that the calculation names is no longer kept.
    """
    lines = bill_lines.scanned(lake, bill["org_id"], [bill]).sort("sequence_number").collect().to_dicts()
    own = next((one for one in lines if line in (one["line_item_id"], str(one["sequence_number"]))), None)
    if own is None:
        raise NotFound("LineItem", line)
    with database.transaction() as connection:
        calculation = calculations(connection, bill["org_id"], [bill["calculation_id"]])[bill["calculation_id"]]
    seen = past(database, bill["org_id"], calculation, [bill["account_id"]])
    given = inputs_of(lake, seen)
    (scope,) = scopes_of([bill], today=given.today)
    family = next(iter(shards(given.configuration, account_ids=[bill["account_id"]])), given.configuration)
    usage = {meter_id: replace(one, states={}, merged={}) for meter_id, one in given.usage.items()}
    granted = _drawn_by_unit(seen, bill["id"])
    return ExplainedLine(calculation, explanation(Explained(own, lines, family, usage, scope.run, granted)))


def _drawn_by_unit(seen: Past, bill_id: str) -> dict[str, Decimal]:
    """Currency of a balance, for a grant the unit of what it holds -> how much of it the bill drew."""
    balances = seen.configuration.frame("Balance").select("currency", fund_id="balance_id")
    drawn: dict[str, Decimal] = {}
    for currency, amount in seen.ledger.filter(pl.col("bill_id") == bill_id).join(balances, on="fund_id").select("currency", "amount").iter_rows():
        drawn[currency] = drawn.get(currency, Decimal(0)) - amount
    return drawn


def measurement_count(source: Source) -> int:
    """How many measurements count."""
    return int(source.measurements.select(pl.len()).collect(engine="streaming").item())


def measurements(source: Source, *, limit: int) -> list[dict[str, Any]]:
    """The first of the measurements that count, in the order of their instants, with the account's code."""
    frame = _ordered(source).head(limit).collect(engine="streaming")
    return frame.to_dicts()


def written_csv(sources: Sequence[Source], path: Path) -> int:
    """Write all measurements of the sources as CSV, one after the other; the number of rows.

    Columns: ``meter``, ``aggregation``, ``account_code``, those of the dataset, and every field of the meters.
    """
    frames = [
        _ordered(source).select(
            pl.lit(source.meter.code).alias("meter"), pl.lit(source.aggregation.code or source.aggregation.name).alias("aggregation"), pl.all()
        )
        for source in sources
    ]
    together = pl.concat(frames, how="diagonal")
    together.sink_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
    return sum(map(measurement_count, sources))


def _ordered(source: Source) -> pl.LazyFrame:
    codes = source.accounts.lazy().select("account_number", "account_code")
    rows = source.measurements.join(codes, on="account_number", how="left").sort("ts", "uid")
    names = [name for name in rows.collect_schema().names() if name not in ("account_number", "account_code", "date")]
    return rows.select("account_code", *names)


def fields(source: Source) -> Iterator[str]:
    """The columns of the meter's fields."""
    yield from (name for name in source.measurements.collect_schema().names() if name not in MEASUREMENTS.columns)
