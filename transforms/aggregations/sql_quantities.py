"""CUSTOM_SQL quantities: one run of the checked statement per account, window and segment.

Put here the running. Keep out what may run (custom_sql.py) and how the rows are chosen (aggregate.py). An error of one
account's run is a reason in its row and nobody else's (DECISIONS 34).
"""

from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from transforms.aggregations.custom_sql import VIEW, runnable_sql, view_columns
from transforms.aggregations.functions import ROWS
from transforms.entities.usage import Aggregation, Meter
from transforms.errors import EntityInvalid
from transforms.money import DECIMAL, LIMIT, exact


def sql_quantities(rows: pl.LazyFrame, keys: Sequence[str], *, aggregation: Aggregation, meter: Meter) -> pl.LazyFrame:
    """The statement's number for every combination of the keys that has usage.

    Args:
        rows: Measurements with the key columns.
        keys: Columns of account or window, and segment.
        aggregation: A CUSTOM_SQL aggregation.
        meter: Its meter.

    Returns:
        keys, ``rows``, ``quantity`` (null where the statement gives null or no row), ``failure`` (why there is none).
    """
    label = aggregation.code or aggregation.name
    columns = view_columns(meter)
    view = rows.select(*keys, **{name: pl.col(source) for name, source in columns.items()})
    given = view.collect_schema()
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        **{name: given[name] for name in keys},
        ROWS: pl.Int64,
        "quantity": DECIMAL,
        "failure": pl.String,
    }

    def answered(frame: pl.DataFrame) -> pl.DataFrame:
        try:
            text = runnable_sql(aggregation.custom_sql or "", meter)
        except EntityInvalid as error:
            refused = pl.lit(f"aggregation {label}: {error.message}")
            return frame.group_by(keys).agg(pl.len().cast(pl.Int64).alias(ROWS)).with_columns(quantity=pl.lit(None, dtype=DECIMAL), failure=refused)
        # One statement per account and window is what CUSTOM_SQL means; there is no columnar form of an unknown statement.
        results = []
        for key, part in frame.partition_by(keys, as_dict=True, include_key=False).items():
            quantity, failure = _answer(text, part, label)
            results.append((*key, part.height, quantity, failure))
        return pl.DataFrame(results, schema=schema, orient="row")

    return view.map_batches(answered, schema=schema)


def _answer(text: str, view: pl.DataFrame, label: str) -> tuple[Decimal | None, str | None]:
    try:
        result = pl.SQLContext({VIEW: view.lazy()}).execute(text).collect(engine="in-memory")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        return None, f"aggregation {label}: its customSql failed: {str(error).splitlines()[0]}"
    if result.is_empty():
        return None, None
    if result.shape != (1, 1):
        return None, f"aggregation {label}: its customSql gives {result.height} rows of {result.width} columns; it must give one number"
    value = result.item()
    if value is None:
        return None, None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None, f"aggregation {label}: its customSql gives {value!r}, which is not an exact number"
    number = exact(Decimal(value))
    if abs(number) >= LIMIT:
        return None, f"aggregation {label}: its customSql gives a number of more than 26 digits before the point"
    return number, None
