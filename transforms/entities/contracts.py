"""What was agreed with an account for a time: contracts."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from transforms.entities.resource import Code, Day, EntityWithCustomFields, Flag, Id, Name, Reference, ValueObject


class UsageFilterMode(StrEnum):
    """Whether usage with that value is all that is charged, or is left out."""

    INCLUDE = "INCLUDE"
    EXCLUDE = "EXCLUDE"


class UsageFilter(ValueObject):
    """One value of a meter's string field, by the field's code. Source: billing.md 6.2."""

    dimension_code: Annotated[str, StringConstraints(min_length=1)]
    value: Annotated[str, StringConstraints(min_length=1)]
    mode: UsageFilterMode


class Contract(EntityWithCustomFields):
    """An agreement with an account, from ``start_date`` until the day before ``end_date``. Source: billing.md 6.2."""

    account_id: Annotated[Id, Reference("Account")]
    name: Name
    code: Code | None = None
    description: Annotated[str | None, StringConstraints(max_length=500)] = None
    purchase_order_number: Annotated[str | None, StringConstraints(max_length=100)] = None
    apply_contract_period_limits: Flag = False
    usage_filters: list[UsageFilter] = Field(default_factory=list)
    bill_grouping_key_id: Annotated[Id | None, Reference("BillGroupingKey")] = None
    start_date: Day
    end_date: Day
