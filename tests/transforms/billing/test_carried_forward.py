"""Late usage as lines: what is left to carry, and how it stands on the bill that carries it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st

from transforms.billing.carried_forward import LINES, TARGETS, TOO_LARGE, carried_lines, late_amounts, with_carried
from transforms.configuration import ACCOUNT_PLANS_SCHEMA, ACCOUNTS_SCHEMA, Configuration
from transforms.entities.organization import CurrencyConversion, CustomFields, OrganizationConfig

D = Decimal
JANUARY = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC))


def line(amount: str, *, bill_id: str = "january", **fields: Any) -> dict[str, Any]:
    own: dict[str, Any] = {
        "bill_id": bill_id,
        "bill_date": date(2025, 2, 1),
        "account_id": "acme",
        "line_item_id": f"line of {bill_id}",
        "line_item_type": "USAGE",
        "description": "Calls",
        "pricing_id": "pricing",
        "account_plan_id": "plan",
        "service_period_start": JANUARY[0],
        "service_period_end": JANUARY[1],
        "quantity": D(0) if "quantity" in fields else D(amount) * 4,
        "units": D(0) if "units" in fields else D(amount) * 4,
        "subtotal": D(amount),
        "converted_subtotal": D(amount),
        "currency": "USD",
    }
    return dict.fromkeys(LINES) | own | fields


def lines(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=LINES, orient="row")


def carried(amount: str, **fields: Any) -> dict[str, Any]:
    return line(amount, bill_id="february", referenced_bill_id="january", **fields)


CONFIGURATION = Configuration(
    organization_id="o",
    as_of=datetime(2025, 3, 1, tzinfo=UTC),
    organization=OrganizationConfig(),
    custom_fields=CustomFields(),
    small={},
    accounts=pl.DataFrame(schema=ACCOUNTS_SCHEMA),
    account_plans=pl.DataFrame(schema=ACCOUNT_PLANS_SCHEMA),
    hash="",
)


def target(currency: str = "USD", line_count: int = 3) -> pl.DataFrame:
    return pl.DataFrame([("january", "march", date(2025, 4, 1), "acme", currency, line_count)], schema=TARGETS, orient="row")


def test_what_is_left_is_the_difference_less_what_is_carried() -> None:
    [late] = late_amounts(before=lines(line("10")), after=lines(line("25")), carried=lines(carried("6"), carried("4"))).to_dicts()
    assert (late["subtotal"], late["quantity"], late["units"]) == (D(5), D(20), D(20))
    assert (late["referenced_bill_id"], late["referenced_line_item_id"], late["description"]) == ("january", "line of january", "Calls")


def test_nothing_is_left_where_nothing_changed_or_all_is_carried() -> None:
    same = lines(line("10"))
    assert late_amounts(before=same, after=same, carried=lines()).is_empty()
    assert late_amounts(before=same, after=lines(line("12")), carried=lines(carried("2"))).is_empty()


def test_segments_children_and_periods_are_lines_of_their_own() -> None:
    apart = [{"segment": '{"region":"eu"}'}, {"child_account_id": "child"}, {"service_period_start": datetime(2025, 1, 15, tzinfo=UTC)}, {}]
    before = lines(*(line("1", **fields) for fields in apart))
    after = lines(*(line(str(2 + n), **fields) for n, fields in enumerate(apart)))
    late = late_amounts(before=before, after=after, carried=lines(carried("1", **apart[0])))
    assert sorted(late["subtotal"]) == [D(2), D(3), D(4)]


def test_lines_that_are_no_usage_are_not_compared() -> None:
    other = {"line_item_type": "MINIMUM_SPEND"}
    assert late_amounts(before=lines(line("10", **other)), after=lines(line("1", **other)), carried=lines()).is_empty()


def test_a_line_says_what_it_is_of_and_follows_the_bills_own() -> None:
    late = late_amounts(before=lines(line("10")), after=lines(line("7.5")), carried=lines())
    found = carried_lines(late, target(), configuration=CONFIGURATION, conversions=())
    [one] = found.lines.to_dicts()
    assert (one["line_item_type"], one["subtotal"], one["converted_subtotal"], one["quantity"]) == ("USAGE_CREDIT", D("-2.5"), D("-2.5"), D(-10))
    assert (one["bill_id"], one["bill_date"], one["account_id"], one["sequence_number"]) == ("march", date(2025, 4, 1), "acme", 4)
    assert (one["average_unit_price"], one["conversion_rate"], one["bands"]) == (D("0.25"), D(1), None)
    assert (one["service_period_start"], one["service_period_end"]) == JANUARY
    assert found.failures.is_empty()
    again = carried_lines(late, target(), configuration=CONFIGURATION, conversions=())
    assert again.lines.equals(found.lines)
    assert len(one["line_item_id"]) == 36


def test_late_usage_without_a_bill_to_carry_it_waits() -> None:
    late = late_amounts(before=lines(), after=lines(line("7.5")), carried=lines())
    assert carried_lines(late, pl.DataFrame(schema=TARGETS), configuration=CONFIGURATION, conversions=()).lines.is_empty()


def test_a_rate_is_needed_and_the_runs_own_comes_first() -> None:
    late = late_amounts(before=lines(), after=lines(line("7.5")), carried=lines())
    failed = carried_lines(late, target("EUR"), configuration=CONFIGURATION, conversions=())
    assert failed.lines.is_empty()
    assert failed.failures["reason"][0].startswith("late usage of bill january: no currency conversion from USD to EUR")
    rates = [CurrencyConversion.model_validate({"from": "USD", "to": "EUR", "multiplier": "0.9"})]
    [one] = carried_lines(late, target("EUR"), configuration=CONFIGURATION, conversions=rates).lines.to_dicts()
    assert (one["conversion_rate"], one["converted_subtotal"], one["currency"]) == (D("0.9"), D("6.75"), "USD")


def test_an_amount_that_does_not_fit_fails_its_bill() -> None:
    huge = "9" * 26 + ".5"
    late = late_amounts(
        before=lines(line(f"-{huge}", quantity=D(0), units=D(0))), after=lines(line(huge, quantity=D(0), units=D(0))), carried=lines()
    )
    found = carried_lines(late, target(), configuration=CONFIGURATION, conversions=())
    assert found.lines.is_empty()
    assert found.failures["reason"].to_list() == [f"late usage of bill january: {TOO_LARGE}"]


def test_headers_say_what_their_bills_carry() -> None:
    rows = [("march", D(5), 3, "{}", "x"), ("april", D(1), 1, "{}", "y")]
    headers = pl.DataFrame(
        rows,
        schema={"id": pl.String, "bill_total": LINES["subtotal"], "line_count": pl.Int32, "carried_from": pl.String, "other": pl.String},
        orient="row",
    )
    late = late_amounts(before=lines(), after=lines(line("7.5")), carried=lines())
    found = carried_lines(late, target(), configuration=CONFIGURATION, conversions=()).lines
    changed = with_carried(headers, found)
    assert changed.rows() == [("march", D("12.5"), 4, "{january}", "x"), ("april", D(1), 1, "{}", "y")]


@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.booleans()), min_size=1, max_size=12))
def test_however_usage_arrives_all_of_it_is_carried_once(arrivals: list[tuple[int, bool]]) -> None:
    """Each arrival changes the closed bill; after some of them a bill carries what is left, and is closed in turn."""
    before, now, standing = lines(line("100")), D(100), list[dict[str, Any]]()
    for cents, is_billed in [*arrivals, (0, True)]:
        now += D(cents) / 100
        if is_billed:
            late = late_amounts(before=before, after=lines(line(str(now))), carried=lines(*standing))
            standing += carried_lines(late, target(), configuration=CONFIGURATION, conversions=()).lines.to_dicts()
    assert sum((row["subtotal"] for row in standing), D(100)) == now
    assert all((row["subtotal"] > 0) == (row["line_item_type"] == "USAGE") for row in standing)


@pytest.mark.parametrize("side", ["before", "after"])
def test_the_order_of_lines_changes_nothing(side: str) -> None:
    rows = [line(str(n), segment=f'{{"n":"{n}"}}') for n in range(5)]
    sides = {"before": lines(), "after": lines(), "carried": lines()} | {side: lines(*rows)}
    late = late_amounts(**sides)
    assert late_amounts(**sides | {side: lines(*reversed(rows))}).equals(late)
