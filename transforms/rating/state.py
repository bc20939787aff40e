"""What every step of a bill run may look at.

Put here what is fixed before the first step. The lines so far are handed to each step beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from transforms.aggregations.usage import MeterUsage
from transforms.billing.bills import bill_headers
from transforms.billing.conversions import Exchange, exchanges
from transforms.configuration import Configuration
from transforms.money import DECIMAL
from transforms.rating.anchors import Role, due_anchors, is_asked
from transforms.rating.bands import BandTable, band_table, price_list
from transforms.rating.counter_offers import CounterOffer, counter_offers
from transforms.rating.due_charges import due_charges
from transforms.rating.funds import due_funds, with_grants
from transforms.rating.run import BillRun
from transforms.rating.selection import zone_of
from transforms.rating.terms import GroupTerms, Offer, PlanTerms, group_terms, plan_offers, plan_terms


@dataclass(frozen=True)
class Rating:
    """A bill run with everything resolved but usage and amounts.

    Attributes:
        configuration: The organization's.
        usage: Usage by meter id.
        run: What was asked for.
        ledger: What was put into and drawn from the accounts' commitments and balances, see LEDGER.
        zone: Time zone that days are cut in.
        terms: Terms by plan number.
        groups: Terms by group number.
        offers: Offers by offer number.
        bands: Bands by offer number.
        counter_offers: Counter pricings of plans by number.
        due: What the lines hang on, see ``due_anchors``, with ``exchange`` (UInt32).
        headers: The bills that they make up, see ``bill_headers``.
        charges: Charges due by number, see ``due_charges``, with ``exchange``.
        funds: Commitments and balances of the billed accounts by number, see ``due_funds``, with ``exchange`` and ``is_grant``.
        exchanges: Exchanges by number.
    """

    configuration: Configuration
    usage: Mapping[str, MeterUsage]
    run: BillRun
    ledger: pl.DataFrame
    zone: str
    terms: tuple[PlanTerms, ...]
    groups: tuple[GroupTerms, ...]
    offers: tuple[Offer, ...]
    bands: BandTable
    counter_offers: tuple[CounterOffer, ...]
    due: pl.DataFrame
    headers: pl.DataFrame
    charges: pl.DataFrame
    funds: pl.DataFrame
    exchanges: tuple[Exchange, ...]

    @property
    def plans(self) -> pl.DataFrame:
        """The anchors that are account plans."""
        return self.of_role(Role.PLAN)

    @property
    def account_anchors(self) -> pl.DataFrame:
        """``bill`` and ``due``: the anchor of the billed account of every bill that has one."""
        return self.of_role(Role.ACCOUNT).select("bill", "due").unique("bill", keep="first")

    @property
    def account_events(self) -> pl.DataFrame:
        """The anchors of accounts with charges or fees on a day of their own."""
        return self.of_role(Role.ACCOUNT).filter(pl.col("event_date").is_not_null())

    def of_role(self, role: Role) -> pl.DataFrame:
        """The anchors of one role."""
        return self.due.filter(pl.col("role") == role.value)

    def by_plan(self, due: pl.DataFrame, name: str, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
        """An attribute of the plan's terms for every row of anchors that are account plans."""
        values = pl.Series(name, [getattr(t, name) for t in self.terms], dtype=dtype)
        return values.gather(due["plan_number"])

    def by_group(self, due: pl.DataFrame, name: str, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
        """An attribute of the group's terms for every row of anchors that are plan groups."""
        values = pl.Series(name, [getattr(t, name) for t in self.groups], dtype=dtype)
        return values.gather(due["group_number"])


#: One row per anchor and fund drawn: positions of both, and the amount in the fund's currency (of a grant, the quantity).
DRAWN: dict[str, pl.DataType | type[pl.DataType]] = {"due": pl.UInt32, "fund": pl.UInt32, "amount": DECIMAL}


@dataclass(frozen=True)
class Progress:
    """How far the bills of a run have come: what a step is given.

    Attributes:
        rating: The run.
        rated: All usage rated, see ``rated_usage``.
        shares: What each account of a family used, where its line is split by account, see ``rated_usage``.
        lines: The lines of the steps before, see LINES, with ``step``.
        draws: What the bills have drawn so far, see DRAWN; of grants before the first step.
    """

    rating: Rating
    rated: pl.DataFrame
    shares: pl.DataFrame
    lines: pl.DataFrame
    draws: pl.DataFrame

    def with_lines(self, added: pl.DataFrame, step: int) -> "Progress":
        """The progress with the lines that a step added."""
        return replace(self, lines=pl.concat([self.lines, added.with_columns(step=pl.lit(step, dtype=pl.UInt8))]))


def resolved(configuration: Configuration, usage: Mapping[str, MeterUsage], run: BillRun, ledger: pl.DataFrame) -> Rating:
    """The run with plans, anchors, windows, bands and exchanges resolved."""
    zone = zone_of(configuration, run)
    terms, groups = plan_terms(configuration), group_terms(configuration)
    due = due_anchors(configuration, run, terms, groups)
    due, headers = _wanted(due, bill_headers(due, configuration, run), configuration, run)
    # Only what the due account plans need: an organization may have many more plans than a run bills.
    billed = set(due["plan_number"].drop_nulls().unique().to_list())
    offers = tuple(o for o in plan_offers(terms, configuration) if o.plan_number in billed)
    counted = tuple(o for o in counter_offers(terms, configuration) if o.plan_number in billed)
    charges = due_charges(configuration, due, zone)
    funds = due_funds(configuration, due, zone)
    priced = [frame.select("currency", "bill_currency") for frame in (due.filter(pl.col("currency").is_not_null()), charges, funds)]
    pairs = pl.concat(priced).unique().sort("currency", "bill_currency").with_row_index("exchange")
    due, charges, funds = (frame.join(pairs, on=["currency", "bill_currency"], how="left", maintain_order="left") for frame in (due, charges, funds))
    rates = exchanges(pairs.select("currency", "bill_currency").rows(), configuration, run.currency_conversions)
    funds = with_grants(funds, configuration, rates)
    return Rating(
        configuration,
        usage,
        run,
        ledger,
        zone,
        terms,
        groups,
        offers,
        band_table(map(price_list, offers)),
        counted,
        due,
        headers,
        charges,
        funds,
        rates,
    )


def _wanted(due: pl.DataFrame, headers: pl.DataFrame, configuration: Configuration, run: BillRun) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The anchors and headers of the bills that the run asks for, numbered anew, with ``is_wanted``.

    No other bill is computed, as it may draw from the same funds; but where a parent's plan is billed to children, what one of them
    is asked for is a part of a line that the others have their parts of, so those bills stay, unwanted.
    """
    asked = pl.lit(True)
    of_frequency = is_asked(configuration, run)
    if of_frequency is not None:
        asked &= pl.col("bill").is_in(due.filter(of_frequency)["bill"].unique().implode())
    if run.bill_ids is not None:
        asked = pl.col("bill_id").is_in(run.bill_ids)
    if run.account_ids is not None:
        asked &= pl.col("account_id").is_in(run.account_ids)
    headers = headers.with_columns(is_wanted=asked)
    if headers["is_wanted"].all():
        return due, headers
    wanted = headers.filter("is_wanted")["bill"].implode()
    shared = due.select("bill", owner=due["bill"].gather(due["plan_due"])).filter(pl.col("bill") != pl.col("owner"))
    of_wanted = pl.concat([shared.filter(pl.col(a).is_in(wanted))[b] for a, b in (("bill", "owner"), ("owner", "bill"))])
    kept = headers.filter(pl.col("is_wanted") | pl.col("bill").is_in(of_wanted.unique().implode()))
    kept = kept.rename({"bill": "_old"}).with_row_index("bill")
    mine = due.rename({"due": "_old_due"}).join(
        kept.select("bill", _old="_old"), left_on="bill", right_on="_old", maintain_order="left", suffix="_new"
    )
    mine = mine.with_row_index("due")
    places = mine.select(_place="due", plan_due="_old_due")
    moved = mine.join(places, on="plan_due", how="left", maintain_order="left")
    numbered = moved.with_columns(bill="bill_new", plan_due=pl.coalesce("_place", "due"))
    return numbered.select(pl.col(name).cast(dtype) for name, dtype in due.schema.items()), kept.drop("_old")
