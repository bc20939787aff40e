"""The bills of a job, computed in their order, with the later bills that have to follow when draws change (DECISIONS 29).

The runs of the job come first, in the order of their dates. Every bill draws from its account's funds what earlier ones left,
so when a bill draws otherwise than before, the open bills after it are computed again, one after the other, until every
bill stands on the draws that it was computed with. Line items go to the lake as they come; nothing refers to them yet.

Put here that order. Keep out what a bill is (transforms) and how bills are stored (bill_writes.py).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import polars as pl
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import ARRAY

from pipelines.storage import bill_lines, bill_locks
from pipelines.storage.bill_inputs import Inputs, headers_of, unscoped_results
from pipelines.storage.bill_scopes import BillScope, Failure, scopes_of
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.lake_files import AddFile
from pipelines.storage.sql_columns import frame_of
from transforms.billing.headers import no_headers
from transforms.rating.replay import PLACED, moved_bills, with_draws, with_locked
from transforms.rating.run import DRAWS, BillRunResult

#: One row per charge that stands on a bill.
CHARGES: dict[str, pl.DataType | type[pl.DataType]] = {"bill_id": pl.String, "charge_id": pl.String}
#: What is needed of a bill to compute it again (columns of ``bills``).
_RERUN = ("id", "account_id", "account_code", "end_date", "bill_date", "billing_frequency", "bill_frequency_interval", "overrides")

Row = Mapping[str, Any]
ShardDone = Callable[[int], None]


@dataclass
class Computed:
    """What a job has computed.

    Attributes:
        files: Line items in the lake, not visible yet.
        headers: See ``headers.stored_headers``.
        draws: See DRAWS.
        charges: See CHARGES.
        failures: See ``BillJob.failures``.
        line_count: Number of the line items.
        untouchable: Bills among the computed ones that will not be written: they are locked, or the bill lock date forbids to make them.
        known: Bills that were computed because they were there; they must not come back once they are deleted.
    """

    files: list[AddFile] = field(default_factory=list)
    headers: list[pl.DataFrame] = field(default_factory=lambda: [no_headers()])
    draws: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=DRAWS)])
    charges: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=CHARGES)])
    failures: list[Failure] = field(default_factory=list)
    line_count: int = 0
    untouchable: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)


class _Unsettled(Exception):  # noqa: N818 - no error: the computation begins anew, knowing more
    """Bills that have to wait until others have followed, or that can't be computed again."""

    def __init__(self, *, deferred: set[str] | None = None, stuck: Mapping[str, Failure] | None = None) -> None:
        super().__init__()
        self.deferred, self.stuck = deferred or set(), stuck or {}


def computed(database: Database, lake: Lake, given: Inputs, scopes: Sequence[BillScope], *, calculation_id: str, shard_done: ShardDone) -> Computed:
    """All bills of the job's runs, and the later ones that have to follow.

    Args:
        database: PostgreSQL, to look for later and locked bills.
        lake: Where the line items go.
        given: What bills are computed from.
        scopes: The job's runs.
        calculation_id: What the line items carry.
        shard_done: Is told how many accounts of the job's runs are through.
    """
    deferred: set[str] = set()
    stuck: dict[str, Failure] = {}
    while True:
        # Nobody may draw what a bill holds that can't be computed again.
        held = replace(given, ledger=with_locked(given.ledger, stuck)) if stuck else given
        attempt = _Attempt(database, lake, held, calculation_id, deferred=deferred, stuck=stuck)
        try:
            return attempt.ran(scopes, shard_done)
        except _Unsettled as found:
            deferred |= found.deferred
            stuck |= found.stuck


