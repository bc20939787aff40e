"""The order of things inside a bill: one list of steps, each with the reason why it stands where it stands.

Put here the order and nothing else; each step lives in its own module. Source: DECISIONS 28, billing.md 9.

Before the steps, usage is rated: quantities per pricing window, units, bands (``usage_charges.rated_usage``). Every step
returns finished lines: rounded in the pricing currency and converted and rounded in the bill currency. A line is finished
where it is made, not at the end, because minimum spends and caps must add up with the amounts that stand on the bill.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from transforms.aggregations.usage import MeterUsage
from transforms.billing.bills import bills
from transforms.billing.line_items import line_items
from transforms.configuration import Configuration
from transforms.datasets import BILLS
from transforms.rating.lines import no_lines
from transforms.rating.minimum_spends import minimum_spends
from transforms.rating.run import BillRun, BillRunResult
from transforms.rating.standing_charges import standing_charges
from transforms.rating.state import Rating, resolved
from transforms.rating.usage_charges import is_credit, rated_usage
from transforms.rating.usage_credits import usage_credits


@dataclass(frozen=True)
class Step:
    """One step of a bill: given the run, the rated usage and the lines so far, the lines it adds."""

    name: str
    reason: str
    lines: Callable[[Rating, pl.DataFrame, pl.DataFrame], pl.DataFrame]


def _usage(rating: Rating, rated: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    return rated.filter(~is_credit(rating).gather(rated["offer"]))


def _standing_charges(rating: Rating, rated: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    return standing_charges(rating, lines)


def _minimum_spends(rating: Rating, rated: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    return minimum_spends(rating, lines)


def _usage_credits(rating: Rating, rated: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    return usage_credits(rating, rated.filter(is_credit(rating).gather(rated["offer"])), lines)


STEPS: tuple[Step, ...] = (
    Step("usage", "everything else is measured against what was used; grants will reduce quantities before they are rated", _usage),
    # Counters come here: their charges count as spend, as usage does, so they precede minimum spends.
    Step("standing charges", "owed whatever was used; before minimum spends, which do not count them, and credits, which may cover them", _standing_charges),
    Step("minimum spends", "they lift usage and counters, before any credit: pricing into plan, plan into plan group", _minimum_spends),
    # Charges due (ad hoc, balance fees) come here: lines like the others to the caps of credits.
    Step("usage credits", "capped at all other lines so far, of the product or of the bill; product before global", _usage_credits),
    # Commitment fees come here: they pay for the credit that the next step draws, so nothing draws on them.
    # Draw-downs of commitments and balances come here, in the account's order, over the lines they may cover;
    # then overage: what the draw-downs left uncovered.
    # Memo lines are attached by the store, after everything computed.
)


def billed(configuration: Configuration, usage: Mapping[str, MeterUsage], run: BillRun) -> BillRunResult:
    """The bills of one run.

    Args:
        configuration: The organization's, as of the calculation.
        usage: Usage by meter id, for every meter whose aggregations are priced.
        run: Which periods and accounts.

    Returns:
        See ``BillRunResult``. The same configuration, usage and run give the same bytes, whatever the order of rows.
    """
    rating = resolved(configuration, usage, run)
    rated = rated_usage(rating)
    lines = no_lines()
    positions = []
    for position, step in enumerate(STEPS):
        added = step.lines(rating, rated, lines)
        positions.append(pl.repeat(position, added.height, dtype=pl.UInt8, eager=True))
        lines = pl.concat([lines, added])
    numbered = lines.with_columns(pl.concat(positions).alias("step"), rating.due["bill"].gather(lines["due"]))
    headers, failures = bills(rating, numbered)
    made = headers.filter("is_made").select(*BILLS.columns)
    return BillRunResult(made, line_items(rating, numbered, headers), failures)


__all__ = ["STEPS", "BillRun", "BillRunResult", "Step", "billed"]
