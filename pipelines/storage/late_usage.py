"""Late usage of bills that a job may not change: found, computed, and put on the bills that the job writes (DECISIONS 32).

Locked bills whose usage has grown since their calculation (grown_bills.py) are computed twice: from the usage that they were
calculated from and from today's, under the configuration of their calculation. What other bills carry of them
already counts, so a job that runs again carries nothing twice; a bill that was unlocked and is calculated again takes back
what is carried of it.

The amounts are carried by the next bill of the account that is not locked, once a job writes that bill; a bill that carries
some already keeps doing so. ``lateUsage: IGNORE`` only says in the job what is not carried.

Put here how the two come about and which bill carries what. Keep out the difference itself (transforms/billing/carried_forward.py).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import polars as pl

from pipelines.storage import bill_lines, bill_locks, calculations
from pipelines.storage.bill_inputs import Inputs, results
from pipelines.storage.bill_scopes import Failure, scopes_of
from pipelines.storage.calculations import Past, inputs_of, past
from pipelines.storage.database import Database
from pipelines.storage.grown_bills import bills_of, carrying_bills, grown_periods, late_accounts
from pipelines.storage.ingest import meter_usage
from pipelines.storage.ingest_organization import state_fields
from pipelines.storage.lake import Lake
from transforms.aggregations.usage import MeterUsage
from transforms.billing.carried_forward import LINES, TARGETS, carried_lines, late_amounts, with_carried
from transforms.billing.job_requests import BillJobOverrides
from transforms.configuration import Configuration
from transforms.entities.organization import LateUsage
from transforms.entities.usage import Meter
from transforms.errors import VersionGone

Row = Mapping[str, Any]
#: Frames of a configuration that draw on usage: a closed bill keeps what it drew, whatever usage comes.
_FUNDS = ("Commitment", "Balance")


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
        carrying = carrying_bills(connection, org_id, account_ids)
        referenced = {bill_id for row in carrying for bill_id in row["carried_from"]}
        groups = grown_periods(connection, given.configuration, account_ids, before=_latest(headers), referenced=referenced)
    late = {group: late_accounts(lake, given.configuration, group) for group in groups}
    concerned = {*(row["account_id"] for row in carrying), *(i for ids in late.values() for i in ids)} & set(account_ids)
    if not concerned:
        return Carrying(headers)
    with database.transaction() as connection:
        bills = bills_of(connection, org_id, concerned)
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
        seen = _without_funds(past(database, org_id, calculation, ()))
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
