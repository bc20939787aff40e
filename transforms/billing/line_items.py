"""Line items as the dataset has them: ids, texts and attribution for the narrow lines of a bill run.

What a line says about what it charges for is one row per *charge* (kind of line, and subject or plan or group), looked up by
position: those of plans, pricings and counters are configuration-sized, those of charges, commitments and balances frames.
Put here descriptions, accounting products and the order on the bill; keep out amounts. Source: billing.md 1.13, 4.2, 4.6.
"""

import math
from typing import TYPE_CHECKING

import polars as pl

from transforms.billing.ids import line_item_ids
from transforms.datasets import BILL_LINE_ITEMS
from transforms.entities.usage import Aggregation
from transforms.money import DECIMAL
from transforms.rating.amounts import quotient
from transforms.rating.counter_offers import CounterOffer
from transforms.rating.funds import COMMITMENT
from transforms.rating.lines import Kind, Subject
from transforms.rating.terms import GroupTerms, Offer, PlanTerms

if TYPE_CHECKING:
    from transforms.rating.state import Rating

#: The unit of what is charged as a whole.
WHOLE = "UNIT"
#: Order of lines on a bill: by step, then by anchor, then as the plan's offers are ordered, then by account of a family.
ORDER = ("bill", "step", "due", "kind", "subject", "child")

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
    "counter_id": pl.String,
    "charge_id": pl.String,
    "commitment_id": pl.String,
    "balance_id": pl.String,
    # The contract of a charge or fund; lines of plans have their account plan's.
    "own_contract_id": pl.String,
    "segment": pl.String,
    "unit": pl.String,
}
_USAGE = (Kind.USAGE, Kind.USAGE_CREDIT, Kind.OVERAGE_USAGE)


def _offer_charge(kind: Kind, offer: Offer, terms: PlanTerms) -> dict[str, object]:
    aggregation = offer.aggregation
    is_simple = isinstance(aggregation, Aggregation)
    is_usage = kind in _USAGE
    # A minimum spend belongs to the pricing, which for a pricing of all segments is more than its first segment.
    segment = offer.segment_json if is_usage or offer.pricing.segment else None
    return {
        "name": f"{kind.line_item_type}/{offer.pricing.id}/{segment or ''}",
        "description": offer.description if is_usage else offer.minimum_spend_description,
        "accounting_product_id": offer.accounting_product_id(terms),
        "pricing_id": offer.pricing.id,
        "aggregation_id": aggregation.id if is_simple else None,
        "compound_aggregation_id": None if is_simple else aggregation.id,
        "meter_id": aggregation.meter_id if isinstance(aggregation, Aggregation) else None,
        "segment": segment,
        "unit": aggregation.unit if is_usage else WHOLE,
    }


def _counter_charge(kind: Kind, offer: CounterOffer, terms: PlanTerms) -> dict[str, object]:
    return {
        "name": f"{kind.line_item_type}/{offer.pricing.id}",
        "description": offer.pricing.description or f"{offer.counter.name} {_COUNTER_TEXTS[kind]}",
        "accounting_product_id": offer.accounting_product_id(terms),
        "pricing_id": offer.pricing.id,
        "counter_id": offer.counter.id,
        "unit": offer.counter.unit,
    }


_COUNTER_TEXTS = {
    Kind.COUNTER_RUNNING_TOTAL_CHARGE: "Running Total",
    Kind.COUNTER_ADJUSTMENT_DEBIT: "Adjustment Debit",
    Kind.COUNTER_ADJUSTMENT_CREDIT: "Adjustment Credit",
}


def _anchor_charge(kind: Kind, terms: PlanTerms | GroupTerms) -> dict[str, object]:
    if kind is Kind.STANDING_CHARGE:
        description, product_id = terms.standing_charge_description, terms.standing_charge_accounting_product_id
    else:
        description, product_id = terms.minimum_spend_description, terms.minimum_spend_accounting_product_id
    name = kind.line_item_type if isinstance(terms, PlanTerms) else f"{kind.line_item_type}/group"
    return {"name": name, "description": description, "accounting_product_id": product_id, "unit": WHOLE}


