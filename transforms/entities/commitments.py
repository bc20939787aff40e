"""Commitments (prepayments): what an account has promised to spend, and how it is billed for that. Source: billing.md 5.1-5.3."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from transforms.entities.accounts import ChildBillingMode
from transforms.entities.resource import (
    Amount,
    CodeReference,
    Day,
    Derived,
    Entity,
    Flag,
    Id,
    Instant,
    Integer,
    Number,
    PositiveNumber,
    Reference,
    References,
    Text,
    ValueObject,
)


class CommitmentLineItemType(StrEnum):
    """What a commitment may pay for."""

    STANDING_CHARGE = "STANDING_CHARGE"
    USAGE = "USAGE"
    MINIMUM_SPEND = "MINIMUM_SPEND"
    COUNTER_RUNNING_TOTAL_CHARGE = "COUNTER_RUNNING_TOTAL_CHARGE"
    COUNTER_ADJUSTMENT_DEBIT = "COUNTER_ADJUSTMENT_DEBIT"


class CommitmentFee(ValueObject):
    """One instalment of a schedule of fees: its bill date, its amount, and the time it pays for (end exclusive)."""

    date: Day
    amount: PositiveNumber
    service_period_start_date: Instant
    service_period_end_date: Instant


class Commitment(Entity):
    """An amount that an account spends between two days, drawn from by bills. Half-open; ``end_date`` is exclusive.

    Its fees are billed with a plan (``billing_plan_id``) or by ``fee_dates``, never both.
    """

    account_id: Annotated[Id, Reference("Account")]
    billing_plan_id: Annotated[Id | None, Reference("Plan")] = None
    #: Only charges of these products draw from it; empty for all.
    product_ids: Annotated[list[Id], Field(max_length=100), References("Product")] = Field(default_factory=list)
    start_date: Day
    end_date: Day
    currency: Annotated[str, StringConstraints(min_length=1), CodeReference("Currency")]
    amount: PositiveNumber
    amount_pre_paid: Amount | None = None
    amount_first_bill: Amount | None = None
    #: What bills have drawn so far.
    amount_spent: Annotated[Number | None, Derived()] = None
    overage_surcharge_percent: Number | None = None
    separate_overage_usage: Flag | None = None
    billing_interval: Annotated[Integer, Field(ge=1, le=365)] | None = None
    billing_offset: Annotated[Integer, Field(ge=0, le=364)] | None = None
    commitment_fee_description: Text | None = None
    commitment_usage_description: Text | None = None
    overage_description: Text | None = None
    commitment_fee_bill_in_advance: Flag | None = None
    bill_epoch: Day | None = None
    contract_id: Annotated[Id | None, Reference("Contract")] = None
    accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    fees_accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    drawdowns_accounting_product_id: Annotated[Id | None, Reference("Product")] = None
    fee_dates: list[CommitmentFee] = Field(default_factory=list)
    child_billing_mode: ChildBillingMode | None = None
    line_item_types: list[CommitmentLineItemType] = Field(default_factory=list)
