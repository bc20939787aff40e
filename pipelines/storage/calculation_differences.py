"""Why a bill came out differently: two of its calculations compared, each changed line with its causes (DECISIONS 33).

The bill is computed again under today's software: from the earlier calculation's data and configuration, from its data and
the later one's configuration, and from the later one's data and configuration. Put here these runs and the evidence: which
entities changed, how many measurements came in. The attribution itself is transforms/provenance/attribution.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage import bill_lines
from pipelines.storage.bill_inputs import Inputs
from pipelines.storage.bill_scopes import scopes_of
from pipelines.storage.calculations import Calculation, Past, calculations_of, inputs_of, overrides_of, past
from pipelines.storage.database import Database
from pipelines.storage.entity_tables import ENTITY_VERSIONS
from pipelines.storage.lake import Lake
from pipelines.storage.provenance import software_version
from pipelines.storage.rebilling import computed
from transforms.billing.job_requests import BillJobOverrides, document
from transforms.billing.shards import shards
from transforms.configuration import Configuration
from transforms.entities.usage import Aggregation, CompoundAggregation
from transforms.errors import Refused
from transforms.provenance.attribution import Cause, Step, attributed
from transforms.provenance.entities import used_entities
from transforms.provenance.trail import USAGE_TYPES, aggregations_of, blocks_of, charged_usage, in_segment, measurements_in, segment_of

Row = Mapping[str, Any]

#: Entities that are named where none of those that a line uses has changed.
OTHERS_MAX = 10


@dataclass(frozen=True, kw_only=True)
class EntityChange:
    """An entity whose versions differ between the configurations of two calculations; None is none of it there."""

    kind: str
    id: str
    name: str
    version_before: int | None
    version_after: int | None


@dataclass(frozen=True, kw_only=True)
class ChangedLine:
    """One line that the calculations state differently.

    Attributes:
        line: A row of CHANGES.
        entities: What of the configuration it uses that has changed; only where configuration is a cause. Where nothing
            that it uses has changed, some of everything that has.
        overrides: Wire names of the job's overrides that differ, where configuration is a cause.
        measurements_added: How many measurements behind the line the later calculation has and the earlier one has not; None
            for a line that states no usage, and where data is no cause.
        measurements_removed: The other way round.
    """

    line: Mapping[str, Any]
    entities: tuple[EntityChange, ...] = ()
    overrides: tuple[str, ...] = ()
    measurements_added: int | None = None
    measurements_removed: int | None = None

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Its causes in the order of the steps."""
        return tuple(Cause(effect["cause"]) for effect in self.line["effects"])


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two calculations of a bill.

    Attributes:
        before: The one that is compared from.
        after: The one that is compared to.
        lines: The changed lines, in the order of the bill.
        problems: What keeps a cause from being told for sure.
    """

    before: Calculation
    after: Calculation
    lines: tuple[ChangedLine, ...]
    problems: tuple[str, ...] = ()


def compared(database: Database, lake: Lake, bill: Row, before: Calculation, after: Calculation) -> Comparison:
    """The changed lines of the bill between two of its calculations, with their causes.

    Args:
        database: PostgreSQL.
        lake: Where the datasets are.
        bill: A row of ``bills``.
        before: One of ``calculations_of`` the bill.
        after: Another.

    Raises:
        VersionGone: A version that one of them names is no longer kept.
        Refused: The bill can't be computed under today's software from what a calculation names.
    """
    with database.transaction() as connection:
        every = calculations_of(connection, bill)
    earlier, later = (past(database, bill["org_id"], one, [bill["account_id"]]) for one in (before, after))
    run = _Runs(lake, bill, (earlier, later), (overrides_of(every, before, bill), overrides_of(every, after, bill)))
    stored = [bill_lines.calculated(lake, bill["org_id"], [{**bill, "calculation_id": one.id}]).collect() for one in (before, after)]
    steps, problems = run.steps(stored)
    changes = attributed(stored[0], [*steps, Step(Cause.SOFTWARE, stored[1])])
    with database.transaction() as connection:
        evidence = _Evidence(connection, run, stored)
        lines = tuple(evidence.line(row) for row in changes.iter_rows(named=True))
    problems += [_hash_problem(one) for one in (earlier, later) if not one.is_same_configuration]
    return Comparison(before=before, after=after, lines=lines, problems=tuple(problems))


def _hash_problem(seen: Past) -> str:
    return f"the history no longer gives the configuration of calculation {seen.calculation.number}: its hash is {seen.configuration.hash}"


class _Runs:
    """The bill under today's software, from the data of one calculation and the configuration of one."""

    def __init__(self, lake: Lake, bill: Row, seen: tuple[Past, Past], overrides: tuple[BillJobOverrides, BillJobOverrides]) -> None:
        self._lake, self.bill, self.overrides = lake, bill, overrides
        self.earlier, self.later = seen
        #: The data of each calculation under the later one's configuration.
        self.inputs = (inputs_of(lake, self.earlier, self.later), inputs_of(lake, self.later))

    @property
    def is_other_configuration(self) -> bool:
        """True when configurations or overrides differ."""
        return self.earlier.configuration.hash != self.later.configuration.hash or self.overrides[0] != self.overrides[1]

    @property
    def is_other_data(self) -> bool:
        """True when the calculations read different versions of something."""
        is_same_usage = self.earlier.calculation.dataset_versions == self.later.calculation.dataset_versions
        return not (is_same_usage and self.earlier.ledger.equals(self.later.ledger))

    def steps(self, stored: Sequence[pl.DataFrame]) -> tuple[list[Step], list[str]]:
        """The steps from the earlier calculation's lines on, all under today's software, and what could not be computed.

        Args:
            stored: The lines of both calculations. What they carry forward of locked bills is data, and is taken from them.
        """
        own = inputs_of(self._lake, self.earlier)
        carried = [frame.drop("calculation_id").filter(pl.col("referenced_bill_id").is_not_null()) for frame in stored]
        problems: list[str] = []
        first, reason = self._lines(own, self.overrides[0])
        if reason is not None:
            raise Refused(f"calculation {self.earlier.calculation.number} can't be computed under Meterhouse {software_version()}: {reason}")
        lines = first
        steps = [Step(Cause.SOFTWARE, pl.concat([first, carried[0]]))]
        if self.is_other_configuration:
            rated, reason = self._lines(self.inputs[0], self.overrides[1])
            if reason is None:
                lines = rated
                steps.append(Step(Cause.CONFIGURATION, pl.concat([lines, carried[0]])))
            else:
                problems.append(f"the earlier data can't be rated under the later configuration, so the two are one cause here: {reason}")
        if self.is_other_data or problems:
            lines, reason = self._lines(self.inputs[1], self.overrides[1])
            if reason is not None:
                raise Refused(f"calculation {self.later.calculation.number} can't be computed under Meterhouse {software_version()}: {reason}")
        steps.append(Step(Cause.CONFIGURATION if problems else Cause.DATA, pl.concat([lines, carried[1]])))
        return steps, problems

    def _lines(self, given: Inputs, overrides: BillJobOverrides) -> tuple[pl.DataFrame, str | None]:
        """The bill's lines, and why they can't be computed."""
        (scope,) = scopes_of([{**self.bill, "overrides": document(overrides)}], today=given.today)
        lines, reasons = [], []
        for _, result in computed(given, scope):
            lines.append(result.line_items)
            reasons += result.failures.filter(pl.col("account_id") == self.bill["account_id"])["reason"].to_list()
        return pl.concat(lines), "; ".join(reasons) or None


