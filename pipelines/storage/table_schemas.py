"""Whether what is stored has the columns that the datasets declare.

Put here the comparison of stored schemas with ``transforms/datasets.py``. Keep out the content of the columns.
"""

from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines.storage.bill_tables import BILLS as BILLS_TABLE
from pipelines.storage.lake import Lake
from pipelines.storage.totals import parts_of
from transforms.configuration import Configuration
from transforms.datasets import BILLS, INSTANT, Dataset
from transforms.errors import SchemaMismatch
from transforms.money import DECIMAL

#: SQL type -> type that the dataset declares.
_SQL_TYPES: tuple[tuple[type[sa.types.TypeEngine[Any]], pl.DataType | type[pl.DataType]], ...] = (
    (sa.Date, pl.Date),
    (sa.DateTime, INSTANT),
    (sa.Numeric, DECIMAL),
    (sa.Integer, pl.Int32),
    (sa.String, pl.String),
)


def lake_problems(lake: Lake, dataset: Dataset, configuration: Configuration) -> tuple[int, list[str]]:
    """How many tables of the organization the dataset has, and what is wrong with their columns (nothing, when the list is empty)."""
    problems = []
    tables = [
        lake.table(dataset, configuration.organization_id, *p)
        for p in parts_of(dataset, configuration)
        if lake.exists(dataset, configuration.organization_id, *p)
    ]
    for uri in tables:
        stored = pl.scan_delta(uri, storage_options=lake.storage_options).collect_schema()
        try:
            dataset.checked(pl.DataFrame(schema=stored))
        except SchemaMismatch as mismatch:
            problems.append(f"{uri}: {mismatch}")
    return len(tables), problems


def bill_problems(connection: Connection) -> list[str]:
    """What is wrong with the columns of the table ``bills`` as it is in the database, against the dataset BILLS."""
    stored = {column["name"]: column["type"] for column in sa.inspect(connection).get_columns(BILLS_TABLE.name)}
    stored["bill_id"] = stored["id"]
    found = {name: next((dtype for sql, dtype in _SQL_TYPES if isinstance(stored[name], sql)), None) for name in BILLS.columns if name in stored}
    missing = [f"bills.{name} is missing" for name in BILLS.columns if name not in stored]
    return missing + [
        f"bills.{name} is {stored[name]}, should hold {BILLS.schema[name]}" for name, dtype in found.items() if dtype != BILLS.schema[name]
    ]
