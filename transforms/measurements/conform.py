"""The fields of a meter, typed, out of what was sent; with what is wrong about them.

Put here what can be told from one row and its meter. Accounts are validate.py. Source: usage.md 2.4; DECISIONS 14.
"""

from collections.abc import Iterator

import polars as pl

from transforms.aggregations.usage import field_column
from transforms.entities.usage import Category, DataField, Meter
from transforms.measurements.landed import DROPPED, LANDED, MESSAGE, REASON, VALUES, Reason, sent_column
from transforms.money import DECIMAL


def conformed(landed: pl.LazyFrame, meter: Meter) -> pl.LazyFrame:
    """Landed rows with the meter's data fields.

    Args:
        landed: Rows of the meter, see LANDED, with the columns sent.
        meter: The meter.

    Returns:
        LANDED without the count of values, then: number of values that the meter does not define, reason and message
        (null where the fields are right), and one column per data field: Decimal(38, 12), half-even at the 12th digit,
        or string. Rows and their order are those of ``landed``.
    """
    sent = set(landed.collect_schema().names())
    own = {f: _column(sent, f.category, f.code) for f in meter.data_fields}
    verdicts = list(_verdicts(meter, sent))
    reason: pl.Expr = pl.coalesce([pl.when(wrong).then(pl.lit(why.value)) for wrong, why, _ in verdicts])
    message: pl.Expr = pl.coalesce([pl.when(wrong).then(text) for wrong, _, text in verdicts])
    known = [column.is_not_null().cast(pl.Int32) for column in own.values()]
    return landed.select(
        *(name for name in LANDED if name != VALUES),
        (pl.col(VALUES) - pl.sum_horizontal(known)).alias(DROPPED),
        reason.alias(REASON),
        message.alias(MESSAGE),
        *(_typed(f, column).alias(field_column(f.code)) for f, column in own.items()),
    )


def _column(sent: set[str], category: Category, code: str) -> pl.Expr:
    name = sent_column(category, code)
    return pl.col(name) if name in sent else pl.lit(None, dtype=pl.String)


def _typed(field: DataField, column: pl.Expr) -> pl.Expr:
    # Text to Decimal is exact; a value beyond 26 digits becomes null, which is told apart below.
    return column.cast(DECIMAL, strict=False) if field.category.is_numeric else column


def _verdicts(meter: Meter, sent: set[str]) -> Iterator[tuple[pl.Expr, Reason, pl.Expr]]:
    """(is wrong, reason, message) in the order in which they are judged."""
    for f in meter.data_fields:
        places = [c for c in Category if sent_column(c, f.code) in sent]
        if len(places) > 1:
            given = [pl.col(sent_column(c, f.code)).is_not_null() for c in places]
            maps = " and ".join(c.value.lower() for c in places)
            yield (
                pl.sum_horizontal([g.cast(pl.Int32) for g in given]) > 1,
                Reason.DUPLICATE_FIELD,
                pl.lit(f"field {f.code} is given in several of the maps {maps}; give it in {f.category.value.lower()} only"),
            )
    for f in meter.data_fields:
        column = _column(sent, f.category, f.code)
        right = f"{f.category.value.lower()}.{f.code}"
        for c in Category:
            if c is not f.category and sent_column(c, f.code) in sent:
                yield (
                    column.is_null() & pl.col(sent_column(c, f.code)).is_not_null(),
                    Reason.MISSING_FIELD,
                    pl.lit(f"{right} is missing: field {f.code} was given in {c.value.lower()}, but the meter has it in {f.category.value.lower()}"),
                )
        yield column.is_null(), Reason.MISSING_FIELD, pl.lit(f"{right} is missing; every data field of meter {meter.code} must be given")
    for f in meter.data_fields:
        if f.category.is_numeric and sent_column(f.category, f.code) in sent:
            column = pl.col(sent_column(f.category, f.code))
            yield (
                column.is_not_null() & column.cast(DECIMAL, strict=False).is_null(),
                Reason.OUT_OF_RANGE,
                pl.format(f"{f.category.value.lower()}.{{}} is {{}}; it may have at most 26 digits before the point", pl.lit(f.code), column),
            )
