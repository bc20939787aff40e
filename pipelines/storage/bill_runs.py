"""A bill job from its claim to its end.

Wait for the organization's other jobs to end, drain the landing (everything acknowledged before the job is in, DECISIONS 41),
take the configuration and the ledger, compute the bills shard by shard and put their line items in the lake
(bill_calculation.py), then write headers and draws and complete the job in one transaction (bill_writes.py). Killed at any point
before that transaction, a job has changed nothing but files that nobody refers to, and is run again from the start.

Put here the order of a job's work. Keep out the amounts (transforms) and the rows (bill_jobs.py, bill_writes.py).
"""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import polars as pl
from sqlalchemy import Connection

from pipelines.storage import bill_jobs, bill_lines, bill_locks, late_usage, provenance
from pipelines.storage.bill_calculation import computed
from pipelines.storage.bill_inputs import Inputs, headers_of, inputs, results, with_ledger
from pipelines.storage.bill_jobs import BillJob
from pipelines.storage.bill_scopes import BillScope, Failure, created_scope, recalculated_scopes
from pipelines.storage.bill_writes import Calculation, Drawings, GroundMoved, stored
from pipelines.storage.database import Database
from pipelines.storage.ingest import IngestResult
from pipelines.storage.lake import Lake
from transforms.billing.job_requests import BillJobRequest
from transforms.configuration import Configuration
from transforms.errors import EntityInvalid, NotFound, Refused, Unratable

__all__ = ["Inputs", "JobSummary", "previewed", "ran", "ran_inline", "results"]

#: How often a job computes again while others write; after that it keeps them waiting, since some never stop.
FREE_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """What one finished bill job did, for logs and for Dagster.

    Attributes:
        last_dates: Last days of the billing periods of its bills, ascending.
        seconds: Wall time from the claim to the commit.
        ingested: The batches that were taken in first.
    """

    org_id: str
    job_id: str
    type: str
    calculation_id: str
    bills: int
    line_items: int
    failures: int
    last_dates: tuple[date, ...]
    seconds: float
    ingested: tuple[IngestResult, ...]


def ran(database: Database, lake: Lake, landing_root: Path, claim: BillJob) -> JobSummary:
    """Run the claimed job to its end; jobs of one organization run one after the other.

    Raises:
        JobLost: It was cancelled or claimed anew meanwhile; nothing was stored.
        Unavailable: The database or the lake is away; the job stays claimed and can be run again.
    """
    started = monotonic()
    with database.organization_lock(claim.org_id, bill_jobs.RUNS):
        ingested: tuple[IngestResult, ...] = ()
        for attempt in count(1):
            given = inputs(database, lake, landing_root, claim.org_id)
            ingested += given.ingested
            with suppress(GroundMoved), _written_in(database, claim.org_id, is_held=attempt > FREE_ATTEMPTS) as transaction:
                return _attempted(database, lake, claim, replace(given, ingested=ingested), transaction, started=started)
    raise AssertionError("attempts are counted without end")


@contextmanager
def _written_in(database: Database, org_id: str, *, is_held: bool) -> Iterator[Callable[[], AbstractContextManager[Connection]]]:
    """The transaction in which an attempt writes: opened by it, or here, under the lock of headers, so that nothing moves meanwhile."""
    if not is_held:
        yield database.transaction
        return
    with database.transaction() as connection:
        bill_locks.held(connection, org_id, shared=False)
        yield lambda: nullcontext(connection)


def _attempted(
    database: Database, lake: Lake, claim: BillJob, given: Inputs, transaction: Callable[[], AbstractContextManager[Connection]], *, started: float
) -> JobSummary:
    """Compute and store the job's bills, or raise GroundMoved when what they were computed from is no longer so."""
    scopes, failures = _scopes(database, claim, given)
    given = with_ledger(given, database, scopes)
    progress = _Progress(database, claim, sum(_accounts(given.configuration, scope) for scope in scopes))
    calculation_id = str(uuid.uuid4())
    out = computed(database, lake, given, scopes, calculation_id=calculation_id, shard_done=progress.shard_done)
    carrying = late_usage.carried_forward(database, lake, given, pl.concat(out.headers))
    files = [*out.files, *bill_lines.written(lake, claim.org_id, calculation_id, carrying.lines)]
    bill_lines.committed(lake, claim.org_id, calculation_id, files)
    bills = carrying.headers
    all_failures = [*failures, *out.failures, *carrying.failures]
    with transaction() as connection:
        bill_count = stored(
            connection,
            claim,
            Calculation(
                id=calculation_id,
                began_at=given.began_at,
                configuration=given.configuration,
                software_version=provenance.software_version(),
                dataset_versions=given.versions,
                certificates=provenance.certificates(connection, claim.org_id, bills.select("start_date", "end_date").iter_rows()),
            ),
            bills,
            all_failures,
            drawings=Drawings(given.ledger, given.funds, pl.concat(out.draws), pl.concat(out.charges), out.untouchable, out.known),
        )
    return JobSummary(
        org_id=claim.org_id,
        job_id=claim.id,
        type=claim.type,
        calculation_id=calculation_id,
        bills=bill_count,
        line_items=out.line_count + carrying.lines.height,
        failures=len(all_failures),
        last_dates=tuple(sorted(set(bills["end_date"]))),
        seconds=monotonic() - started,
        ingested=given.ingested,
    )


