"""Credit and debit line items (memo lines): what a person may put on a bill, and what it amounts to there.

A memo line is a decision: it stands on its bill as it is, after everything computed, whatever is calculated again
(DECISIONS 28). Put here their fields and amounts; keep out where they are kept (pipelines/storage/memo_store.py).
Source: billing.md 6.6, wire.json MemoLineItemRequest.

Beyond the public API: the references are optional, since a credit of a product refers to no line; ``accountingProductId``
defaults to ``productId``; ``currency`` names another currency than the bill's.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from transforms.billing.conversions import Exchange
from transforms.billing.line_item_types import LineItemType
from transforms.entities.resource import Amount, Entity, Id, Instant, PositiveNumber, refuse
from transforms.errors import EntityInvalid
from transforms.money import EXACT, LIMIT, RoundingMode, exact, rounded


class MemoLine(Entity):
    """A line that a person puts on a bill: ``amount`` is above zero, the kind of memo gives it its sign there.

    Attributes:
        amount_to_apply_on_bill: The part of the amount that this bill carries; all of it when None.
        currency: Of the amount; the bill's when None.
    """

    side: ClassVar[str]
    sign: ClassVar[int]
    default_type: ClassVar[LineItemType]

    amount: PositiveNumber
    amount_to_apply_on_bill: Amount | None = None
    currency: Annotated[str, StringConstraints(min_length=1)] | None = None
    description: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    line_item_type: LineItemType | None = None
    product_id: Id
    accounting_product_id: Id | None = None
    reason_id: Id | None = None
    referenced_bill_id: Id | None = None
    referenced_line_item_id: Id | None = None
    service_period_start_date: Instant
    service_period_end_date: Instant

    @property
    def picked_reason_id(self) -> str | None:
        """The reason, by whichever of its two names it came."""
        return self.reason_id

    @property
    def applied(self) -> Decimal:
        """What the line puts on or takes off the bill, signed and not rounded."""
        return self.sign * (self.amount if self.amount_to_apply_on_bill is None else self.amount_to_apply_on_bill)

    def checked(self) -> None:
        """Raise EntityInvalid when the fields contradict each other."""
        applied = self.amount_to_apply_on_bill
        refuse(
            (
                (
                    self.service_period_end_date < self.service_period_start_date,
                    "servicePeriodEndDate",
                    "servicePeriodEndDate must not be before servicePeriodStartDate",
                ),
                (applied is not None and applied > self.amount, "amountToApplyOnBill", "amountToApplyOnBill must not be above amount"),
                (
                    self.referenced_line_item_id is not None and self.referenced_bill_id is None,
                    "referencedBillId",
                    "referencedBillId is required beside referencedLineItemId: the bill that the line stands on",
                ),
                (
                    self.reason_id is not None and self.picked_reason_id != self.reason_id,
                    "reasonId",
                    "reasonId and the reason of this kind of line name different reasons; give one of them",
                ),
            )
        )


class CreditLineItem(MemoLine):
    """A credit: it takes its amount off the bill."""

    side = "CREDIT"
    sign = -1
    default_type = LineItemType.CREDIT_MEMO

    credit_reason_id: Id | None = Field(default=None)

    @property
    def picked_reason_id(self) -> str | None:
        """The reason, by whichever of its two names it came."""
        return self.credit_reason_id or self.reason_id


class DebitLineItem(MemoLine):
    """A debit: it puts its amount on the bill."""

    side = "DEBIT"
    sign = 1
    default_type = LineItemType.DEBIT_MEMO

    debit_reason_id: Id | None = Field(default=None)

    @property
    def picked_reason_id(self) -> str | None:
        """The reason, by whichever of its two names it came."""
        return self.debit_reason_id or self.reason_id


@dataclass(frozen=True)
class MemoAmounts:
    """What a memo line stands on its bill with: signed, rounded in its own currency and in the bill's (DECISIONS 23)."""

    subtotal: Decimal
    conversion_rate: Decimal
    converted_subtotal: Decimal


def memo_amounts(applied: Decimal, exchange: Exchange) -> MemoAmounts:
    """The amounts of a line.

    Args:
        applied: Signed, in the line's currency, not rounded.
        exchange: From the line's currency to the bill's.

    Raises:
        EntityInvalid: There is no rate, a currency forbids rounding, or the amount does not fit; ``currency`` or ``amount`` is named.
    """
    if exchange.rate is None:
        raise EntityInvalid.of("currency", exchange.missing)
    subtotal = _rounded(applied, exchange.pricing.places, exchange.pricing.mode)
    converted = exact(EXACT.multiply(subtotal, exchange.rate))
    if abs(converted) >= LIMIT:
        raise EntityInvalid.of("amount", "amount must have at most 26 digits before the point, also in the bill's currency")
    return MemoAmounts(subtotal, exchange.rate, _rounded(converted, exchange.bill.places, exchange.bill.mode))


def _rounded(amount: Decimal, places: int, mode: RoundingMode) -> Decimal:
    done = rounded(amount, places=places, mode=mode)
    if mode is RoundingMode.UNNECESSARY and done != amount:
        raise EntityInvalid.of("amount", f"amount must have at most {places} decimals: its currency's roundingMode UNNECESSARY forbids rounding it")
    return done
