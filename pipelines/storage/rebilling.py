"""Bills computed again from exactly what their current calculation names, and compared with what is stored (DECISIONS 33).

Nothing is stored. Bills of one calculation are computed together, shard by shard, so that a hundred thousand take little
longer than billing them did. Put here the reading and the running; the comparison is transforms/provenance/comparison.py.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage import bill_lines
from pipelines.storage.bill_inputs import Inputs, results
from pipelines.storage.bill_scopes import BillScope, scopes_of
from pipelines.storage.bill_store import BillFilter
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.calculations import Past, calculations, inputs_of, past
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from transforms.billing.headers import stored_headers
from transforms.datasets import INSTANT
from transforms.errors import NotFound, VersionGone
from transforms.money import DECIMAL
from transforms.provenance.comparison import DIFFERENCE, differences
from transforms.rating.run import BillRunResult

#: What a calculation decides of a header, with the types to compare; JSON columns as text with sorted keys.
HEADER: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,
    "account_id": pl.String,
    "account_code": pl.String,
    "billing_frequency": pl.String,
    "bill_frequency_interval": pl.Int32,
    "bill_date": pl.Date,
    "start_date": pl.Date,
    "end_date": pl.Date,
    "start_at": INSTANT,
    "end_at": INSTANT,
    "due_date": pl.Date,
    "external_invoice_date": pl.Date,
    "timezone": pl.String,
    "currency": pl.String,
    "currency_conversions": pl.String,
    "bill_total": DECIMAL,
    "line_count": pl.Int32,
    "unmatched": pl.String,
    "purchase_order_number": pl.String,
}
_JSON = ("currency_conversions", "unmatched")
#: One row per difference: of the header where line_item_id is null, of a whole line or bill where field is null.
DIFFERENCES: dict[str, pl.DataType | type[pl.DataType]] = {
    "bill_id": pl.String,
    "line_item_id": pl.String,
    **DIFFERENCE,
}
_LINE_KEYS = ["bill_id", "line_item_id"]

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rebilled:
    """What computing bills again came to.

    Attributes:
        bills: How many were computed again.
        line_items: How many lines they have as stored.
        carried: How many of these carry usage of locked bills forward. They are differences between two calculations of other
            bills, so they are taken as they are.
        differences: See DIFFERENCES, sorted by bill; ``before`` is as stored, ``after`` as computed now.
        problems: Bill id -> why it could not be computed again, or not from what it names.
        software_versions: The versions of the software that computed the stored bills.
        seconds: Wall time.
    """

    bills: int
    line_items: int
    carried: int
    differences: pl.DataFrame
    problems: Mapping[str, str]
    software_versions: tuple[str, ...]
    seconds: float

    @property
    def unequal(self) -> set[str]:
        """Ids of the bills that differ or could not be computed."""
        return {*self.differences["bill_id"], *self.problems}

    @property
    def is_equal(self) -> bool:
        """True when every bill came out as it is stored, from what it names."""
        return not self.unequal


@dataclass
class _Found:
    differences: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=DIFFERENCES)])
    problems: dict[str, str] = field(default_factory=dict)
    line_items: int = 0
    carried: int = 0


def bill_rows(connection: Connection, org_id: str, bills: BillFilter) -> list[dict[str, Any]]:
    """The rows of ``bills`` of the filter, oldest first.

    Raises:
        NotFound: An id of the filter that the organization does not have.
    """
    query = sa.select(BILLS).where(*bills.conditions(org_id)).order_by(BILLS.c.sequence)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    missing = set(bills.ids or ()) - {row["id"] for row in rows}
    for bill_id in sorted(missing):
        raise NotFound("Bill", bill_id)
    return rows


def rebilled(database: Database, lake: Lake, org_id: str, bills: Sequence[Row]) -> Rebilled:
    """The bills computed again from the versions, configuration and overrides that their current calculations name.

    Args:
        database: PostgreSQL.
        lake: Where the datasets are.
        org_id: The organization.
        bills: See ``bill_rows``.
    """
    started = monotonic()
    by_calculation: dict[str, list[Row]] = {}
    for bill in bills:
        by_calculation.setdefault(bill["calculation_id"], []).append(bill)
    with database.transaction() as connection:
        named = calculations(connection, org_id, by_calculation)
    found = _Found()
    for calculation_id, own in by_calculation.items():
        _compare(lake, past(database, org_id, named[calculation_id], {bill["account_id"] for bill in own}), own, found)
    return Rebilled(
        bills=len(bills),
        line_items=found.line_items,
        carried=found.carried,
        differences=pl.concat(found.differences).sort("bill_id", "line_item_id", nulls_last=False, maintain_order=True),
        problems=found.problems,
        software_versions=tuple(sorted({named[i].software_version for i in by_calculation})),
        seconds=monotonic() - started,
    )


def _compare(lake: Lake, seen: Past, bills: Sequence[Row], found: _Found) -> None:
    """Compute the bills of one calculation again and add what differs."""
    if not seen.is_same_configuration:
        reason = (
            f"the configuration as of {seen.calculation.configuration_as_of.isoformat()} has the hash {seen.configuration.hash}, "
            f"not {seen.calculation.configuration_hash} as the bill says"
        )
        found.problems |= dict.fromkeys((bill["id"] for bill in bills), reason)
    try:
        for scope in scopes_of(bills, today=seen.calculation.today(seen.configuration)):
            _compare_scope(lake, seen, scope, [bill for bill in bills if bill["id"] in (scope.bills or {})], found)
    except (VersionGone, FileNotFoundError) as error:
        reason = str(error) if isinstance(error, VersionGone) else f"a file that it was computed from is no longer in the lake: {error}"
        found.problems |= {bill["id"]: reason for bill in bills}


def _compare_scope(lake: Lake, seen: Past, scope: BillScope, bills: Sequence[Row], found: _Found) -> None:
    left = {bill["id"]: bill for bill in bills}
    failed: dict[str, str] = {}
    for headers, result in computed(inputs_of(lake, seen), scope):
        failed |= dict(result.failures.select("account_id", "reason").iter_rows())
        mine = [left.pop(bill_id) for bill_id in headers["id"]]
        stored = bill_lines.calculated(lake, seen.configuration.organization_id, mine).drop("calculation_id").collect(engine="streaming")
        found.line_items += stored.height
        is_carried = pl.col("referenced_bill_id").is_not_null()
        carried = stored.filter(is_carried)
        found.carried += carried.height
        lines = differences(stored.filter(~is_carried), result.line_items, keys=_LINE_KEYS)
        own = differences(stored_frame(mine, carried), compared_frame(headers), keys=["id"]).rename({"id": "bill_id"})
        found.differences += [
            frame.select(pl.col(n) if n in frame.columns else pl.lit(None, t).alias(n) for n, t in DIFFERENCES.items()) for frame in (own, lines)
        ]
    for bill_id, bill in left.items():
        reason = failed.get(bill["account_id"], "its account has no bill for that date, frequency and interval")
        known = [found.problems[bill_id]] if bill_id in found.problems else []
        found.problems[bill_id] = "; ".join([*known, f"the bill does not come out again: {reason}"])


def computed(given: Inputs, scope: BillScope) -> Iterator[tuple[pl.DataFrame, BillRunResult]]:
    """The bills of the scope, shard by shard: headers as they would be stored, and all that was computed."""
    timezone = scope.timezone(given.configuration)
    for result in results(given, scope, shard_done=lambda _: None):
        yield stored_headers(result.bills, result.line_items, unmatched=result.unmatched, overrides=scope.overrides, timezone=timezone), result


def stored_frame(bills: Sequence[Row], carried: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``bills`` as HEADER, as rating made them: without the lines that people put on them and those carried forward.

    Args:
        bills: Rows of ``bills``.
        carried: Their lines that carry usage of locked bills forward.
    """
    rows = [
        {
            **{name: bill[name] for name in HEADER},
            **{name: json.dumps(bill[name], sort_keys=True) for name in _JSON},
            "bill_total": bill["bill_total"] - bill["memo_total"],
            "line_count": bill["line_count"] - bill["memo_count"],
        }
        for bill in bills
    ]
    frame = pl.DataFrame(rows, schema=HEADER)
    if carried.is_empty():
        return frame
    sums = carried.group_by(id="bill_id").agg(amount=pl.col("converted_subtotal").sum(), lines=pl.len().cast(pl.Int32))
    zero = pl.lit(0)
    without = frame.join(sums, on="id", how="left", maintain_order="left").with_columns(
        bill_total=pl.col("bill_total") - pl.col("amount").fill_null(zero.cast(DECIMAL)),
        line_count=pl.col("line_count") - pl.col("lines").fill_null(zero.cast(pl.Int32)),
    )
    return without.select(*HEADER)


def compared_frame(headers: pl.DataFrame) -> pl.DataFrame:
    """Computed headers as HEADER."""
    respelled = {name: {text: json.dumps(json.loads(text), sort_keys=True) for text in headers[name].unique()} for name in _JSON}
    spelled = (pl.col(name).replace_strict(texts, return_dtype=pl.String) for name, texts in respelled.items())
    return headers.with_columns(*spelled).select(pl.col(name).cast(dtype) for name, dtype in HEADER.items())
