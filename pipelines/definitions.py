"""Everything that Dagster knows of Meterhouse; ``workspace.yaml`` points here.

Assets are datasets, never entities: a new meter, plan or organization changes nothing in this file. Put here the list;
keep out what is on it.
"""

import dagster as dg

from pipelines.defs import billing, schedules, unattended, usage
from pipelines.defs.checks import CHECKS
from pipelines.defs.progress import PROGRESS_LOGGER, progress
from pipelines.defs.warehouse import storage

defs = dg.Definitions(
    assets=[*usage.ASSETS, *billing.ASSETS],
    asset_checks=CHECKS,
    jobs=[schedules.scheduled_bill_run, unattended.unattended_work],
    schedules=[schedules.bill_schedule],
    sensors=[unattended.landed_measurements, unattended.waiting_bill_jobs, unattended.overdue_approvals, schedules.finished_bill_jobs],
    resources={"warehouse": storage},
    loggers={"console": dg.colored_console_logger, PROGRESS_LOGGER: progress},
    # A step costs milliseconds in the process of the run, and seconds in one of its own; storage does the heavy work.
    executor=dg.in_process_executor,
)
