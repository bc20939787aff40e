"""What the demo shows at its end: the year by month, the largest bills, the balance of the counts."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.commands.bill import money
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.ingest_tables import MEASUREMENT_COUNTS

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.storage.database import Database

LARGEST = 5


def billed_months(database: "Database", org_id: str, year: int) -> Sequence[Any]:
    """One row per month that has bills: last day, bills, line items, total and currency."""
    columns = (BILLS.c.end_date, BILLS.c.currency, sa.func.count(), sa.func.sum(BILLS.c.line_count), sa.func.sum(BILLS.c.bill_total))
    query = sa.select(*columns).where(*_of_year(org_id, year)).group_by(BILLS.c.end_date, BILLS.c.currency).order_by(BILLS.c.end_date)
    with database.transaction() as connection:
        return connection.execute(query).all()


def _of_year(org_id: str, year: int) -> tuple[sa.ColumnElement[bool], ...]:
    return BILLS.c.org_id == org_id, BILLS.c.end_date.between(date(year, 1, 1), date(year, 12, 31)), BILLS.c.billing_frequency == "MONTHLY"


def months_table(database: "Database", org_id: str, year: int) -> "Table":
    """The months with their measurements, bills, line items and totals, and a last row for the year."""
    from rich.table import Table

    month = sa.func.extract("month", MEASUREMENT_COUNTS.c.date)
    counted = sa.select(month, sa.func.sum(MEASUREMENT_COUNTS.c.accepted)).where(MEASUREMENT_COUNTS.c.org_id == org_id).group_by(month)
    with database.transaction() as connection:
        flights = {int(number): int(accepted) for number, accepted in connection.execute(counted)}
    rows = billed_months(database, org_id, year)
    table = Table("month", title="Billed by month", title_justify="left", header_style="bold", show_footer=True)
    total = sum((row[4] for row in rows), start=0)
    footers = (f"{sum(flights.values()):,}", f"{sum(row[2] for row in rows):,}", f"{sum(row[3] for row in rows):,}", money(total, rows[0][1]))
    for name, footer in zip(("flights", "bills", "line items", "total"), footers, strict=True):
        table.add_column(name, footer=footer, justify="right")
    table.columns[0].footer = str(year)
    for end_date, currency, bills, lines, amount in rows:
        table.add_row(f"{end_date:%Y-%m}", f"{flights.get(end_date.month, 0):,}", f"{bills:,}", f"{lines:,}", money(amount, currency))
    return table


def largest_bills_table(database: "Database", org_id: str, year: int) -> "Table":
    """The largest bills of the year."""
    from rich.table import Table

    accounts = sa.table("accounts", sa.column("org_id"), sa.column("id"), sa.column("name"))
    same = sa.and_(accounts.c.org_id == BILLS.c.org_id, accounts.c.id == BILLS.c.account_id)
    query = sa.select(BILLS, accounts.c.name).join(accounts, same).where(*_of_year(org_id, year))
    with database.transaction() as connection:
        rows = connection.execute(query.order_by(BILLS.c.bill_total.desc(), BILLS.c.account_code).limit(LARGEST)).all()
    table = Table("account", "airline", "month", title="The largest bills", title_justify="left", header_style="bold")
    table.add_column("line items", justify="right")
    table.add_column("total", justify="right")
    for row in rows:
        table.add_row(row.account_code, row.name, f"{row.end_date:%Y-%m}", str(row.line_count), money(row.bill_total, row.currency))
    return table
