"""Line items of bills in the lake: written by a calculation, read for bills.

The table is append-only. A line belongs to a bill when its calculation is the one that the bill's header names, so lines
of earlier calculations, and of attempts that died, are simply not looked at.

What people put on a bill is not in the lake: a header brings its memo lines (memo_lines.py), and reading adds them.

Put here how lines are laid out and found. Keep out headers (bill_store.py) and how lines come about (transforms).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.storage import memo_lines
from pipelines.storage.lake import Lake
from pipelines.storage.lake_files import AddFile
from transforms.datasets import BILL_LINE_ITEMS

#: Small files of one bill date from which it is worth merging them.
SMALL_FILES_MAX = 50


def written(lake: Lake, org_id: str, calculation_id: str, lines: pl.DataFrame) -> list[AddFile]:
    """Files of the calculation's lines, in the order of their accounts so that the bills of one page lie together; not visible yet.

    Args:
        lake: The lake.
        org_id: The organization.
        calculation_id: The calculation that the rows carry.
        lines: Dataset BILL_LINE_ITEMS without calculation_id, sorted by account_id, bill and sequence_number as rating gives them.
    """
    stamped = lines.with_columns(calculation_id=pl.lit(calculation_id)).select(*BILL_LINE_ITEMS.schema)
    return lake.written(BILL_LINE_ITEMS, org_id, frame=stamped)


def committed(lake: Lake, org_id: str, calculation_id: str, files: Sequence[AddFile]) -> None:
    """Make the files part of the table, once."""
    if files:
        lake.commit(BILL_LINE_ITEMS, org_id, files=files, app_id=f"bills-{calculation_id}", app_version=1)


def compacted(lake: Lake, org_id: str) -> None:
    """Merge the many small files that jobs of few accounts leave; only one process at a time may do it for an organization."""
    order = ("account_id", "bill_id", "calculation_id", "sequence_number")
    lake.compact(BILL_LINE_ITEMS, org_id, merged=lambda lines: lines.sort(*order), small_files=SMALL_FILES_MAX)


def scanned(lake: Lake, org_id: str, headers: Iterable[Mapping[str, Any]]) -> pl.LazyFrame:
    """The current lines of the headers, memo lines too: dataset BILL_LINE_ITEMS, unordered."""
    bills = list(headers)
    memos = memo_lines.frame(bills)
    lines = calculated(lake, org_id, bills)
    return lines if memos.is_empty() else pl.concat([lines, memos.lazy()])


def calculated(lake: Lake, org_id: str, headers: Iterable[Mapping[str, Any]]) -> pl.LazyFrame:
    """The lines that the calculations which the headers name have written: dataset BILL_LINE_ITEMS, unordered."""
    bills = list(headers)
    if not bills:
        return pl.LazyFrame(schema=BILL_LINE_ITEMS.schema)
    accounts = sorted({b["account_id"] for b in bills})
    calculations = sorted({b["calculation_id"] for b in bills})
    keys = pl.LazyFrame({"bill_id": [b["id"] for b in bills], "calculation_id": [b["calculation_id"] for b in bills]})
    return (
        lake.scan(BILL_LINE_ITEMS, org_id)
        .filter(
            pl.col("bill_date").is_in(sorted({b["bill_date"] for b in bills})),
            pl.col("calculation_id").is_between(pl.lit(calculations[0]), pl.lit(calculations[-1])),
            # Within a file the rows lie in the order of their accounts, so this range skips most of it.
            pl.col("account_id").is_between(pl.lit(accounts[0]), pl.lit(accounts[-1])),
        )
        .join(keys, on=["bill_id", "calculation_id"], how="semi")
    )


def lines_by_bill(lake: Lake, org_id: str, headers: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Bill id -> its line items in their order, as dictionaries of the dataset's columns."""
    with_lines = [b for b in headers if b["line_count"]]
    grouped: dict[str, list[dict[str, Any]]] = {b["id"]: [] for b in headers}
    if with_lines:
        for line in scanned(lake, org_id, with_lines).sort("bill_id", "sequence_number").collect().iter_rows(named=True):
            grouped[line["bill_id"]].append(line)
    for header in with_lines:
        found = len(grouped[header["id"]])
        assert found == header["line_count"], f"bill {header['id']} has {found} line items, its header says {header['line_count']}"
    return grouped


def listed(
    lake: Lake, org_id: str, headers: Sequence[Mapping[str, Any]], *, equal: Mapping[str, str], after: tuple[int, int] | None, limit: int
) -> list[dict[str, Any]]:
    """At most ``limit`` lines of the headers: newest bills first, each in its order; with the bill's sequence as ``bill_sequence``.

    Args:
        lake: The lake.
        org_id: The organization.
        headers: Rows of bills.
        equal: Column -> the value that it must have.
        after: (bill_sequence, sequence_number) of the last line that was shown.
        limit: How many.
    """
    if not headers:
        return []
    owners = pl.LazyFrame({"bill_id": [b["id"] for b in headers], "bill_sequence": [b["sequence"] for b in headers]})
    keys = ("bill_id", "sequence_number")
    # First which lines, from a few columns of many rows; then those lines in full, from the few bills that have them.
    matching = (
        scanned(lake, org_id, headers).filter(*(pl.col(name) == value for name, value in equal.items())).select(*keys).join(owners, on="bill_id")
    )
    if after is not None:
        bill_sequence, number = after
        own, position = pl.col("bill_sequence"), pl.col("sequence_number")
        matching = matching.filter((own < bill_sequence) | ((own == bill_sequence) & (position > number)))
    shown = matching.sort("bill_sequence", "sequence_number", descending=[True, False]).head(limit).collect()
    of_them = set(shown["bill_id"])
    lines = scanned(lake, org_id, [b for b in headers if b["id"] in of_them]).join(shown.lazy(), on=keys)
    return lines.sort("bill_sequence", "sequence_number", descending=[True, False]).collect().to_dicts()
