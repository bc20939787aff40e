"""``meterhouse bill``: run a bill job and show its bills."""

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from api.commands.context import HomeOption, OrgOption, opened, organization_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from pipelines.storage.bill_runs import JobSummary
    from pipelines.storage.database import Database

_LARGEST = 20


def bill(
    period: Annotated[str, typer.Option(help="The period: 2013, 2013-01, 2013-W05, or its last day 2013-01-31.")],
    frequency: Annotated[str, typer.Option(help="DAILY, WEEKLY, MONTHLY, ANNUALLY or AD_HOC.")] = "MONTHLY",
    account: Annotated[list[str] | None, typer.Option(help="Code of an account to bill; may be repeated; all when left out.")] = None,
    org: Annotated[str | None, OrgOption] = None,
    home: Annotated[Path | None, HomeOption] = None,
) -> None:
    """Bill a period: all usage acknowledged before is in. Running it again updates the same bills."""
    from api.commands.context import console
    from pipelines.storage.bill_runs import ran_inline
    from pipelines.storage.lake import Lake
    from transforms.billing.job_requests import BillJobRequest, JobFrequency
    from transforms.errors import EntityInvalid

    if frequency.upper() not in get_args(JobFrequency):
        raise EntityInvalid.of("frequency", f"--frequency {frequency}: must be one of {', '.join(get_args(JobFrequency))}")
    last_date = last_date_of(period)
    terminal = console(to_error=True)
    with opened(home) as (settings, database):
        org_id = organization_id(database, org)
        account_ids = _account_ids(database, org_id, account) if account else None
        request = BillJobRequest.model_validate(
            {"last_date_in_billing_period": last_date, "billing_frequency": frequency.upper(), "account_ids": account_ids}, by_name=True
        )
        lake = Lake(settings.lake_root, settings.lake_options)
        with terminal.status(f"billing the period that ends on {last_date}"):
            summary = ran_inline(database, lake, settings.landing_root, org_id, request=request, created_by="meterhouse bill")
        rows, failures = _results(database, summary)
    if rows:
        console().print(bills_table(rows[:_LARGEST]))
    for failure in failures:
        terminal.print(f"[red]no bill for {failure.get('accountCode') or 'the job'}[/]: {failure['reason']}")
    rest = f" (the {_LARGEST} largest are shown)" if len(rows) > _LARGEST else ""
    console().print(f"{summary.bills} bills, {summary.line_items} line items in {summary.seconds:.1f} s{rest}; bill job {summary.job_id}")
    if not summary.bills and not failures:
        console().print(_nothing(frequency.upper(), last_date))
    if rows and max(row.end_at for row in rows) > datetime.now(UTC):
        console().print("The period has not ended: billing it again adds the usage that is still to come.")
    if failures:
        raise typer.Exit(1)


def _nothing(frequency: str, last_date: date) -> str:
    if frequency == "AD_HOC":
        return (
            f"No charge or fee is due on {last_date + timedelta(days=1)}, or its bills are locked: "
            f"an AD_HOC bill is dated the day after its --period, so what is due on {last_date} needs --period {last_date - timedelta(days=1)}."
        )
    return f"No account has a plan whose {frequency} billing period ends on {last_date}, or its bills are locked."


def last_date_of(period: str) -> date:
    """The last day of a period: of a year, a month, an ISO week, or the day itself.

    Raises:
        EntityInvalid: It is none of these.
    """
    from transforms.errors import EntityInvalid

    try:
        if re.fullmatch(r"\d{4}", period):
            return date(int(period), 12, 31)
        if re.fullmatch(r"\d{4}-\d{2}", period):
            year, month = map(int, period.split("-"))
            return date(year, month, calendar.monthrange(year, month)[1])
        if re.fullmatch(r"\d{4}-W\d{2}", period):
            return date.fromisocalendar(int(period[:4]), int(period[6:]), 7)
        return date.fromisoformat(period)
    except (ValueError, calendar.IllegalMonthError) as error:
        raise EntityInvalid.of("period", f"--period {period}: must be a year 2013, a month 2013-01, a week 2013-W05 or a day 2013-01-31") from error


def _account_ids(database: "Database", org_id: str, codes: "Sequence[str]") -> list[str]:
    from pipelines.storage import config_store
    from transforms.entities.accounts import Account
    from transforms.errors import EntityInvalid

    with database.transaction() as connection:
        found = {code: config_store.entities(connection, org_id, Account, code=code) for code in dict.fromkeys(codes)}
    missing = [code for code, accounts in found.items() if not accounts]
    if missing:
        raise EntityInvalid.of("account", f"there is no account with the code {', '.join(missing)}")
    return [accounts[0].id for accounts in found.values()]


def _results(database: "Database", summary: "JobSummary") -> "tuple[Sequence[Any], Sequence[Any]]":
    import sqlalchemy as sa

    from pipelines.storage import bill_jobs
    from pipelines.storage.bill_tables import BILLS

    with database.transaction() as connection:
        job = bill_jobs.job(connection, summary.org_id, summary.job_id)
        query = sa.select(BILLS).where(BILLS.c.org_id == summary.org_id, BILLS.c.id.in_(job.bill_ids))
        return connection.execute(query.order_by(BILLS.c.bill_total.desc(), BILLS.c.account_code)).all(), job.failures


def bills_table(rows: "Sequence[Any]") -> "Table":
    """One row per bill."""
    from rich.markup import escape
    from rich.table import Column, Table

    # What is copied (an id) and what is read as one (an amount) is never folded; with a period in two lines they fit a small terminal.
    table = Table(Column("account", overflow="fold"), Column("bill", no_wrap=True, min_width=36), "period", header_style="bold")
    table.add_column("total", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(escape(row.account_code), row.id, f"{row.start_date} to {row.end_date}", money(row.bill_total, row.currency))
    return table


def money(amount: Any, currency: str) -> str:
    """The amount with at least two decimals, without trailing zeros beyond, and its currency."""
    digits = f"{amount:,.12f}".rstrip("0")
    whole, _, decimals = digits.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')} {currency}"
