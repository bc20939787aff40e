"""What an explanation of a line is made of: steps with their formulas and values, checks, and the usage behind it.

Put here the vocabulary and what every line has: its conversion and its rounding. Keep out what is particular to a type of line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from transforms.aggregations.usage import MeterUsage
from transforms.configuration import Configuration
from transforms.money import EXACT, RoundingMode, exact, rounded
from transforms.provenance.trail import Source
from transforms.rating.run import BillRun

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Explained:
    """A line to explain and all that may be looked at.

    Attributes:
        line: Columns of BILL_LINE_ITEMS.
        lines: All lines of its bill in one calculation, in order.
        configuration: The organization's as of that calculation, at least the whole family of the account.
        usage: By meter id, as of that calculation, without states.
        run: What the calculation was asked for.
        granted: Unit -> how many of them the bill drew from balances that hold a quantity.
    """

    line: Line
    lines: Sequence[Line]
    configuration: Configuration
    usage: Mapping[str, MeterUsage]
    run: BillRun
    granted: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One number on the way to the line: what it is, how it comes about, and what it comes to (None: no value)."""

    name: str
    formula: str
    value: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Check:
    """What the line states beside what was computed again."""

    name: str
    stated: Decimal | None
    computed: Decimal | None

    @property
    def is_equal(self) -> bool:
        """True when the line states what was computed."""
        return self.stated == self.computed


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a line is what it is.

    Attributes:
        line: The line.
        formula: One sentence.
        steps: The numbers in the order in which they come about.
        checks: What was computed again, against what the line states.
        sources: The usage behind it; empty for what is charged whatever the usage.
        counted: Ids of the other lines of the bill that go into it.
    """

    line: Line
    formula: str
    steps: tuple[Step, ...] = ()
    checks: tuple[Check, ...] = ()
    sources: tuple[Source, ...] = ()
    counted: tuple[str, ...] = field(default=())

    @property
    def is_equal(self) -> bool:
        """True when everything that was computed again gives the line."""
        return all(check.is_equal for check in self.checks)


def number(value: Decimal | None) -> str:
    """The number in plain notation without trailing zeros; "none" for None."""
    if value is None:
        return "none"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def money_rounding(code: str, configuration: Configuration) -> tuple[int, RoundingMode]:
    """Decimals of the currency and how it rounds; 2 and HALF_UP where the picklist has none (billing.md 4.4)."""
    currency = configuration.currency(code)
    places = None if currency is None else currency.max_decimal_places
    mode = None if currency is None else currency.rounding_mode
    return 2 if places is None else places, mode or RoundingMode.HALF_UP


def in_money(amount: Decimal, code: str, configuration: Configuration) -> Decimal:
    """The exact amount rounded as the currency asks."""
    places, mode = money_rounding(code, configuration)
    return rounded(exact(amount), places=places, mode=mode)


def divided(over: Decimal, under: Decimal) -> Decimal:
    """The quotient at 12 digits."""
    return exact(EXACT.divide(over, under))


def money_steps(line: Line, configuration: Configuration, amount: Decimal | None) -> tuple[Step, ...]:
    """How the line's amount is rounded in the pricing currency and stands in the bill's.

    Args:
        line: The line.
        configuration: The organization's.
        amount: The exact amount; None where it is not known.
    """
    steps: tuple[Step, ...] = ()
    if amount is not None:
        places, mode = money_rounding(line["currency"], configuration)
        formula = f"{number(amount)} {line['currency']} rounded to {places} decimals, {mode.value}"
        steps = (Step(name="subtotal", formula=formula, value=line["subtotal"]),)
    if line["conversion_rate"] is not None and line["conversion_rate"] != 1:
        formula = f"{number(line['subtotal'])} {line['currency']} × {number(line['conversion_rate'])}, rounded in the bill's currency"
        steps = (*steps, Step(name="converted subtotal", formula=formula, value=line["converted_subtotal"]))
    return steps


def stated(explained: Explained) -> Explanation:
    """What the columns of the line say, where no more is known about its type."""
    line = explained.line
    steps: list[Step] = []
    bands = band_steps(line)
    if bands:
        steps += bands
    elif line["units"] and line["average_unit_price"] is not None:
        formula = f"{number(line['units'])} {unit_name(line)} at {number(line['average_unit_price'])} {line['currency']} on average"
        steps.append(Step(name="amount", formula=formula, value=line["subtotal"]))
    formula = f"{line['line_item_type']}: {line['description']}"
    if line["referenced_bill_id"] is not None:
        formula += f", of bill {line['referenced_bill_id']}"
        if line["line_item_type"] in ("USAGE", "USAGE_CREDIT"):
            formula += ", which is locked: what late usage changes about its lines, less what other bills carry of that"
    checks = band_checks(line)
    return Explanation(line=line, formula=formula, steps=(*steps, *money_steps(line, explained.configuration, None)), checks=checks)


def unit_name(line: Line) -> str:
    """What the line counts; the unit of pure numbers is written 1, which reads as a number."""
    return "units" if line["unit"] in (None, "1") else str(line["unit"])


def band_steps(line: Line) -> list[Step]:
    """What each pricing band holds and costs."""
    steps = []
    for position, band in enumerate(line["bands"] or []):
        fixed = band["band_subtotal"] - band["unit_subtotal"]
        formula = f"{number(band['band_units'])} {unit_name(line)} × {number(band['unit_price'])}"
        if fixed:
            formula += f" + {number(fixed)}"
        name = f"band {position + 1}, from {number(band['lower_limit'])}"
        if fixed or band["band_units"]:
            steps.append(Step(name=name, formula=formula, value=band["band_subtotal"]))
    return steps


def band_checks(line: Line) -> tuple[Check, ...]:
    """That the bands sum to the line."""
    if not line["bands"]:
        return ()
    found = sum((band["band_subtotal"] for band in line["bands"]), Decimal(0))
    return (Check(name="sum of the pricing bands = subtotal", stated=line["subtotal"], computed=found),)
