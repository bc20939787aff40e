"""The graph that Dagster shows: datasets by layer, never entities."""

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from pipelines.definitions import defs
from pipelines.defs.layers import GRAINS, Layer
from pipelines.partitions import BILLING_MONTHS, EVENT_DAYS
from transforms.datasets import DATASETS

REPOSITORY = Path(__file__).parents[3]

#: Asset -> layer, partitions, what it is made from, checks.
GRAPH = {
    "landed_batches": ("landing", EVENT_DAYS, set(), set()),
    "uid_index": ("usage", None, {"landed_batches"}, {"schema"}),
    "measurements": ("usage", EVENT_DAYS, {"landed_batches"}, {"schema", "landed_is_accepted_duplicates_and_rejected", "expectations"}),
    "rejected_measurements": ("usage", EVENT_DAYS, {"landed_batches"}, {"schema"}),
    "daily_aggregates": ("aggregates", EVENT_DAYS, {"measurements"}, {"schema"}),
    "bill_calculations": ("rating", BILLING_MONTHS, {"daily_aggregates", "measurements"}, set()),
    "bill_line_items": ("rating", BILLING_MONTHS, {"bill_calculations"}, {"schema"}),
    "bills": ("billing", BILLING_MONTHS, {"bill_line_items"}, {"schema", "lines_sum_to_bills", "ledger_adds_up"}),
    "published_line_items": ("publishing", BILLING_MONTHS, {"bills", "bill_line_items"}, {"schema", "expectations"}),
}


@pytest.fixture(scope="module")
def graph() -> AssetGraph:
    return defs.resolve_asset_graph()


def test_definitions_are_valid() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_graph_is_this(graph: AssetGraph) -> None:
    shown = {
        key.to_user_string(): (
            graph.get(key).group_name,
            graph.get(key).partitions_def,
            {parent.to_user_string() for parent in graph.get(key).parent_keys},
            {check.name for check in graph.get_check_keys_for_assets({key})},
        )
        for key in graph.materializable_asset_keys
    }
    assert shown == GRAPH


def test_every_layer_is_a_group_and_every_dataset_an_asset() -> None:
    assert {layer for layer, *_ in GRAPH.values()} == {layer.value for layer in Layer}
    assert {dataset.name for dataset in DATASETS} <= set(GRAPH)
    assert set(GRAINS) == set(GRAPH)


def test_descriptions_say_what_a_row_is(graph: AssetGraph) -> None:
    for key in graph.materializable_asset_keys:
        assert (graph.get(key).description or "").startswith(f"One row per {GRAINS[key.to_user_string()]}")


def test_a_range_of_partitions_is_one_run_in_one_process(graph: AssetGraph) -> None:
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.backfill_policy == (dg.BackfillPolicy.single_run() if node.partitions_def else None)
    assert defs.executor is dg.in_process_executor
    assert all(asset.op.retry_policy is None for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition))


def test_all_checks_block_and_are_cut_like_their_asset(graph: AssetGraph) -> None:
    for key in graph.asset_check_keys:
        check = graph.get(key)
        assert check.blocking, key
        assert check.partitions_def == graph.get(key.asset_key).partitions_def, key


def test_schedules_and_sensors_run_by_themselves() -> None:
    repository = defs.get_repository_def()
    assert {s.name: s.default_status for s in repository.schedule_defs} == {"bill_schedule": dg.DefaultScheduleStatus.RUNNING}
    assert {s.name for s in repository.sensor_defs} == {"landed_measurements", "waiting_bill_jobs", "overdue_approvals", "finished_bill_jobs"}
    assert all(s.default_status is dg.DefaultSensorStatus.RUNNING for s in repository.sensor_defs)


def test_the_instance_is_configured_for_postgres_without_telemetry() -> None:
    configuration = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    assert configuration["storage"] == {"postgres": {"postgres_url": {"env": "METERHOUSE_DAGSTER_URL"}}}
    assert configuration["telemetry"] == {"enabled": False}
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())
    assert workspace["load_from"] == [
        {"python_module": {"module_name": "pipelines.definitions", "working_directory": ".", "location_name": "meterhouse"}}
    ]
