"""What an aggregation reads: the measurements of one meter and the partial states kept of them.

Put here the vocabulary shared by ingest, aggregation and bill runs. Keep out how states are computed (states.py).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b

import polars as pl

from transforms.datasets import MEASUREMENTS
from transforms.entities.usage import Meter

#: Columns that measurements have beside the fields: of the dataset, and on the way through formulas and aggregations.
_OWN_COLUMNS = frozenset(
    (
        *MEASUREMENTS.columns,
        "account_code",
        *(
            "month",
            "segment_index",
            "window_number",
            "window_start",
            "window_end",
            "first_day",
            "end_day",
            "first_month",
            "end_month",
            "startTime",
            "all",
        ),
    )
)


def field_column(code: str) -> str:
    """The column of ``measurements`` that holds a field: its code, or ``<code>.value`` where a column of ours has that name.

    Codes never hold a dot, so the second form can't collide.
    """
    return f"{code}.value" if code in _OWN_COLUMNS else code


class StateKind(StrEnum):
    """What a partial state keeps per account and event day or month.

    NUMERIC: count, sum, min and max of every numeric field. TOTALS: the same of one field by segment. LATEST: the latest
    value of one field. UNIQUE: the distinct values of one string field, a row each.
    """

    NUMERIC = "numeric"
    TOTALS = "totals"
    LATEST = "latest"
    UNIQUE = "unique"


class Grain(StrEnum):
    """What one row of a state is about.

    DAY: an account's event day. MONTH: a calendar month of them. POOLED: an event day of all accounts together.
    """

    DAY = "day"
    MONTH = "month"
    POOLED = "pooled"


@dataclass(frozen=True)
class StateSpec:
    """A kind of partial state kept per account and event day or month, or per event day of all accounts.

    Attributes:
        meter_id: The meter.
        kind: What is kept.
        field: The field of the kinds that keep one; empty for NUMERIC.
        fields: segmentedFields in declared order, when the state is split by segment; else empty.
        segments: The segments as value tuples in that order. Splitting by them, and not by every combination of values,
            keeps such a state small.
        grain: A row per account and day; or per account and month: whole months are answered from a thirtieth of the rows;
            or per day: what asks for no account is answered from a handful.
    """

    meter_id: str
    kind: StateKind = StateKind.NUMERIC
    field: str = ""
    fields: tuple[str, ...] = ()
    segments: tuple[tuple[str, ...], ...] = ()
    grain: Grain = Grain.DAY

    @cached_property
    def by_month(self) -> "StateSpec":
        """The same state by month."""
        return replace(self, grain=Grain.MONTH)

    @cached_property
    def pooled(self) -> "StateSpec":
        """The same state of all accounts together."""
        return replace(self, grain=Grain.POOLED)

    @cached_property
    def key(self) -> str:
        """Stable folder name, unique among the specs of a meter.

        ``numeric``, ``month-numeric``, ``pooled-numeric``, ``unique-user``, ``totals-qty.<digest of the segments>``.
        """
        head = f"{self.kind}-{self.field}" if self.field else str(self.kind)
        head = head if self.grain is Grain.DAY else f"{self.grain}-{head}"
        if not self.fields:
            return head
        text = json.dumps([self.fields, self.segments], ensure_ascii=True)
        return f"{head}.{blake2b(text.encode(), digest_size=8).hexdigest()}"


@dataclass(frozen=True)
class MeterUsage:
    """The usage of one meter of one organization, not yet read.

    Attributes:
        meter: The meter, with its fields as of the calculation.
        measurements: Dataset ``measurements`` of the meter; every field of the meter is a column (null where older
            files do not have it).
        states: Complete ``daily_aggregates`` by spec; a spec that is not here has to be computed from measurements.
            Several rows of one key are allowed; they merge exactly.
        merged: By spec, the months in which the state's rows are known to be merged: no two have the same key.
    """

    meter: Meter
    measurements: pl.LazyFrame
    states: Mapping[StateSpec, pl.LazyFrame] = field(default_factory=dict)
    merged: Mapping[StateSpec, frozenset[date]] = field(default_factory=dict)
