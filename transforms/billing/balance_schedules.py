"""When schedules of balances run and what each run is about: instants of transactions, periods of charges.

Put here the calendar of schedules. Keep out storing what a run makes. Source: billing.md 2.2, 5.9; DECISIONS 27.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import islice
from zoneinfo import ZoneInfo

from transforms.entities.balances import BalanceChargeSchedule, BalanceTransactionSchedule
from transforms.entities.organization import OrganizationConfig, time_zone
from transforms.entities.resource import BillingFrequency
from transforms.periods import Schedule, local_day, midnight
from transforms.rating.epochs import general_epoch

#: Most runs that a schedule may have: 27 years of days.
MOST_RUNS = 10_000


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a schedule.

    Attributes:
        at: When it happens: the transaction's applied date, or the start of the charge's service period.
        until: Exclusive end of the charge's service period; of a transaction None.
        bill_date: When the charge is billed; of a transaction None.
    """

    at: datetime
    until: datetime | None = None
    bill_date: date | None = None


def transaction_runs(schedule: BalanceTransactionSchedule, organization: OrganizationConfig) -> Iterator[Run]:
    """The start, and every ``frequency_interval`` after it at the same local time, until before the end."""
    zone = time_zone(organization.timezone)
    clock = schedule.start_date.astimezone(ZoneInfo(zone)).time()
    calendar = Schedule(BillingFrequency(schedule.frequency), schedule.frequency_interval, local_day(schedule.start_date, zone))
    k, at = 0, schedule.start_date
    while at < schedule.end_date:
        yield Run(at=at)
        k += 1
        at = _instant(calendar.boundary(k), clock, zone)


def charge_runs(schedule: BalanceChargeSchedule, organization: OrganizationConfig) -> Iterator[Run]:
    """One run per bill period that the service period touches: when its part of the service period begins.

    An epoch after the start makes one long first period, as it does for plans. In advance, a period is billed on its first
    day, a first one that is cut together with the one after it; in arrears on the day after its last.
    """
    zone = time_zone(organization.timezone)
    frequency, interval = BillingFrequency(schedule.bill_frequency), schedule.bill_frequency_interval
    epoch = schedule.bill_epoch or general_epoch(frequency, interval, organization)
    calendar = Schedule(frequency, interval, epoch)
    start, end = schedule.service_period_start_date, schedule.service_period_end_date
    k, at = calendar.first_index(local_day(start, zone)), start
    is_whole = midnight(calendar.boundary(k - 1), zone) == start
    while at < end:
        boundary = calendar.boundary(k)
        until = midnight(boundary, zone)
        bill_date = calendar.boundary(k - 1) if schedule.bill_in_advance and is_whole else boundary
        yield Run(at=at, until=min(until, end), bill_date=bill_date)
        k, at, is_whole = k + 1, until, True


def runs(schedule: BalanceTransactionSchedule | BalanceChargeSchedule, organization: OrganizationConfig) -> Iterator[Run]:
    """All runs of a schedule, in their order."""
    if isinstance(schedule, BalanceTransactionSchedule):
        return transaction_runs(schedule, organization)
    return charge_runs(schedule, organization)


def has_too_many_runs(schedule: BalanceTransactionSchedule | BalanceChargeSchedule, organization: OrganizationConfig) -> bool:
    """True when there are more than MOST_RUNS."""
    return next(islice(runs(schedule, organization), MOST_RUNS, None), None) is not None


def next_run(schedule: BalanceTransactionSchedule | BalanceChargeSchedule, organization: OrganizationConfig) -> datetime | None:
    """When the schedule runs the first time after its ``previous_run``; None when it is through."""
    previous = schedule.previous_run
    return next((run.at for run in runs(schedule, organization) if previous is None or run.at > previous), None)


def _instant(day: date, clock: time, zone: str) -> datetime:
    if clock == time():
        return midnight(day, zone)
    return datetime.combine(day, clock, ZoneInfo(zone)).astimezone(UTC)
