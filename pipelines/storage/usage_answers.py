"""Usage queries (the Data Explorer) against storage, for the API and the command line alike.

Put here how a query meets storage. What it means is transforms/aggregations/explorer.py. Source: usage.md 7.1, DECISIONS 40.
"""

from collections.abc import Iterable, Mapping
from heapq import merge
from typing import Any, NamedTuple

import polars as pl

from pipelines.storage.database import Database
from pipelines.storage.ingest import meter_usage
from pipelines.storage.lake import Lake
from pipelines.storage.usage_scopes import account_labels, account_numbers, usage_configuration
from transforms.aggregations.explorer import ACCOUNT, explored, newest_days, raw_measurements
from transforms.aggregations.usage_query import UsageQuery, checked_query
from transforms.entities.usage import Meter
from transforms.errors import EntityInvalid, FieldProblem

Row = dict[str, Any]


class UsageAnswer(NamedTuple):
    """Rows by the wire names of their columns, and whether there are more than the query's limit."""

    rows: list[Row]
    has_more: bool


def _numbers(query: UsageQuery, known: Mapping[str, int]) -> list[int] | None:
    """Account numbers of the query's accounts, None for all."""
    problems = tuple(
        FieldProblem(f"accountIds[{n}]", f"account {account_id} does not exist in this organization")
        for n, account_id in enumerate(query.account_ids)
        if account_id not in known
    )
    if problems:
        raise EntityInvalid("; ".join(f"{p.field}: {p.message}" for p in problems), problems)
    return sorted(set(known.values())) if query.account_ids else None


def _labelled(database: Database, org_id: str, rows: Iterable[Row]) -> list[Row]:
    """The rows with the account's id and code in place of its number."""
    found = list(rows)
    with database.transaction() as connection:
        labels = account_labels(connection, org_id, sorted({row[ACCOUNT] for row in found}))
    labelled = []
    for row in found:
        account_id, account_code = labels.get(row.pop(ACCOUNT), (None, None))
        labelled.append({"accountId": account_id, "accountCode": account_code, **row})
    return labelled


def _collected(frames: Mapping[str, pl.LazyFrame]) -> dict[str, pl.DataFrame]:
    return dict(zip(frames, pl.collect_all(list(frames.values()), engine="streaming"), strict=True))


def _newest(frames: Mapping[str, pl.DataFrame], meters: Mapping[str, Meter], limit: int) -> list[Row]:
    """Measurements of several meters, newest first; what a measurement does not have is left out."""
    by_meter = (
        ({"meterId": meter_id, "meterCode": meters[meter_id].code, **row} for row in frame.iter_rows(named=True))
        for meter_id, frame in frames.items()
    )
    newest = merge(*by_meter, key=lambda row: (row["ts"], row["receivedAt"], row["uid"]), reverse=True)
    return [{key: value for key, value in row.items() if value is not None} for row, _ in zip(newest, range(limit), strict=False)]


def answered(database: Database, lake: Lake, org_id: str, query: UsageQuery) -> UsageAnswer:
    """Aggregated usage by account, string field and time, or without aggregations the measurements themselves.

    Raises:
        EntityInvalid: A meter, field or account that the organization does not have.
    """
    with database.transaction() as connection:
        configuration = usage_configuration(connection, org_id)
        meters = configuration.entities(Meter)
        checked_query(query, meters)
        numbers = _numbers(query, account_numbers(connection, org_id, query.account_ids) if query.account_ids else {})
    usage, zone = meter_usage(database, lake, configuration, query.named_meters or tuple(meters)), configuration.time_zone
    rows: list[Row]
    if query.aggregations:
        frame = explored(query, time_zone=zone, usage=usage, account_numbers=numbers).collect(engine="streaming")
        rows = frame.to_dicts()
    else:
        days = _collected(newest_days(query, time_zone=zone, usage=usage, account_numbers=numbers))
        since = {meter_id: frame.item() for meter_id, frame in days.items() if not frame.is_empty()}
        frames = _collected(raw_measurements(query, time_zone=zone, usage=usage, account_numbers=numbers, since=since))
        rows = _newest(frames, meters, query.limit + 1)
    shown = rows[: query.limit]
    if not query.aggregations or query.is_by_account:
        shown = _labelled(database, org_id, shown)
    return UsageAnswer(shown, len(rows) > query.limit)
