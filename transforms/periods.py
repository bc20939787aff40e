"""Calendar arithmetic of bills, on single dates: schedules, local midnights, whole local days, proration factors.

Put here what a period is and how long. Keep out accounts, prices and frames (``rating/windows.py`` does the same for
columns and is tested against this module). Everything is half-open; a day is a local calendar day. Source: billing.md
2.1-2.6, DECISIONS 24 and 27.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from transforms.entities.resource import BillingFrequency

DAY = timedelta(days=1)
_DAYS = {BillingFrequency.DAILY: 1, BillingFrequency.WEEKLY: 7}
_MONTHS = {BillingFrequency.MONTHLY: 1, BillingFrequency.ANNUALLY: 12}
_EARLIEST = date(1900, 1, 1)
#: The frequencies that have boundaries; AD_HOC and MIXED have none.
REGULAR = (*_DAYS, *_MONTHS)


@dataclass(frozen=True, order=True)
class Schedule:
    """The boundaries B(k) = epoch + k * interval * unit, for every whole k, also below zero.

    Attributes:
        frequency: DAILY, WEEKLY, MONTHLY or ANNUALLY.
        interval: Number of units per period, at least 1.
        epoch: B(0). Its day of the month is remembered: an epoch on the 31st gives 28, 31, 30 and so on.
    """

    frequency: BillingFrequency
    interval: int
    epoch: date

    def boundary(self, k: int) -> date:
        """B(k)."""
        if self.frequency in _DAYS:
            return self.epoch + k * self.interval * _DAYS[self.frequency] * DAY
        months = self.epoch.year * 12 + self.epoch.month - 1 + k * self.interval * _MONTHS[self.frequency]
        year, month = divmod(months, 12)
        return date(year, month + 1, min(self.epoch.day, calendar.monthrange(year, month + 1)[1]))

    def index(self, day: date) -> int:
        """The k with B(k) <= day < B(k + 1)."""
        if self.frequency in _DAYS:
            return (day - self.epoch).days // (self.interval * _DAYS[self.frequency])
        months = (day.year - self.epoch.year) * 12 + day.month - self.epoch.month
        k = months // (self.interval * _MONTHS[self.frequency])
        return k if self.boundary(k) <= day else k - 1

    def index_of_boundary(self, day: date) -> int | None:
        """The k with B(k) == day, or None when no period ends on that day."""
        k = self.index(day)
        return k if self.boundary(k) == day else None

    def first_index(self, start: date) -> int:
        """Index of the boundary at which a plan that starts on that local day is first billed.

        That is the first boundary after the start but never one before the epoch, so that an epoch which lies after the
        start makes one long first period (DECISIONS 27).
        """
        return max(0, self.index(start) + 1)

    def boundaries(self, first: date, last: date) -> list[date]:
        """Consecutive boundaries, the first at or before ``first``, the last after ``last``."""
        return [self.boundary(k) for k in range(self.index(first), self.index(last) + 2)]

    def position(self, day: date) -> Fraction:
        """The day as a fractional index: k plus the part of the period [B(k), B(k + 1)) that has passed, in days."""
        k = self.index(day)
        begin = self.boundary(k)
        return k + Fraction((day - begin).days, (self.boundary(k + 1) - begin).days)

    def factor(self, first: date, end: date) -> Fraction:
        """Proration factor of the days [first, end): the sum, over the periods they touch, of days active / days of the period.

        At most 1 inside one period, above 1 in a long first period (DECISIONS 24), 0 for no days. Exact.
        """
        return max(Fraction(0), self.position(end) - self.position(first)) if first < end else Fraction(0)


def anchored(schedule: Schedule) -> date:
    """An epoch of the same boundaries, whole periods earlier, at the latest on 1 January 1900.

    For an epoch that gives the phase alone: no plan starts before it, so none has a long first period. The schedule's own
    epoch must not lie after the 28th, which earlier months might clip.
    """
    return schedule.boundary(min(0, schedule.index(_EARLIEST)))


def bill_dates(schedule: Schedule, start: date, end: date | None) -> Iterator[date]:
    """The boundaries at which a plan of [start, end) is billed in arrears; the last is the first one at or after its end."""
    k = schedule.first_index(start)
    while True:
        yield schedule.boundary(k)
        if end is not None and schedule.boundary(k) >= end:
            return
        k += 1


def midnight(day: date, zone: str) -> datetime:
    """The first instant, in UTC, of the local calendar day.

    Where the clock skips midnight that is the instant of the change; where midnight comes twice, its first.
    """
    tz = ZoneInfo(zone)
    local = datetime.combine(day, time(), tz)
    early, late = local.replace(fold=1).astimezone(UTC), local.astimezone(UTC)
    if late.astimezone(tz).date() < day or early >= late:
        return min(early, late)
    # Midnight is skipped: the change lies between the two readings; find the first instant that is of the day.
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        early, late = (early, middle) if middle.astimezone(tz).date() >= day else (middle, late)
    return late.replace(microsecond=0)


def local_day(at: datetime, zone: str) -> date:
    """The local calendar day that the instant lies in."""
    return at.astimezone(ZoneInfo(zone)).date()


def whole_days(start: datetime, end: datetime, zone: str) -> tuple[date, date]:
    """The whole local calendar days inside [start, end), as (first, end) with end exclusive; empty when first >= end."""
    return local_day(start - timedelta(microseconds=1), zone) + DAY, local_day(end, zone)
