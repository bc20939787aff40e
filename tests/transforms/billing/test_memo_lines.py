"""What credit and debit lines amount to on their bill."""

from decimal import Decimal
from typing import Any

import pytest

from transforms.billing.conversions import CurrencyRounding, Exchange
from transforms.billing.memo_lines import CreditLineItem, DebitLineItem, memo_amounts
from transforms.entities.documents import validated
from transforms.errors import EntityInvalid
from transforms.money import RoundingMode

D = Decimal
PRODUCT = "00000000-0000-4000-8000-000000000001"
REASON = "00000000-0000-4000-8000-000000000002"
BODY = {
    "amount": 10,
    "description": "Goodwill",
    "productId": PRODUCT,
    "servicePeriodStartDate": "2025-01-01T00:00:00Z",
    "servicePeriodEndDate": "2025-02-01T00:00:00Z",
}
DOLLARS, YEN = CurrencyRounding("USD"), CurrencyRounding("JPY", places=0)


def exchange(rate: str | None, *, line: CurrencyRounding = DOLLARS, bill: CurrencyRounding = YEN) -> Exchange:
    return Exchange(line, bill, None if rate is None else D(rate))


@pytest.mark.parametrize(
    ("kind", "body", "applied"),
    [
        (CreditLineItem, {}, "-10"),
        (DebitLineItem, {}, "10"),
        (CreditLineItem, {"amountToApplyOnBill": 4}, "-4"),
        (DebitLineItem, {"amountToApplyOnBill": 0}, "0"),
    ],
)
def test_the_kind_gives_the_sign_and_the_applied_part_the_amount(kind: Any, body: dict[str, Any], applied: str) -> None:
    assert validated(kind, BODY | body).applied == D(applied)


@pytest.mark.parametrize(
    ("rate", "applied", "subtotal", "converted"),
    [
        ("150.5", "-1.005", "-1.01", "-152"),  # halves away from zero, in each currency
        ("150", "0.004", "0", "0"),
        ("1", "2.5", "2.5", "3"),
    ],
)
def test_amounts_are_rounded_in_both_currencies(rate: str, applied: str, subtotal: str, converted: str) -> None:
    amounts = memo_amounts(D(applied), exchange(rate))
    assert (amounts.subtotal, amounts.conversion_rate, amounts.converted_subtotal) == (D(subtotal), D(rate), D(converted))


@pytest.mark.parametrize(
    ("applied", "given", "field"),
    [
        ("1", exchange(None), "currency"),
        ("1.234", exchange("1", line=CurrencyRounding("USD", 2, RoundingMode.UNNECESSARY)), "amount"),
        ("1" + "0" * 25, exchange("100"), "amount"),
    ],
)
def test_what_has_no_amount_is_refused(applied: str, given: Exchange, field: str) -> None:
    with pytest.raises(EntityInvalid) as refused:
        memo_amounts(D(applied), given)
    assert refused.value.problems[0].field == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"servicePeriodEndDate": "2024-12-31T00:00:00Z"}, "servicePeriodEndDate"),
        ({"amountToApplyOnBill": 11}, "amountToApplyOnBill"),
        ({"referencedLineItemId": REASON}, "referencedBillId"),
        ({"reasonId": REASON, "creditReasonId": PRODUCT}, "reasonId"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(body: dict[str, Any], field: str) -> None:
    with pytest.raises(EntityInvalid) as refused:
        validated(CreditLineItem, BODY | body).checked()
    assert [problem.field for problem in refused.value.problems] == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amountToApplyOnBill": -1}, "amountToApplyOnBill"),
        ({"description": ""}, "description"),
        ({"productId": None}, "productId"),
        ({"lineItemType": "GIFT"}, "lineItemType"),
    ],
)
def test_bounds(body: dict[str, Any], field: str) -> None:
    with pytest.raises(EntityInvalid) as refused:
        validated(DebitLineItem, BODY | body)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_a_reason_has_two_names() -> None:
    assert validated(CreditLineItem, BODY | {"creditReasonId": REASON}).picked_reason_id == REASON
    assert validated(DebitLineItem, BODY | {"reasonId": REASON}).picked_reason_id == REASON
    assert validated(DebitLineItem, BODY).picked_reason_id is None
