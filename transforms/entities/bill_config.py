"""What holds for all bills of the organization."""

from transforms.entities.resource import Day, Entity


class BillConfig(Entity):
    """Bills whose service period ends on or before ``bill_lock_date`` are locked. Source: billing.md 3.2."""

    bill_lock_date: Day | None = None
