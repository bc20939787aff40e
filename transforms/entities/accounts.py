"""Who pays: accounts and the plans attached to them."""

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from transforms.entities.organization import BillCreditType, DaysBeforeDue, StatementAutoGenerateMode
from transforms.entities.resource import (
    Code,
    CodeReference,
    Day,
    EmailAddress,
    EntityWithCustomFields,
    Id,
    Instant,
    Name,
    ReadOnly,
    Reference,
    ValueObject,
)


class Address(ValueObject):
    """A postal address."""

    address_line1: Annotated[str | None, StringConstraints(max_length=50)] = None
    address_line2: Annotated[str | None, StringConstraints(max_length=50)] = None
    address_line3: str | None = None
    address_line4: str | None = None
    locality: Annotated[str | None, StringConstraints(max_length=100)] = None
    region: Annotated[str | None, StringConstraints(max_length=50)] = None
    post_code: Annotated[str | None, StringConstraints(max_length=20)] = None
    country: Annotated[str | None, StringConstraints(max_length=100)] = None


class Account(EntityWithCustomFields):
    """An end customer. Its dense ``account_number`` (column only) is its key in the datasets. Source: usage.md 2.6."""

    name: Name
    code: Code
    email_address: EmailAddress
    address: Address | None = None
    parent_account_id: Annotated[Id | None, Reference("Account")] = None
    bill_epoch: Day | None = None
    purchase_order_number: Annotated[str | None, StringConstraints(max_length=100)] = None
    currency: Annotated[str | None, CodeReference("Currency")] = None
    statement_definition_id: Annotated[Id | None, Reference("StatementDefinition")] = None
    auto_generate_statement_mode: StatementAutoGenerateMode | None = None
    credit_application_order: list[BillCreditType] | None = None
    days_before_bill_due: DaysBeforeDue | None = None


class ChildBillingMode(StrEnum):
    """Where the usage of child accounts is billed (billing.md 7)."""

    PARENT_SUMMARY = "PARENT_SUMMARY"
    PARENT_BREAKDOWN = "PARENT_BREAKDOWN"
    CHILD = "CHILD"


class AccountPlan(EntityWithCustomFields):
    """A plan, or a plan group with all its plans, attached to an account for a time. Source: billing.md 2, 6.1."""

    account_id: Annotated[Id, Reference("Account")]
    plan_id: Annotated[Id | None, Reference("Plan")] = None
    plan_group_id: Annotated[Id | None, Reference("PlanGroup")] = None
    #: The plan's product; a plan group has several.
    product_id: Annotated[Id | None, Reference("Product"), ReadOnly()] = None
    start_date: Instant
    end_date: Instant | None = None
    code: Code | None = None
    bill_epoch: Day | None = None
    contract_id: Annotated[Id | None, Reference("Contract")] = None
    child_billing_mode: ChildBillingMode | None = None
