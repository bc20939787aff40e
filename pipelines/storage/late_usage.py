"""Late usage of bills that a job may not change: found, computed, and put on the bills that the job writes (DECISIONS 32).

A locked bill is looked at when a day of its period has received measurements since it was calculated, which PostgreSQL knows
without reading usage; then measurements say which accounts sent them. Only those bills are computed, twice: from the usage
that they were calculated from and from today's, under the configuration of their calculation. What other bills carry of them
already counts, so a job that runs again carries nothing twice; a bill that was unlocked and is calculated again takes back
what is carried of it.

The amounts are carried by the next bill of the account that is not locked, once a job writes that bill; a bill that carries
some already keeps doing so. ``lateUsage: IGNORE`` only says in the job what is not carried.

Put here which bills are concerned. Keep out the difference itself (transforms/billing/carried_forward.py).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import ARRAY

from pipelines.storage import bill_lines, bill_locks, calculations
from pipelines.storage.bill_inputs import Inputs, results
from pipelines.storage.bill_scopes import Failure, scopes_of
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.calculations import Past, inputs_of, past
from pipelines.storage.database import Database
from pipelines.storage.ingest import meter_usage
from pipelines.storage.ingest_organization import state_fields
from pipelines.storage.lake import Lake
from transforms.aggregations.usage import MeterUsage
from transforms.billing.carried_forward import LINES, TARGETS, carried_lines, late_amounts, with_carried
from transforms.billing.job_requests import BillJobOverrides
from transforms.configuration import Configuration
from transforms.datasets import MEASUREMENTS
from transforms.entities.organization import LateUsage
from transforms.entities.usage import Meter
from transforms.errors import VersionGone

Row = Mapping[str, Any]
#: Frames of a configuration that draw on usage: a closed bill keeps what it drew, whatever usage comes.
_FUNDS = ("Commitment", "Balance")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Carrying:
    """What the job's bills carry.

    Attributes:
        headers: The job's headers with what they carry, without those that can't be made.
        lines: The lines to be stored for them, see carried_forward.LINES.
        failures: Bills that can't be made, and late usage that is not carried; see ``BillJob.failures``.
    """

    headers: pl.DataFrame
    lines: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LINES))
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class _Group:
    """Bills of one calculation and period, and when the calculation began."""

    calculation_id: str
    start: date
    end: date
    slack: int
    calculated_at: datetime

    def has(self, bill: Row) -> bool:
        return (bill["calculation_id"], bill["start_date"], bill["end_date"]) == (self.calculation_id, self.start, self.end)


def carried_forward(database: Database, lake: Lake, given: Inputs, headers: pl.DataFrame) -> Carrying:
    """The headers of a job with the late usage of other bills of their accounts.

    Args:
        database: PostgreSQL.
        lake: Where the datasets are.
        given: What the job's bills are computed from.
        headers: The job's bills, see ``stored_headers``; those that are locked are passed over.
    """
    if headers.is_empty():
        return Carrying(headers)
    account_ids = headers["account_id"].unique().sort().to_list()
    org_id = given.configuration.organization_id
    with database.transaction() as connection:
        carrying = _carrying(connection, org_id, account_ids)
        referenced = {bill_id for row in carrying for bill_id in row["carried_from"]}
        groups = _grown(connection, given.configuration, account_ids, before=_latest(headers), referenced=referenced)
    late = {group: _late_accounts(lake, given.configuration, group) for group in groups}
    concerned = {*(row["account_id"] for row in carrying), *(i for ids in late.values() for i in ids)} & set(account_ids)
    if not concerned:
        return Carrying(headers)
    with database.transaction() as connection:
        bills = _bills(connection, org_id, concerned)
        lock_date = bill_locks.lock_date(connection, org_id)
    written = _written(headers, bills, lock_date)
    closed = [
        bill
        for bill in bills.values()
        if bill["id"] not in written
        and (bill["is_locked"] or bill["id"] in referenced)
        and any(group.has(bill) and bill["account_id"] in ids for group, ids in late.items())
    ]
    before, after, failures = _both(database, lake, given, closed)
    unknown = {str(failure["billId"]) for failure in failures}
    standing = [row for row in carrying if row["id"] not in written]
    carried = _carried(lake, org_id, standing).filter(pl.col("referenced_bill_id").is_in([i for i in bills if i not in unknown]))
    amounts = late_amounts(before=before, after=after, carried=carried)
    if given.configuration.organization.late_usage is LateUsage.IGNORE:
        return Carrying(headers, failures=[*failures, *_ignored(amounts, bills)])
    targets = _targets(amounts["referenced_bill_id"].unique().sort().to_list(), bills, headers, written)
    return _placed(amounts, targets, given.configuration, headers, failures)


def _latest(headers: pl.DataFrame) -> date:
    latest = headers["bill_date"].max()
    assert isinstance(latest, date), "every bill has its date"
    return latest


def _among(column: sa.ColumnElement[Any], values: Iterable[str]) -> sa.ColumnElement[bool]:
    return column == sa.any_(sa.literal(sorted(values), ARRAY(sa.Text)))


def _carrying(connection: Connection, org_id: str, account_ids: Sequence[str]) -> list[Row]:
    """The accounts' bills that carry late usage of others."""
    c = BILLS.c
    columns = (c.id, c.account_id, c.bill_date, c.calculation_id, c.carried_from)
    query = sa.select(*columns).where(c.org_id == org_id, _among(c.account_id, account_ids), c.carried_from != sa.literal([], ARRAY(sa.Text)))
    return [dict(row) for row in connection.execute(query).mappings()]