class _Attempt:
    """One pass over the job's runs and what follows from them; see :func:`computed`.

    Args:
        database: PostgreSQL.
        lake: The lake.
        given: The inputs, with the ledger at the start.
        calculation_id: What the line items carry.
        deferred: Bills that a run of the job would compute before bills that they depend on: left out there, computed with those that follow.
        stuck: Bills that can't be computed again, and what the job says of them.
    """

    def __init__(
        self, database: Database, lake: Lake, given: Inputs, calculation_id: str, *, deferred: set[str], stuck: Mapping[str, Failure]
    ) -> None:
        self._database, self._lake, self._given, self._calculation_id = database, lake, given, calculation_id
        self._org_id = given.configuration.organization_id
        self._deferred, self._stuck = deferred, stuck
        self._funds = given.funds
        self._ledger = given.ledger
        #: Bills of accounts with funds (see PLACED), and the ledger as it stood after they were computed.
        self._bases: list[tuple[pl.DataFrame, pl.DataFrame]] = []
        self._waiting: dict[str, Row] = {}
        self._out = Computed()

    def ran(self, scopes: Sequence[BillScope], shard_done: ShardDone) -> Computed:
        """Everything, when it settles."""
        for scope in sorted(scopes, key=lambda one: (str(one.run.bill_date), str(one.run.last_date_in_billing_period))):
            bill_ids, failed = self._run(scope, leave_out=self._deferred, shard_done=shard_done)
            self._out.failures += scope.missing(bill_ids, failed)
        if not self._funds.is_empty():
            self._follow()
        self._out.failures += self._stuck.values()
        return self._out

    def _run(self, scope: BillScope, *, leave_out: set[str], shard_done: ShardDone) -> tuple[set[str], set[str]]:
        """Compute a run and take in its bills; the ids of all that came out, and the accounts that failed."""
        given = replace(self._given, ledger=self._ledger)
        ids: set[str] = set()
        failed: set[str] = set()
        taken = [(no_headers(), pl.DataFrame(schema=DRAWS))]
        for whole in unscoped_results(given, scope, shard_done=shard_done):
            result = self._scoped(scope, whole)
            if scope.bills is not None:
                self._out.known |= set(result.bills["bill_id"]) - self._waiting.keys()
            ids |= set(result.bills["bill_id"])
            failed |= set(result.failures["account_id"])
            early = set(result.bills["bill_id"]) & leave_out
            if early:
                self._waiting |= {row["id"]: row for row in _rows_of(headers_of(result, scope, given.configuration)) if row["id"] in early}
                result = result.without(early)
            headers = headers_of(result, scope, given.configuration)
            self._take(result, headers)
            taken.append((headers.join(self._funds, on="account_id", how="semi"), result.draws))
            del whole, result  # or the shard's lines stay in memory while the next shard is computed
        self._settle(pl.concat(headers for headers, _ in taken), pl.concat(draws for _, draws in taken))
        return ids, failed

    def _scoped(self, scope: BillScope, result: BillRunResult) -> BillRunResult:
        """The scope's own part of a result, with stored bills of the same run that draw otherwise than the ledger says.

        Those that the run computed beside the named ones drew before them or after them, so they are written with them.
        """
        if scope.bills is None or result.draws.is_empty():
            return scope.within(result)
        standing = self._ledger.filter(~pl.col("is_locked")).select("bill_id", "fund_id", amount=-pl.col("amount"))
        changed = result.draws.join(standing, on=["bill_id", "fund_id", "amount"], how="anti")["bill_id"]
        beside = set(changed) & set(standing["bill_id"]) - scope.bills.keys()
        codes = {row["bill_id"]: (row["account_id"], row["account_code"]) for row in result.bills.iter_rows(named=True) if row["bill_id"] in beside}
        return replace(scope, bills={**scope.bills, **codes}).within(result)

    def _take(self, result: BillRunResult, headers: pl.DataFrame) -> None:
        out = self._out
        out.files += bill_lines.written(self._lake, self._org_id, self._calculation_id, result.line_items)
        out.headers.append(headers)
        out.draws.append(result.draws)
        out.charges.append(result.line_items.filter(pl.col("charge_id").is_not_null()).select(*CHARGES).unique())
        out.line_count += result.line_items.height
        out.failures += [
            {"accountId": row["account_id"], "accountCode": row["account_code"], "reason": row["reason"]}
            for row in result.failures.iter_rows(named=True)
        ]

    def _settle(self, headers: pl.DataFrame, draws: pl.DataFrame) -> None:
        """Let the ledger say what the computed bills of accounts with funds draw, other than those that will not be written."""
        if headers.is_empty():
            return
        with self._database.transaction() as connection:
            untouchable = _untouchable(connection, self._org_id, headers)
        self._out.untouchable |= untouchable
        written = headers.filter(~pl.col("id").is_in(list(untouchable))).select("bill_date", "account_id", bill_id="id").select(*PLACED)
        ids = written["bill_id"].to_list()
        self._ledger = with_draws(self._ledger, ids, draws.filter(pl.col("bill_id").is_in(ids)))
        self._bases = [(bills.filter(~pl.col("bill_id").is_in(ids)), basis) for bills, basis in self._bases]
        self._bases.append((written, self._ledger))

    def _follow(self) -> None:
        """Compute the bills whose ground has moved, an account's first one first, until none has."""
        own = pl.concat([pl.DataFrame(schema=PLACED), *(bills for bills, _ in self._bases)])
        first = min([*own["bill_date"], *(row["bill_date"] for row in self._waiting.values())], default=None)
        if first is None:
            return
        with self._database.transaction() as connection:
            later = _open_bills(connection, self._org_id, first).join(self._funds, on="account_id", how="semi")
        known = [*own["bill_id"], *self._waiting, *self._stuck]
        self._bases.append((later.filter(~pl.col("bill_id").is_in(known)), self._given.ledger))
        while True:
            moved = moved_bills(self._funds, self._bases, self._ledger)
            early = set(moved) & set(own["bill_id"])
            if early:
                raise _Unsettled(deferred=early)
            rows = _first_of_accounts([*self._waiting.values(), *self._stored_rows(moved)])
            if not rows:
                return
            self._rerun(rows)

    def _rerun(self, rows: Sequence[Row]) -> None:
        for scope in scopes_of(rows, today=self._given.today):
            came_out, failed = self._run(scope, leave_out=set(), shard_done=lambda _: None)
            for bill_id, (account_id, code) in (scope.bills or {}).items():
                was_waiting = self._waiting.pop(bill_id, None) is not None
                if bill_id not in came_out and (not was_waiting or bill_id in self._ledger["bill_id"]):
                    why = "could not be calculated" if account_id in failed else "does not come out"
                    reason = f"bill {bill_id} {why} again though others drew otherwise before it; it was left as it was and keeps what it drew"
                    raise _Unsettled(stuck={bill_id: {"accountId": account_id, "accountCode": code, "billId": bill_id, "reason": reason}})

    def _stored_rows(self, bill_ids: Sequence[str]) -> list[Row]:
        if not bill_ids:
            return []
        query = sa.select(*(BILLS.c[name] for name in _RERUN)).where(BILLS.c.org_id == self._org_id, _among(bill_ids))
        with self._database.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def _first_of_accounts(rows: Sequence[Row]) -> list[Row]:
    """The first bill of each account."""
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda one: (one["bill_date"], one["id"])):
        first.setdefault(row["account_id"], row)
    return list(first.values())


