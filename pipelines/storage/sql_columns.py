"""Rows of SQL queries as frames, read column by column: 100,000 rows never become 100,000 Python tuples.

Put here how columns get from PostgreSQL into frames and back. Keep out what is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import polars as pl
import psycopg
from psycopg import sql
from sqlalchemy import Connection

Schema = Mapping[str, pl.DataType | type[pl.DataType]]


def frame_of(
    connection: Connection, query: sql.Composable, schema: Schema, parameters: Mapping[str, Any], *, head: sql.Composable | None = None
) -> pl.DataFrame:
    """The rows of a query, in its order.

    Args:
        connection: An open transaction.
        query: Selects the columns of the schema by name; decimals and JSON as text.
        schema: Columns of the frame.
        parameters: Of the query.
        head: ``WITH ...`` in front of it.
    """
    arrays = sql.SQL(", ").join(sql.SQL("array_agg({})").format(sql.Identifier(name)) for name in schema)
    whole = sql.SQL("{} SELECT {} FROM ({}) ordered").format(head or sql.SQL(""), arrays, query)
    driver = cast("psycopg.Connection[tuple[Any, ...]]", connection.connection.driver_connection)
    with driver.cursor(binary=True) as cursor:
        row = cursor.execute(whole, parameters).fetchone()
    assert row is not None, "an aggregate without GROUP BY has one row"
    # A column that holds only nulls has no type of its own.
    return pl.DataFrame({name: pl.Series(name, array or []).cast(dtype) for (name, dtype), array in zip(schema.items(), row, strict=True)})


def copied(connection: Connection, table: str, frame: pl.DataFrame, columns: Sequence[str]) -> None:
    """Append the columns of the frame to a table; instants in UTC."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)))
    text = frame.select(*columns).write_csv(include_header=False, quote_style="non_numeric", datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
    driver = connection.connection.driver_connection
    assert driver is not None, "a connection in a transaction is open"
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(text)
