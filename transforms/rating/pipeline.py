"""The order of things inside a bill: one list of steps, each with the reason why it stands where it stands.

Put here the order and nothing else; each step lives in its own module. Source: DECISIONS 28, billing.md 9.

Before the steps, usage is rated: quantities per pricing window, units, bands (``usage_charges.rated_usage``). Every step
returns finished lines: rounded in the pricing currency and converted and rounded in the bill currency. A line is finished
where it is made, not at the end, because minimum spends and caps must add up with the amounts that stand on the bill.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from transforms.aggregations.usage import MeterUsage
from transforms.billing.bills import bills
from transforms.billing.breakdown import broken_down
from transforms.billing.line_items import line_items, ordered
from transforms.configuration import Configuration
from transforms.datasets import BILLS
from transforms.rating.lines import no_lines
from transforms.rating.minimum_spends import minimum_spends
from transforms.rating.run import BillRun, BillRunResult
from transforms.rating.standing_charges import standing_charges
from transforms.rating.state import Progress, resolved
from transforms.rating.unmatched_usage import unmatched_usage
from transforms.rating.usage_charges import rated_usage, usage_charges
from transforms.rating.usage_credits import usage_credits


@dataclass(frozen=True)
class Step:
    """One step of a bill: given the run, the rated usage and the lines so far, the lines it adds."""

    name: str
    reason: str
    lines: Callable[[Progress], pl.DataFrame]


STEPS: tuple[Step, ...] = (
    Step("usage", "everything else is measured against what was used; grants will reduce quantities before they are rated", usage_charges),
    # Counters come here: their charges count as spend, as usage does, so they precede minimum spends.
    Step("standing charges", "owed whatever was used; minimum spends do not count them, credits may cover them", standing_charges),
    Step("minimum spends", "they lift usage and counters, before any credit: pricing into plan, plan into plan group", minimum_spends),
    # Charges due (ad hoc, balance fees) come here: lines like the others to the caps of credits.
    Step("usage credits", "capped at all other lines so far, of the product or of the bill; product before global", usage_credits),
    # Commitment fees come here: they pay for the credit that the next step draws, so nothing draws on them.
    # Draw-downs of commitments and balances come here, in the account's order, over the lines they may cover;
    # then overage: what the draw-downs left uncovered.
    # A family's lines are split by account after all steps: nothing depends on whose part is whose.
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
    progress = Progress(rating, *rated_usage(rating), no_lines())
    counts = []
    for step in STEPS:
        added = step.lines(progress)
        counts.append(added.height)
        progress = replace(progress, lines=pl.concat([progress.lines, added]))
    steps = pl.concat([pl.repeat(position, count, dtype=pl.UInt8, eager=True) for position, count in enumerate(counts)])
    split = broken_down(progress.lines.with_columns(steps.alias("step")), progress.shares, rating.exchanges)
    lines = ordered(split.with_columns(rating.due["bill"].gather(split["due"])))
    headers, failures = bills(rating, lines)
    made = headers.filter("is_made").select(*BILLS.columns)
    return BillRunResult(made, line_items(rating, lines, headers), failures, unmatched_usage(rating, headers))


__all__ = ["STEPS", "BillRun", "BillRunResult", "Step", "billed"]
