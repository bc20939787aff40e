"""Ending what an account is billed by on one date: the request, and what it does to one entity. Source: billing.md 2.5.

Put here what needs no database. Which entities belong to an account or contract is pipelines.storage.end_dating.
"""

from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from transforms.entities.accounts import AccountPlan
from transforms.entities.commitments import Commitment
from transforms.entities.contracts import Contract
from transforms.entities.counters import CounterPricing
from transforms.entities.plans import Pricing
from transforms.entities.resource import Flag, Instant, ValueObject

Ended = Contract | AccountPlan | Commitment | Pricing | CounterPricing


class BillingEntity(StrEnum):
    """A kind of entity that can be ended with others."""

    CONTRACT = "CONTRACT"
    ACCOUNTPLAN = "ACCOUNTPLAN"
    PREPAYMENT = "PREPAYMENT"
    PRICINGS = "PRICINGS"
    COUNTER_PRICINGS = "COUNTER_PRICINGS"


class EndDateRequest(ValueObject):
    """End these kinds of entities on that date."""

    end_date: Instant
    apply_to_children: Flag = False
    billing_entities: Annotated[list[BillingEntity], Field(min_length=1)]


def end_day(at: datetime, zone: ZoneInfo) -> date:
    """The day from which on something is over that knows days only: the local one, or the one whose midnight in UTC was named.

    Clients write a day alone as its midnight in UTC, which is the evening before in zones west of it.
    """
    return at.date() if at.time() == time() else at.astimezone(zone).date()


def end_of(one: Ended, at: datetime, zone: ZoneInfo) -> datetime | date:
    """The new end in the entity's own terms: an instant, or a day for contracts and commitments."""
    return end_day(at, zone) if isinstance(one, Contract | Commitment) else at


def is_over(one: Ended, end: datetime | date) -> bool:
    """True when it ends by then already: ending never makes anything longer."""
    return one.end_date is not None and one.end_date <= end


def starts_later(one: Ended, end: datetime | date) -> bool:
    """True when it has not begun by then, so it can't end then."""
    return one.start_date >= end
