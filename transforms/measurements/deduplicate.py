"""Which rows repeat a uid that already stands (DECISIONS 11).

The first accepted measurement of a uid stands for 35 days from its receipt, in the whole organization. Put here the rule
and the hash that finds candidates; where accepted uids are kept is storage's business.
"""

import hashlib
from collections.abc import Iterable
from datetime import timedelta

import polars as pl

from transforms.measurements.landed import KEYED, SEQUENCE

STANDS_FOR = timedelta(days=35)


def uid_hashes(uids: Iterable[str]) -> pl.Series:
    """A stable 64-bit hash of each uid: blake2b-64, little endian, signed."""
    digests = b"".join([hashlib.blake2b(uid.encode(), digest_size=8).digest() for uid in uids])
    return pl.Series("uid_hash", memoryview(digests).cast("q"), dtype=pl.Int64)


def duplicates(rows: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """The rows that repeat a uid.

    Args:
        rows: Valid rows of one batch and organization, all meters: SEQUENCE, KEYED, uid, received_at. Their sequence is
            the order of (received_at, arrival).
        standing: Accepted uids that may still stand: uid, received_at; several rows of one uid are allowed.

    Returns:
        SEQUENCE of the duplicates. Rows whose uid was made up are never among them.
    """
    keyed = rows.filter(pl.col(KEYED)).select(SEQUENCE, "uid", "received_at").sort(SEQUENCE)
    latest = standing.group_by("uid").agg(pl.col("received_at").max().alias("standing_since"))
    open_rows = keyed.join(latest, on="uid", how="left")
    found: list[pl.DataFrame] = []
    while not open_rows.is_empty():
        repeats = (pl.col("received_at") < pl.col("standing_since") + STANDS_FOR).fill_null(False)
        found.append(open_rows.filter(repeats).select(SEQUENCE))
        free = open_rows.filter(~repeats).sort(SEQUENCE)
        # The first of each uid is accepted; what follows is judged against it, rarely more than once.
        first = free.unique("uid", keep="first", maintain_order=True).select(
            "uid", pl.col("received_at").alias("accepted_at"), pl.col(SEQUENCE).alias("accepted")
        )
        open_rows = (
            free.join(first, on="uid")
            .filter(pl.col(SEQUENCE) != pl.col("accepted"))
            .select(SEQUENCE, "uid", "received_at", standing_since="accepted_at")
        )
    return pl.concat(found) if found else rows.select(SEQUENCE).clear()
