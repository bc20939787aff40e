"""Two frames of the same things compared field by field: a bill as it is stored and as it comes out today.

Put here what differs. Keep out why (attribution.py) and where the frames come from.
"""

from collections.abc import Sequence

import polars as pl

#: What a difference says beside the keys. ``field`` is null where one side lacks the whole row.
DIFFERENCE: dict[str, pl.DataType | type[pl.DataType]] = {"field": pl.String, "before": pl.String, "after": pl.String}
#: What stands for a row that the other side lacks.
PRESENT, ABSENT = "present", "absent"
_COPY, _LEFT, _RIGHT, _OTHER = "copy of the key", "is in before", "is in after", " after"


def differences(before: pl.DataFrame, after: pl.DataFrame, *, keys: Sequence[str]) -> pl.DataFrame:
    """One row per field that differs: the keys and DIFFERENCE, values as text; sorted by the keys, fields in the order of ``before``.

    Args:
        before: Any frame with the key columns.
        after: A frame with the same columns. Repeated keys are compared one by one, in the order in which they come.
        keys: Columns that tell rows apart; not null.
    """
    columns = [name for name in before.columns if name not in keys]
    schema = {**{name: before.schema[name] for name in keys}, **DIFFERENCE}
    one, other = (frame.select(*keys, *columns).sort(*keys, maintain_order=True) for frame in (before, after))
    if one.height == other.height and one.select(keys).equals(other.select(keys)):
        # Most often nothing but values can differ: no join is needed to see that.
        unequal = pl.Series("unequal", [False], dtype=pl.Boolean).new_from_index(0, one.height)
        for name in columns:
            unequal = unequal | one[name].ne_missing(other[name])
        if not unequal.any():
            return pl.DataFrame(schema=schema)
        one, other = one.filter(unequal), other.filter(unequal)
    numbered = [_numbered(frame, keys) for frame in (one, other)]
    joined = (
        numbered[0]
        .with_columns(pl.lit(True).alias(_LEFT))
        .join(numbered[1].with_columns(pl.lit(True).alias(_RIGHT)), on=[*keys, _COPY], how="full", coalesce=True, suffix=_OTHER)
    )
    found = [_lone(joined, keys, _LEFT, _RIGHT, (PRESENT, ABSENT)), _lone(joined, keys, _RIGHT, _LEFT, (ABSENT, PRESENT))]
    both = joined.filter(pl.col(_LEFT) & pl.col(_RIGHT))
    found += [_unequal(both, keys, name, before.schema[name]) for name in columns]
    order = {name: position for position, name in enumerate(columns)}
    ranked = pl.concat(found).with_columns(rank=pl.col("field").replace_strict(order, default=-1, return_dtype=pl.Int32))
    return ranked.sort(*keys, _COPY, "rank").select(*schema)


def _numbered(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    return frame.with_columns(pl.int_range(pl.len()).over(keys).alias(_COPY))


def _lone(joined: pl.DataFrame, keys: Sequence[str], has: str, lacks: str, words: tuple[str, str]) -> pl.DataFrame:
    rows = joined.filter(pl.col(has) & pl.col(lacks).is_null())
    return rows.select(*keys, _COPY, field=pl.lit(None, dtype=pl.String), before=pl.lit(words[0]), after=pl.lit(words[1]))


def _unequal(both: pl.DataFrame, keys: Sequence[str], name: str, dtype: pl.DataType) -> pl.DataFrame:
    rows = both.filter(pl.col(name).ne_missing(pl.col(f"{name}{_OTHER}")))
    return rows.select(*keys, _COPY, field=pl.lit(name), before=plain(name, dtype), after=plain(f"{name}{_OTHER}", dtype))


def plain(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as text to read: decimals without trailing zeros, lists and structs as JSON, null as null."""
    column = pl.col(name)
    if isinstance(dtype, pl.List):
        return pl.format("[{}]", column.list.eval(pl.element().struct.json_encode()).list.join(", "))
    text = column.cast(pl.String)
    if isinstance(dtype, pl.Decimal):
        return text.str.strip_chars_end("0").str.strip_chars_end(".")
    return text
