"""Bill runs that Dagster starts: a bill job for every day of a stretch on which billing periods end, run in this process.

The jobs are ordinary ones, rows of ``bill_jobs`` run by the code that the resident worker uses, so bills, locks and
failures are the same whoever started them. Put here which jobs; keep out what a job does.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from pipelines.defs.warehouse import Storage
from pipelines.storage.bill_runs import JobSummary, ran_inline
from pipelines.storage.snapshots import configuration
from transforms.billing.job_requests import BillJobRequest
from transforms.configuration import Configuration
from transforms.errors import EntityInvalid
from transforms.periods import DAY
from transforms.rating.due_days import due_last_days

#: A job names at most this many accounts (billing.md 3.1).
ACCOUNTS_MAX = 100
#: Who stands in the audit fields of what these jobs write.
ACTOR = "DAGSTER"


def bill_jobs_ran(
    warehouse: Storage, org_id: str, first: date, last: date, *, account_codes: Sequence[str] | None = None
) -> Iterator[tuple[date, JobSummary]]:
    """Bill every billing period of the organization whose last day lies in [first, last] and is over, day by day.

    Args:
        warehouse: Storage.
        org_id: The organization.
        first: First day.
        last: Last day, inclusive; days that are not over where the organization is are left out.
        account_codes: Only these accounts; None is all of them.

    Yields:
        The last day and the summary of each bill job, as soon as it is complete.

    Raises:
        EntityInvalid: An account code that the organization does not have.
    """
    with warehouse.database.transaction() as connection:
        snapshot = configuration(connection, org_id)
    yesterday = datetime.now(UTC).astimezone(ZoneInfo(snapshot.time_zone)).date() - DAY
    codes = None if account_codes is None else tuple(account_codes)
    ids = None if codes is None else _account_ids(snapshot, codes)
    accounts = [None] if ids is None else [ids[n : n + ACCOUNTS_MAX] for n in range(0, len(ids), ACCOUNTS_MAX)]
    for day in due_last_days(snapshot, first, min(last, yesterday), account_codes=codes):
        for account_ids in accounts:
            request = BillJobRequest(last_date_in_billing_period=day, account_ids=account_ids)
            yield day, ran_inline(warehouse.database, warehouse.lake, warehouse.landing_root, org_id, request=request, created_by=ACTOR)


def _account_ids(snapshot: Configuration, codes: Sequence[str]) -> list[str]:
    known: dict[str, str] = dict(snapshot.accounts.select("account_code", "account_id").iter_rows())
    unknown = sorted(set(codes) - set(known))
    if unknown:
        raise EntityInvalid(f"no such account in organization {snapshot.organization_id}: {', '.join(unknown)}")
    return [known[code] for code in codes]