_GROWN = sa.text(
    """
    SELECT g.calculation_id, g.start_date, g.end_date, g.slack, k.calculated_at
    FROM (
        SELECT DISTINCT calculation_id, start_date, end_date, CASE WHEN timezone = :timezone THEN 0 ELSE 1 END AS slack
        FROM bills
        WHERE org_id = :org_id AND account_id = ANY(:account_ids) AND bill_date < :before
          AND (locked OR end_date <= CAST(:lock_date AS date) OR id = ANY(:referenced))
    ) g
    JOIN bill_calculations k ON k.org_id = :org_id AND k.id = g.calculation_id
    WHERE EXISTS (
        SELECT FROM measurement_counts c
        WHERE c.org_id = :org_id AND c.accepted > 0 AND c.date BETWEEN g.start_date - g.slack AND g.end_date + g.slack
          AND (c.last_received_at IS NULL OR c.last_received_at >= k.calculated_at)
    )
    ORDER BY g.calculation_id, g.start_date, g.end_date
    """
)


def _grown(connection: Connection, configuration: Configuration, account_ids: Sequence[str], *, before: date, referenced: set[str]) -> list[_Group]:
    """The closed bills of the accounts whose days have received measurements since they were calculated, by calculation and period."""
    parameters = {
        "org_id": configuration.organization_id,
        "account_ids": list(account_ids),
        "before": before,
        "lock_date": bill_locks.lock_date(connection, configuration.organization_id),
        "referenced": sorted(referenced),
        # The days of periods in another time zone than that which usage is kept by may be the neighbours of its days.
        "timezone": configuration.organization.timezone,
    }
    return [_Group(*row) for row in connection.execute(_GROWN, parameters)]


def _late_accounts(lake: Lake, configuration: Configuration, group: _Group) -> set[str]:
    """Ids of the accounts whose bills the measurements can change that came in since: those that sent them, with their families."""
    days = pl.col("date").is_between(group.start - group.slack * _DAY, group.end + group.slack * _DAY)
    came = days & (pl.col("received_at") >= group.calculated_at)
    scans = [lake.scan(MEASUREMENTS, configuration.organization_id, meter_id).filter(came) for meter_id in configuration.entities(Meter)]
    numbers = [scan.select("account_number").unique().collect(engine="streaming")["account_number"] for scan in scans]
    accounts = configuration.accounts.with_columns(top=pl.coalesce("parent_account_id", "account_id"))
    senders = accounts.filter(pl.col("account_number").is_in(pl.concat([pl.Series(dtype=pl.Int32), *numbers]).implode()))
    return set(accounts.filter(pl.col("top").is_in(senders["top"].implode()))["account_id"])


