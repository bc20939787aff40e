"""What every step of a bill run may look at.

Put here what is fixed before the first step. The lines so far are handed to each step beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from transforms.aggregations.usage import MeterUsage
from transforms.billing.conversions import Exchange, exchanges
from transforms.configuration import Configuration
from transforms.rating.bands import BandTable, band_table
from transforms.rating.run import BillRun
from transforms.rating.selection import due_account_plans, zone_of
from transforms.rating.terms import Offer, PlanTerms, plan_offers, plan_terms


@dataclass(frozen=True)
class Rating:
    """A bill run with everything resolved but usage and amounts.

    Attributes:
        configuration: The organization's.
        usage: Usage by meter id.
        run: What was asked for.
        zone: Time zone that days are cut in.
        terms: Terms by plan number.
        offers: Offers by offer number.
        bands: Bands by offer number.
        due: The account plans billed, see ``due_account_plans``, with ``exchange`` (UInt32).
        exchanges: Exchanges by number.
    """

    configuration: Configuration
    usage: Mapping[str, MeterUsage]
    run: BillRun
    zone: str
    terms: tuple[PlanTerms, ...]
    offers: tuple[Offer, ...]
    bands: BandTable
    due: pl.DataFrame
    exchanges: tuple[Exchange, ...]

    def by_plan(self, name: str, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
        """An attribute of the plan's terms for every due account plan."""
        values = pl.Series(name, [getattr(t, name) for t in self.terms], dtype=dtype)
        return values.gather(self.due["plan_number"])


@dataclass(frozen=True)
class Progress:
    """How far the bills of a run have come: what a step is given.

    Attributes:
        rating: The run.
        rated: All usage rated, see ``rated_usage``.
        shares: What each account of a family used, where its line is split by account, see ``rated_usage``.
        lines: The lines of the steps before, see LINES.
    """

    rating: Rating
    rated: pl.DataFrame
    shares: pl.DataFrame
    lines: pl.DataFrame


def resolved(configuration: Configuration, usage: Mapping[str, MeterUsage], run: BillRun) -> Rating:
    """The run with plans, account plans, windows, bands and exchanges resolved."""
    terms = plan_terms(configuration)
    due = due_account_plans(configuration, run, terms)
    # Only what the due account plans need: an organization may have many more plans than a run bills.
    billed = set(due["plan_number"].unique().to_list())
    offers = tuple(o for o in plan_offers(terms, configuration) if o.plan_number in billed)
    pairs = due.select("currency", "bill_currency").unique().sort("currency", "bill_currency").with_row_index("exchange")
    due = due.join(pairs, on=["currency", "bill_currency"], how="left", maintain_order="left")
    rates = exchanges(pairs.select("currency", "bill_currency").rows(), configuration, run.currency_conversions)
    return Rating(configuration, usage, run, zone_of(configuration, run), terms, offers, band_table(offers), due, rates)