def _charges_due(rating: "Rating", kind: Kind) -> pl.DataFrame:
    """One row per charge of the run, with its number; the fee of a balance that names no accounting product has the balance's for fees."""
    fees = rating.configuration.frame("Balance").select("fees_accounting_product_id", entity_id="balance_id")
    numbered = rating.charges.with_row_index("number").join(fees, on="entity_id", how="left", maintain_order="left")
    return numbered.select(
        "number",
        "charge_id",
        accounting_product_id=pl.coalesce("accounting_product_id", "fees_accounting_product_id"),
        name=pl.format(f"{kind.line_item_type}/{{}}", "charge_id"),
        description=pl.coalesce("description", "name"),
        balance_id=pl.when(pl.lit(kind is Kind.BALANCE_FEE)).then("entity_id"),
        own_contract_id="contract_id",
        unit=pl.lit(WHOLE),
    )


_FUND_TEXTS = {
    Kind.COMMITMENT_FEE: ("fee_description", "fee_accounting_product_id"),
    Kind.COMMITMENT_CONSUMED: ("consumed_description", "consumed_accounting_product_id"),
    Kind.BALANCE_CONSUMED: ("consumed_description", "consumed_accounting_product_id"),
    Kind.COMMITMENT_OVERAGE_SURCHARGE: ("overage_description", "consumed_accounting_product_id"),
    Kind.BALANCE_OVERAGE_SURCHARGE: ("overage_description", "consumed_accounting_product_id"),
}


def _funds(rating: "Rating", kind: Kind) -> pl.DataFrame:
    """One row per fund of the run, with its number."""
    description, product_id = _FUND_TEXTS[kind]
    is_commitment = pl.col("fund_kind") == COMMITMENT
    return rating.funds.with_row_index("number").select(
        "number",
        name=pl.format(f"{kind.line_item_type}/{{}}", "fund_id"),
        description=pl.col(description),
        accounting_product_id=pl.col(product_id),
        commitment_id=pl.when(is_commitment).then("fund_id"),
        balance_id=pl.when(~is_commitment).then("fund_id"),
        own_contract_id="contract_id",
        unit=pl.lit(WHOLE),
    )


def _charges(rating: "Rating", keyed: pl.DataFrame) -> pl.DataFrame:
    """One row per charge of ``keyed`` (``key``, ``kind``, ``number``), in its order; see ``_CHARGE``."""
    parts = []
    for (value,), part in keyed.group_by("kind", maintain_order=True):
        kind = Kind(value)
        if kind.subject in (Subject.CHARGE, Subject.FUND):
            table = _charges_due(rating, kind) if kind.subject is Subject.CHARGE else _funds(rating, kind)
            found = part.join(table, on="number", how="left", maintain_order="left")
        else:
            rows = [{"key": key, **_charge(rating, kind, number)} for key, number in part.select("key", "number").rows()]
            found = pl.DataFrame(rows, schema_overrides={"key": pl.UInt32}, infer_schema_length=None)
        found = found.with_columns(line_item_type=pl.lit(kind.line_item_type))
        parts.append(found.select((pl.col(n) if n in found.columns else pl.lit(None).alias(n)).cast(t) for n, t in _CHARGE.items()))
    return pl.concat([pl.DataFrame(schema=_CHARGE), *parts])


def _charge(rating: "Rating", kind: Kind, number: int) -> dict[str, object]:
    if kind.subject is Subject.OFFER:
        offer = rating.offers[number]
        return _offer_charge(kind, offer, rating.terms[offer.plan_number])
    if kind.subject is Subject.COUNTER:
        counted = rating.counter_offers[number]
        return _counter_charge(kind, counted, rating.terms[counted.plan_number])
    # The numbers of groups follow those of plans.
    terms = rating.terms[number] if number < len(rating.terms) else rating.groups[number - len(rating.terms)]
    return _anchor_charge(kind, terms)


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


