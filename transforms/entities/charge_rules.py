"""Rules of charges and counter adjustments. Source: billing.md 6.3, 6.5."""

from transforms.entities.balances import Balance
from transforms.entities.charges import Charge, ChargeEntityType, ChargeLineItemType
from transforms.entities.contract_rules import contract_problems
from transforms.entities.counter_adjustments import CounterAdjustment
from transforms.entities.fund_rules import Problems, value_problems
from transforms.entities.resource import IDS, Filter, Neighbours, Resource, refuse

_LINE_ITEM_TYPES = {ChargeEntityType.AD_HOC: ChargeLineItemType.AD_HOC, ChargeEntityType.BALANCE: ChargeLineItemType.BALANCE_FEE}


def _checked_charge(charge: Charge | None, neighbours: Neighbours, previous: Charge | None) -> Charge | None:
    if charge is None:
        return None
    if previous is not None:
        charge = charge.model_copy(update={"schedule_id": previous.schedule_id})
    refuse(
        (
            *value_problems(charge.amount, charge.units, charge.unit_price),
            *_charge_problems(charge, previous),
            *_balance_problems(charge, neighbours),
            *contract_problems(charge.contract_id, charge.account_id, neighbours),
        )
    )
    return charge


def _charge_problems(charge: Charge, previous: Charge | None) -> Problems:
    yield (
        charge.service_period_end_date < charge.service_period_start_date,
        "servicePeriodEndDate",
        "the service period ends before it begins",
    )
    yield (
        previous is not None and previous.account_id != charge.account_id,
        "accountId",
        "accountId can't change: delete the charge and create it for the other account",
    )
    wanted = _LINE_ITEM_TYPES[charge.entity_type]
    yield charge.line_item_type is not wanted, "lineItemType", f"a charge of entityType {charge.entity_type} has lineItemType {wanted}"


def _balance_problems(charge: Charge, neighbours: Neighbours) -> Problems:
    is_of_balance = charge.entity_type is ChargeEntityType.BALANCE
    yield is_of_balance and charge.entity_id is None, "entityId", "entityId is required for a charge of entityType BALANCE: the id of the balance"
    yield not is_of_balance and charge.entity_id is not None, "entityId", "entityId is only for charges of entityType BALANCE; leave it out"
    balance = neighbours.entity(Balance, charge.entity_id) if is_of_balance and charge.entity_id is not None else None
    yield (
        balance is not None and balance.account_id != charge.account_id,
        "entityId",
        f"balance {balance.code if balance else ''} is of another account; name a balance of account {charge.account_id}",
    )


RESOURCES = (
    Resource(
        Charge,
        "charges",
        # A schedule bills a period once, whoever runs it.
        unique=(("account_id", "code"), ("schedule_id", "service_period_start_date")),
        filters=IDS
        | {
            "accountId": Filter("account_id", "equal"),
            "entityType": Filter("entity_type", "equal"),
            "entityId": Filter("entity_id", "equal"),
            "billDate": Filter("bill_date", "equal"),
            "scheduleId": Filter("schedule_id", "equal"),
        },
        check=_checked_charge,
        page_size_max=200,
    ),
    Resource(
        CounterAdjustment,
        "counteradjustments",
        unique=(("counter_id", "account_id", "date"),),
        filters={
            "counterId": Filter("counter_id", "equal", is_required=True),
            "accountId": Filter("account_id", "equal"),
            "date": Filter("date", "equal", beside=("accountId",)),
            "dateStart": Filter("date", "from", beside=("accountId",)),
            "dateEnd": Filter("date", "until", beside=("accountId",)),
            "endDateStart": Filter("date", "from", beside=("accountId",)),
            "endDateEnd": Filter("date", "until", beside=("accountId",)),
            "sortOrder": Filter("date", "order"),
        },
    ),
)
