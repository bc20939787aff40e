"""The charges that a run bills: ad hoc ones and fees of balances, each on a day of its own (billing.md 6.5).

Put here which charge stands on which bill. Keep out what it comes to (``charges.py``).
"""

import polars as pl

from transforms.configuration import FRAMES, Configuration
from transforms.rating.anchors import Role, dated_charges
from transforms.rating.attachments import with_grouping


def due_charges(configuration: Configuration, due: pl.DataFrame, zone: str) -> pl.DataFrame:
    """One row per charge, by bill and then in order of creation: its own columns, ``due`` (its account's anchor) and ``bill_currency``."""
    charges = with_grouping(dated_charges(configuration, zone), configuration)
    anchors = due.filter((pl.col("role") == Role.ACCOUNT.value) & pl.col("event_date").is_not_null())
    places = anchors.select("due", "bill_currency", "grouping", "event_date", account_id="billed_id")
    joined = charges.join(places, on=["account_id", "grouping", "event_date"])
    return joined.sort("due", "created_at", "charge_id").select(*FRAMES["Charge"], "due", "bill_currency")
