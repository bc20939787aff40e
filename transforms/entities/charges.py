"""Charges: single amounts that go on a bill of an account, ad hoc or as the fee of a balance. Source: billing.md 6.5."""

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from transforms.entities.resource import (
    Code,
    CodeReference,
    Day,
    Derived,
    Entity,
    Id,
    Instant,
    Name,
    Number,
    ReadOnly,
    Reference,
)


class ChargeEntityType(StrEnum):
    """What a charge is for: nothing else (AD_HOC) or a balance of the account."""

    AD_HOC = "AD_HOC"
    BALANCE = "BALANCE"


class ChargeLineItemType(StrEnum):
    """As which line a charge stands on the bill."""

    BALANCE_FEE = "BALANCE_FEE"
    AD_HOC = "AD_HOC"


class Charge(Entity):
    """An amount, or units at a unit price, to be billed on ``bill_date`` for a service period (end exclusive)."""

    name: Name
    code: Code
    account_id: Annotated[Id, Reference("Account")]
    bill_date: Day | None = None
    amount: Number | None = None
    units: Number | None = None
    unit_price: Number | None = None
    currency: Annotated[str, StringConstraints(min_length=1), CodeReference("Currency")]
    description: str | None = None
    entity_type: ChargeEntityType
    line_item_type: ChargeLineItemType
    #: The balance, for a charge of type BALANCE.
    entity_id: Annotated[Id | None, Reference("Balance")] = None
    #: The bill it stands on.
    bill_id: Annotated[str | None, Derived()] = None
    accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    service_period_start_date: Instant
    service_period_end_date: Instant
    #: Never shown on the bill.
    notes: str | None = None
    contract_id: Annotated[Id | None, Reference("Contract")] = None
    #: The balance charge schedule that made it.
    schedule_id: Annotated[Id | None, ReadOnly()] = None
