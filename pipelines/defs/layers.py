"""How every dataset becomes a Dagster asset: its layer, its grain, its partitions, and the policies that all share.

Put here what is the same for all assets, and the grain of datasets that live in PostgreSQL (those of the lake are
declared in ``transforms/datasets.py``). Keep out what materializing one does.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import dagster as dg

from transforms.datasets import DATASETS


class Layer(StrEnum):
    """The layers of the graph, in the order in which a measurement passes them."""

    LANDING = "landing"
    USAGE = "usage"
    AGGREGATES = "aggregates"
    RATING = "rating"
    BILLING = "billing"
    PUBLISHING = "publishing"


#: Grain of the assets that are PostgreSQL tables; completes "One row per ...".
DECISIONS = {
    "landed_batches": "batch of landed measurements that was taken in",
    "bill_calculations": "calculation: one run of one bill job, with what its bills were computed from",
    "bills": "bill, with its state and the calculation whose line items are its own",
}

#: Asset key -> grain, for every dataset.
GRAINS: Mapping[str, str] = {dataset.name: dataset.grain for dataset in DATASETS} | DECISIONS

Materialization = Callable[..., dg.MaterializeResult[Any]]


def dataset_asset(
    name: str,
    *,
    layer: Layer,
    partitions: dg.TimeWindowPartitionsDefinition | None,
    upstream: Sequence[str] = (),
    detail: str,
) -> Callable[[Materialization], dg.AssetsDefinition]:
    """Decorator: the asset that materializes a dataset, its key and description taken from the dataset's declaration.

    A range of partitions is one run (``single_run``), and a failed step is not tried again: what it does is safe to launch once more, and a
    person should see why it failed.

    Args:
        name: Dataset name.
        layer: Its layer, shown as the asset's group.
        partitions: EVENT_DAYS, BILLING_MONTHS, or None for a dataset that is cut by neither.
        upstream: Datasets that it is made from.
        detail: What the partition holds and what materializing it does, after the grain.
    """

    def decorated(materialization: Materialization) -> dg.AssetsDefinition:
        with warnings.catch_warnings():
            # Dagster calls backfill policies beta; the single-run one is what makes a year a matter of seconds.
            warnings.simplefilter("ignore", dg.BetaWarning)
            return dg.asset(
                name=name,
                group_name=layer.value,
                partitions_def=partitions,
                backfill_policy=dg.BackfillPolicy.single_run() if partitions else None,
                description=f"One row per {GRAINS[name]}. {detail}",
                deps=[_dependency(key, partitions) for key in upstream],
                kinds={"postgres"} if name in DECISIONS else {"deltalake", "polars"},
            )(materialization)

    return decorated


def _dependency(upstream: str, partitions: dg.TimeWindowPartitionsDefinition | None) -> dg.AssetDep:
    # Months take the days in them. A week or year that began earlier reads those days too: what the graph shows is what changes most bills.
    mapping = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True) if partitions else None
    return dg.AssetDep(upstream, partition_mapping=mapping)


def note_rows(context: dg.AssetExecutionContext, rows: Mapping[str, int]) -> None:
    """Tell Dagster how many rows each partition of the run has, by partition key."""
    for key, count in rows.items():
        context.add_asset_metadata({"dagster/partition_row_count": count}, partition_key=key)
