"""The datasets of the lake: one declaration each, with the meaning of every column.

Tables are created, frames are checked and the documentation is generated from these. Put here names, grain, types and
keys; keep out how a dataset is computed. Columns named by a user's configuration (a meter's field codes, the columns of
partial states) follow the declared ones and are described by ``open_columns``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from transforms.errors import SchemaMismatch
from transforms.money import DECIMAL

INSTANT = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Column:
    """One column: its type and what it holds (with unit)."""

    dtype: pl.DataType | type[pl.DataType]
    doc: str


@dataclass(frozen=True)
class Dataset:
    """A table of the lake.

    Attributes:
        name: Dataset name, also the Dagster asset key.
        grain: Completes "One row per ...".
        columns: Declared columns in order.
        partition_by: Columns whose values are folders; every query names them where it can.
        open_columns: What further columns there may be; empty when there are none.
    """

    name: str
    grain: str
    columns: Mapping[str, Column]
    partition_by: tuple[str, ...] = ()
    open_columns: str = ""

    @property
    def schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """Column -> Polars type."""
        return {name: column.dtype for name, column in self.columns.items()}

    def checked(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the declared columns first; raises SchemaMismatch when one is missing, extra or mistyped."""
        actual = dict(frame.schema)
        missing = [c for c in self.columns if c not in actual]
        wrong = [f"{c} is {actual[c]}, should be {d}" for c, d in self.schema.items() if c in actual and actual[c] != d]
        extra = [] if self.open_columns else [c for c in actual if c not in self.columns]
        if missing or wrong or extra:
            raise SchemaMismatch(f"{self.name}: missing {missing}, mistyped {wrong}, unexpected {extra}")
        return frame.select(*self.columns, *(c for c in actual if c not in self.columns))


MEASUREMENTS = Dataset(
    "measurements",
    "accepted measurement of one meter (one table per organization and meter)",
    {
        "date": Column(pl.Date, "Event day: the local calendar day of ts in the organization's time zone."),
        "account_number": Column(pl.Int32, "The account's dense number within the organization."),
        "ts": Column(INSTANT, "Event instant, UTC."),
        "ets": Column(INSTANT, "End of an interval event, UTC; null for a point event."),
        "uid": Column(pl.String, "The measurement's key within the organization; made up by us when the sender gave none."),
        "received_at": Column(INSTANT, "When the server acknowledged it, UTC."),
    },
    partition_by=("date",),
    open_columns="One per data field and derived field of the meter, named by its code: Decimal(38, 12) or string, nullable.",
)

REJECTED_MEASUREMENTS = Dataset(
    "rejected_measurements",
    "landed measurement that was not accepted (one table per organization)",
    {
        "date": Column(pl.Date, "Event day: the local calendar day of ts."),
        "reason": Column(
            pl.String,
            "DuplicateUid, UndefinedMeter, MissingField, DuplicateField, InvalidAccountCode or OutOfRange.",
        ),
        "message": Column(pl.String, "What is wrong and what would be right."),
        "meter_code": Column(pl.String, "Meter code as sent."),
        "account_code": Column(pl.String, "Account code as sent."),
        "ts": Column(INSTANT, "Event instant, UTC."),
        "uid": Column(pl.String, "As sent; null when the sender gave none."),
        "received_at": Column(INSTANT, "When the server acknowledged it, UTC."),
        "body": Column(pl.String, "The measurement as sent, JSON; it can be re-submitted after a fix."),
    },
    partition_by=("date",),
)

UID_INDEX = Dataset(
    "uid_index",
    "uid accepted by the organization (one table per organization); what de-duplication looks in",
    {
        "received_date": Column(pl.Date, "UTC day of receipt; a uid stands for 35 days from its receipt."),
        "received_at": Column(INSTANT, "When the accepted measurement was acknowledged, UTC."),
        "uid_hash": Column(pl.Int64, "blake2b-64 of the uid, little endian, signed."),
        "uid": Column(pl.String, "The uid."),
    },
    partition_by=("received_date",),
)

DAILY_AGGREGATES = Dataset(
    "daily_aggregates",
    "partial state of one account and event day or month, or of one event day of all accounts, and (where the state is split) "
    "segment or string value (one table per organization, meter and state); several rows of one key merge exactly",
    {
        "month": Column(pl.Date, "First day of the event day's month."),
        "date": Column(pl.Date, "Event day in the organization's time zone; in a state by month the last one of the row."),
        "account_number": Column(pl.Int32, "The account's dense number within the organization; null in a state of all accounts together."),
    },
    partition_by=("month",),
    open_columns="The state's columns, see transforms/aggregations/states.py.",
)

BAND = pl.Struct(
    {
        "pricing_band_id": pl.String,
        "lower_limit": DECIMAL,
        "fixed_price": DECIMAL,
        "unit_price": DECIMAL,
        "band_quantity": DECIMAL,
        "band_units": DECIMAL,
        "unit_subtotal": DECIMAL,
        "band_subtotal": DECIMAL,
        "converted_band_subtotal": DECIMAL,
    }
)