class _Evidence:
    """What changed between two calculations that a line depends on."""

    def __init__(self, connection: Connection, run: _Runs, stored: Sequence[pl.DataFrame]) -> None:
        self._run = run
        before, after = run.earlier.configuration.as_of, run.later.configuration.as_of
        self._changed = {(one.kind, one.id): one for one in entity_changes(connection, run.bill["org_id"], before, after)}
        self._lines = [frame.sort("sequence_number").to_dicts() for frame in stored]
        self._family = next(iter(shards(run.later.configuration, account_ids=[run.bill["account_id"]])), run.later.configuration)
        self._uids: dict[tuple[Any, ...], tuple[pl.DataFrame, pl.DataFrame]] = {}
        old, new = (document(one) for one in run.overrides)
        self._overrides = tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))

    def line(self, row: Mapping[str, Any]) -> ChangedLine:
        """The changed line with its evidence."""
        found = ChangedLine(line=row)
        position = 0 if row["change"] == "REMOVED" else 1
        lines = self._lines[position]
        own = next(line for line in lines if line["line_item_id"] == row["line_item_id"])
        if Cause.CONFIGURATION in found.causes:
            found = replace(found, entities=self._entities(row["line_item_id"]), overrides=self._overrides)
        if Cause.DATA in found.causes and own["line_item_type"] in USAGE_TYPES and _is_measured(own, self._family):
            added, removed = self._measurements(own, lines)
            found = replace(found, measurements_added=added, measurements_removed=removed)
        return found

    def _entities(self, line_item_id: str) -> tuple[EntityChange, ...]:
        used: set[tuple[str, str]] = set()
        for lines in self._lines:
            for line in (one for one in lines if one["line_item_id"] == line_item_id):
                for seen in (self._run.earlier, self._run.later):
                    used |= used_entities(line, seen.configuration)
        mine = [change for key, change in self._changed.items() if key in used]
        return tuple(mine or list(self._changed.values())[:OTHERS_MAX])

    def _measurements(self, line: Row, lines: Sequence[Row]) -> tuple[int, int]:
        """How many measurements behind the line are only in the later data, and how many only in the earlier."""
        accounts = pl.concat(blocks_of(line, lines, self._family))
        added: set[str] = set()
        removed: set[str] = set()
        for aggregation in aggregations_of(line, self._family):
            segment = segment_of(line, aggregation)
            for uids, rows in zip((added, removed), self._lone(line, aggregation, accounts), strict=True):
                uids |= set(in_segment(rows.lazy(), aggregation, segment).select("uid").collect()["uid"])
        return len(added), len(removed)

    def _lone(self, line: Row, aggregation: Aggregation, accounts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The meter's measurements in the line's window that only the later data has, and those that only the earlier has."""
        start, end, numbers = line["service_period_start"], line["service_period_end"], accounts["account_number"]
        key = (aggregation.meter_id, start, end, line["contract_id"], tuple(numbers))
        if key not in self._uids:
            read = [charged_usage(line, self._family, given.usage)[aggregation.meter_id] for given in self._run.inputs]
            old, new = (measurements_in(usage, numbers, start=start, end=end, time_zone=self._family.time_zone) for usage in read)
            lone = (new.join(old.select("uid"), on="uid", how="anti"), old.join(new.select("uid"), on="uid", how="anti"))
            self._uids[key] = (lone[0].collect(engine="streaming"), lone[1].collect(engine="streaming"))
        return self._uids[key]


def _is_measured(line: Row, configuration: Configuration) -> bool:
    """True when the configuration has what the line aggregates, and the line is of its own bill's usage."""
    is_known = line["aggregation_id"] in configuration.entities(Aggregation)
    return (is_known or line["compound_aggregation_id"] in configuration.entities(CompoundAggregation)) and line["referenced_bill_id"] is None


def entity_changes(connection: Connection, org_id: str, before: datetime, after: datetime) -> Iterable[EntityChange]:
    """The entities whose versions differ between two instants, by kind and name; ``before`` may be the later one."""
    v = ENTITY_VERSIONS.c
    first, last = sorted((before, after))
    touched = sa.select(v.kind, v.id).where(v.org_id == org_id, v.changed_at > first, v.changed_at <= last).distinct().cte("touched")

    def version_at(at: datetime) -> sa.ScalarSelect[Any]:
        last_one = sa.select(sa.case((v.change != "DELETED", v.version))).where(
            v.org_id == org_id, v.kind == touched.c.kind, v.id == touched.c.id, v.changed_at <= at
        )
        return last_one.order_by(v.version.desc()).limit(1).correlate(touched).scalar_subquery()

    newest = sa.select(sa.func.coalesce(v.body["code"].astext, v.body["name"].astext, v.id)).where(
        v.org_id == org_id, v.kind == touched.c.kind, v.id == touched.c.id
    )
    name = newest.order_by(v.version.desc()).limit(1).correlate(touched).scalar_subquery()
    query = sa.select(touched.c.kind, touched.c.id, name.label("name"), version_at(before).label("before"), version_at(after).label("after"))
    rows = connection.execute(query.order_by(touched.c.kind, "name", touched.c.id)).all()
    return [
        EntityChange(kind=row.kind, id=row.id, name=row.name, version_before=row.before, version_after=row.after)
        for row in rows
        if row.before != row.after
    ]
