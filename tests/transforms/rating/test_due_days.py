"""Days that bill runs are due on: the same ones on which a run finds account plans to bill, and slots of schedules."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, Configuration
from transforms.entities.organization import CustomFields, OrganizationConfig
from transforms.entities.plans import Plan, PlanTemplate
from transforms.entities.resource import BillingFrequency
from transforms.entities.usage import Product
from transforms.rating.due_days import due_last_days, late_usage_until, scheduled_slot
from transforms.rating.run import BillRun
from transforms.rating.selection import due_account_plans
from transforms.rating.terms import plan_terms

DAY = timedelta(days=1)
GENERAL_EPOCHS = {"day_epoch": date(2012, 1, 1), "week_epoch": date(2012, 1, 2), "month_epoch": date(2012, 1, 1), "year_epoch": date(2012, 1, 1)}
TEMPLATE, PLAN, PRODUCT = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2, 3))


def configuration_of(
    frequency: BillingFrequency = BillingFrequency.MONTHLY,
    interval: int = 1,
    *,
    start: datetime = datetime(2013, 1, 1, tzinfo=UTC),
    end: datetime | None = None,
    plan_epoch: date | None = None,
    account_epoch: date | None = None,
    zone: str = "UTC",
    general_epochs: Mapping[str, date] = GENERAL_EPOCHS,
) -> Configuration:
    """One organization with one account on one plan."""
    template = PlanTemplate(
        id=TEMPLATE,
        product_id=PRODUCT,
        name="Template",
        currency="USD",
        standing_charge=Decimal(0),
        bill_frequency=frequency,
        bill_frequency_interval=interval,
    )
    account = {"account_id": "a", "account_number": 1, "account_code": "alpha", "bill_epoch": account_epoch}
    account_plan = {"account_plan_id": "ap", "account_id": "a", "plan_id": PLAN, "start_date": start, "end_date": end, "bill_epoch": plan_epoch}
    return Configuration(
        organization_id="o",
        as_of=datetime(2014, 1, 1, tzinfo=UTC),
        organization=OrganizationConfig(timezone=zone, **general_epochs),
        custom_fields=CustomFields(),
        small={
            "PlanTemplate": {TEMPLATE: template},
            "Plan": {PLAN: Plan(id=PLAN, plan_template_id=TEMPLATE, product_id=PRODUCT, name="Plan", code="plan")},
            "Product": {PRODUCT: Product(id=PRODUCT, name="Product", code="product")},
        },
        accounts=pl.DataFrame([account], schema=ACCOUNTS_SCHEMA),
        account_plans=pl.DataFrame([account_plan], schema=ACCOUNT_PLANS_SCHEMA),
        hash="",
    )


def test_a_monthly_plan_is_due_on_the_last_day_of_every_month_it_is_active_in() -> None:
    configuration = configuration_of(start=datetime(2013, 1, 15, tzinfo=UTC), end=datetime(2013, 3, 10, tzinfo=UTC))
    assert due_last_days(configuration, date(2012, 1, 1), date(2014, 12, 31)) == [date(2013, 1, 31), date(2013, 2, 28), date(2013, 3, 31)]


def test_only_the_accounts_asked_for_count() -> None:
    configuration = configuration_of()
    assert due_last_days(configuration, date(2013, 1, 1), date(2013, 1, 31), account_codes=("alpha",)) == [date(2013, 1, 31)]
    assert due_last_days(configuration, date(2013, 1, 1), date(2013, 1, 31), account_codes=("beta",)) == []


FREQUENCIES = st.sampled_from([BillingFrequency.DAILY, BillingFrequency.WEEKLY, BillingFrequency.MONTHLY, BillingFrequency.ANNUALLY])
EPOCHS = st.none() | st.dates(date(2012, 1, 1), date(2013, 6, 30))


@settings(max_examples=25)
@given(
    frequency=FREQUENCIES,
    interval=st.integers(1, 3),
    start=st.dates(date(2012, 11, 1), date(2013, 3, 1)),
    start_hour=st.sampled_from([0, 5, 13]),
    length=st.none() | st.integers(1, 90),
    plan_epoch=EPOCHS,
    account_epoch=EPOCHS,
    zone=st.sampled_from(["UTC", "America/New_York"]),
    general_epochs=st.sampled_from([GENERAL_EPOCHS, {}]),
    first=st.dates(date(2012, 11, 1), date(2013, 7, 1)),
)
def test_due_are_exactly_the_days_on_which_a_bill_run_finds_something_to_bill(
    *,
    frequency: BillingFrequency,
    interval: int,
    start: date,
    start_hour: int,
    length: int | None,
    plan_epoch: date | None,
    account_epoch: date | None,
    zone: str,
    general_epochs: Mapping[str, date],
    first: date,
) -> None:
    starts = datetime(start.year, start.month, start.day, start_hour, tzinfo=UTC)
    configuration = configuration_of(
        frequency,
        interval,
        start=starts,
        end=None if length is None else starts + length * DAY,
        plan_epoch=plan_epoch,
        account_epoch=account_epoch,
        zone=zone,
        general_epochs=general_epochs,
    )
    terms = plan_terms(configuration)
    days = [first + n * DAY for n in range(33)]
    runs = {day: BillRun(today=date(2014, 1, 1), last_date_in_billing_period=day) for day in days}
    billed = [day for day, run in runs.items() if not due_account_plans(configuration, run, terms).is_empty()]
    assert due_last_days(configuration, days[0], days[-1]) == billed


@pytest.mark.parametrize(
    ("interval", "offset", "zone", "due"),
    [
        ("0.25", 0, "UTC", 96),
        ("0.5", 0, "Asia/Kathmandu", 48),
        ("8", 0, "Europe/Berlin", 3),
        ("24", 0, "America/New_York", 1),
        ("24", 23, "UTC", 1),
    ],
)
def test_a_day_has_one_slot_per_interval(interval: str, offset: int, zone: str, due: int) -> None:
    ticks = [datetime(2026, 5, 4, tzinfo=UTC) + n * timedelta(minutes=15) for n in range(97)]
    slots = [scheduled_slot(at, interval_hours=Decimal(interval), offset_hours=offset, zone=zone) for at in ticks]
    assert sum(a != b for a, b in pairwise(slots)) == due


def test_the_daily_run_is_at_the_offset_in_local_time_also_when_midnight_does_not_exist() -> None:
    def slot(at: datetime, offset: int, zone: str) -> tuple[date, int]:
        return scheduled_slot(at, interval_hours=Decimal(24), offset_hours=offset, zone=zone)

    six_in_berlin = datetime(2026, 7, 1, 4, tzinfo=UTC)
    assert slot(six_in_berlin - timedelta(minutes=1), 6, "Europe/Berlin") != slot(six_in_berlin, 6, "Europe/Berlin")
    # In Chile clocks go from 23:59 on 6 September 2025 to 01:00 on the 7th.
    skipped = datetime(2025, 9, 7, 4, tzinfo=UTC)
    assert slot(skipped - timedelta(minutes=1), 0, "America/Santiago") != slot(skipped, 0, "America/Santiago")


def test_late_usage_counts_for_a_day_after_the_period_or_the_plan() -> None:
    november = datetime(2024, 11, 1, tzinfo=UTC)
    assert late_usage_until(november, None) == datetime(2024, 11, 2, tzinfo=UTC)  # D16
    assert late_usage_until(november, datetime(2024, 10, 15, tzinfo=UTC)) == datetime(2024, 10, 16, tzinfo=UTC)  # D17: midnight ends the day
    assert late_usage_until(november, datetime(2025, 1, 1, tzinfo=UTC)) == datetime(2024, 11, 2, tzinfo=UTC)
