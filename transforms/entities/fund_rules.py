"""Rules of commitments, balances and their schedules. Source: billing.md 5.1-5.9; DECISIONS 29."""

from collections.abc import Iterator
from decimal import Decimal

from transforms.billing.balance_schedules import MOST_RUNS, has_too_many_runs, next_run
from transforms.entities.balances import Balance, BalanceChargeSchedule, BalanceTransactionSchedule
from transforms.entities.commitments import Commitment
from transforms.entities.contract_rules import contract_problems
from transforms.entities.organization import OrganizationConfig
from transforms.entities.plans import Plan
from transforms.entities.resource import IDS, Filter, Neighbours, Resource, refuse

Problems = Iterator[tuple[bool, str, str]]
Schedule = BalanceTransactionSchedule | BalanceChargeSchedule
#: Last year in which a schedule may still run.
_LAST_YEAR = 8999


def value_problems(amount: object, units: object, unit_price: object) -> Problems:
    """What is wrong with a value that is either an amount, or units at a unit price. Source: billing.md 5.9, 6.5."""
    by_units = units is not None or unit_price is not None
    yield amount is not None and by_units, "amount", "give either amount, or units and unitPrice, not both: a charge has one value"
    yield amount is None and not by_units, "amount", "amount is required, or units together with unitPrice"
    yield unit_price is not None and units is None, "units", "units is required beside unitPrice: the charge is units x unitPrice"
    yield units is not None and unit_price is None, "unitPrice", "unitPrice is required beside units: the charge is units x unitPrice"


def _moved(fund: Commitment | Balance, previous: Commitment | Balance | None) -> Problems:
    yield (
        previous is not None and previous.account_id != fund.account_id,
        "accountId",
        "accountId can't change: what was put in and drawn belongs to the account; create another one there",
    )
    moved = previous.amount_spent if isinstance(previous, Commitment) else previous.amount if previous is not None else None
    yield (
        previous is not None and previous.currency != fund.currency and bool(moved),
        "currency",
        f"currency can't change any more: its transactions are in {previous.currency if previous else ''}",
    )


def _checked_commitment(commitment: Commitment | None, neighbours: Neighbours, previous: Commitment | None) -> Commitment | None:
    if commitment is None:
        return None
    refuse(
        (
            *_commitment_problems(commitment),
            *_fee_problems(commitment),
            *_billing_plan_problems(commitment, neighbours),
            *contract_problems(commitment.contract_id, commitment.account_id, neighbours),
            *_moved(commitment, previous),
        )
    )
    return commitment


def _commitment_problems(commitment: Commitment) -> Problems:
    yield (
        commitment.end_date <= commitment.start_date,
        "endDate",
        "endDate must be after startDate: the commitment holds from startDate until the day before endDate",
    )
    pre_paid = commitment.amount_pre_paid or Decimal(0)
    yield pre_paid > commitment.amount, "amountPrePaid", "amountPrePaid can't be more than amount: it is the part of it that is paid already"
    yield (
        commitment.amount_first_bill is not None and commitment.amount_first_bill > max(Decimal(0), commitment.amount - pre_paid),
        "amountFirstBill",
        "amountFirstBill can't be more than amount less amountPrePaid, which is all that is left to bill",
    )
    yield (
        bool(commitment.separate_overage_usage) and bool(commitment.overage_surcharge_percent),
        "separateOverageUsage",
        "separateOverageUsage can't be combined with overageSurchargePercent: usage beyond the commitment is either a line of its own or surcharged",
    )


def _fee_problems(commitment: Commitment) -> Problems:
    yield (
        commitment.billing_plan_id is not None and bool(commitment.fee_dates),
        "feeDates",
        "give either billingPlanId or feeDates, not both: fees are billed with a plan or on dates of their own",
    )
    for index, fee in enumerate(commitment.fee_dates):
        yield (
            fee.service_period_end_date < fee.service_period_start_date,
            f"feeDates[{index}].servicePeriodEndDate",
            f"the service period of the fee of {fee.date} ends before it begins",
        )


def _billing_plan_problems(commitment: Commitment, neighbours: Neighbours) -> Problems:
    plan = neighbours.entity(Plan, commitment.billing_plan_id) if commitment.billing_plan_id is not None else None
    yield (
        plan is not None and plan.account_id is not None and plan.account_id != commitment.account_id,
        "billingPlanId",
        f"plan {plan.code if plan else ''} is a custom plan of another account, so the commitment's fees can't be billed with it",
    )


