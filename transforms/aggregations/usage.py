"""What an aggregation reads: the measurements of one meter and the partial states kept of them.

Put here the vocabulary shared by ingest, aggregation and bill runs. Keep out how states are computed (states.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from transforms.datasets import MEASUREMENTS
from transforms.entities.usage import Meter


def field_column(code: str) -> str:
    """The column of ``measurements`` that holds a field: its code, or ``<code>.value`` where a declared column has that name.

    Codes never hold a dot, so the second form can't collide. Formulas read the account's code from ``account_code``.
    """
    return f"{code}.value" if code in MEASUREMENTS.columns or code == "account_code" else code


@dataclass(frozen=True, order=True)
class StateSpec:
    """A kind of partial state kept per account and event day.

    Attributes:
        meter_id: The meter.
        dimensions: String fields that the state is split by, sorted; empty for the whole account.
        unique: None for numeric states (count, sum, min, max, latest of every numeric field); else the string field
            whose distinct values are kept, one row each.
    """

    meter_id: str
    dimensions: tuple[str, ...] = ()
    unique: str | None = None

    @property
    def key(self) -> str:
        """Stable folder name, unique among the specs of a meter: ``numeric``, ``numeric.region.type``, ``unique-user.region``."""
        head = "numeric" if self.unique is None else f"unique-{self.unique}"
        return ".".join((head, *self.dimensions))


@dataclass(frozen=True)
class MeterUsage:
    """The usage of one meter of one organization, not yet read.

    Attributes:
        meter: The meter, with its fields as of the calculation.
        measurements: Dataset ``measurements`` of the meter; every field of the meter is a column (null where older
            files do not have it).
        states: Complete ``daily_aggregates`` by spec; a spec that is not here has to be computed from measurements.
            Several rows of one key are allowed; they merge exactly.
    """

    meter: Meter
    measurements: pl.LazyFrame
    states: Mapping[StateSpec, pl.LazyFrame] = field(default_factory=dict)
