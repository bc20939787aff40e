"""When the small files of many batches become one.

Put here the choice of tables and how their rows are merged; the rewriting itself is Lake.compact.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import polars as pl

from pipelines.storage.ingest_organization import IngestOrganization
from pipelines.storage.lake import Lake
from transforms.aggregations.states import merged_states, state_order
from transforms.aggregations.usage import Grain, StateSpec
from transforms.datasets import DAILY_AGGREGATES, MEASUREMENTS, REJECTED_MEASUREMENTS, UID_INDEX, Dataset
from transforms.entities.usage import Meter

#: Batches added to a table before its partitions are looked at.
BATCHES = 16
#: States of a month that is over become one file below this size, whose rows need no merging when they are read.
SETTLED_BYTES = 64 * 1024 * 1024
_ORDER = {
    MEASUREMENTS.name: ("account_number", "ts", "uid"),
    REJECTED_MEASUREMENTS.name: ("received_at",),
    UID_INDEX.name: ("uid_hash",),
}
_BY_NAME = {d.name: d for d in (MEASUREMENTS, REJECTED_MEASUREMENTS, UID_INDEX)}


class Compaction:
    """Counts what was added to tables of a lake and rewrites those that have got many small files."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._added: Counter[tuple[str, str, tuple[str, ...]]] = Counter()

    def note(self, org_id: str, tables: Sequence[Mapping[str, Any]]) -> None:
        """A batch was added to these tables of a manifest."""
        self._added.update((org_id, table["dataset"], tuple(table["parts"])) for table in tables)

    def run(self, organizations: Mapping[str, IngestOrganization]) -> None:
        """Compact the tables of these organizations that it is time for; must run under the ingest lock."""
        due = [key for key, count in self._added.items() if count >= BATCHES and key[0] in organizations]
        for org_id, name, parts in due:
            del self._added[org_id, name, parts]
            if name == DAILY_AGGREGATES.name:
                self._merge_states(organizations[org_id], *parts)
            else:
                self._sort(_BY_NAME[name], org_id, parts)

    def _sort(self, dataset: Dataset, org_id: str, parts: tuple[str, ...]) -> None:
        columns = dataset.partition_by + _ORDER[dataset.name]
        self._lake.compact(dataset, org_id, *parts, merged=lambda rows: rows.sort(*columns))

    def _merge_states(self, organization: IngestOrganization, meter_id: str, key: str) -> None:
        spec = next((s for s in organization.complete if (s.meter_id, s.key) == (meter_id, key)), None)
        if spec is not None:
            compact = partial(self._lake.compact, DAILY_AGGREGATES, organization.org_id, meter_id, key)
            merged = partial(_merged, spec, organization.configuration.entity(Meter, meter_id))
            compact(merged=merged)
            if spec.grain is Grain.MONTH:
                newest = max(f.partition_values["month"] or "" for f in self._lake.files(DAILY_AGGREGATES, organization.org_id, meter_id, key))
                compact(merged=merged, small_files=2, small_bytes=SETTLED_BYTES, where=lambda values: (values["month"] or "") < newest)


def _merged(spec: StateSpec, meter: Meter, rows: pl.LazyFrame) -> pl.LazyFrame:
    return merged_states(spec, meter, rows).sort(*state_order(spec))
