"""The vocabulary of ingest: what a landed row carries beside its fields, and why a row is rejected.

Names of working columns hold a dot, which no field code can, so that they never collide with a field.
"""

from enum import StrEnum

import polars as pl

from transforms.datasets import INSTANT
from transforms.entities.usage import Category

SEQUENCE = "landed.sequence"
KEYED = "landed.keyed"
HASH = "landed.hash"
VALUES = "landed.values"
DROPPED = "landed.dropped"
REASON = "landed.reason"
MESSAGE = "landed.message"

#: One row per landed measurement of one meter code; then ``<category>.<code>`` (text, null when absent) for every field
#: code that the meter has, in every category in which it was sent.
LANDED: dict[str, pl.DataType | type[pl.DataType]] = {
    # Order of arrival within the batch.
    SEQUENCE: pl.Int64,
    "account_code": pl.String,
    "ts": INSTANT,
    "ets": INSTANT,
    # Made up where the sender gave none.
    "uid": pl.String,
    # True where the sender gave the uid, so that it can be de-duplicated.
    KEYED: pl.Boolean,
    # See deduplicate.uid_hashes.
    HASH: pl.Int64,
    "received_at": INSTANT,
    # Number of values sent in all category maps.
    VALUES: pl.Int32,
}


class Reason(StrEnum):
    """Why a measurement is not accepted (usage.md 2.4), or (the last) accepted with a derived field missing."""

    DUPLICATE_UID = "DuplicateUid"
    UNDEFINED_METER = "UndefinedMeter"
    MISSING_FIELD = "MissingField"
    DUPLICATE_FIELD = "DuplicateField"
    INVALID_ACCOUNT_CODE = "InvalidAccountCode"
    OUT_OF_RANGE = "OutOfRange"
    CALCULATION_ERROR = "CalculationError"


def sent_column(category: Category, code: str) -> str:
    """The landed column of a field sent in a category's map."""
    return f"{category.value.lower()}.{code}"
