"""The published boundary: current line items with what their bill says, as one Delta table per organization.

Put here what other tools read. Keep out the working tables, which keep every calculation.
"""

import polars as pl

from pipelines.storage.lake import Lake
from pipelines.storage.totals import current_lines
from transforms.datasets import PUBLISHED_LINE_ITEMS


def published(lake: Lake, org_id: str, month: str, headers: pl.DataFrame) -> int:
    """Put the lines of the month's bills in the place of what was published of that month; the number of lines.

    Args:
        lake: The lake.
        org_id: The organization.
        month: ``YYYY-MM``.
        headers: The bills whose period ends in the month, see ``totals.bill_headers``; those of other organizations are passed over.
    """
    bills = headers.lazy().select(
        "bill_id",
        "account_code",
        "billing_frequency",
        month=pl.lit(month),
        bill_start_date="start_date",
        bill_end_date="end_date",
        bill_currency="currency",
        bill_status="status",
    )
    lines = current_lines(lake, org_id, headers).join(bills, on="bill_id")
    frame = lines.select(*PUBLISHED_LINE_ITEMS.schema).sort("account_code", "bill_id", "sequence_number").collect(engine="streaming")
    if frame.is_empty() and not lake.exists(PUBLISHED_LINE_ITEMS, org_id):
        return 0
    lake.replace(PUBLISHED_LINE_ITEMS, org_id, frame=frame, predicate={"month": month})
    return frame.height