def _bills(connection: Connection, org_id: str, account_ids: Iterable[str]) -> dict[str, Row]:
    """Id -> row with ``is_locked``, of all bills of the accounts."""
    query = sa.select(BILLS, bill_locks.is_locked().label("is_locked")).where(BILLS.c.org_id == org_id, _among(BILLS.c.account_id, account_ids))
    return {row["id"]: dict(row) for row in connection.execute(query.order_by(BILLS.c.bill_date, BILLS.c.id)).mappings()}


def _written(headers: pl.DataFrame, bills: Mapping[str, Row], lock_date: date | None) -> set[str]:
    """Ids of the job's bills that it will write."""
    locked = {bill_id for bill_id, bill in bills.items() if bill["is_locked"]}
    made = headers if lock_date is None else headers.filter(pl.col("end_date") > lock_date)
    return set(made["id"]) - locked


def _both(database: Database, lake: Lake, given: Inputs, closed: Sequence[Row]) -> tuple[pl.DataFrame, pl.DataFrame, list[Failure]]:
    """Lines of the closed bills from the usage that they were calculated from, and from today's; then those that can't be told."""
    before, after, failures = [pl.DataFrame(schema=LINES)], [pl.DataFrame(schema=LINES)], []
    org_id = given.configuration.organization_id
    with database.transaction() as connection:
        named = calculations.calculations(connection, org_id, {bill["calculation_id"] for bill in closed})
    for calculation_id, calculation in named.items():
        own = [bill for bill in closed if bill["calculation_id"] == calculation_id]
        seen = _without_funds(past(database, org_id, calculation))
        now = replace(
            given, configuration=seen.configuration, usage=_usage_now(database, lake, seen.configuration, given), ledger=given.ledger.clear()
        )
        try:
            then = inputs_of(lake, seen)
            for scope in scopes_of(own, today=calculation.today(seen.configuration)):
                pairs = zip(*(list(results(side, scope, shard_done=lambda _: None)) for side in (then, now)), strict=True)
                for was, is_now in pairs:
                    failed = {row["account_id"]: row["reason"] for row in (*was.failures.rows(named=True), *is_now.failures.rows(named=True))}
                    failures += [_untold(bill, failed[bill["account_id"]]) for bill in own if bill["account_id"] in failed]
                    told = ~pl.col("account_id").is_in(list(failed))
                    before.append(was.line_items.filter(told))
                    after.append(is_now.line_items.filter(told))
        except (VersionGone, FileNotFoundError) as error:
            failures += [_untold(bill, f"what it was calculated from is no longer kept ({error})") for bill in own]
    untold = {failure["billId"] for failure in failures}
    kept = ~pl.col("bill_id").is_in([i for i in untold if i is not None])
    return pl.concat(before).filter(kept), pl.concat(after).filter(kept), failures


def _without_funds(seen: Past) -> Past:
    frames = {kind: frame for kind, frame in seen.configuration.frames.items() if kind not in _FUNDS}
    return replace(seen, configuration=replace(seen.configuration, frames=frames))


def _usage_now(database: Database, lake: Lake, configuration: Configuration, given: Inputs) -> dict[str, MeterUsage]:
    """Today's usage for the meters of an earlier configuration: from states where they have the same fields today."""
    today = given.configuration.entities(Meter)
    usage = meter_usage(database, lake, configuration)
    return {
        meter_id: one
        if meter_id in today and state_fields(today[meter_id]) == state_fields(one.meter)
        else MeterUsage(one.meter, one.measurements, {}, {})
        for meter_id, one in usage.items()
    }


def _untold(bill: Row, reason: str) -> Failure:
    text = f"late usage of locked bill {bill['id']} can't be carried forward: {reason}"
    return {"accountId": bill["account_id"], "accountCode": bill["account_code"], "billId": bill["id"], "reason": text}


def _carried(lake: Lake, org_id: str, carrying: Sequence[Row]) -> pl.DataFrame:
    """The lines with which bills carry late usage of others."""
    lines = bill_lines.calculated(lake, org_id, carrying).filter(pl.col("referenced_bill_id").is_not_null())
    return lines.select(*LINES).collect()


