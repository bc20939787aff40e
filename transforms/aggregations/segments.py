"""Which segment a row of usage belongs to.

Put here the assignment of field values to segments. Keep out what is summed per segment. Source: usage.md 5, DECISIONS 19:
the one matching segment with the fewest ``*``; a tie goes to the left-most named field, then to list order; null
matches only ``*``; a row that nothing matches has no segment.
"""

from collections.abc import Sequence
from itertools import groupby

import polars as pl

from transforms.entities.usage import Aggregation, Segment

ANY = "*"
SEGMENT = "segment_index"


def segment_tuples(fields: Sequence[str], segments: Sequence[Segment]) -> tuple[tuple[str, ...], ...]:
    """The segments as tuples of values in the order of ``fields``; a field that a segment leaves out is ``*``."""
    return tuple(tuple(segment.get(field, ANY) for field in fields) for segment in segments)


def aggregation_segments(aggregation: Aggregation) -> tuple[tuple[str, ...], ...]:
    """The aggregation's segments as tuples in the order of its segmentedFields."""
    return segment_tuples(aggregation.segmented_fields or (), aggregation.segments or ())


def _precedence(pattern: tuple[bool, ...]) -> tuple[int, tuple[bool, ...]]:
    # pattern: True where the field is named. Fewest wildcards first, then the left-most named field.
    return (pattern.count(False), tuple(not named for named in pattern))


def with_segment(rows: pl.LazyFrame, *, columns: Sequence[str], segments: Sequence[tuple[str, ...]]) -> pl.LazyFrame:
    """Rows with ``segment_index``, the position of their segment in the list (Int32, null where none matches).

    Args:
        rows: Any frame with the columns.
        columns: The string columns of the segmentedFields, in their declared order.
        segments: Value tuples in the same order, see :func:`segment_tuples`.

    One small join per combination of named fields: 31 at most, seldom more than three.
    """
    numbered = [(tuple(value != ANY for value in segment), segment, n) for n, segment in enumerate(segments)]
    ordered = sorted(numbered, key=lambda entry: (_precedence(entry[0]), entry[2]))
    found: list[pl.Expr] = []
    joined: list[str] = []
    for pattern, group in groupby(ordered, key=lambda entry: entry[0]):
        named = [n for n, is_named in enumerate(pattern) if is_named]
        first: dict[tuple[str, ...], int] = {}
        for _, segment, n in group:
            first.setdefault(tuple(segment[i] for i in named), n)
        if not named:
            found.append(pl.lit(first[()], dtype=pl.Int32))
            continue
        name = f"{SEGMENT}.{len(joined)}"
        keys = [columns[i] for i in named]
        values = {key: [segment[i] for segment in first] for i, key in enumerate(keys)}
        lookup = pl.LazyFrame({**values, name: list(first.values())}, schema={**dict.fromkeys(keys, pl.String), name: pl.Int32})
        rows = rows.join(lookup, on=keys, how="left")
        joined.append(name)
        found.append(pl.col(name))
    index = pl.coalesce(found) if found else pl.lit(None, dtype=pl.Int32)
    return rows.with_columns(index.alias(SEGMENT)).drop(joined)


def candidates(rows: pl.LazyFrame, *, columns: Sequence[str], segments: Sequence[tuple[str, ...]]) -> pl.LazyFrame:
    """The rows that a segment may match: those with one of the listed values in every field that no segment leaves open.

    Much cheaper than finding the segment, where segments list a small part of the usage.
    """
    for position, name in enumerate(columns):
        values = {segment[position] for segment in segments}
        if ANY not in values:
            rows = rows.filter(pl.col(name).is_in(sorted(values)))
    return rows
