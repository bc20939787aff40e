"""What a bill may draw from each fund: what was put in, less what other bills have drawn (DECISIONS 29).

Bills of an account draw in the order of bill date and id. A bill that is calculated again gives its own draw back, and
the open bills after it are calculated anew, so their draws do not count; locked ones keep theirs. Put here what is left of a
fund; keep out which lines it may cover (``coverage.py``). Source: billing.md 5.2, 5.7, 5.8.
"""

import polars as pl

from transforms.rating.amounts import SAFE, ZERO
from transforms.rating.funds import COMMITMENT
from transforms.rating.state import Rating


def available(rating: Rating) -> pl.DataFrame:
    """One row per wanted bill and fund of its account: ``bill``, ``fund`` and ``available`` (fund's currency; null where it does not fit).

    It is what the bill could draw if no bill of this run came before it; never below zero.
    """
    bills = rating.headers.filter("is_wanted").select("bill", "bill_id", "bill_date", "account_id", "start_at", "end_at")
    funds = rating.funds.with_row_index("fund")
    pairs = bills.join(
        funds.select("fund", "fund_id", "fund_kind", "amount", "account_id", fund_start="start_at", fund_end="end_at", cap="rollover_amount"),
        on="account_id",
    )
    entries = rating.ledger.rename({"amount": "entry", "bill_id": "drawn_by", "bill_date": "drawn_on"})
    entries = pairs.select("bill", "fund", "bill_id", "bill_date", "start_at", "end_at", "fund_id", "fund_end").join(entries, on="fund_id")
    is_draw = pl.col("drawn_by").is_not_null()
    in_run = pl.col("drawn_by").is_in(bills["bill_id"].implode())
    is_earlier = (pl.col("drawn_on") < pl.col("bill_date")) | ((pl.col("drawn_on") == pl.col("bill_date")) & (pl.col("drawn_by") < pl.col("bill_id")))
    # A locked bill that the run computes too is not stored anew: its draws stand for the others, and it draws nothing here.
    is_other = pl.col("drawn_by") != pl.col("bill_id")
    counted = pl.when("is_locked").then(is_other).otherwise(~in_run & is_earlier)
    counts = pl.when(is_draw).then(counted).otherwise(pl.col("applied_at") < pl.col("end_at"))
    locked = rating.ledger.filter("is_locked")["bill_id"].unique()
    # Of a balance that has ended, what is left rolls over; draws since its end are of bills that began at or after it.
    since_end = is_draw & (pl.col("applied_at") > pl.col("fund_end")) & (pl.col("fund_end") <= pl.col("start_at"))
    standing = (
        entries.filter(counts)
        .group_by("bill", "fund")
        .agg(
            pl.col("entry").sum().alias("entered"),
            pl.col("entry").cast(pl.Float64).abs().sum().alias("weight"),
            rolled=pl.col("entry").filter(since_end).sum(),
        )
    )
    joined = pairs.join(standing, on=["bill", "fund"], how="left")
    held = pl.when(pl.col("fund_kind") == COMMITMENT).then("amount").otherwise(ZERO)
    fits = pl.col("weight").fill_null(0) < float(SAFE)
    left = pl.max_horizontal(held + pl.col("entered").fill_null(ZERO), ZERO)
    is_rolled = (pl.col("fund_end") <= pl.col("start_at")) & pl.col("cap").is_not_null()
    capped = pl.max_horizontal(pl.min_horizontal(left, pl.col("cap") + pl.col("rolled").fill_null(ZERO)), ZERO)
    is_locked = pl.col("bill_id").is_in(locked.implode())
    most = pl.when(is_locked).then(ZERO).when(is_rolled).then(capped).otherwise(left)
    return joined.select("bill", "fund", available=pl.when(fits).then(most))