def ran_inline(
    database: Database, lake: Lake, landing_root: Path, org_id: str, *, request: BillJobRequest, created_by: str | None = None
) -> JobSummary:
    """Create a job and run it in this process; no worker claims it unless this process dies.

    The limit of unfinished jobs does not apply.
    """
    session = bill_jobs.new_session()
    with database.session_lock(bill_jobs.session_key(session)) as is_ours:
        assert is_ours, f"the new session {session} is already taken"
        with database.transaction() as connection:
            claim = bill_jobs.created_claimed(connection, org_id, request, created_by=created_by, session=session)
        return ran(database, lake, landing_root, claim)


def previewed(
    database: Database, lake: Lake, landing_root: Path, org_id: str, *, request: BillJobRequest
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header and the line items of the one bill that the request would yield now; nothing is stored.

    The request must name exactly one account and a frequency.

    Raises:
        EntityInvalid: The request names no account or several, no frequency, or a currency that the organization does not have.
        NotFound: The account does not exist.
        Unratable: The bill can't be computed; the message says why.
        Refused: The account has no bill for that date.
    """
    if request.account_ids is None or len(request.account_ids) != 1:
        raise EntityInvalid.of("accountIds", "a preview is of one account: give exactly one id in accountIds")
    if request.billing_frequency is None:
        raise EntityInvalid.of("billingFrequency", "a preview is of one bill: give its billingFrequency")
    with database.transaction() as connection:
        bill_jobs.refuse_unknown_currency(connection, org_id, request)
    account_id = request.account_ids[0]
    given = inputs(database, lake, landing_root, org_id)
    if account_id not in given.configuration.accounts["account_id"]:
        raise NotFound("Account", account_id)
    scope = created_scope(request, today=given.today)
    given = with_ledger(given, database, [scope])
    for result in results(given, scope, shard_done=lambda _: None):
        for failure in result.failures.iter_rows(named=True):
            raise Unratable(failure["reason"])
        carrying = late_usage.carried_forward(database, lake, given, headers_of(result, scope, given.configuration))
        for unmade in (entry for entry in carrying.failures if "billId" not in entry):
            raise Unratable(str(unmade["reason"]))
        for header in carrying.headers.iter_rows(named=True):
            decoded = {name: json.loads(header[name]) for name in ("currency_conversions", "unmatched")}
            with database.transaction() as connection:
                counted = provenance.certificates(connection, org_id, [(header["start_date"], header["end_date"])])
            lines = pl.concat([result.line_items, carrying.lines]).filter(pl.col("bill_id") == header["id"]).sort("sequence_number")
            return {**header, **decoded, "certificates": counted}, lines.to_dicts()
    raise Refused(f"account {account_id} has no {request.billing_frequency} bill for that date")


def _scopes(database: Database, claim: BillJob, given: Inputs) -> tuple[list[BillScope], list[Failure]]:
    if isinstance(claim.request, BillJobRequest):
        return [created_scope(claim.request, today=given.today)], []
    with database.transaction() as connection:
        return recalculated_scopes(connection, claim.org_id, claim.request.bill_ids, today=given.today)


def _accounts(configuration: Configuration, scope: BillScope) -> int:
    return configuration.accounts.height if scope.run.account_ids is None else len(scope.run.account_ids)


class _Progress:
    """The job's ``total`` and ``pending`` while it runs: accounts to look at. A cancelled job is noticed here."""

    def __init__(self, database: Database, claim: BillJob, total: int) -> None:
        self._database = database
        self._claim = claim
        self._pending = total
        self._advance(status="RUNNING", total=total, pending=total)

    def shard_done(self, accounts: int) -> None:
        self._pending = max(0, self._pending - accounts)
        if self._pending:  # the last shard's progress is the job's end
            self._advance(pending=self._pending)

    def _advance(self, **values: object) -> None:
        with self._database.transaction() as connection:
            bill_jobs.advanced(connection, self._claim, **values)
