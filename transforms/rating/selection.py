"""Which account plans a bill run bills, and for which windows.

Put here the choice of account plans, schedules and windows. Keep out prices, usage, and what else stands on a bill
(``anchors.py``). Source: billing.md 2.2-2.5, DECISIONS 24, 27 and 32.
"""

import polars as pl

from transforms.configuration import Configuration
from transforms.datasets import INSTANT
from transforms.entities.organization import OrganizationConfig, time_zone
from transforms.entities.resource import BillingFrequency
from transforms.periods import DAY, REGULAR, Schedule, midnight
from transforms.rating import windows
from transforms.rating.attachments import attached_plans, with_billed_account, with_grouping, within_contracts
from transforms.rating.epochs import general_epoch
from transforms.rating.run import BillRun
from transforms.rating.terms import PlanTerms

_PLAN_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "plan_id": pl.String,
    "plan_number": pl.UInt32,
    "product_id": pl.String,
    "product_name": pl.String,
    "plan_code": pl.String,
    "currency": pl.String,
    "frequency": pl.String,
    "interval": pl.Int32,
    "general_epoch": pl.Date,
}

_SCHEDULE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "frequency": pl.String,
    "interval": pl.Int32,
    "epoch": pl.Date,
    "step_days": pl.Int32,
    "step_months": pl.Int32,
    "k": pl.Int32,
    "previous_day": pl.Date,
    "period_end_day": pl.Date,
    "next_day": pl.Date,
    "previous_at": INSTANT,
    "period_end_at": INSTANT,
    "next_at": INSTANT,
}


def zone_of(configuration: Configuration, run: BillRun) -> str:
    """The time zone that the run cuts days in."""
    return time_zone(run.timezone) if run.timezone else configuration.time_zone


def _plans(terms: tuple[PlanTerms, ...], organization: OrganizationConfig, run: BillRun) -> pl.DataFrame:
    def row(number: int, t: PlanTerms) -> tuple[object, ...]:
        epoch = general_epoch(t.frequency, t.interval, organization, run)
        return (t.plan_id, number, t.product_id, t.product_name, t.plan_code, t.currency, str(t.frequency), t.interval, epoch)

    # A consolidated bill is made of all frequencies of its date; the one asked for then only chooses the bills (anchors.py).
    asked = None if organization.consolidate_bills else run.billing_frequency
    interval = None if organization.consolidate_bills else run.bill_frequency_interval
    rows = [
        row(number, t)
        for number, t in enumerate(terms)
        if t.frequency in REGULAR and asked in (None, BillingFrequency.MIXED, t.frequency) and interval in (None, t.interval)
    ]
    return pl.DataFrame(rows, schema=_PLAN_SCHEMA, orient="row")


def _schedule_row(schedule: Schedule, run: BillRun, zone: str) -> tuple[object, ...] | None:
    """The period of the schedule that ends at the run's end, None when none does or when it ends before the epoch."""
    if run.last_date_in_billing_period is not None:
        k = schedule.index_of_boundary(run.last_date_in_billing_period + DAY)
    else:
        k = schedule.index(run.bill_date or run.today)
    if k is None or k < 0:
        return None
    days = [schedule.boundary(n) for n in (k - 1, k, k + 1)]
    per_day = {BillingFrequency.DAILY: 1, BillingFrequency.WEEKLY: 7}.get(schedule.frequency, 0)
    per_month = {BillingFrequency.MONTHLY: 1, BillingFrequency.ANNUALLY: 12}.get(schedule.frequency, 0)
    steps = (schedule.interval * per_day, schedule.interval * per_month)
    return (str(schedule.frequency), schedule.interval, schedule.epoch, *steps, k, *days, *(midnight(d, zone) for d in days))


def _schedules(wanted: pl.DataFrame, run: BillRun, zone: str) -> pl.DataFrame:
    schedules = (Schedule(BillingFrequency(f), i, e) for f, i, e in wanted.unique().sort(pl.all()).rows())
    rows = [row for row in (_schedule_row(s, run, zone) for s in schedules) if row is not None]
    return pl.DataFrame(rows, schema=_SCHEDULE_SCHEMA, orient="row")


