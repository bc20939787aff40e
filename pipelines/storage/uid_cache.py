"""Hashes of the uids that stand, in memory, so that a batch is de-duplicated without reading what was accepted before.

A hash that is found is only a candidate: the uid itself is then compared with the uid index in the lake. Put here the
candidates; the rule is transforms/measurements/deduplicate.py.
"""

from datetime import datetime

import polars as pl

from pipelines.storage.lake import Lake
from transforms.datasets import UID_INDEX
from transforms.measurements.deduplicate import STANDS_FOR


class UidCache:
    """Sorted hashes per organization; belongs to one process, which need not be the only one that ingests.

    What other processes accepted is found by the files of the uid index that this one has not read yet.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._read: dict[str, set[str]] = {}
        self._sorted: dict[str, list[pl.Series]] = {}

    def standing(self, org_id: str, hashes: pl.Series, since: datetime) -> pl.DataFrame:
        """Accepted uids that have one of these hashes and were received at most 35 days before ``since``, or later.

        Returns:
            uid, received_at; nearly always empty.
        """
        self._refresh(org_id, since)
        needles = hashes.unique().sort()
        hits = [needles.filter(_contains(tier, needles)) for tier in self._sorted[org_id]]
        candidates = pl.concat(hits).unique() if hits else needles.clear()
        if candidates.is_empty():
            return pl.DataFrame(schema={name: UID_INDEX.schema[name] for name in ("uid", "received_at")})
        rows = self._lake.scan(UID_INDEX, org_id).filter(
            pl.col("received_date") >= (since - STANDS_FOR).date(), pl.col("uid_hash").is_in(candidates.implode())
        )
        return rows.select("uid", "received_at").collect()

    def _refresh(self, org_id: str, since: datetime) -> None:
        seen = self._read.setdefault(org_id, set())
        tiers = self._sorted.setdefault(org_id, [])
        oldest = (since - STANDS_FOR).date().isoformat()
        files = self._lake.files(UID_INDEX, org_id)
        new = [f.path for f in files if f.path not in seen and (f.partition_values["received_date"] or "") >= oldest]
        if not new:
            return
        hashes = self._lake.scan_files(UID_INDEX, org_id, paths=new).select("uid_hash").collect()["uid_hash"].sort()
        seen.clear()
        seen.update(f.path for f in files)
        tiers.append(hashes)
        # Few tiers of growing size: every hash is sorted a logarithmic number of times.
        while len(tiers) > 1 and len(tiers[-2]) < 2 * len(tiers[-1]):
            small, large = tiers.pop(), tiers.pop()
            tiers.append(pl.concat([large, small]).unique().sort())


def _contains(tier: pl.Series, needles: pl.Series) -> pl.Series:
    """Which needles (sorted) are in the tier (sorted)."""
    if tier.is_empty():
        return pl.Series([False] * len(needles), dtype=pl.Boolean)
    at = tier.search_sorted(needles, side="left")
    return tier.gather(at.clip(upper_bound=len(tier) - 1)) == needles
