"""Counter adjustments: the value that a counter of an account has from a day on. Source: billing.md 6.3."""

from typing import Annotated

from pydantic import Field, StringConstraints

from transforms.entities.resource import Day, Entity, Id, Integer, Reference


class CounterAdjustment(Entity):
    """The counter's new value (not the difference) from that day on; one per counter, account and day."""

    counter_id: Annotated[Id, Reference("Counter")]
    account_id: Annotated[Id, Reference("Account")]
    date: Day
    value: Annotated[Integer, Field(ge=0)]
    purchase_order_number: Annotated[str | None, StringConstraints(max_length=100)] = None
