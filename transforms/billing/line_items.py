"""Line items as the dataset has them: ids, texts and attribution for the narrow lines of a bill run.

What a line says about its pricing, aggregation and plan is one row per *charge* (kind of line, and offer or plan):
configuration-sized, looked up by position. Put here descriptions, accounting products and the order on the bill; keep out
amounts. Source: billing.md 1.13, 4.2, 4.6.
"""

import math
from typing import TYPE_CHECKING

import polars as pl

from transforms.billing.ids import line_item_ids
from transforms.datasets import BILL_LINE_ITEMS
from transforms.entities.usage import Aggregation
from transforms.money import DECIMAL
from transforms.rating.amounts import quotient
from transforms.rating.lines import Kind
from transforms.rating.terms import Offer, PlanTerms

if TYPE_CHECKING:
    from transforms.rating.state import Rating

#: The unit of what is charged as a whole.
WHOLE = "UNIT"
#: Order of lines on a bill: by step, then by account plan, then as the plan's offers are ordered, then by account of a family.
ORDER = ("bill", "step", "due", "kind", "offer", "child")

_CHARGE: dict[str, pl.DataType | type[pl.DataType]] = {
    "key": pl.UInt32,
    "name": pl.String,
    "line_item_type": pl.String,
    "description": pl.String,
    "accounting_product_id": pl.String,
    "pricing_id": pl.String,
    "aggregation_id": pl.String,
    "compound_aggregation_id": pl.String,
    "meter_id": pl.String,
    "segment": pl.String,
    "unit": pl.String,
}


def _offer_charge(kind: Kind, offer: Offer, terms: PlanTerms) -> tuple[object, ...]:
    aggregation = offer.aggregation
    is_simple = isinstance(aggregation, Aggregation)
    is_usage = kind in (Kind.USAGE, Kind.USAGE_CREDIT)
    # A minimum spend belongs to the pricing, which for a pricing of all segments is more than its first segment.
    segment = offer.segment_json if is_usage or offer.pricing.segment else None
    return (
        f"{kind.line_item_type}/{offer.pricing.id}/{segment or ''}",
        kind.line_item_type,
        offer.description if is_usage else offer.minimum_spend_description,
        offer.accounting_product_id(terms),
        offer.pricing.id,
        aggregation.id if is_simple else None,
        None if is_simple else aggregation.id,
        aggregation.meter_id if isinstance(aggregation, Aggregation) else None,
        segment,
        aggregation.unit if is_usage else WHOLE,
    )


def _plan_charge(kind: Kind, terms: PlanTerms) -> tuple[object, ...]:
    if kind is Kind.STANDING_CHARGE:
        texts = (terms.standing_charge_description, terms.standing_charge_accounting_product_id)
    else:
        texts = (terms.minimum_spend_description, terms.minimum_spend_accounting_product_id)
    return (kind.line_item_type, kind.line_item_type, *texts, None, None, None, None, None, WHOLE)


