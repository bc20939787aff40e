"""The usage that an old calculation read: every table at the version that the calculation names.

Put here how pinned versions become usage. Keep out what is computed of it, and today's usage (``ingest.meter_usage``).
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date

import polars as pl

from pipelines.storage.ingest_organization import field_types, state_fields
from pipelines.storage.lake import Lake
from transforms.aggregations.states import state_schema, state_specs
from transforms.aggregations.usage import MeterUsage, StateSpec
from transforms.configuration import Configuration
from transforms.datasets import DAILY_AGGREGATES, MEASUREMENTS
from transforms.entities.usage import Meter


def pinned_usage(lake: Lake, configuration: Configuration, versions: Mapping[str, int], *, kept_for: Configuration) -> dict[str, MeterUsage]:
    """The usage of the configuration's meters as it stood at the versions, not yet read.

    Args:
        lake: Where the datasets are.
        configuration: The organization; the fields and states are those of its meters and aggregations.
        versions: ``measurements/<meter id>`` and ``daily_aggregates/<meter id>/<state>`` -> version, see
            ``bill_calculations.dataset_versions``. A meter that is not there had no measurements, a state none that was complete.
        kept_for: The configuration of the calculation that names the versions: its meters and time zone are those that states
            and event days were made with. A state is read only where the two agree, else measurements answer.

    Raises:
        VersionGone: A version is no longer kept.
    """
    specs = state_specs(configuration)
    usage = {}
    for meter_id, meter in configuration.entities(Meter).items():
        measurements, days_hold = _measurements(lake, configuration, versions, meter, kept_for)
        known = kept_for.entities(Meter).get(meter_id)
        usable = days_hold and known is not None and state_fields(known) == state_fields(meter)
        found = {
            spec: _state(lake, configuration.organization_id, spec, meter, versions[_state_name(spec)])
            for spec in specs
            if usable and spec.meter_id == meter_id and _state_name(spec) in versions
        }
        states, merged = {s: rows for s, (rows, _) in found.items()}, {s: months for s, (_, months) in found.items()}
        usage[meter_id] = MeterUsage(meter, measurements, states, merged)
    return usage


def _state_name(spec: StateSpec) -> str:
    return f"{DAILY_AGGREGATES.name}/{spec.meter_id}/{spec.key}"


def _measurements(
    lake: Lake, configuration: Configuration, versions: Mapping[str, int], meter: Meter, kept_for: Configuration
) -> tuple[pl.LazyFrame, bool]:
    """The meter's measurements with their event days in the configuration's time zone, and whether they are stored so."""
    version = versions.get(f"{MEASUREMENTS.name}/{meter.id}")
    types = field_types(meter)
    if version is None:
        return pl.LazyFrame(schema={**MEASUREMENTS.schema, **types}), True
    rows = lake.scan(MEASUREMENTS, configuration.organization_id, meter.id, columns=types, version=version)
    # A calculation names a state of every meter with measurements, unless their days were not yet cut in its time zone.
    has_states = any(name.startswith(f"{DAILY_AGGREGATES.name}/{meter.id}/") for name in versions)
    if has_states and kept_for.time_zone == configuration.time_zone:
        return rows, True
    return rows.with_columns(pl.col("ts").dt.convert_time_zone(configuration.time_zone).dt.date().alias("date")), False


def _state(lake: Lake, org_id: str, spec: StateSpec, meter: Meter, version: int) -> tuple[pl.LazyFrame, frozenset[date]]:
    """The state's rows, and the months of which one file has them all: no file has two rows of one key."""
    parts = (spec.meter_id, spec.key)
    rows = lake.scan(DAILY_AGGREGATES, org_id, *parts, columns=state_schema(spec, meter), version=version)
    months = Counter(f.partition_values["month"] for f in lake.files(DAILY_AGGREGATES, org_id, *parts, version=version))
    return rows, frozenset(date.fromisoformat(month) for month, count in months.items() if month is not None and count == 1)