def _ignored(amounts: pl.DataFrame, bills: Mapping[str, Row]) -> list[Failure]:
    sums = amounts.group_by("referenced_bill_id", "currency").agg(pl.col("subtotal").sum()).sort("referenced_bill_id", "currency")
    entries: list[Failure] = []
    for bill_id, currency, subtotal in sums.iter_rows():
        bill = bills[bill_id]
        text = f"late usage of locked bill {bill_id} is not carried forward, as lateUsage is IGNORE: {subtotal.normalize():f} {currency}"
        entries.append({"accountId": bill["account_id"], "accountCode": bill["account_code"], "billId": bill_id, "reason": text})
    return entries


def _targets(closed_ids: Sequence[str], bills: Mapping[str, Row], headers: pl.DataFrame, written: set[str]) -> pl.DataFrame:
    """The bill that carries each closed bill, where the job writes it; see TARGETS."""
    made = {row["id"]: row for row in headers.filter(pl.col("id").is_in(list(written))).iter_rows(named=True)}
    opened: dict[str, dict[str, Row]] = {}
    for bill in (*bills.values(), *made.values()):
        if bill["id"] in written or not bill.get("is_locked", False):
            opened.setdefault(bill["account_id"], {})[bill["id"]] = bill
    rows = []
    for closed_id in closed_ids:
        closed = bills[closed_id]

        def rank(bill: Row, closed: Row = closed) -> tuple[Any, ...]:
            stored = bills.get(bill["id"])
            keeps = bill["id"] in written and stored is not None and closed["id"] in stored["carried_from"]
            cadence = ("billing_frequency", "bill_frequency_interval")
            is_other = any(bill[name] != closed[name] for name in cadence)
            return (not keeps, bill["bill_date"], is_other, bill["id"])

        later = [bill for bill in opened.get(closed["account_id"], {}).values() if bill["bill_date"] > closed["bill_date"]]
        chosen = min(later, key=rank, default=None)
        if chosen is not None and chosen["id"] in made:
            header = made[chosen["id"]]
            rows.append((closed_id, header["id"], header["bill_date"], header["account_id"], header["currency"], header["line_count"]))
    return pl.DataFrame(rows, schema=TARGETS, orient="row")


def _placed(amounts: pl.DataFrame, targets: pl.DataFrame, configuration: Configuration, headers: pl.DataFrame, failures: list[Failure]) -> Carrying:
    """The lines on their bills; bills of one job may have rates of their own."""
    overrides = headers.select(bill_id="id", overrides="overrides")
    lines, broken = [pl.DataFrame(schema=LINES)], dict[str, str]()
    for (text,), part in targets.join(overrides, on="bill_id").group_by("overrides", maintain_order=True):
        conversions = BillJobOverrides.model_validate_json(str(text)).currency_conversions or ()
        found = carried_lines(amounts, part.select(*TARGETS), configuration=configuration, conversions=conversions)
        lines.append(found.lines)
        broken |= dict(found.failures.iter_rows())
    unmade = headers.filter(pl.col("id").is_in(list(broken))).select("id", "account_id", "account_code")
    failures = [*failures, *({"accountId": account, "accountCode": code, "reason": broken[i]} for i, account, code in unmade.iter_rows())]
    carried = pl.concat(lines)
    kept = headers.filter(~pl.col("id").is_in(list(broken)))
    return Carrying(_with_rates(with_carried(kept, carried), carried), carried, failures)


def _with_rates(headers: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """The headers with the rates that carried lines alone were converted with."""
    currencies = headers.select(bill_id="id", to="currency", stated="currency_conversions")
    foreign = lines.join(currencies, on="bill_id").filter(pl.col("currency") != pl.col("to"))
    rates: dict[str, list[dict[str, str]]] = {}
    for bill_id, currency, to, rate, stated in foreign.select(
        "bill_id", "currency", "to", pl.col("conversion_rate").cast(pl.String), "stated"
    ).rows():
        known = rates.setdefault(bill_id, json.loads(stated))
        entry = {"from": currency, "multiplier": rate, "to": to}
        if entry not in known:
            known.append(entry)
    if not rates:
        return headers
    texts = {i: json.dumps(sorted(known, key=lambda one: (one["from"], one["multiplier"])), separators=(",", ":")) for i, known in rates.items()}
    return headers.with_columns(currency_conversions=pl.col("id").replace_strict(texts, default=pl.col("currency_conversions")))