def _told_apart(lines: pl.DataFrame) -> pl.Series:
    """The starts that ids are made from: of several fees of a commitment for one start, one microsecond later each."""
    fees = lines.select(is_fee=pl.col("kind") == Kind.COMMITMENT_FEE.value)["is_fee"]
    if not fees.any():
        return lines["service_start"]
    position = pl.int_range(pl.len()).over("due", "subject", "service_start")
    later = lines.select("due", "subject", "service_start").filter(fees).select(pl.col("service_start") + pl.duration(microseconds=position))
    return lines["service_start"].clone().scatter(fees.arg_true(), later.to_series())


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
    numbers = (len(rating.offers), len(rating.counter_offers), len(rating.terms) + len(rating.groups), rating.charges.height, rating.funds.height)
    width = max(*numbers, 1)
    group = pl.col("group_number") + pl.lit(len(rating.terms), dtype=pl.UInt32)
    own = rating.due.select(pl.coalesce("plan_number", group).alias("own"))["own"]
    lines = lines.with_columns(number=pl.coalesce("subject", own.gather(lines["due"]))).with_columns(
        key=pl.col("kind").cast(pl.UInt32) * width + pl.col("number")
    )
    charges = _charges(rating, lines.select("key", "kind", "number").unique("key").sort("key")).with_row_index("charge")
    charge = lines.select("key").join(charges.select("key", "charge"), on="key", how="left", maintain_order="left")["charge"]
    due = rating.due.select("due", "bill", "product_id", "account_plan_id", "plan_id", "plan_group_id", "contract_id")
    bill = headers.select("bill_id", "bill_date", "account_id")
    # A group's account plan stands for several plans.
    plan = pl.when(pl.col("plan_group_id").is_not_null()).then(pl.format("/{}", pl.col("plan_id").fill_null(""))).otherwise(pl.lit(""))
    owners = due.select(pl.format("line/{}/{}{}", bill["bill_id"].gather(due["bill"]), pl.col("account_plan_id").fill_null(""), plan)).to_series()
    children = _children(rating, lines)
    owners, owner = _owners(owners, lines, children)
    identity = line_item_ids(owners=owners, owner=owner, charges=charges["name"], charge=charge, start=_told_apart(lines))
    positions = lines.select("bill", position=pl.int_range(pl.len(), dtype=pl.Int32))
    numbered = positions.select(pl.col("position") - pl.col("position").first().over("bill") + 1).to_series()
    rates = pl.Series("conversion_rate", [e.rate for e in rating.exchanges], dtype=DECIMAL)
    currencies = pl.Series("currency", [e.pricing.code for e in rating.exchanges], dtype=pl.String)
    wide = pl.concat(
        [
            lines.drop("bill", "exchange", "due", "child", "number"),
            *children,
            charges.drop("charge", "key", "name")[charge],
            due.drop("due", "bill")[lines["due"]],
            bill[lines["bill"]],
        ],
        how="horizontal",
    )
    price = quotient(wide["subtotal"], wide["units"])
    wide = wide.with_columns(
        identity.alias("line_item_id"),
        numbered.alias("sequence_number"),
        # 0 for no units, as for the absurd price that does not fit.
        price.fill_null(0).cast(DECIMAL).alias("average_unit_price"),
        rates.gather(lines["exchange"]).alias("conversion_rate"),
        currencies.gather(lines["exchange"]).alias("currency"),
        contract_id=pl.coalesce("contract_id", "own_contract_id"),
        service_period_start="service_start",
        service_period_end="service_end",
    )
    columns = {name: dtype for name, dtype in BILL_LINE_ITEMS.schema.items() if name != "calculation_id"}
    return wide.select(pl.col(n) if n in wide.columns else pl.lit(None, dtype=t).alias(n) for n, t in columns.items())
