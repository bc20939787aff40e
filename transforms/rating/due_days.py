"""Which days billing periods end on, and when scheduled bill runs are due.

Put here what decides that a bill run should happen. Keep out the run itself (pipeline.py) and who asks for it. Source:
billing.md 2.2, 2.9, DECISIONS 27.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl

from transforms.configuration import Configuration
from transforms.entities.plans import Plan, PlanTemplate
from transforms.entities.resource import BillingFrequency
from transforms.periods import DAY, REGULAR, Schedule
from transforms.rating import windows
from transforms.rating.anchors import dated_charges
from transforms.rating.attachments import attached_plans
from transforms.rating.epochs import general_epoch
from transforms.rating.fee_dates import fee_days

#: How long usage of a period may arrive late and still be noticed by the schedule (billing.md 3.3).
LATE = timedelta(hours=24)


def due_last_days(configuration: Configuration, first: date, last: date, *, account_codes: tuple[str, ...] | None = None) -> list[date]:
    """The days of [first, last] on which a billing period of at least one account plan ends, or before which charges or fees fall.

    Args:
        configuration: The organization.
        first: First day looked at, local.
        last: Last day looked at, inclusive; keep it before today, a period that has not ended is not due.
        account_codes: Only these accounts; None is all of them.

    Returns:
        Last days (inclusive) of billing periods, ascending: what a bill job takes as ``lastDateInBillingPeriod``.
    """
    days: set[date] = set()
    for schedule, start, end in _schedules(configuration, account_codes):
        # What is billed in advance stands on a bill at the very start, where that is a boundary.
        earliest = schedule.boundary(_index_from(schedule, start))
        latest = date.max if end is None else max(earliest, schedule.boundary(_index_from(schedule, end)))
        reachable = (b for b in schedule.boundaries(first, last + DAY) if earliest <= b <= latest)
        days.update(b - DAY for b in reachable if first <= b - DAY <= last)
    days.update(d - DAY for d in _dated(configuration, account_codes) if first <= d - DAY <= last)
    return sorted(days)


def _dated(configuration: Configuration, account_codes: tuple[str, ...] | None) -> list[date]:
    """The days on which charges or fees of commitments fall."""
    columns = ("account_id", "event_date")
    events = pl.concat([dated_charges(configuration, configuration.time_zone).select(columns), fee_days(configuration).select(columns)])
    if account_codes is not None:
        accounts = configuration.accounts.filter(pl.col("account_code").is_in(account_codes))
        events = events.join(accounts, on="account_id", how="semi")
    return events["event_date"].drop_nulls().unique().to_list()


def scheduled_slot(at: datetime, *, interval_hours: Decimal, offset_hours: int, zone: str) -> tuple[date, int]:
    """The slot of scheduled bill runs that the instant lies in; a run is due whenever the slot is another than at the tick before.

    Args:
        at: An instant.
        interval_hours: ``scheduledBillInterval``, above 0.
        offset_hours: ``scheduledBillOffset``: the hour of the day at which the one run of a 24 hour interval is due.
        zone: Time zone of the organization.

    Returns:
        The local day and the number of the slot in it; slots start at local midnight, of a 24 hour interval at the offset.
    """
    local = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if interval_hours == 24:
        local -= timedelta(hours=offset_hours)
    minutes = local.hour * 60 + local.minute
    return local.date(), int(minutes // (interval_hours * 60))


def late_usage_until(period_end: datetime, plan_end: datetime | None) -> datetime:
    """The instant until which usage that arrives late makes a scheduled bill be calculated again.

    A day after the period, or after the account plan where that ends within the period; later usage needs a bill job of its own.

    Args:
        period_end: End of the billing period, exclusive.
        plan_end: End of the account plan, exclusive; None where it goes on.

    Source: billing.md 3.3.
    """
    return min(period_end, plan_end or period_end) + LATE


def _index_from(schedule: Schedule, day: date) -> int:
    """Index of the first boundary on or after the day, never before the epoch."""
    return max(0, schedule.index(day - DAY) + 1)


def _schedules(configuration: Configuration, account_codes: tuple[str, ...] | None) -> list[tuple[Schedule, date, date | None]]:
    """Distinct schedules with the first whole day of the earliest and the first whole day after the latest account plan that follows them."""
    templates = configuration.entities(PlanTemplate)
    cadences = [
        (plan.id, frequency.value, interval, general_epoch(frequency, interval, configuration.organization))
        for plan in configuration.entities(Plan).values()
        if (frequency := templates[plan.plan_template_id].bill_frequency) in REGULAR
        for interval in [templates[plan.plan_template_id].bill_frequency_interval or 1]
    ]
    cadence_schema = {"plan_id": pl.String, "frequency": pl.String, "interval": pl.Int64, "general_epoch": pl.Date}
    accounts = configuration.accounts.lazy().select("account_id", "account_code", account_epoch="bill_epoch")
    if account_codes is not None:
        accounts = accounts.filter(pl.col("account_code").is_in(account_codes))
    zone = configuration.time_zone
    found = (
        attached_plans(configuration)
        .lazy()
        .join(accounts, on="account_id")
        .join(pl.LazyFrame(cadences, schema=cadence_schema, orient="row"), on="plan_id")
        .with_columns(
            epoch=pl.coalesce("bill_epoch", "account_epoch", "general_epoch"),
            start=windows.first_whole_day("start_date", zone),
            end=windows.first_whole_day("end_date", zone),
        )
        .group_by("frequency", "interval", "epoch")
        .agg(pl.col("start").min(), pl.when(pl.col("end").is_null().any()).then(None).otherwise(pl.col("end").max()).alias("end"))
        .collect()
    )
    return [(Schedule(BillingFrequency(f), i, epoch), start, end) for f, i, epoch, start, end in found.iter_rows()]
