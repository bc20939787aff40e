"""Short lists that an organization keeps: reasons of credits and debits, types of transactions, keys that group bills."""

from transforms.entities.resource import Entity, Flag, Identifier, Name


class PickListEntry(Entity):
    """One choice of a list; an archived one is kept for what names it already."""

    name: Name
    code: Identifier | None = None
    archived: Flag = False


class CreditReason(PickListEntry):
    """Why something is credited on a bill. Source: billing.md 6.6."""


class DebitReason(PickListEntry):
    """Why something is debited on a bill. Source: billing.md 6.6."""


class TransactionType(PickListEntry):
    """What a transaction on a balance is. Source: billing.md 5.7."""


class BillGroupingKey(PickListEntry):
    """Which contracts share a bill: an exclusive key gives each contract its own, another one joins all that have it. Source: billing.md 6.2."""

    exclusive: Flag
