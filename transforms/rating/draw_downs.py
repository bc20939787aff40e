"""Draw-downs: commitments and balances cover lines of bills, in the account's order (billing.md 5.2, 5.4, 5.8, DECISIONS 29).

Bills of an account draw one after the other, and each bill draws its funds one after the other, so the work is done by rank:
the first bills of all accounts from their first funds, then from their second, then the second bills. Put here who draws
what. Keep out eligibility (``coverage.py``) and what becomes of uncovered usage (``overage.py``).
"""

from dataclasses import replace

import polars as pl

from transforms.billing.conversions import restated
from transforms.money import DECIMAL, RoundingMode, rounded_column
from transforms.rating.amounts import SAFE, ZERO, by_part, product, total
from transforms.rating.availability import available
from transforms.rating.coverage import coverable, covered_by
from transforms.rating.funds import BALANCE, COMMITMENT
from transforms.rating.lines import Kind, charges, no_lines
from transforms.rating.overage import overage
from transforms.rating.run import DRAWS
from transforms.rating.state import DRAWN, Progress, Rating

#: One row per line and fund: what the fund covers of the line and could have covered, in the bill currency.
COVERED: dict[str, pl.DataType | type[pl.DataType]] = {
    "line": pl.UInt32,
    "bill": pl.UInt32,
    "fund": pl.UInt32,
    # As much of the line as lies in the fund's life.
    "share": DECIMAL,
    "taken": DECIMAL,
}


