"""What the bills of a job are computed from, and one run over it.

Put here reading everything that a calculation depends on, at one moment. Keep out writing (bill_writes.py) and the order of a
job's runs (bill_calculation.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from pipelines.storage import ledger, provenance, schedule_runs
from pipelines.storage.bill_scopes import BillScope
from pipelines.storage.database import Database
from pipelines.storage.ingest import IngestResult, drained, meter_usage
from pipelines.storage.lake import Lake
from pipelines.storage.snapshots import configuration as snapshot
from transforms.aggregations.usage import MeterUsage
from transforms.billing.headers import stored_headers
from transforms.billing.shards import shards, usage_of
from transforms.configuration import Configuration
from transforms.rating.pipeline import billed
from transforms.rating.replay import OWNERS, owners
from transforms.rating.run import LEDGER, BillRunResult


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All that the bills of a job are computed from.

    Attributes:
        began_at: The database's clock before anything was looked at.
        versions: Table -> version of everything in ``usage`` (see provenance.dataset_versions).
        ingested: The batches that were taken in first.
        funds: The commitments and balances of the accounts that the bills are of, see OWNERS.
        ledger: Their entries, see LEDGER.
    """

    began_at: datetime
    configuration: Configuration
    usage: Mapping[str, MeterUsage]
    versions: dict[str, int]
    ingested: tuple[IngestResult, ...] = ()
    funds: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OWNERS))
    ledger: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEDGER))

    @property
    def today(self) -> date:
        """The day on which the job began, in the organization's time zone."""
        return self.began_at.astimezone(ZoneInfo(self.configuration.time_zone)).date()


def inputs(database: Database, lake: Lake, landing_root: Path, org_id: str) -> Inputs:
    """The organization as it is now, with everything that has been acknowledged so far and everything that schedules owe."""
    with database.transaction() as connection:
        began_at: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    schedule_runs.ran_due(database, org_id)
    ingested = drained(database, lake, landing_root)
    with database.transaction() as connection:
        configuration = snapshot(connection, org_id)
    before = provenance.dataset_versions(lake, configuration)
    while True:
        usage = meter_usage(database, lake, configuration)
        versions = provenance.dataset_versions(lake, configuration)
        if versions == before:  # no batch came in between, so these are the versions that the frames will read
            read = provenance.read_versions(versions, usage)
            return Inputs(began_at=began_at, configuration=configuration, usage=usage, versions=read, ingested=ingested)
        before = versions


def with_ledger(given: Inputs, database: Database, scopes: Sequence[BillScope]) -> Inputs:
    """The inputs with the ledger of the runs' accounts as it stands now."""
    funds = owners(given.configuration)
    if all(scope.run.account_ids is not None for scope in scopes):
        named = [account_id for scope in scopes for account_id in scope.run.account_ids or ()]
        # What a child uses may stand on its parent's bill, and the other way round.
        accounts, parent = given.configuration.accounts, pl.col("parent_account_id")
        tops = accounts.filter(pl.col("account_id").is_in(named)).select(pl.coalesce(parent, "account_id"))
        family = accounts.filter(pl.coalesce(parent, "account_id").is_in(tops.to_series().implode()))
        funds = funds.join(family.select("account_id"), on="account_id", how="semi")
    with database.transaction() as connection:
        entries = ledger.standing_of(connection, given.configuration.organization_id, funds)
    return replace(given, funds=funds, ledger=entries)


def results(given: Inputs, scope: BillScope, *, shard_done: Callable[[int], None]) -> Iterator[BillRunResult]:
    """What the scope yields, shard by shard; ``shard_done`` is told how many accounts are through after each."""
    for result in unscoped_results(given, scope, shard_done=shard_done):
        yield scope.within(result)
        del result  # or its lines stay in memory while the next shard is computed


def unscoped_results(given: Inputs, scope: BillScope, *, shard_done: Callable[[int], None]) -> Iterator[BillRunResult]:
    """As :func:`results`, with what comes out beside the scope's own bills."""
    # Empty bills are computed in any case; whether they are kept depends on what is stored (bill_writes.py).
    organization = given.configuration.organization.model_copy(update={"suppressed_empty_bills": False})
    whole = replace(given.configuration, organization=organization)
    for shard in shards(whole, account_ids=scope.run.account_ids):
        entries = given.ledger.join(owners(shard), on="fund_id", how="semi", maintain_order="left")
        yield billed(shard, usage_of(shard, whole, given.usage), scope.run, entries)
        shard_done(shard.accounts.height)


def headers_of(result: BillRunResult, scope: BillScope, configuration: Configuration) -> pl.DataFrame:
    """The headers of the result as they are stored."""
    return stored_headers(
        result.bills, result.line_items, unmatched=result.unmatched, overrides=scope.overrides, timezone=scope.timezone(configuration)
    )
