"""Fees of commitments: what was committed and not paid before, in instalments with a plan's bills or on dates of their own.

With a plan, every ``billing_interval``-th of its bills within the commitment's life carries one, from the ``billing_offset``-th
on; they are equal but for the first, which may be given, and the last, which takes what rounding leaves. Put here what falls
due when. Keep out what the commitment pays for (``draw_downs.py``). Source: billing.md 5.3.
"""

import polars as pl

from transforms.billing.conversions import finished
from transforms.money import DECIMAL
from transforms.periods import DAY
from transforms.rating.amounts import ZERO, by_part, product, quotient
from transforms.rating.attachments import attached_plans, with_grouping
from transforms.rating.fee_dates import dated_fees
from transforms.rating.lines import Kind, charges, no_lines
from transforms.rating.state import Progress, Rating
from transforms.rating.windows import boundary, first_whole_day, index, midnights

_BILLED = ("commitment_id", "account_id", "amount", "amount_pre_paid", "amount_first_bill", "start_date", "end_date", "bill_epoch", "contract_id")


def commitment_fees(progress: Progress) -> pl.DataFrame:
    """The COMMITMENT_FEE lines: of fee dates, then of billing plans."""
    rating = progress.rating
    if rating.configuration.frame("Commitment").is_empty() or rating.funds.is_empty():
        return no_lines()
    return pl.concat([_dated(rating), _with_plans(rating)])


def _placed(rating: Rating) -> pl.DataFrame:
    """``commitment_id``, ``subject`` and ``exchange`` of the run's commitments."""
    return rating.funds.select("exchange", commitment_id="fund_id").with_row_index("subject")


def _dated(rating: Rating) -> pl.DataFrame:
    """A line per fee date that a bill of the run falls on."""
    places = rating.account_events.select("due", "event_date", "grouping", account_id="billed_id")
    fees = dated_fees(rating.configuration, places["event_date"].unique())
    mine = with_grouping(fees, rating.configuration).join(places, on=["account_id", "grouping", "event_date"])
    placed = mine.join(_placed(rating), on="commitment_id").sort("due", "subject", "service_start", "service_end", "amount")
    return charges(finished(placed.drop("currency", "contract_id", "grouping"), rating.exchanges), Kind.COMMITMENT_FEE)


def _with_plans(rating: Rating) -> pl.DataFrame:
    """A line per bill of the billing plan that carries an instalment."""
    general = rating.configuration.organization.commitment_fee_bill_in_advance
    commitments = rating.configuration.frame("Commitment").filter(pl.col("billing_plan_id").is_not_null())
    own = commitments.select(
        *_BILLED,
        plan_id="billing_plan_id",
        billing_interval=pl.col("billing_interval").fill_null(1),
        billing_offset=pl.col("billing_offset").fill_null(0),
        in_advance=pl.col("commitment_fee_bill_in_advance").fill_null(general),
    ).rename({"bill_epoch": "fee_epoch", "amount": "committed"})
    schedule = ("epoch", "step_days", "step_months", "k", "account_id", "plan_id", "bill", "bill_date", "due")
    bills = rating.plans.select(*schedule, plan_contract="contract_id").join(_attached(own, rating), on=["account_id", "plan_id"])
    mine = bills.filter(~pl.col("has_own") | (pl.col("plan_contract") == pl.col("contract_id"))).sort("commitment_id", "due")
    numbered = _instalments(mine.unique(["commitment_id", "bill_date"], keep="first", maintain_order=True).drop("due"))
    if numbered.is_empty():
        return no_lines()
    placed = numbered.join(_placed(rating), on="commitment_id").join(rating.account_anchors, on="bill")
    priced = by_part(placed, "exchange", lambda part, n: _amounts(part, rating, n))
    timed = _service(priced, rating.zone).sort("due", "subject")
    return charges(finished(timed, rating.exchanges), Kind.COMMITMENT_FEE)


