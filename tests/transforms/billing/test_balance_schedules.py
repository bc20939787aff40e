"""When schedules of balances run: every due date once, in the organization's time, cut and long periods as plans have them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from transforms.billing.balance_schedules import charge_runs, next_run, runs, transaction_runs
from transforms.entities.balances import BalanceChargeSchedule, BalanceTransactionSchedule
from transforms.entities.documents import validated
from transforms.entities.organization import OrganizationConfig

ID = "0" * 36
UTC_ORGANIZATION = OrganizationConfig()
BERLIN = OrganizationConfig(timezone="Europe/Berlin")


def transactions(start: str, end: str, frequency: str = "MONTHLY", interval: int = 1) -> BalanceTransactionSchedule:
    body = {"name": "s", "code": "s", "amount": 100, "transactionDescription": "d", "transactionTypeId": ID, "balanceId": ID}
    return validated(BalanceTransactionSchedule, {**body, "startDate": start, "endDate": end, "frequency": frequency, "frequencyInterval": interval})


def charges(start: str, end: str, **fields: Any) -> BalanceChargeSchedule:
    body = {"name": "s", "code": "s", "amount": 10, "currency": "USD", "chargeDescription": "fee", "balanceId": ID, "billInAdvance": False}
    when = {"servicePeriodStartDate": start, "servicePeriodEndDate": end, "billFrequency": "MONTHLY", "billFrequencyInterval": 1}
    return validated(BalanceChargeSchedule, {**body, **when, **fields})


def test_a_year_of_months_has_twelve_runs() -> None:
    """H05: 100 a month from January 2025 for a year is 1,200."""
    schedule = transactions("2025-01-01", "2026-01-01")
    found = [run.at for run in transaction_runs(schedule, UTC_ORGANIZATION)]
    assert (len(found), found[0], found[-1]) == (12, datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 1, tzinfo=UTC))
    assert len(found) * schedule.amount == 1200


def test_month_ends_are_clipped_and_remembered() -> None:
    found = [run.at.date() for run in transaction_runs(transactions("2025-01-31", "2025-06-01"), UTC_ORGANIZATION)]
    assert found == [date(2025, 1, 31), date(2025, 2, 28), date(2025, 3, 31), date(2025, 4, 30), date(2025, 5, 31)]


def test_runs_keep_their_local_time_over_changes_of_the_clock() -> None:
    schedule = transactions("2025-03-28T23:00:00Z", "2025-04-01T00:00:00Z", "DAILY")
    found = [run.at.isoformat() for run in transaction_runs(schedule, BERLIN)]
    assert found == ["2025-03-28T23:00:00+00:00", "2025-03-29T23:00:00+00:00", "2025-03-30T22:00:00+00:00", "2025-03-31T22:00:00+00:00"]


CHARGES: tuple[tuple[str, dict[str, Any], list[tuple[str, str, str]]], ...] = (
    (
        "in arrears, a period is billed on the day after it, a cut one whole",
        {},
        [("2025-01-15", "2025-02-01", "2025-02-01"), ("2025-02-01", "2025-03-01", "2025-03-01"), ("2025-03-01", "2025-03-10", "2025-04-01")],
    ),
    (
        "in advance, on its first day, a cut first one beside the one after it",
        {"billInAdvance": True},
        [("2025-01-15", "2025-02-01", "2025-02-01"), ("2025-02-01", "2025-03-01", "2025-02-01"), ("2025-03-01", "2025-03-10", "2025-03-01")],
    ),
    (
        "an epoch after the start makes one long first period",
        {"billEpoch": "2025-03-05"},
        [("2025-01-15", "2025-03-05", "2025-03-05"), ("2025-03-05", "2025-03-10", "2025-04-05")],
    ),
    (
        "an epoch before it gives the phase",
        {"billEpoch": "2024-12-20"},
        [("2025-01-15", "2025-01-20", "2025-01-20"), ("2025-01-20", "2025-02-20", "2025-02-20"), ("2025-02-20", "2025-03-10", "2025-03-20")],
    ),
)


@pytest.mark.parametrize(("why", "fields", "wanted"), CHARGES, ids=[why for why, _, _ in CHARGES])
def test_charges_are_of_bill_periods(why: str, fields: dict[str, Any], wanted: list[tuple[str, str, str]]) -> None:
    found = list(charge_runs(charges("2025-01-15", "2025-03-10", **fields), UTC_ORGANIZATION))
    shown = [(run.at.date().isoformat(), run.until.date().isoformat() if run.until else "", str(run.bill_date)) for run in found]
    assert shown == wanted


def test_periods_of_charges_are_local() -> None:
    found = list(charge_runs(charges("2025-03-01T00:00:00+01:00", "2025-05-01T00:00:00+02:00"), BERLIN))
    edges = [(run.at.isoformat(), run.until.isoformat() if run.until else "") for run in found]
    assert edges == [("2025-02-28T23:00:00+00:00", "2025-03-31T22:00:00+00:00"), ("2025-03-31T22:00:00+00:00", "2025-04-30T22:00:00+00:00")]


@given(
    st.integers(0, 21_000_000).map(lambda minutes: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
    st.integers(1, 900),
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "ANNUALLY"]),
    st.integers(1, 12),
    st.sampled_from([UTC_ORGANIZATION, BERLIN, OrganizationConfig(timezone="America/Sao_Paulo")]),
)
def test_runs_ascend_within_the_schedule_and_each_is_next_once(
    start: datetime, days: int, frequency: str, interval: int, organization: OrganizationConfig
) -> None:
    end = start + timedelta(days=days)
    one = transactions(start.isoformat(), end.isoformat(), frequency, interval)
    other = charges(start.isoformat(), end.isoformat(), billFrequency=frequency, billFrequencyInterval=interval)
    for schedule in (one, other):
        planned = list(runs(schedule, organization))
        instants = [run.at for run in planned]
        assert instants[0] == start
        assert instants == sorted(set(instants))
        assert instants[-1] < end
        walked = []
        current = schedule
        while (following := next_run(current, organization)) is not None and len(walked) <= len(instants):
            walked.append(following)
            current = current.model_copy(update={"previous_run": following})
        assert walked == instants
    # Charges cover the service period without a gap.
    untils = [run.until for run in runs(other, organization)]
    assert untils[:-1] == [run.at for run in runs(other, organization)][1:]
    assert untils[-1] == end
