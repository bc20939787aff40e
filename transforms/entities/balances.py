"""Balances: money (or, as grants, quantities) put in by transactions and drawn from by bills. Source: billing.md 5.6-5.9.

The transactions themselves are entries of an append-only ledger, never changed; here is what a client writes of one.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from transforms.entities.resource import (
    Amount,
    Code,
    CodeReference,
    Day,
    Derived,
    Entity,
    EntityWithCustomFields,
    Flag,
    Id,
    Instant,
    Integer,
    Name,
    Number,
    ReadOnly,
    Reference,
    References,
    Text,
)


class BalanceLineItemType(StrEnum):
    """What a balance may pay for."""

    STANDING_CHARGE = "STANDING_CHARGE"
    USAGE = "USAGE"
    MINIMUM_SPEND = "MINIMUM_SPEND"
    COUNTER_RUNNING_TOTAL_CHARGE = "COUNTER_RUNNING_TOTAL_CHARGE"
    COUNTER_ADJUSTMENT_DEBIT = "COUNTER_ADJUSTMENT_DEBIT"
    AD_HOC = "AD_HOC"


class Balance(EntityWithCustomFields):
    """What an account has to spend between two instants (end exclusive), after that what rolls over until ``rollover_end_date``."""

    code: Code
    name: Name
    description: str | None = None
    account_id: Annotated[Id, Reference("Account")]
    start_date: Instant
    end_date: Instant
    currency: Annotated[str, StringConstraints(min_length=1), CodeReference("Currency")]
    #: The sum of its transactions.
    amount: Annotated[Number | None, Derived()] = None
    rollover_amount: Amount | None = None
    rollover_end_date: Instant | None = None
    balance_draw_down_description: Text | None = None
    overage_surcharge_percent: Number | None = None
    overage_description: Text | None = None
    #: Only charges of these products draw from it; empty for all.
    product_ids: Annotated[list[Id], References("Product")] = Field(default_factory=list)
    line_item_types: list[BalanceLineItemType] = Field(default_factory=list)
    contract_id: Annotated[Id | None, Reference("Contract")] = None
    consumptions_accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    fees_accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    allow_overdraft: Flag | None = None


class TransactionSource(StrEnum):
    """Who or what put a transaction on a balance."""

    BILL = "BILL"
    COMMITMENT = "COMMITMENT"
    USER = "USER"
    SERVICE_USER = "SERVICE_USER"
    SCHEDULER = "SCHEDULER"


class BalanceTransaction(Entity):
    """One transaction of a balance: positive puts money in, negative takes it out. ``paid`` changes nothing about ``amount``."""

    description: str | None = None
    amount: Number
    paid: Number | None = None
    currency_paid: str | None = None
    transaction_type_id: Annotated[Id | None, Reference("TransactionType")] = None
    #: When the balance is affected.
    applied_date: Instant | None = None
    #: When it happened.
    transaction_date: Instant | None = None
    entity_type: Annotated[TransactionSource | None, ReadOnly()] = None
    entity_id: Annotated[str | None, ReadOnly()] = None


class ScheduleFrequency(StrEnum):
    """How often a schedule of a balance runs."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    ANNUALLY = "ANNUALLY"


class BalanceTransactionSchedule(EntityWithCustomFields):
    """Puts the same transaction on a balance at ``start_date`` and every so often after it, until before ``end_date``."""

    balance_id: Annotated[Id, Reference("Balance")]
    name: Name
    code: Code
    amount: Amount
    transaction_description: Annotated[str, StringConstraints(min_length=1)]
    paid: Number | None = None
    currency_paid: str | None = None
    transaction_type_id: Annotated[Id, Reference("TransactionType")]
    start_date: Instant
    end_date: Instant
    frequency: ScheduleFrequency
    frequency_interval: Annotated[Integer, Field(ge=1, le=365)]
    next_run: Annotated[Instant | None, ReadOnly()] = None
    previous_run: Annotated[Instant | None, ReadOnly()] = None


class BalanceChargeSchedule(EntityWithCustomFields):
    """Bills the same fee for a balance in every bill period that its service period (end exclusive) touches."""

    balance_id: Annotated[Id, Reference("Balance")]
    name: Name
    code: Code
    amount: Amount | None = None
    units: Number | None = None
    unit_price: Number | None = None
    currency: Annotated[str, CodeReference("Currency")]
    service_period_start_date: Instant
    service_period_end_date: Instant
    bill_epoch: Day | None = None
    bill_frequency: ScheduleFrequency
    bill_frequency_interval: Annotated[Integer, Field(ge=1, le=365)]
    bill_in_advance: Flag
    charge_description: Annotated[str, StringConstraints(min_length=1)]
    next_run: Annotated[Instant | None, ReadOnly()] = None
    previous_run: Annotated[Instant | None, ReadOnly()] = None
