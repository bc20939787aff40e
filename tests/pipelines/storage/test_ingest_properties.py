"""Any order, split or repetition of delivery gives the same measurements, to the byte."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings, strategies as st

from pipelines.storage import config_store
from pipelines.storage.database import Database
from pipelines.storage.ingest import drained, meter_usage
from pipelines.storage.lake import Lake
from pipelines.storage.landing import Landing
from pipelines.storage.organizations import created
from pipelines.storage.snapshots import configuration
from transforms.aggregations.states import merged_states
from transforms.aggregations.usage import StateSpec
from transforms.entities.accounts import Account
from transforms.entities.usage import Meter

NOW = datetime(2025, 3, 1, tzinfo=UTC)
START = datetime(2024, 12, 30, tzinfo=UTC)
METER = {
    "name": "calls",
    "code": "calls",
    "dataFields": [{"category": "MEASURE", "code": "qty", "name": "qty", "unit": "1"}, {"category": "WHAT", "code": "kind", "name": "kind"}],
    "derivedFields": [{"category": "MEASURE", "code": "inverse", "name": "inverse", "unit": "1", "calculation": "1 / qty"}],
}
ACCOUNTS = ("acme", "b", "c")
usage = st.lists(
    st.fixed_dictionaries(
        {
            "account": st.sampled_from(ACCOUNTS),
            "meter": st.just("calls"),
            "ts": st.integers(0, 34 * 86_400_000).map(lambda ms: (START + timedelta(milliseconds=ms)).isoformat()),
            "measure": st.fixed_dictionaries({"qty": st.integers(-1000, 1000) | st.sampled_from([0.1, 1e-12, 12345678.000001])}),
            "what": st.one_of(st.fixed_dictionaries({"kind": st.text("ab", max_size=1)}), st.just({})),
        }
    ),
    min_size=1,
    max_size=12,
)


def delivered(database: Database, folder: Path, deliveries: list[list[dict[str, Any]]], drain_after: set[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What is accepted, and the states, after the deliveries to a new organization."""
    lake, landing = Lake(str(folder / "lake")), Landing(folder / "landing", segment_bytes=500)
    with database.transaction() as connection:
        org_id = created(connection, "Property").org_id
        meter = config_store.created(connection, org_id, Meter.model_validate(METER), "test")
        for code in ACCOUNTS:
            config_store.created(connection, org_id, Account(name=code, code=code, email_address="a@example.com"), "test")
    for number, items in enumerate(deliveries):
        landing.append_all(org_id, [json.dumps({"measurements": items}).encode()], NOW + timedelta(seconds=number))
        if number in drain_after:
            drained(database, lake, folder / "landing")
    landing.close()
    drained(database, lake, folder / "landing")
    with database.transaction() as connection:
        found = meter_usage(database, lake, configuration(connection, org_id))[meter.id]
    rows = found.measurements.drop("received_at").sort("date", "account_number", "ts", "uid").collect()
    states = merged_states(StateSpec(meter.id), meter, found.states[StateSpec(meter.id)]).collect()
    columns = [name for name in states.columns if "received_at" not in name]
    return rows, states.select(columns).sort("date", "account_number")


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(items=usage, data=st.data())
def test_delivery_does_not_matter(database: Database, tmp_path_factory: Any, items: list[dict[str, Any]], data: st.DataObject) -> None:
    items = [{**item, "uid": f"u{n}"} for n, item in enumerate(items)]
    whole = delivered(database, tmp_path_factory.mktemp("whole"), [items], set())
    repeated = data.draw(st.permutations(items + data.draw(st.lists(st.sampled_from(items), max_size=6))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(repeated)), max_size=4)))
    parts = [repeated[a:b] for a, b in zip([0, *cuts], [*cuts, len(repeated)], strict=True) if a < b]
    drains = data.draw(st.sets(st.integers(0, len(parts))))
    split = delivered(database, tmp_path_factory.mktemp("split"), parts, drains)
    assert whole[0].equals(split[0])
    assert whole[0].write_csv().encode() == split[0].write_csv().encode()
    assert whole[1].equals(split[1])