def _attached(configuration: Configuration, run: BillRun, terms: tuple[PlanTerms, ...], zone: str) -> pl.DataFrame:
    attached = attached_plans(configuration).select(
        "account_plan_id",
        "account_id",
        "plan_id",
        "plan_group_id",
        "contract_id",
        "child_billing_mode",
        "bill_epoch",
        start_at="start_date",
        end_at="end_date",
    )
    planned = attached.join(_plans(terms, configuration.organization, run), on="plan_id")
    billed = with_grouping(within_contracts(with_billed_account(planned, configuration), configuration, zone), configuration)
    return billed.with_columns(epoch=pl.coalesce("bill_epoch", "account_epoch", "general_epoch")).drop("bill_epoch", "account_epoch", "general_epoch")


def due_account_plans(configuration: Configuration, run: BillRun, terms: tuple[PlanTerms, ...]) -> pl.DataFrame:
    """The account plans that have something to bill at the end of the run's period.

    Grain: one row per account plan and, of plan groups, plan; no order.

    Returns:
        What ``_attached`` and the schedule bring; ``bill_currency``, ``bill_date``; the arrears window [active_start,
        active_end) with its whole days [active_first_day, active_end_day), empty where ``has_arrears`` is false; the window
        billed in advance [advance_start, advance_end), empty where ``has_advance`` is false; ``is_first`` (the bill is the
        account plan's first one in arrears); ``first_in_advance`` (what is billed in advance for the arrears window stands on
        this bill too); ``period_start_day``, the first day of the billing period, or the plan's in a long first period.
    """
    zone = zone_of(configuration, run)
    attached = _attached(configuration, run, terms, zone)
    schedules = _schedules(attached.select("frequency", "interval", "epoch"), run, zone)
    start, end, boundary = pl.col("start_at"), pl.col("end_at"), pl.col("period_end_at")
    is_long = (pl.col("k") == 0) & (start < pl.col("previous_at"))
    due = attached.join(schedules, on=["frequency", "interval", "epoch"]).with_columns(
        active_start=pl.when(pl.col("k") == 0).then(start).otherwise(pl.max_horizontal(start, "previous_at")),
        active_end=pl.min_horizontal(end, boundary),
        advance_start=boundary,
        advance_end=pl.min_horizontal(end, "next_at"),
        period_start_day=pl.when(is_long).then(windows.local_day("start_at", zone)).otherwise("previous_day"),
        bill_date=pl.lit(run.bill_date, dtype=pl.Date) if run.bill_date else pl.col("period_end_day"),
        bill_currency=bill_currency(configuration, run),
    )
    has_arrears = pl.col("active_start") < pl.col("active_end")
    has_advance = (start <= boundary) & (pl.col("advance_start") < pl.col("advance_end"))
    return (
        due.with_columns(has_arrears=has_arrears, has_advance=has_advance)
        .filter(pl.col("has_arrears") | ((start == boundary) & pl.col("has_advance")))
        .with_columns(
            is_first=pl.col("has_arrears") & ((pl.col("k") == 0) | (start >= pl.col("previous_at"))),
            first_in_advance=pl.col("has_arrears") & ((pl.col("k") == 0) | (start > pl.col("previous_at"))),
            active_first_day=windows.first_whole_day("active_start", zone),
            active_end_day=windows.local_day("active_end", zone),
            advance_first_day=windows.first_whole_day("advance_start", zone),
            advance_end_day=windows.local_day("advance_end", zone),
        )
    )


def bill_currency(configuration: Configuration, run: BillRun) -> pl.Expr:
    """The currency of a bill: the job's, else the billed account's, else the organization's."""
    if run.target_currency:
        return pl.lit(run.target_currency)
    return pl.coalesce("billed_currency", pl.lit(configuration.organization.currency))


def bill_index(due: pl.DataFrame, zone: str, *, in_advance: bool) -> pl.Series:
    """How many bills the account plan had before this one (0 on its first), for charges in arrears or in advance.

    The first bill is at the first boundary after the plan's start; for charges in advance it is at the start itself when
    that is a boundary. Never before the epoch. Source: billing.md 2.7.
    """
    days = due.with_columns(_day=windows.local_day("start_at", zone), _first=windows.first_whole_day("start_at", zone))
    days = days.with_columns(_k=windows.index("_day"))
    days = days.with_columns(_at=windows.boundary("_k"))
    starts_there = (pl.col("_at") == pl.col("_first")) & (pl.col("_k") >= 0) if in_advance else pl.lit(False)
    first = pl.when(starts_there).then("_k").otherwise(pl.max_horizontal(pl.col("_k") + 1, pl.lit(0, dtype=pl.Int32)))
    return days.select(j=pl.col("k") - first)["j"]
