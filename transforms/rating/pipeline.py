"""The order of things inside a bill: one list of steps, each with the reason why it stands where it stands.

Put here the order and nothing else; each step lives in its own module. Source: DECISIONS 28, billing.md 9.

Before the steps, usage is rated: quantities per pricing window, less what grants hold, units, bands
(``usage_charges.rated_usage``). Every line is finished where it is made, rounded in the pricing currency and converted and
rounded in the bill currency, because minimum spends, caps and draw-downs must add up with the amounts that stand on the bill.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from transforms.aggregations.usage import MeterUsage
from transforms.billing.bills import bills
from transforms.billing.breakdown import broken_down
from transforms.billing.line_items import line_items, ordered
from transforms.billing.siblings import billed_to_parents
from transforms.configuration import Configuration
from transforms.datasets import BILLS
from transforms.rating.charges import charges
from transforms.rating.commitment_fees import commitment_fees
from transforms.rating.counters import counter_charges
from transforms.rating.draw_downs import drawn_down, stored_draws
from transforms.rating.lines import STEPPED_LINES
from transforms.rating.minimum_spends import minimum_spends
from transforms.rating.run import LEDGER, BillRun, BillRunResult
from transforms.rating.standing_charges import standing_charges
from transforms.rating.state import Progress, Rating, resolved
from transforms.rating.unmatched_usage import unmatched_usage
from transforms.rating.usage_charges import rated_usage, usage_charges
from transforms.rating.usage_credits import usage_credits


@dataclass(frozen=True)
class Step:
    """One step of a bill: given how far the bills have come, the lines it adds, or (``changed``) the progress it makes of it."""

    name: str
    reason: str
    lines: Callable[[Progress], pl.DataFrame] | None = None
    changed: Callable[[Progress, int], Progress] | None = None


STEPS: tuple[Step, ...] = (
    Step("usage", "everything else is measured against what was used; grants have reduced the quantities already", usage_charges),
    Step("counters", "their charges count as spend, as usage does, so they precede minimum spends", counter_charges),
    Step("standing charges", "owed whatever was used; minimum spends do not count them, credits may cover them", standing_charges),
    Step("minimum spends", "they lift usage and counters, before any credit: pricing into plan, plan into plan group", minimum_spends),
    Step("charges due", "ad hoc charges and fees of balances: lines like the others to the caps of credits", charges),
    Step("usage credits", "capped at all other lines so far, of the product or of the bill; product before global", usage_credits),
    Step("commitment fees", "they pay for the credit that the next step draws, so nothing draws on them", commitment_fees),
    Step(
        "draw-downs and overage",
        "commitments and balances cover the lines that they may, in the account's order; usage that they leave uncovered is overage",
        changed=drawn_down,
    ),
    # A family's lines are split by account after all steps: nothing depends on whose part is whose.
    # Memo lines are attached by the store, after everything computed.
)


def billed(configuration: Configuration, usage: Mapping[str, MeterUsage], run: BillRun, ledger: pl.DataFrame | None = None) -> BillRunResult:
    """The bills of one run.

    Args:
        configuration: The organization's, as of the calculation.
        usage: Usage by meter id, for every meter whose aggregations are priced.
        run: Which periods and accounts.
        ledger: See LEDGER; None where nothing was ever put into or drawn from a commitment or balance.

    Returns:
        See ``BillRunResult``. The same arguments give the same bytes, whatever the order of rows.
    """
    rating = resolved(configuration, usage, run, pl.DataFrame(schema=LEDGER) if ledger is None else ledger)
    lines, draws = _lines(rating)
    headers, failures = bills(rating, lines)
    made = headers.filter("is_made")
    # Before the line items, which take the most memory.
    unmatched = unmatched_usage(rating, headers)
    return BillRunResult(made.select(*BILLS.columns), line_items(rating, lines, headers), failures, unmatched, stored_draws(rating, draws, made))


def _lines(rating: Rating) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All lines, ordered, with ``bill``; then the draws of the steps. What they are made from is not kept beside them."""
    rated, shares, granted = rated_usage(rating)
    progress = Progress(rating, rated, shares, pl.DataFrame(schema=STEPPED_LINES), granted)
    for position, step in enumerate(STEPS):
        if step.lines is not None:
            progress = progress.with_lines(step.lines(progress), position)
        if step.changed is not None:
            progress = step.changed(progress, position)
    split = billed_to_parents(broken_down(progress.lines, progress.shares, rating.exchanges), rating)
    return ordered(split.with_columns(rating.due["bill"].gather(split["due"]))), progress.draws


__all__ = ["STEPS", "BillRun", "BillRunResult", "Step", "billed"]
