"""What the lines of a run's bills hang on: account plans, plan groups, children billed for a parent's plan, accounts.

Every line has an anchor, and every anchor belongs to one bill, so the anchors say which bills there are. Put here which
anchors a run has and which of them share a bill. Keep out what they charge. Source: billing.md 2.8, 6, 7, DECISIONS 31, 32.
"""

from datetime import timedelta
from enum import IntEnum

import polars as pl

from transforms.configuration import Configuration
from transforms.datasets import INSTANT
from transforms.entities.accounts import ChildBillingMode
from transforms.entities.plan_groups import PlanGroupLink
from transforms.entities.resource import BillingFrequency
from transforms.periods import DAY, midnight
from transforms.rating.attachments import billed_accounts, with_grouping
from transforms.rating.fee_dates import fee_days
from transforms.rating.run import BillRun
from transforms.rating.selection import bill_currency, due_account_plans, zone_of
from transforms.rating.terms import GroupTerms, PlanTerms
from transforms.rating.windows import local_day


class Role(IntEnum):
    """What an anchor is; the number is their order on a bill."""

    #: An account plan, for one plan; the only one with windows of usage.
    PLAN = 0
    #: A child account whose part of a parent's plan is billed to it (CHILD).
    CHILD = 1
    #: A plan group attached to an account, for the group's own charges.
    GROUP = 2
    #: The billed account, for charges, fees, commitments and balances.
    ACCOUNT = 3


_PLAN_COLUMNS = ("plan_id", "plan_number", "product_id", "product_name", "plan_code", "currency")
_NO_WINDOWS = {name: pl.lit(False) for name in ("has_arrears", "has_advance", "is_first", "first_in_advance")}
#: What falls on a date of its own, charges and the fees of commitments that have dates; ``event_date`` is the day that it is billed on.
_EVENTS: dict[str, pl.DataType | type[pl.DataType]] = {"account_id": pl.String, "contract_id": pl.String, "event_date": pl.Date}


def dated_charges(configuration: Configuration, zone: str) -> pl.DataFrame:
    """The charges with ``event_date``: their bill date, else the day that their service period ends on."""
    charges = configuration.frame("Charge")
    return charges.with_columns(event_date=pl.coalesce("bill_date", local_day("service_period_end_date", zone)))


def due_anchors(configuration: Configuration, run: BillRun, terms: tuple[PlanTerms, ...], groups: tuple[GroupTerms, ...]) -> pl.DataFrame:
    """The anchors of the run.

    Grain: one row per anchor, sorted so that the rows of a bill are together and in the order of its lines.

    Returns:
        The columns of ``due_account_plans``, of which those that a role does not have are null or false; ``due`` (UInt32, the
        row's position), ``bill`` (UInt32, position of its bill), ``role``, ``group_number`` (UInt32), ``event_date`` of an
        account that has charges or fees on that day, and ``plan_due``, the position of the parent's anchor of a CHILD, else the own one.
    """
    plans = due_account_plans(configuration, run, terms).with_columns(
        role=pl.lit(Role.PLAN.value, dtype=pl.UInt8),
        group_number=pl.lit(None, dtype=pl.UInt32),
        event_date=pl.lit(None, dtype=pl.Date),
    )
    grouped = _group_anchors(plans, groups, _leading_plans(configuration, terms))
    children = _child_anchors(plans, configuration, run)
    parts = [part for part in (plans, children, grouped) if not part.is_empty()] or [plans]
    anchors = pl.concat([*parts, _account_anchors(pl.concat(parts), configuration, run)]) if _has_funds(configuration) else pl.concat(parts)
    return _numbered(anchors, configuration)


def bill_key(configuration: Configuration) -> list[str]:
    """Columns of anchors that tell bills apart (DECISIONS 32)."""
    cadence = [] if configuration.organization.consolidate_bills else ["frequency", "interval"]
    return ["billed_id", "grouping", *cadence, "bill_date"]


def is_asked(configuration: Configuration, run: BillRun) -> pl.Expr | None:
    """Whether an anchor makes its consolidated bill, of all frequencies of its date, one that the run asks for; None where all do."""
    if not configuration.organization.consolidate_bills or run.billing_frequency in (None, BillingFrequency.MIXED):
        return None
    if run.billing_frequency is BillingFrequency.AD_HOC:
        return pl.col("event_date").is_not_null()
    interval = pl.lit(True) if run.bill_frequency_interval is None else pl.col("interval") == run.bill_frequency_interval
    return (pl.col("frequency") == str(run.billing_frequency)) & interval