def covered(progress: Progress) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What funds cover of the lines so far.

    Returns:
        See COVERED, with a row also where a fund that may cover a line has nothing left for it; then the draws, one row per bill and fund
        that draws: ``bill``, ``fund``, ``drawn`` (bill currency), ``amount`` (fund's currency).
    """
    rating = progress.rating
    lines = coverable(progress)
    funds = rating.funds.with_row_index("fund").filter(~pl.col("is_grant") & pl.col("draw_rank").is_not_null())
    if lines.is_empty() or funds.is_empty():
        return pl.DataFrame(schema=COVERED), pl.DataFrame(schema={"bill": pl.UInt32, "fund": pl.UInt32, "drawn": DECIMAL, "amount": DECIMAL})
    held = _in_bill_currency(available(rating), rating)
    found, used = by_rank(lines, funds, held, rating)
    return found, _drawn(used, held, rating)


#: One row per bill and fund that it draws from, of a fund in the order of drawing: the amount, and whether it is all that was there.
USED: dict[str, pl.DataType | type[pl.DataType]] = {"bill": pl.UInt32, "fund": pl.UInt32, "drawn": DECIMAL, "is_emptied": pl.Boolean}


def by_rank(lines: pl.DataFrame, funds: pl.DataFrame, held: pl.DataFrame, rating: Rating) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What funds cover of lines: see COVERED and USED.

    Args:
        lines: See ``coverable``; ``converted_subtotal`` is what there is to cover.
        funds: The funds that may cover them, with ``fund`` and ``draw_rank``.
        held: ``bill``, ``fund``, ``limit`` (the most that the bill can draw) and ``allow_overdraft``.
        rating: The run.
    """
    order = rating.headers.select("bill", "account_id", "bill_date", "bill_id").sort("account_id", "bill_date", "bill_id")
    ranks = order.with_columns(bill_rank=pl.int_range(pl.len()).over("account_id")).select("bill", "account_id", "bill_rank")
    lines = lines.with_columns(left=pl.col("converted_subtotal")).join(ranks.select("bill", "bill_rank"), on="bill", maintain_order="left")
    funds = funds.join(ranks, on="account_id")
    held = held.with_columns(gone=ZERO)
    found, used = [pl.DataFrame(schema=COVERED)], [pl.DataFrame(schema=USED)]
    for bill_rank in sorted(lines["bill_rank"].unique()):
        now = lines.filter(pl.col("bill_rank") == bill_rank)
        for fund_rank in sorted(funds["draw_rank"].unique()):
            mine = covered_by(now, funds.filter((pl.col("draw_rank") == fund_rank) & (pl.col("bill_rank") == bill_rank)), rating)
            if mine.is_empty():
                continue
            taken, drawn = _taken(mine, held)
            found.append(taken.select(pl.col(name).cast(dtype) for name, dtype in COVERED.items()))
            used.append(drawn.select(pl.col(name).cast(dtype) for name, dtype in USED.items()))
            now = _less(now, taken)
            held = _spent(held, drawn)
    return pl.concat(found), pl.concat(used).filter(pl.col("drawn") > ZERO)


def _in_bill_currency(held: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """``available`` with ``limit``, the most that can be drawn in the bill currency (rounded down), null where there is no rate or no limit."""
    numbered = rating.funds.select("exchange", "allow_overdraft").with_row_index("fund")
    joined = held.join(numbered, on="fund", maintain_order="left")

    def converted(part: pl.DataFrame, number: int) -> pl.DataFrame:
        exchange = rating.exchanges[number]
        if exchange.pricing.code == exchange.bill.code or part.is_empty():
            return part.with_columns(limit="available")
        if exchange.rate is None:
            return part.with_columns(limit=ZERO)
        amounts = product(part["available"], pl.repeat(exchange.rate, part.height, dtype=DECIMAL, eager=True))
        floor = rounded_column(pl.col("limit"), places=exchange.bill.places, mode=RoundingMode.FLOOR)
        return part.with_columns(limit=amounts).with_columns(limit=floor)

    return by_part(joined, "exchange", converted)


def _taken(lines: pl.DataFrame, held: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines with ``taken``; and per bill and fund what was drawn, with ``is_emptied``."""
    joined = lines.join(held.select("bill", "fund", "limit", "gone", "allow_overdraft"), on=["bill", "fund"], how="left", maintain_order="left")
    rest = pl.max_horizontal(pl.col("limit") - pl.col("gone"), ZERO)
    joined = joined.with_columns(wanted=pl.min_horizontal("left", "share"), rest=rest)
    most = pl.min_horizontal("wanted", "rest")
    # A running sum that does not fit would raise for the whole run; the bill's total does not fit either, so that bill fails (DECISIONS 34).
    fits = most.cast(pl.Float64).sum().over("bill", "fund") < float(SAFE)
    joined = joined.with_columns(most=pl.when(fits).then(most).otherwise(ZERO)).with_columns(until=pl.col("most").cum_sum().over("bill", "fund"))
    within = pl.min_horizontal("until", "rest") - pl.min_horizontal(pl.col("until") - pl.col("most"), "rest")
    joined = joined.with_columns(taken=pl.when("allow_overdraft").then("wanted").otherwise(within))
    used = joined.group_by("bill", "fund", maintain_order=True).agg(pl.col("taken").sum().alias("drawn"), pl.col("rest", "allow_overdraft").first())
    return joined, used.with_columns(is_emptied=(pl.col("drawn") == pl.col("rest")) & ~pl.col("allow_overdraft"))


def _less(lines: pl.DataFrame, taken: pl.DataFrame) -> pl.DataFrame:
    joined = lines.join(taken.select("line", "taken"), on="line", how="left", maintain_order="left")
    return joined.with_columns(left=pl.col("left") - pl.col("taken").fill_null(ZERO)).drop("taken")


def _spent(held: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    """What is gone of each fund, for the account's later bills as well."""
    by_fund = used.group_by("fund").agg(pl.col("drawn").sum())
    joined = held.join(by_fund, on="fund", how="left", maintain_order="left")
    # Null where overdrafts add up to more than fits: nothing is left either way.
    return joined.with_columns(total([joined["gone"], joined["drawn"].fill_null(0)]).alias("gone")).drop("drawn")


def _drawn(used: pl.DataFrame, held: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """The draws with their ``amount`` in the fund's currency; one that takes all there is takes it to the last digit."""
    kept = held.select("bill", "fund", "available", "exchange", "allow_overdraft")
    joined = used.join(kept, on=["bill", "fund"], how="left", maintain_order="left")

    amounts = restated(joined.with_columns(amount="drawn"), "amount", rating.exchanges, rounds=True)
    bounded = pl.when("allow_overdraft").then(ZERO).otherwise("amount")
    before = bounded.cum_sum().over("fund") - bounded
    # Of a converted draw the last digit may be off; one that takes all there is takes it to the last digit.
    exactly = pl.when(pl.col("is_emptied") & (pl.col("drawn") != pl.col("amount"))).then(pl.col("available") - before).otherwise("amount")
    return amounts.with_columns(amount=exactly).select("bill", "fund", "drawn", "amount").sort("bill", "fund")


def drawn_down(progress: Progress, step: int) -> Progress:
    """The progress with what is covered drawn, and what is left uncovered charged as the fund or pricing says."""
    rating = progress.rating
    found, draws = covered(progress)
    if found.is_empty():
        return progress
    lines, surcharges = overage(progress, found, step)
    added = pl.concat([_consumed(draws, rating), _unconvertible(found, rating), surcharges])
    drawn = draws.join(rating.account_anchors, on="bill", maintain_order="left").select(pl.col(name).cast(dtype) for name, dtype in DRAWN.items())
    return replace(progress, lines=lines, draws=pl.concat([progress.draws, drawn])).with_lines(added, step)


def _consumed(draws: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """One line below zero per bill and fund that it draws from."""
    places = _places(draws, rating)
    amounts = {"subtotal": -pl.col("amount"), "converted_subtotal": -pl.col("drawn"), "failure": pl.lit(None, dtype=pl.String)}
    lines = places.with_columns(**amounts)
    return pl.concat([charges(lines.filter(pl.col("fund_kind") == kind), consumed) for kind, consumed in _CONSUMED.items()])


_CONSUMED = {COMMITMENT: Kind.COMMITMENT_CONSUMED, BALANCE: Kind.BALANCE_CONSUMED}


def _unconvertible(found: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """A line that fails its bill, for every fund that could cover something but whose currency can't be converted."""
    missing = pl.DataFrame(
        [(number, exchange.missing) for number, exchange in enumerate(rating.exchanges) if exchange.rate is None],
        schema={"exchange": pl.UInt32, "failure": pl.String},
        orient="row",
    )
    if missing.is_empty():
        return no_lines()
    broken = _places(found.select("bill", "fund").unique(), rating).join(missing, on="exchange")
    none = pl.lit(None, dtype=DECIMAL)
    return charges(broken.with_columns(subtotal=none, converted_subtotal=none), Kind.COMMITMENT_CONSUMED)


def _places(frame: pl.DataFrame, rating: Rating) -> pl.DataFrame:
    """The rows (``bill``, ``fund``) with what a line about the fund needs: anchor, exchange, subject and the bill's period."""
    funds = rating.funds.select("exchange", "fund_kind").with_row_index("fund")
    periods = rating.headers.select("bill", service_start="start_at", service_end="end_at")
    placed = frame.join(funds, on="fund", maintain_order="left").join(periods, on="bill", maintain_order="left")
    return placed.join(rating.account_anchors, on="bill", maintain_order="left").with_columns(subject="fund")


def stored_draws(rating: Rating, draws: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """What the bills that are made draw; see DRAWS.

    Args:
        rating: The run.
        draws: See DRAWN.
        made: The bills that are made, with ``bill``.
    """
    bills = rating.due.select("due", "bill")
    placed = draws.join(bills, on="due").group_by("bill", "fund").agg(pl.col("amount").sum())
    funds = rating.funds.select("fund_kind", "fund_id").with_row_index("fund")
    headers = made.select("bill", "bill_id", "bill_date", "account_id", applied_at="end_at")
    return placed.join(headers, on="bill").join(funds, on="fund").select(*DRAWS).sort("bill_id", "fund_id")
