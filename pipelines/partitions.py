"""The two ways in which datasets are cut for Dagster: event days and the months that billing periods end in.

Put here partition definitions and the arithmetic between keys and dates. Keep out what is in a partition. Keys are
calendar dates without a zone: an event day is local to its organization, so ``2013-07-01`` covers a different stretch of
time for each of them, and ``2013-01`` holds every billing period, of whatever frequency, whose last day lies in January.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import dagster as dg

#: Usage and bills before this day are kept and billed all the same; Dagster just has no partition to show them in.
FIRST_DAY = date(2010, 1, 1)

#: One partition per event day. Two days ahead of what has ended in UTC: today, and tomorrow where it has begun already.
EVENT_DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=2)

#: One partition per month that billing periods end in, with the current month: its days and weeks are billed as they end.
BILLING_MONTHS = dg.MonthlyPartitionsDefinition(start_date=f"{FIRST_DAY:%Y-%m}", fmt="%Y-%m", timezone="UTC", end_offset=1)


def event_day(key: str) -> date:
    """The event day of a partition key of EVENT_DAYS."""
    return date.fromisoformat(key)


def billing_month(day: date) -> str:
    """The partition key of BILLING_MONTHS that the last day of a billing period belongs to."""
    return f"{day:%Y-%m}"


def month_days(key: str) -> tuple[date, date]:
    """First and last day (inclusive) of a month ``YYYY-MM``."""
    first = date.fromisoformat(f"{key}-01")
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def months_between(first: str, last: str) -> tuple[str, ...]:
    """The months from ``first`` to ``last``, both inclusive, ascending; empty when ``last`` is before ``first``."""
    start, end = month_days(first)[0], month_days(last)[0]
    return tuple(f"{n // 12:04}-{n % 12 + 1:02}" for n in range(start.year * 12 + start.month - 1, end.year * 12 + end.month))


def shown(days: Iterable[date]) -> list[date]:
    """Those of ``days`` that Dagster has a partition for, ascending."""
    return sorted(day for day in set(days) if day >= FIRST_DAY)
