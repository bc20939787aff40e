"""A backfill of billing periods without webserver or daemon: ``python -m pipelines.defs.backfill --from 2013-01 --to 2013-12``.

It runs in this process what a backfill launched from the UI runs (one run over the range, its checks, its
materializations per month) and leaves the same records in the Dagster instance, the backfill itself included. Progress
goes to stderr; the last line on stdout is a JSON object with the totals. Put here the launch; keep out what is launched.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence

import dagster as dg
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG, BACKFILL_ID_TAG
from dagster._core.utils import make_new_backfill_id

from pipelines.definitions import defs
from pipelines.defs.billing import ASSETS
from pipelines.defs.progress import PROGRESS_LOGGER
from pipelines.defs.warehouse import ORGANIZATION_TAG
from pipelines.partitions import months_between

KEYS = tuple(asset.key for asset in ASSETS)


def backfilled(instance: dg.DagsterInstance, months: Sequence[str], *, org_id: str | None) -> dict[str, object]:
    """Bill the months in one run and record it as a backfill.

    Args:
        instance: The Dagster instance to record in.
        months: Consecutive months ``YYYY-MM``, ascending.
        org_id: Only this organization; None is all of them.

    Returns:
        ``is_successful``, ``run_id``, ``backfill_id``, ``months``, and the sums of ``jobs``, ``bills``, ``line_items``, ``failures``.
    """
    tags = {} if org_id is None else {ORGANIZATION_TAG: org_id}
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(KEYS))
    begun = PartitionBackfill.from_asset_partitions(
        backfill_id=make_new_backfill_id(),
        asset_graph=defs.resolve_asset_graph(),
        partition_names=list(months),
        asset_selection=KEYS,
        backfill_timestamp=time.time(),
        tags=tags,
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=f"Bills {months[0]} to {months[-1]}",
        description=None,
        run_config=None,
    )
    result = job.execute_in_process(
        instance=instance,
        run_config={"loggers": {PROGRESS_LOGGER: {}}},
        tags={
            **tags,
            BACKFILL_ID_TAG: begun.backfill_id,
            ASSET_PARTITION_RANGE_START_TAG: months[0],
            ASSET_PARTITION_RANGE_END_TAG: months[-1],
        },
        raise_on_error=False,
    )
    instance.add_backfill(_ended(begun, is_successful=result.success))
    totals = dict.fromkeys(("jobs", "bills", "line_items", "failures"), 0)
    for event in result.asset_materializations_for_node("bill_calculations"):
        for name in totals:
            totals[name] += int(str(event.metadata[name].value))
    return {"is_successful": result.success, "run_id": result.run_id, "backfill_id": begun.backfill_id, "months": len(months), **totals}


def _ended(backfill: PartitionBackfill, *, is_successful: bool) -> PartitionBackfill:
    """The backfill as the daemon would have left it; one that was still open the daemon would run a second time."""
    data = backfill.asset_backfill_data
    assert data is not None, "a backfill of assets has their partitions"
    if is_successful:
        data = data._replace(requested_runs_for_target_roots=True, requested_subset=data.target_subset, materialized_subset=data.target_subset)
    else:
        data = data._replace(
            requested_runs_for_target_roots=True, requested_subset=data.target_subset, failed_and_downstream_subset=data.target_subset
        )
    status = BulkActionStatus.COMPLETED_SUCCESS if is_successful else BulkActionStatus.COMPLETED_FAILED
    return backfill._replace(asset_backfill_data=data, status=status, backfill_end_timestamp=time.time())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when the run succeeded."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.defs.backfill", description="Bill months, as one Dagster backfill.")
    parser.add_argument("--from", dest="first", required=True, metavar="YYYY-MM", help="first month")
    parser.add_argument("--to", dest="last", required=True, metavar="YYYY-MM", help="last month, inclusive")
    parser.add_argument("--organization", metavar="ID", help="only this organization")
    parsed = parser.parse_args(arguments)
    months = months_between(parsed.first, parsed.last)
    if not months:
        parser.error(f"--to {parsed.last} is before --from {parsed.first}")
    with dg.DagsterInstance.get() as instance:
        result = backfilled(instance, months, org_id=parsed.organization)
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["is_successful"] else 1


if __name__ == "__main__":
    sys.exit(main())