def _attached(own: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """The commitments whose plan the account has, with ``attached_day``, since when: no instalment falls before the plan's first bill.

    Where the plan is attached by the commitment's own contract too (``has_own``), those account plans alone carry its fees.
    """
    zone = rating.zone
    attached = attached_plans(rating.configuration).select(
        "account_id",
        "plan_id",
        plan_contract="contract_id",
        attached_day=first_whole_day("start_date", zone),
        ended_day=first_whole_day("end_date", zone),
    )
    pairs = own.join(attached, on=["account_id", "plan_id"]).filter((pl.col("ended_day") > pl.col("start_date")).fill_null(True))
    pairs = pairs.with_columns(is_own=(pl.col("plan_contract") == pl.col("contract_id")).fill_null(False))
    pairs = pairs.with_columns(has_own=pl.col("is_own").any().over("commitment_id")).filter(pl.col("is_own") | ~pl.col("has_own"))
    since = pairs.group_by("commitment_id").agg(pl.col("attached_day").min(), pl.col("has_own").first())
    return own.join(since, on="commitment_id", maintain_order="left")


def _instalments(frame: pl.DataFrame) -> pl.DataFrame:
    """The bills that carry an instalment: ``number`` (from 0) of ``count``."""
    started = pl.max_horizontal("start_date", "fee_epoch", "attached_day")
    frame = frame.with_columns(_from=started, _last=pl.col("end_date") - DAY).with_columns(_kf=index("_from"), _kl=index("_last"))
    frame = frame.with_columns(_at=boundary("_kf"))
    one = pl.lit(1, dtype=pl.Int32)
    first = (
        pl.when(pl.col("in_advance"))
        .then(pl.when(pl.col("_at") == pl.col("_from")).then("_kf").otherwise(pl.col("_kf") + one))
        .otherwise(pl.col("_kf") + one)
    )
    last = pl.when(pl.col("in_advance")).then("_kl").otherwise(pl.col("_kl") + one)
    frame = frame.with_columns(first=pl.max_horizontal(first, pl.lit(0, dtype=pl.Int32)), last=last)
    since = pl.col("k") - pl.col("first") - pl.col("billing_offset")
    every = pl.col("billing_interval")
    counted = frame.with_columns(
        number=since.floordiv(every),
        count=(pl.col("last") - pl.col("first") - pl.col("billing_offset")).floordiv(every) + one,
        is_due=(since >= 0) & (since % every == 0) & (pl.col("k") <= pl.col("last")),
    )
    return counted.filter("is_due").drop("_from", "_last", "_kf", "_kl", "_at", "first", "last", "is_due")


def _amounts(part: pl.DataFrame, rating: Rating, number: int) -> pl.DataFrame:
    """``amount`` of each instalment, already in whole units of the currency's last place."""
    if part.is_empty():
        return part.with_columns(amount=ZERO)
    rounding = rating.exchanges[number].pricing
    count = part["count"].cast(DECIMAL)
    part = part.with_columns(outstanding=pl.max_horizontal(pl.col("committed") - pl.col("amount_pre_paid").fill_null(ZERO), ZERO))
    # The horizontal minimum skips nulls.
    given = pl.when(pl.col("amount_first_bill").is_not_null()).then(pl.min_horizontal("amount_first_bill", "outstanding"))
    first = pl.coalesce(given, pl.lit(quotient(part["outstanding"], count)))
    part = part.with_columns(first_exactly=first).with_columns(first=rounding.rounded("first_exactly"))
    part = part.with_columns(first=pl.when(pl.col("count") == 1).then("outstanding").otherwise("first"))
    # Instalments are computed from the exact first one, so that without a given one all are equal.
    part = part.with_columns(rest=pl.col("outstanding") - pl.col("first"), rest_exactly=pl.col("outstanding") - pl.col("first_exactly"))
    others = (part["count"] - 1).clip(1).cast(DECIMAL)
    part = part.with_columns(each_exactly=quotient(part["rest_exactly"], others)).with_columns(each=rounding.rounded("each_exactly"))
    before = product(part["each"], (part["count"] - 2).clip(0).cast(DECIMAL))
    amount = (
        pl.when(pl.col("number") == 0)
        .then("first")
        .when(pl.col("number") == pl.col("count") - 1)
        .then(pl.col("rest") - pl.lit(before))
        .otherwise("each")
    )
    return part.with_columns(amount=amount).drop("outstanding", "first_exactly", "first", "rest", "rest_exactly", "each_exactly", "each")


def _service(frame: pl.DataFrame, zone: str) -> pl.DataFrame:
    """``service_start`` and ``service_end``: the periods up to the next instalment, or since the one before, within the commitment's life."""
    span = pl.col("billing_interval")
    start = pl.when("in_advance").then(pl.col("k")).otherwise(pl.col("k") - span)
    frame = frame.with_columns(_s=start).with_columns(_e=pl.col("_s") + span)
    frame = frame.with_columns(_from=boundary("_s"), _until=boundary("_e"))
    frame = frame.with_columns(_from=pl.max_horizontal("_from", "start_date"), _until=pl.min_horizontal("_until", "end_date"))
    days = midnights([*frame["_from"], *frame["_until"]], zone)
    for day, at in (("_from", "service_start"), ("_until", "service_end")):
        frame = frame.join(days.rename({"day": day, "at": at}), on=day, how="left", maintain_order="left")
    return frame.drop("_s", "_e", "_from", "_until")