def _numbered(anchors: pl.DataFrame, configuration: Configuration) -> pl.DataFrame:
    key = bill_key(configuration)
    # The account id, not the billed one, first: the rows of a plain run come in the order of their accounts either way.
    order = ["role", "product_name", "start_at", "plan_code", "account_code", "account_plan_id"]
    numbered = anchors.sort(*key, *order).with_columns(due=pl.int_range(pl.len(), dtype=pl.UInt32), bill=(pl.struct(key).rle_id()).cast(pl.UInt32))
    if not numbered.select((pl.col("role") == Role.CHILD.value).any()).item():
        return numbered.with_columns(plan_due="due")
    parents = numbered.filter(pl.col("role") == Role.PLAN.value).select("account_plan_id", "plan_id", plan_due="due")
    return numbered.join(parents, on=["account_plan_id", "plan_id"], how="left", maintain_order="left").with_columns(pl.coalesce("plan_due", "due"))


def _child_anchors(plans: pl.DataFrame, configuration: Configuration, run: BillRun) -> pl.DataFrame:
    """For every plan of a parent that bills children themselves, one anchor per child, on a bill of its own."""
    parents = plans.filter(pl.col("parent_account_id").is_null() & (pl.col("child_billing_mode") == ChildBillingMode.CHILD.value))
    if parents.is_empty():
        return plans.clear()
    children = configuration.accounts.filter(pl.col("parent_account_id").is_not_null()).select(
        account_id="parent_account_id", child_id="account_id", child_number="account_number", child_code="account_code"
    )
    own = parents.join(children, on="account_id").drop(
        "billed_number", "billed_code", "billed_currency", "days_before_bill_due", "purchase_order_number"
    )
    billed = own.with_columns(
        account_id="child_id",
        account_number="child_number",
        account_code="child_code",
        billed_id="child_id",
        role=pl.lit(Role.CHILD.value, dtype=pl.UInt8),
    ).join(billed_accounts(configuration), on="billed_id")
    return billed.with_columns(bill_currency=bill_currency(configuration, run), **_NO_WINDOWS).select(plans.columns)


def _leading_plans(configuration: Configuration, terms: tuple[PlanTerms, ...]) -> pl.DataFrame:
    """``plan_group_id`` and ``plan_id``: of every group the plan that bills most often, of several the first by code."""
    days = {BillingFrequency.DAILY: 1, BillingFrequency.WEEKLY: 7, BillingFrequency.MONTHLY: 31, BillingFrequency.ANNUALLY: 372}
    ranks = {t.plan_id: (days[t.frequency] * t.interval, t.plan_code, t.plan_id) for t in terms if t.frequency in days}
    members: dict[str, list[tuple[int, str, str]]] = {}
    for link in configuration.entities(PlanGroupLink).values():
        if link.plan_id in ranks:
            members.setdefault(link.plan_group_id, []).append(ranks[link.plan_id])
    rows = [(group, min(found)[2]) for group, found in members.items()]
    return pl.DataFrame(rows, schema={"plan_group_id": pl.String, "plan_id": pl.String}, orient="row")


def _group_anchors(plans: pl.DataFrame, groups: tuple[GroupTerms, ...], leading: pl.DataFrame) -> pl.DataFrame:
    """One anchor per attached plan group, on the bills of its leading plan, whichever of its plans the run bills beside it."""
    numbers = pl.DataFrame(
        [(g.plan_group_id, n, g.currency) for n, g in enumerate(groups)],
        schema={"plan_group_id": pl.String, "_group": pl.UInt32, "_currency": pl.String},
        orient="row",
    )
    grouped = plans.filter(pl.col("plan_group_id").is_not_null()).join(numbers, on="plan_group_id")
    if grouped.is_empty():
        return plans.clear()
    return (
        grouped.join(leading, on=["plan_group_id", "plan_id"], how="semi")
        .with_columns(
            *(pl.lit(None, dtype=plans.schema[name]).alias(name) for name in _PLAN_COLUMNS if name != "currency"),
            role=pl.lit(Role.GROUP.value, dtype=pl.UInt8),
            group_number="_group",
            currency="_currency",
        )
        .select(plans.columns)
    )


def _has_funds(configuration: Configuration) -> bool:
    return any(not configuration.frame(kind).is_empty() for kind in ("Charge", "Commitment", "Balance"))


