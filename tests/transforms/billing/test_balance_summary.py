"""What a balance's transactions come to."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from transforms.billing.balance_summary import ENTRIES, summary
from transforms.entities.balances import Balance
from transforms.entities.documents import validated

D = Decimal
END = datetime(2026, 1, 1, tzinfo=UTC)
BODY = {"accountId": "0" * 36, "code": "b", "name": "b", "currency": "USD", "startDate": "2025-01-01", "endDate": "2026-01-01"}


def at(month: int, year: int = 2025) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def summed(rows: list[tuple[str, datetime, datetime | None]], now: datetime = END, **fields: Any) -> dict[str, Decimal]:
    frame = pl.DataFrame([(D(amount), applied, start) for amount, applied, start in rows], schema=ENTRIES, orient="row")
    return summary(frame, validated(Balance, BODY | fields), now).model_dump(by_alias=True)


@pytest.mark.parametrize(
    ("fields", "left", "expired"),
    [
        ({"rolloverAmount": 800, "rolloverEndDate": "2026-06-01"}, "1000", "200"),  # H02
        ({"rolloverEndDate": "2026-06-01"}, "300", "0"),  # H07
        ({"rolloverAmount": 800, "rolloverEndDate": "2026-06-01"}, "300", "0"),
        ({}, "1000", "1000"),
        ({}, "-5", "0"),
    ],
)
def test_what_is_left_at_the_end_expires_unless_it_rolls_over(fields: dict[str, Any], left: str, expired: str) -> None:
    assert summed([(left, at(1), None)], **fields)["expiredBalanceAmount"] == D(expired)
    assert summed([(left, at(1), None)], now=at(12), **fields)["expiredBalanceAmount"] == 0


def test_draws_are_of_the_balance_until_its_end_and_of_the_rollover_after_it() -> None:
    rows = [
        ("300", at(1), None),
        ("50", at(2), None),
        ("-20", at(2), None),
        ("-100", at(3), at(2)),
        # Its period begins within the balance's life and ends after it.
        ("-30", datetime(2026, 1, 15, tzinfo=UTC), datetime(2025, 12, 15, tzinfo=UTC)),
        ("-75", at(2, 2026), at(1, 2026)),
    ]
    assert summed(rows, rolloverAmount=150, rolloverEndDate="2026-06-01") == {
        "totalCreditAmount": D(350),
        "totalDebitAmount": D(225),
        "initialCreditAmount": D(300),
        "expiredBalanceAmount": D(50),
        "rolloverConsumed": D(75),
        "balanceConsumed": D(130),
    }


def test_a_balance_without_transactions_is_all_zeros() -> None:
    assert set(summed([]).values()) == {D(0)}