def _rows_of(headers: pl.DataFrame) -> list[Row]:
    """Headers as rows of ``bills`` of which :data:`_RERUN` is known."""
    return [{**row, "overrides": json.loads(row["overrides"])} for row in headers.select(*_RERUN).iter_rows(named=True)]


def _among(bill_ids: Sequence[str]) -> sa.ColumnElement[bool]:
    return BILLS.c.id == sa.any_(sa.literal(list(bill_ids), ARRAY(sa.Text)))


def _untouchable(connection: Connection, org_id: str, headers: pl.DataFrame) -> set[str]:
    """Ids of the bills that can't be written now; see ``Computed.untouchable``."""
    locked = connection.scalars(sa.select(BILLS.c.id).where(BILLS.c.org_id == org_id, _among(headers["id"].to_list()), bill_locks.is_locked()))
    lock_date = bill_locks.lock_date(connection, org_id)
    return {*locked, *(() if lock_date is None else headers.filter(pl.col("end_date") <= lock_date)["id"])}


def _open_bills(connection: Connection, org_id: str, first: date) -> pl.DataFrame:
    """The bills of that date or later that are not locked, see PLACED."""
    query = sql.SQL(
        """SELECT b.id AS bill_id, b.bill_date, b.account_id FROM bills b
           WHERE b.org_id = %(org_id)s AND b.bill_date >= %(first)s
             AND NOT (b.locked OR coalesce(b.end_date <= CAST(%(lock_date)s AS date), false))
           ORDER BY b.id"""
    )
    return frame_of(connection, query, PLACED, {"org_id": org_id, "first": first, "lock_date": bill_locks.lock_date(connection, org_id)})
