"""What ingest computes again from the detail: states that a new aggregation needs, event days after a change of time zone.

Put here the work that a change of configuration causes, limited to what it touches. It runs under the ingest lock, so no
batch comes in between; a crash leaves the states incomplete, and incomplete states are computed again.
"""

from collections.abc import Iterable

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from pipelines.storage.database import Database
from pipelines.storage.ingest_batch import COUNTS
from pipelines.storage.ingest_organization import IngestOrganization, field_types, ingest_organization, state_fields
from pipelines.storage.ingest_tables import AGGREGATE_STATES, INGEST_CALENDARS, MEASUREMENT_COUNTS
from pipelines.storage.lake import Lake
from transforms.aggregations.states import daily_states, state_order
from transforms.aggregations.usage import StateSpec
from transforms.datasets import DAILY_AGGREGATES, MEASUREMENTS, REJECTED_MEASUREMENTS
from transforms.entities.usage import Meter
from transforms.measurements.landed import Reason


def brought_up_to_date(database: Database, lake: Lake, org_id: str) -> IngestOrganization | None:
    """The organization with every wanted state complete and every event day in its time zone.

    Must run under the ingest lock, with all planned batches applied.
    """
    with database.transaction() as connection:
        organization = ingest_organization(connection, org_id)
        if organization is None:
            return None
        wanted = {(s.meter_id, s.key) for s in organization.specs}
        states = AGGREGATE_STATES.c
        known = connection.execute(sa.select(states.meter_id, states.spec_key).where(states.org_id == org_id)).all()
        for meter_id, spec_key in known:
            if (meter_id, spec_key) not in wanted:
                connection.execute(
                    sa.delete(AGGREGATE_STATES).where(states.org_id == org_id, states.meter_id == meter_id, states.spec_key == spec_key)
                )
        calendar = connection.execute(sa.select(INGEST_CALENDARS.c.time_zone).where(INGEST_CALENDARS.c.org_id == org_id)).scalar()
    for meter in organization.configuration.entities(Meter).values():
        lake.retype(MEASUREMENTS, org_id, meter.id, columns=field_types(meter))
    is_moved = calendar is not None and calendar != organization.configuration.time_zone
    if is_moved:
        _move_days(database, lake, organization)
    missing = [s for s in organization.specs if is_moved or s not in organization.complete]
    if not missing:
        return organization
    _build(database, lake, organization, missing)
    with database.transaction() as connection:
        return ingest_organization(connection, org_id)


def _build(database: Database, lake: Lake, organization: IngestOrganization, specs: Iterable[StateSpec]) -> None:
    org_id = organization.org_id
    for spec in specs:
        meter = organization.configuration.entity(Meter, spec.meter_id)
        row = {"org_id": org_id, "meter_id": spec.meter_id, "spec_key": spec.key}
        values = {"fields": state_fields(meter), "is_complete": False}
        with database.transaction() as connection:
            query = insert(AGGREGATE_STATES).values(**row, **values)
            connection.execute(query.on_conflict_do_update(index_elements=list(row), set_=values))
        measurements = lake.scan(MEASUREMENTS, org_id, spec.meter_id, columns=field_types(meter))
        if lake.exists(MEASUREMENTS, org_id, spec.meter_id) or lake.exists(DAILY_AGGREGATES, org_id, spec.meter_id, spec.key):
            states = daily_states(spec, meter, measurements).collect(engine="streaming").sort(*state_order(spec))
            lake.replace(DAILY_AGGREGATES, org_id, spec.meter_id, spec.key, frame=states)
        with database.transaction() as connection:
            table = AGGREGATE_STATES.c
            condition = (table.org_id == org_id, table.meter_id == spec.meter_id, table.spec_key == spec.key)
            connection.execute(sa.update(AGGREGATE_STATES).where(*condition).values(is_complete=True))


def _move_days(database: Database, lake: Lake, organization: IngestOrganization) -> None:
    """Cut all event days again, in the organization's present time zone."""
    org_id, time_zone = organization.org_id, organization.configuration.time_zone
    day = pl.col("ts").dt.convert_time_zone(time_zone).dt.date().alias("date")
    with database.transaction() as connection:
        connection.execute(sa.update(AGGREGATE_STATES).where(AGGREGATE_STATES.c.org_id == org_id).values(is_complete=False))
    counts = [pl.DataFrame(schema={"date": pl.Date, **dict.fromkeys(COUNTS[:4], pl.Int64)})]
    for meter_id in organization.configuration.entities(Meter):
        if lake.exists(MEASUREMENTS, org_id, meter_id):
            moved = lake.scan(MEASUREMENTS, org_id, meter_id, columns=lake.columns(MEASUREMENTS, org_id, meter_id)).with_columns(day).collect()
            lake.replace(MEASUREMENTS, org_id, meter_id, frame=moved.sort("date", "account_number", "ts", "uid"))
            accepted = pl.len().cast(pl.Int64)
            counts.append(moved.group_by("date").agg(accepted.alias("landed"), accepted.alias("accepted"), duplicates=0, rejected=0))
    rejected = lake.scan(REJECTED_MEASUREMENTS, org_id).with_columns(day).collect()
    if not rejected.is_empty():
        lake.replace(REJECTED_MEASUREMENTS, org_id, frame=rejected.sort("date", "received_at"))
        repeats = (pl.col("reason") == Reason.DUPLICATE_UID.value).sum().cast(pl.Int64)
        counts.append(
            rejected.group_by("date").agg(
                pl.len().cast(pl.Int64).alias("landed"), accepted=0, duplicates=repeats, rejected=pl.len().cast(pl.Int64) - repeats
            )
        )
    totals = (
        pl.concat([c.select("date", *(pl.col(name).cast(pl.Int64) for name in COUNTS[:4])) for c in counts])
        .group_by("date")
        .agg(pl.col(COUNTS[:4]).sum())
    )
    with database.transaction() as connection:
        table = MEASUREMENT_COUNTS.c
        kept = {
            row.date: row
            for row in connection.execute(sa.select(table.date, table.dropped_fields, table.calculation_errors).where(table.org_id == org_id))
        }
        connection.execute(sa.delete(MEASUREMENT_COUNTS).where(table.org_id == org_id))
        rows = [
            {
                "org_id": org_id,
                **row,
                "dropped_fields": kept[row["date"]].dropped_fields if row["date"] in kept else 0,
                "calculation_errors": kept[row["date"]].calculation_errors if row["date"] in kept else 0,
            }
            for row in totals.iter_rows(named=True)
        ]
        if rows:
            connection.execute(sa.insert(MEASUREMENT_COUNTS), rows)
        connection.execute(sa.update(INGEST_CALENDARS).where(INGEST_CALENDARS.c.org_id == org_id).values(time_zone=time_zone))