def _checked_balance(balance: Balance | None, neighbours: Neighbours, previous: Balance | None) -> Balance | None:
    if balance is None:
        return None
    refuse(
        (
            *_balance_problems(balance),
            *contract_problems(balance.contract_id, balance.account_id, neighbours),
            *_moved(balance, previous),
        )
    )
    return balance


def _balance_problems(balance: Balance) -> Problems:
    yield (
        balance.end_date <= balance.start_date,
        "endDate",
        "endDate must be after startDate: the balance can be drawn from startDate until just before endDate",
    )
    yield (
        balance.rollover_amount is not None and balance.rollover_end_date is None,
        "rolloverEndDate",
        "rolloverEndDate is required beside rolloverAmount: until when what rolls over can be drawn",
    )
    yield (
        balance.rollover_end_date is not None and balance.rollover_end_date <= balance.end_date,
        "rolloverEndDate",
        "rolloverEndDate must be after endDate, when the rollover begins",
    )


def _checked_schedule(schedule: Schedule | None, neighbours: Neighbours, previous: Schedule | None) -> Schedule | None:
    if schedule is None:
        return None
    schedule = schedule.model_copy(update={"previous_run": previous.previous_run if previous is not None else None})
    refuse(_transaction_schedule_problems(schedule) if isinstance(schedule, BalanceTransactionSchedule) else _charge_schedule_problems(schedule))
    organization = next(iter(neighbours.entities(OrganizationConfig)), OrganizationConfig())
    refuse(
        [
            (
                has_too_many_runs(schedule, organization),
                "endDate" if isinstance(schedule, BalanceTransactionSchedule) else "servicePeriodEndDate",
                f"the schedule would run more than {MOST_RUNS} times; let it end earlier or run less often",
            )
        ]
    )
    return schedule.model_copy(update={"next_run": next_run(schedule, organization)})


def _transaction_schedule_problems(schedule: BalanceTransactionSchedule) -> Problems:
    yield (
        schedule.end_date <= schedule.start_date,
        "endDate",
        "endDate must be after startDate: the schedule runs from startDate until before endDate",
    )
    yield schedule.end_date.year > _LAST_YEAR, "endDate", f"endDate must lie before the year {_LAST_YEAR + 1}"


def _charge_schedule_problems(schedule: BalanceChargeSchedule) -> Problems:
    yield (
        schedule.service_period_end_date <= schedule.service_period_start_date,
        "servicePeriodEndDate",
        "servicePeriodEndDate must be after servicePeriodStartDate: charges are for the time between them",
    )
    yield schedule.service_period_end_date.year > _LAST_YEAR, "servicePeriodEndDate", f"it must lie before the year {_LAST_YEAR + 1}"
    yield from value_problems(schedule.amount, schedule.units, schedule.unit_price)


RESOURCES = (
    Resource(
        Commitment,
        "commitments",
        filters=IDS
        | {
            "accountId": Filter("account_id", "equal"),
            "productId": Filter("product_ids", "contains"),
            "contractId": Filter("contract_id", "equal"),
            "date": Filter("start_date", "active"),
            "endDateStart": Filter("end_date", "from"),
            "endDateEnd": Filter("end_date", "until"),
        },
        check=_checked_commitment,
    ),
    Resource(
        Balance,
        "balances",
        unique=(("account_id", "code"),),
        filters=IDS
        | {
            "accountId": Filter("account_id", "equal"),
            "contract": Filter("contract_id", "equal"),
            "contractId": Filter("contract_id", "equal"),
            "endDateStart": Filter("rollover_end_date", "from", otherwise="end_date"),
            "endDateEnd": Filter("rollover_end_date", "until", otherwise="end_date"),
        },
        check=_checked_balance,
    ),
    Resource(
        BalanceTransactionSchedule,
        "balancetransactionschedules",
        parent="balance_id",
        unique=(("balance_id", "code"),),
        filters=IDS,
        check=_checked_schedule,
        page_size_max=200,
    ),
    Resource(
        BalanceChargeSchedule,
        "balancechargeschedules",
        parent="balance_id",
        unique=(("balance_id", "code"),),
        filters=IDS,
        check=_checked_schedule,
        page_size_max=200,
    ),
)
