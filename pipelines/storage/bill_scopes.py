"""What a bill job has to compute: its runs, each with the overrides and the bills that it stands for.

A CREATE job is one run. A RECALCULATE job is one run per combination of dates, frequency and overrides of its bills, for
their accounts, and only the named bills are written. Put here how a job becomes runs; keep out running them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage.bill_locks import is_locked
from pipelines.storage.bill_tables import BILLS
from transforms.billing.job_requests import BillJobOverrides, BillJobRequest
from transforms.configuration import Configuration
from transforms.entities.resource import BillingFrequency
from transforms.rating.run import BillRun, BillRunResult

#: One entry of ``BillJob.failures``.
Failure = dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class BillScope:
    """One run of a job.

    Attributes:
        run: What rating is asked for.
        overrides: The job's departures from the organization's settings.
        bills: Id -> (account id, account code) of the bills that alone are to be written; None is all that come out.
    """

    run: BillRun
    overrides: BillJobOverrides
    bills: Mapping[str, tuple[str, str]] | None = None

    def timezone(self, configuration: Configuration) -> str:
        """The time zone of the periods, as it was written."""
        return self.overrides.timezone or configuration.organization.timezone

    def within(self, result: BillRunResult) -> BillRunResult:
        """The part of the result that the scope is about."""
        return result if self.bills is None else result.of(self.bills)

    def missing(self, bill_ids: set[str], failed_account_ids: set[str]) -> list[Failure]:
        """A failure per named bill that did not come out though its account did not fail: it is left as it stands."""
        reason = "its account is no longer billed for that date, frequency and interval; the bill was left as it is, delete it if it must not stand"
        return [
            {"accountId": account_id, "accountCode": code, "billId": bill_id, "reason": f"bill {bill_id}: {reason}"}
            for bill_id, (account_id, code) in (self.bills or {}).items()
            if bill_id not in bill_ids and account_id not in failed_account_ids
        ]


def created_scope(request: BillJobRequest, *, today: date) -> BillScope:
    """The one run of a CREATE job."""
    return BillScope(
        run=_run(
            request.overrides,
            today=today,
            last_date=request.last_date_in_billing_period,
            bill_date=request.bill_date,
            frequency=request.billing_frequency,
            interval=request.bill_frequency_interval,
            account_ids=request.account_ids,
        ),
        overrides=request.overrides,
    )


def recalculated_scopes(connection: Connection, org_id: str, bill_ids: Sequence[str], *, today: date) -> tuple[list[BillScope], list[Failure]]:
    """The runs that compute the bills again, and a failure per bill that is locked or was deleted meanwhile."""
    query = sa.select(BILLS, is_locked().label("is_locked")).where(BILLS.c.org_id == org_id, BILLS.c.id.in_(bill_ids)).order_by(BILLS.c.id)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    gone = set(bill_ids) - {row["id"] for row in rows}
    failures: list[Failure] = [{"accountId": None, "accountCode": None, "billId": i, "reason": f"bill {i} was deleted"} for i in sorted(gone)]
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["is_locked"]:
            reason = f"bill {row['id']} is locked and was not calculated again"
            failures.append({"accountId": row["account_id"], "accountCode": row["account_code"], "billId": row["id"], "reason": reason})
        else:
            overrides = BillJobOverrides.model_validate(row["overrides"])
            key = (row["end_date"], row["bill_date"], row["billing_frequency"], row["bill_frequency_interval"], overrides.model_dump_json())
            groups.setdefault(key, []).append(row)
    return [_recalculated_scope(group, today) for _, group in sorted(groups.items(), key=lambda item: str(item[0]))], failures


def scopes_of(bills: Sequence[Mapping[str, Any]], *, today: date) -> list[BillScope]:
    """The runs that compute the bills again, locked or not; nothing is to be stored of them.

    Args:
        bills: Rows of ``bills``; their dates, frequencies, accounts and overrides are used.
        today: The day of the calculation.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in bills:
        overrides = json.dumps(row["overrides"], sort_keys=True)
        key = (*map(str, (row["end_date"], row["bill_date"], row["billing_frequency"], row["bill_frequency_interval"])), overrides)
        groups.setdefault(key, []).append(row)
    return [_recalculated_scope(group, today) for _, group in sorted(groups.items())]


def _recalculated_scope(group: Sequence[Mapping[str, Any]], today: date) -> BillScope:
    first = group[0]
    overrides = BillJobOverrides.model_validate(first["overrides"])
    # A consolidated bill has come from all frequencies of its date.
    is_consolidated = first["billing_frequency"] == BillingFrequency.MIXED
    run = _run(
        overrides,
        today=today,
        last_date=first["end_date"],
        bill_date=first["bill_date"],
        frequency=None if is_consolidated else first["billing_frequency"],
        interval=None if is_consolidated else first["bill_frequency_interval"],
        account_ids=sorted({row["account_id"] for row in group}),
    )
    return BillScope(run=run, overrides=overrides, bills={row["id"]: (row["account_id"], row["account_code"]) for row in group})


def _run(
    overrides: BillJobOverrides,
    *,
    today: date,
    last_date: date | None,
    bill_date: date | None,
    frequency: str | None,
    interval: int | None,
    account_ids: Sequence[str] | None,
) -> BillRun:
    return BillRun(
        today=today,
        last_date_in_billing_period=last_date,
        bill_date=bill_date,
        billing_frequency=None if frequency is None else BillingFrequency(frequency),
        bill_frequency_interval=interval,
        account_ids=None if account_ids is None else tuple(account_ids),
        due_date=overrides.due_date,
        external_invoice_date=overrides.external_invoice_date,
        target_currency=overrides.target_currency,
        currency_conversions=tuple(overrides.currency_conversions or ()),
        timezone=overrides.timezone,
        day_epoch=overrides.day_epoch,
        week_epoch=overrides.week_epoch,
        month_epoch=overrides.month_epoch,
        year_epoch=overrides.year_epoch,
    )