def _account_anchors(anchors: pl.DataFrame, configuration: Configuration, run: BillRun) -> pl.DataFrame:
    """One anchor per bill of an account with commitments or balances, and per account and day with charges or fees."""
    frame = configuration.frame
    holders = (
        pl.concat([frame("Commitment").select("account_id"), frame("Balance").select("account_id")]).unique().rename({"account_id": "billed_id"})
    )
    key = bill_key(configuration)
    # Of several the one with the longest period, so that the account's anchor covers the whole bill.
    of_bills = anchors.sort("period_start_day", "account_plan_id").unique(key, keep="first")
    events = _due_events(configuration, run)
    joining = of_bills.clear()
    if configuration.organization.consolidate_bills:
        days = events.select("billed_id", "grouping", bill_date="event_date").unique()
        joining = of_bills.join(days, on=["billed_id", "grouping", "bill_date"], how="semi").with_columns(event_date="bill_date")
    of_holders = of_bills.join(holders, on="billed_id", how="semi").join(joining, on=key, how="anti")
    alone = _alone(events, of_bills, configuration, run)
    existing = pl.concat([joining, of_holders])
    of_plans = ("group_number", *_PLAN_COLUMNS, "account_plan_id", "plan_group_id", "contract_id", "child_billing_mode")
    emptied = {name: pl.lit(None, dtype=anchors.schema[name]) for name in of_plans}
    joined = existing.with_columns(
        **emptied,
        **_NO_WINDOWS,
        account_id="billed_id",
        account_number="billed_number",
        account_code="billed_code",
        role=pl.lit(Role.ACCOUNT.value, dtype=pl.UInt8),
    )
    return pl.concat([joined, _ad_hoc(alone, anchors, configuration, run)], how="vertical")


def _due_events(configuration: Configuration, run: BillRun) -> pl.DataFrame:
    """``billed_id``, ``grouping`` and ``event_date`` of the charges and fees that the run bills, distinct."""
    zone = zone_of(configuration, run)
    dated = [f.select(_EVENTS.keys()) for f in (dated_charges(configuration, zone), fee_days(configuration))]
    events = with_grouping(pl.concat(dated), configuration).rename({"account_id": "billed_id"}).select("billed_id", "grouping", "event_date").unique()
    if run.last_date_in_billing_period is not None:
        return events.filter(pl.col("event_date") == (run.bill_date or run.last_date_in_billing_period + DAY))
    return events.filter(pl.col("event_date") <= (run.bill_date or run.today))


def _alone(events: pl.DataFrame, of_bills: pl.DataFrame, configuration: Configuration, run: BillRun) -> pl.DataFrame:
    """The events with bills of their own. Without a last date, as of regular periods, the last ones up to the run's day.

    Their bill is dated by themselves, so that running again finds the same bill. Where bills are consolidated, only events after the
    account's other bills: on an earlier date there may be a bill with more on it than this run knows.
    """
    keys = ["billed_id", "grouping"]
    if configuration.organization.consolidate_bills:
        others = of_bills.group_by(keys).agg(billed_until=pl.col("bill_date").max())
        events = events.join(others, on=keys, how="left").filter(~(pl.col("event_date") <= pl.col("billed_until")).fill_null(False))
    if run.last_date_in_billing_period is not None:
        return events
    return events.filter(pl.col("event_date") == pl.col("event_date").max().over(keys))


def _ad_hoc(events: pl.DataFrame, like: pl.DataFrame, configuration: Configuration, run: BillRun) -> pl.DataFrame:
    """Anchors of bills of their own, for a day's charges and fees; the period is the day before the bill date."""
    if run.billing_frequency not in (None, BillingFrequency.MIXED, BillingFrequency.AD_HOC) and not configuration.organization.consolidate_bills:
        return like.clear()
    zone = zone_of(configuration, run)
    last = run.last_date_in_billing_period
    ends = pl.lit(last + DAY, dtype=pl.Date) if last is not None else pl.col("event_date")
    billed = (
        events.join(billed_accounts(configuration), on="billed_id").with_columns(_end=ends).with_columns(_start=pl.col("_end") - timedelta(days=1))
    )
    days = sorted({*billed["_end"], *billed["_start"]})
    at = dict(zip(days, (midnight(d, zone) for d in days), strict=True))
    instants = {
        name: pl.col(day).replace_strict(at, return_dtype=INSTANT) if at else pl.lit(None, dtype=INSTANT)
        for name, day in (("previous_at", "_start"), ("period_end_at", "_end"))
    }
    filled = billed.with_columns(
        **instants,
        **_NO_WINDOWS,
        account_id="billed_id",
        account_number="billed_number",
        account_code="billed_code",
        role=pl.lit(Role.ACCOUNT.value, dtype=pl.UInt8),
        frequency=pl.lit(str(BillingFrequency.AD_HOC)),
        interval=pl.lit(1, dtype=pl.Int32),
        epoch="_end",
        step_days=pl.lit(1, dtype=pl.Int32),
        step_months=pl.lit(0, dtype=pl.Int32),
        k=pl.lit(0, dtype=pl.Int32),
        previous_day="_start",
        period_start_day="_start",
        period_end_day="_end",
        bill_date="event_date",
        bill_currency=bill_currency(configuration, run),
    )
    return filled.select((pl.col(n) if n in filled.columns else pl.lit(None).alias(n)).cast(t) for n, t in like.schema.items())
