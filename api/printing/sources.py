"""Everything that a printed bill tells, read from where it is kept.

Put here the reading. Keep out how it looks (bill_pages.py). The usage is read as the bill's calculation read it; names and
addresses are today's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from babel import Locale

from api.bill_documents import Lines, Products, products_of
from api.printing.formats import Formats, accepted_locale, parsed_locale
from pipelines.storage import bill_store, statement_runs
from pipelines.storage.bill_lines import lines_by_bill
from pipelines.storage.bill_store import Header
from pipelines.storage.config_rows import by_ids, entities
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import organization
from transforms.entities.accounts import Account
from transforms.entities.organization import Currency, time_zone
from transforms.entities.statements import AggregationFrequency, StatementDefinition
from transforms.errors import VersionGone

#: The account's custom field that names the language and conventions of its bills.
LOCALE_FIELD = "locale"
#: Longest periods that a chart shows by day and by week.
_DAYS, _WEEKS = timedelta(days=93), timedelta(days=400)


@dataclass(frozen=True)
class PrintedBill:
    """A bill with all that is printed of it.

    Attributes:
        header: Its row of ``bills``.
        lines: Its lines in order.
        products: Those that the lines name.
        issuer: The organization's name.
        account: Who is billed.
        usage: The statement of its usage by day (by week or month for long periods), for charts.
        formats: How the reader sees values.
    """

    header: Header
    lines: Lines
    products: Products
    issuer: str
    account: Account
    usage: Mapping[str, Any]
    formats: Formats


def chosen_locale(account: Account, *, asked: str | None, accepted: str | None, default: str) -> Locale:
    """The reader's locale: as asked for, else the account's own (a custom field), else the browser's, else the default."""
    own = account.custom_fields.get(LOCALE_FIELD)
    if asked or own:
        return parsed_locale(asked or str(own))
    return (accepted_locale(accepted) if accepted else None) or parsed_locale(default)


def printed_bill(
    database: Database, lake: Lake, org_id: str, bill_id: str, *, default_locale: str, asked: str | None = None, accepted: str | None = None
) -> PrintedBill:
    """The bill and what belongs to it.

    Args:
        database: PostgreSQL.
        lake: Where line items and usage are.
        org_id: The organization.
        bill_id: The bill.
        default_locale: Where nobody asks for another.
        asked: The locale that this reader wants.
        accepted: The reader's ``Accept-Language``.

    Raises:
        NotFound: No such bill.
        EntityInvalid: No such locale.
    """
    header, usage = _with_usage(database, lake, org_id, bill_id)
    lines = lines_by_bill(lake, org_id, [header])[bill_id]
    with database.transaction() as connection:
        account = by_ids(connection, org_id, Account, {header["account_id"]})[header["account_id"]]
        places = {c.code: c.max_decimal_places for c in entities(connection, org_id, Currency) if c.code and c.max_decimal_places is not None}
        issuer = str(organization(connection, org_id)["name"])
        products = products_of(connection, org_id, lines)
    locale = chosen_locale(account, asked=asked, accepted=accepted, default=default_locale)
    formats = Formats(locale, time_zone(header["timezone"]), places)
    return PrintedBill(header, lines, products, issuer, account, usage, formats)


def _with_usage(database: Database, lake: Lake, org_id: str, bill_id: str) -> tuple[Header, Mapping[str, Any]]:
    try:
        return statement_runs.made(database, lake, org_id, bill_id, definition=_by_time)
    except VersionGone:
        # An old bill is printed all the same; its page says that the usage behind it is no longer kept.
        with database.transaction() as connection:
            return bill_store.bill(connection, org_id, bill_id), {"usage": [], "isGone": True}


def _by_time(header: Header) -> StatementDefinition:
    """A definition with as many periods as a chart can show."""
    length = header["end_at"] - header["start_at"]
    frequency = AggregationFrequency.DAY if length <= _DAYS else AggregationFrequency.WEEK if length <= _WEEKS else AggregationFrequency.MONTH
    return StatementDefinition(aggregation_frequency=frequency)
