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
_KEY = "segment_key"


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

    Each column becomes a small number (0 for every value that no segment names, and null), the numbers of a row one
    integer; then there is one small join per combination of named fields, 31 at most and seldom more than three.
    """
    codes = [{value: n for n, value in enumerate(sorted({s[i] for s in segments} - {ANY}), start=1)} for i in range(len(columns))]
    weights = [1]
    for known in codes[:-1]:
        weights.append(weights[-1] * (len(known) + 1))
    keys = [f"{_KEY}.{i}" for i in range(len(columns))]
    coded = rows.with_columns(
        _coded(name, known).cast(pl.Int64).mul(weight).alias(key) for name, known, weight, key in zip(columns, codes, weights, keys, strict=True)
    )
    numbered = [(tuple(value != ANY for value in segment), segment, n) for n, segment in enumerate(segments)]
    ordered = sorted(numbered, key=lambda entry: (_precedence(entry[0]), entry[2]))
    found: list[pl.Expr] = []
    for position, (pattern, group) in enumerate(groupby(ordered, key=lambda entry: entry[0])):
        table: dict[int, int] = {}
        for _, segment, n in group:
            key = sum(known[value] * weight for value, known, weight in zip(segment, codes, weights, strict=True) if value != ANY)
            table.setdefault(key, n)
        if not any(pattern):
            found.append(pl.lit(table[0], dtype=pl.Int32))
            continue
        name = f"{SEGMENT}.{position}"
        lookup = pl.LazyFrame({_KEY: table.keys(), name: table.values()}, schema={_KEY: pl.Int64, name: pl.Int32})
        masked = pl.sum_horizontal(key for key, named in zip(keys, pattern, strict=True) if named)
        # A value that nothing names has the number 0 and must not meet a segment whose other fields happen to add up to it.
        is_named = pl.all_horizontal(pl.col(key) > 0 for key, named in zip(keys, pattern, strict=True) if named)
        coded = coded.with_columns(pl.when(is_named).then(masked).alias(_KEY)).join(lookup, on=_KEY, how="left").drop(_KEY)
        found.append(pl.col(name))
    index = pl.coalesce(found) if found else pl.lit(None, dtype=pl.Int32)
    return coded.with_columns(index.alias(SEGMENT)).drop(*keys, *(f"{SEGMENT}.{n}" for n, e in enumerate(found) if e.meta.is_column()))


def _coded(name: str, known: dict[str, int]) -> pl.Expr:
    if not known:
        return pl.lit(0)
    return pl.col(name).replace_strict(list(known), list(known.values()), default=0, return_dtype=pl.Int32).fill_null(0)