def _charges(rating: "Rating", keys: list[int], width: int) -> pl.DataFrame:
    """One row per charge; a key is kind * width + (number of the offer, else of the plan)."""
    rows = []
    for key in keys:
        kind, number = Kind(key // width), key % width
        if kind in (Kind.STANDING_CHARGE, Kind.PLAN_MINIMUM_SPEND, Kind.PLAN_MINIMUM_SPEND_REFUND):
            rows.append((key, *_plan_charge(kind, rating.terms[number])))
        else:
            offer = rating.offers[number]
            rows.append((key, *_offer_charge(kind, offer, rating.terms[offer.plan_number])))
    return pl.DataFrame(rows, schema=_CHARGE, orient="row")


def ordered(lines: pl.DataFrame) -> pl.DataFrame:
    """The lines sorted by ORDER: by one packed number where it fits, which is several times faster than by five columns."""
    widths = [int(lines[name].max() or 0) + 2 for name in ORDER]  # type: ignore[arg-type]
    if math.prod(widths) >= 2**63:
        return lines.sort(ORDER, maintain_order=True).with_columns(pl.col("bill").set_sorted())
    packed = pl.lit(0, dtype=pl.Int64)
    for name, width in zip(ORDER, widths, strict=True):
        packed = packed * width + (pl.col(name).cast(pl.Int64) + 1).fill_null(0)
    # In one piece first: gathering lists out of several chunks is twenty times slower.
    whole = lines.rechunk()
    return whole[whole.select(pl.arg_sort_by(packed, maintain_order=True)).to_series()].with_columns(pl.col("bill").set_sorted())


def _children(rating: "Rating", lines: pl.DataFrame) -> list[pl.DataFrame]:
    """``child_account_id`` and ``child_account_code`` of every line; nothing when no line is a child's."""
    if lines["child"].null_count() == lines.height:
        return []
    accounts = rating.configuration.accounts.select(child="account_number", child_account_id="account_id", child_account_code="account_code")
    return [lines.select("child").join(accounts, on="child", how="left", maintain_order="left").drop("child")]


def _owners(owners: pl.Series, lines: pl.DataFrame, children: list[pl.DataFrame]) -> tuple[pl.Series, pl.Series]:
    """Names of what lines belong to, and for every line the position of its own: the account plan on its bill, and the child of a child's line."""
    if not children:
        return owners, lines["due"]
    named = pl.concat([lines.select("due"), *children], how="horizontal").select("due", "child_account_id")
    extra = named.filter(pl.col("child_account_id").is_not_null()).unique().sort("due", "child_account_id").with_row_index("position", owners.len())
    names = extra.select(pl.format("{}/{}", owners.gather(extra["due"]), "child_account_id")).to_series()
    found = named.join(extra, on=["due", "child_account_id"], how="left", maintain_order="left")
    return pl.concat([owners, names.rename(owners.name)]), found.select(pl.coalesce("position", "due").alias("owner"))["owner"]


def line_items(rating: "Rating", lines: pl.DataFrame, headers: pl.DataFrame) -> pl.DataFrame:
    """Dataset BILL_LINE_ITEMS without calculation_id.

    Args:
        rating: The run.
        lines: All lines, ``ordered``, with ``bill`` and ``step``.
        headers: Every bill in bill order, with ``is_made``; lines of other bills are left out.

    Returns:
        The lines in bill order and numbered on each bill from 1.
    """
    made = headers["is_made"].gather(lines["bill"])
    lines = lines if made.all() else lines.filter(made)
    width = max(len(rating.offers), len(rating.terms), 1)
    number = pl.coalesce("offer", rating.due["plan_number"].gather(lines["due"]).alias("plan_number"))
    lines = lines.with_columns(key=pl.col("kind").cast(pl.UInt32) * width + number)
    charges = _charges(rating, lines["key"].unique().sort().to_list(), width).with_row_index("charge")
    charge = lines.select("key").join(charges.select("key", "charge"), on="key", how="left", maintain_order="left")["charge"]
    due = rating.due.select("due", "bill", "product_id", "account_plan_id", "plan_id", "contract_id", "currency", "exchange")
    bill = headers.select("bill_id", "bill_date", "account_id")
    owners = pl.select(pl.format("line/{}/{}", bill["bill_id"].gather(due["bill"]), due["account_plan_id"])).to_series()
    children = _children(rating, lines)
    owners, owner = _owners(owners, lines, children)
    identity = line_item_ids(owners=owners, owner=owner, charges=charges["name"], charge=charge, start=lines["service_start"])
    positions = lines.select("bill", position=pl.int_range(pl.len(), dtype=pl.Int32))
    numbers = positions.select(pl.col("position") - pl.col("position").first().over("bill") + 1).to_series()
    rates = pl.Series("conversion_rate", [e.rate for e in rating.exchanges], dtype=DECIMAL)
    wide = pl.concat(
        [
            lines.drop("bill", "exchange", "due", "child"),
            *children,
            charges.drop("charge", "key", "name")[charge],
            due.drop("due", "bill", "exchange")[lines["due"]],
            bill[lines["bill"]],
        ],
        how="horizontal",
    )
    price = quotient(wide["subtotal"], wide["units"])
    wide = wide.with_columns(
        identity.alias("line_item_id"),
        numbers.alias("sequence_number"),
        # 0 for no units, as for the absurd price that does not fit.
        price.fill_null(0).cast(DECIMAL).alias("average_unit_price"),
        rates.gather(lines["exchange"]).alias("conversion_rate"),
        service_period_start="service_start",
        service_period_end="service_end",
    )
    columns = {name: dtype for name, dtype in BILL_LINE_ITEMS.schema.items() if name != "calculation_id"}
    return wide.select(pl.col(n) if n in wide.columns else pl.lit(None, dtype=t).alias(n) for n, t in columns.items())
