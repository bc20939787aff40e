"""Changes of lines and the steps that made them."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings, strategies as st

from tests.bills import line_of, midnight
from transforms.datasets import BILL_LINE_ITEMS
from transforms.provenance.attribution import CHANGES, Cause, Step, attributed

D = Decimal
BILL = {
    "bill_id": "b",
    "account_id": "a",
    "bill_date": date(2025, 2, 1),
    "start_at": midnight(date(2025, 1, 1)),
    "end_at": midnight(date(2025, 2, 1)),
}


def lines(**amounts: str) -> pl.DataFrame:
    """One line per name, with its amount."""
    given_lines = enumerate(amounts.items(), 1)
    rows = [line_of(BILL, 1, D(amount), None) | {"line_item_id": name, "sequence_number": number} for number, (name, amount) in given_lines]
    return pl.DataFrame(rows, schema={name: dtype for name, dtype in BILL_LINE_ITEMS.schema.items() if name != "calculation_id"})


def causes(row: dict[str, Any]) -> dict[str, Decimal]:
    return {effect["cause"]: effect["subtotal"] for effect in row["effects"]}


def test_each_line_has_the_cause_of_the_step_that_changed_it() -> None:
    before = lines(same="1", priced="2", used="3", both="4", gone="5")
    repriced = lines(same="1", priced="20", used="3", both="40", gone="5")
    after = lines(new="7", same="1", priced="20", used="30", both="44")
    steps = [Step(Cause.SOFTWARE, before), Step(Cause.CONFIGURATION, repriced), Step(Cause.DATA, after), Step(Cause.SOFTWARE, after)]
    found = attributed(before, steps)
    assert list(found.schema) == list(CHANGES)
    assert [(row["line_item_id"], row["change"], causes(row)) for row in found.iter_rows(named=True)] == [
        ("new", "ADDED", {"DATA": D(7)}),
        ("priced", "CHANGED", {"CONFIGURATION": D(18)}),
        ("used", "CHANGED", {"DATA": D(27)}),
        ("both", "CHANGED", {"CONFIGURATION": D(36), "DATA": D(4)}),
        ("gone", "REMOVED", {"DATA": D(-5)}),
    ]
    new = found.row(0, named=True)
    assert (new["subtotal_before"], new["subtotal_after"], new["fields"]) == (None, D(7), [])
    assert {"quantity", "subtotal", "bands"} <= set(found.row(1, named=True)["fields"])


def test_a_line_that_only_moved_or_came_back_to_what_it_was_is_not_listed() -> None:
    before, after = lines(a="1", b="2"), lines(b="2", a="1")
    assert attributed(before, [Step(Cause.CONFIGURATION, lines(a="9", b="2")), Step(Cause.DATA, after)]).is_empty()


def test_a_change_of_text_alone_has_its_cause_too() -> None:
    before = lines(a="1")
    after = before.with_columns(description=pl.lit("other"))
    (row,) = attributed(before, [Step(Cause.CONFIGURATION, after)]).iter_rows(named=True)
    assert (row["fields"], causes(row), row["description"]) == (["description"], {"CONFIGURATION": D(0)}, "other")


stages = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3).map(str), max_size=3)


@settings(max_examples=25)
@given(stages, st.lists(st.tuples(st.sampled_from(Cause), stages), min_size=1, max_size=4))
def test_the_effects_of_a_line_add_up_to_its_change(start: dict[str, str], given_steps: list[tuple[Cause, dict[str, str]]]) -> None:
    found = attributed(lines(**start), [Step(cause, lines(**amounts)) for cause, amounts in given_steps])
    end = given_steps[-1][1]
    assert {row["line_item_id"] for row in found.iter_rows(named=True)} == {name for name in "abc" if start.get(name) != end.get(name)}
    for row in found.iter_rows(named=True):
        name = row["line_item_id"]
        assert sum(causes(row).values()) == D(end.get(name, "0")) - D(start.get(name, "0"))
        assert row["effects"]