BILL_LINE_ITEMS = Dataset(
    "bill_line_items",
    "line item of one calculation of one bill (one table per organization); the rows of a bill's current calculation are "
    "those whose calculation_id the bill names, earlier calculations stay for comparison",
    {
        "bill_date": Column(pl.Date, "The bill's date."),
        "calculation_id": Column(pl.String, "The calculation that wrote the row."),
        "bill_id": Column(pl.String, "The bill."),
        "line_item_id": Column(pl.String, "UUIDv5 of what the line charges for: the same in every calculation."),
        "sequence_number": Column(pl.Int32, "Position on the bill, from 1."),
        "account_id": Column(pl.String, "The account billed."),
        "line_item_type": Column(pl.String, "As the public API spells it, USAGE for example."),
        "description": Column(pl.String, "Text on the bill."),
        "product_id": Column(pl.String, "Product of the plan."),
        "accounting_product_id": Column(pl.String, "Product that the revenue is attributed to (billing.md 1.13)."),
        "account_plan_id": Column(pl.String, "The account plan."),
        "plan_id": Column(pl.String, "The plan."),
        "plan_group_id": Column(pl.String, "The plan group, for its own charges."),
        "pricing_id": Column(pl.String, "The pricing or counter pricing that rated the line."),
        "aggregation_id": Column(pl.String, "The simple aggregation."),
        "compound_aggregation_id": Column(pl.String, "The compound aggregation."),
        "meter_id": Column(pl.String, "The simple aggregation's meter."),
        "counter_id": Column(pl.String, "The counter."),
        "charge_id": Column(pl.String, "The charge."),
        "commitment_id": Column(pl.String, "The commitment."),
        "balance_id": Column(pl.String, "The balance."),
        "contract_id": Column(pl.String, "The contract."),
        "segment": Column(pl.String, "The segment as JSON with sorted keys; null when unsegmented."),
        "child_account_id": Column(pl.String, "The child account whose usage it is."),
        "child_account_code": Column(pl.String, "Its code."),
        "service_period_start": Column(INSTANT, "Start of what the line covers, UTC, inclusive."),
        "service_period_end": Column(INSTANT, "End of what the line covers, UTC, exclusive."),
        "quantity": Column(DECIMAL, "Aggregated amount before quantityPerUnit."),
        "units": Column(DECIMAL, "Rated units, after quantityPerUnit and rounding."),
        "unit": Column(pl.String, "Label of a unit."),
        "average_unit_price": Column(DECIMAL, "subtotal / units; 0 when units are 0."),
        "subtotal": Column(DECIMAL, "Rounded amount in the pricing currency."),
        "currency": Column(pl.String, "The pricing currency."),
        "conversion_rate": Column(DECIMAL, "Multiplier from the pricing to the bill currency."),
        "converted_subtotal": Column(DECIMAL, "Rounded amount in the bill currency; the bill's total is their sum."),
        "referenced_bill_id": Column(pl.String, "The earlier bill that a memo or carried-forward line refers to."),
        "referenced_line_item_id": Column(pl.String, "The earlier line."),
        "reason_id": Column(pl.String, "Credit or debit reason."),
        "bands": Column(pl.List(BAND), "Usage per pricing band, ascending; null where nothing was rated in bands."),
    },
    partition_by=("bill_date",),
)

BILLS = Dataset(
    "bills",
    "bill computed by one bill run, before it is stored as a decision in PostgreSQL",
    {
        "bill_id": Column(pl.String, "UUIDv5 of account, bill date, grouping, frequency and interval (DECISIONS 32)."),
        "account_id": Column(pl.String, "The account billed."),
        "account_code": Column(pl.String, "Its code at the time of calculation."),
        "billing_frequency": Column(pl.String, "DAILY, WEEKLY, MONTHLY, ANNUALLY, AD_HOC or MIXED."),
        "bill_frequency_interval": Column(pl.Int32, "Number of frequency units per period."),
        "start_date": Column(pl.Date, "First day of the billing period."),
        "end_date": Column(pl.Date, "Last day of the billing period, inclusive (DECISIONS 27)."),
        "start_at": Column(INSTANT, "Start of the billing period, UTC."),
        "end_at": Column(INSTANT, "End of the billing period, UTC, exclusive."),
        "bill_date": Column(pl.Date, "The day after the period."),
        "due_date": Column(pl.Date, "bill_date plus daysBeforeBillDue."),
        "external_invoice_date": Column(pl.Date, "See billing.md 2.9."),
        "currency": Column(pl.String, "The bill currency."),
        "bill_total": Column(DECIMAL, "Sum of the converted subtotals."),
        "purchase_order_number": Column(pl.String, "From the account."),
        "line_count": Column(pl.Int32, "Number of line items."),
    },
)

PUBLISHED_LINE_ITEMS = Dataset(
    "published_line_items",
    "line item of the current calculation of a bill (one table per organization), with what its header says; for any tool "
    "that reads Delta or Parquet",
    {
        "month": Column(pl.String, "Month that the billing period ends in, YYYY-MM."),
        "account_code": Column(pl.String, "Code of the account billed."),
        "billing_frequency": Column(pl.String, "As on the bill."),
        "bill_start_date": Column(pl.Date, "First day of the billing period."),
        "bill_end_date": Column(pl.Date, "Last day of the billing period, inclusive."),
        "bill_currency": Column(pl.String, "Currency of converted_subtotal."),
        "bill_status": Column(pl.String, "PENDING or APPROVED when the month was published."),
        **BILL_LINE_ITEMS.columns,
    },
    partition_by=("month",),
)

DATASETS: tuple[Dataset, ...] = (
    MEASUREMENTS,
    REJECTED_MEASUREMENTS,
    UID_INDEX,
    DAILY_AGGREGATES,
    BILL_LINE_ITEMS,
    BILLS,
    PUBLISHED_LINE_ITEMS,
)
