"""The fees of commitments that have dates of their own, out of the JSON that commitments carry them in.

There may be dozens on each of many commitments, of which a run bills one, so the text is searched, not decoded: numbers keep
their digits, and what is not due is never looked at. Put here what the schedules say; keep out which of it is due
(``anchors.py``) and its lines (``commitment_fees.py``). Source: billing.md 5.3.
"""

import polars as pl

from transforms.configuration import Configuration
from transforms.datasets import INSTANT
from transforms.money import DECIMAL

#: The parts of a fee are a date, instants and a number (``CommitmentFee``): nothing that could hold a brace, a comma or a quote.
_DATE = r'"date"\s*:\s*"(\d{4}-\d{2}-\d{2})'


def _scheduled(configuration: Configuration) -> pl.DataFrame:
    commitments = configuration.frame("Commitment")
    return commitments.select("commitment_id", "account_id", "contract_id", "currency", fee="fee_dates").filter(pl.col("fee").fill_null("[]") != "[]")


def fee_days(configuration: Configuration) -> pl.DataFrame:
    """One row per fee date of a commitment: ``account_id``, ``contract_id`` and ``event_date``, the day that it is billed on."""
    dates = _scheduled(configuration).select("account_id", "contract_id", event_date=pl.col("fee").str.extract_all(_DATE)).explode("event_date")
    return dates.with_columns(pl.col("event_date").str.tail(10).str.to_date("%Y-%m-%d"))


def dated_fees(configuration: Configuration, days: pl.Series) -> pl.DataFrame:
    """One row per fee on one of these days.

    Returns:
        ``commitment_id``, ``account_id``, ``contract_id``, ``currency``, ``event_date``, ``amount``, ``service_start`` and ``service_end``.
    """
    fees = _scheduled(configuration).with_columns(pl.col("fee").str.split("}")).explode("fee")
    wanted = fees.filter(pl.col("fee").str.contains_any(days.cast(pl.String).implode()))
    dated = wanted.with_columns(event_date=pl.col("fee").str.extract(_DATE).str.to_date("%Y-%m-%d"))
    due = dated.filter(pl.col("event_date").is_in(days.implode()))
    return due.with_columns(
        amount=pl.col("fee").str.extract(r'"amount"\s*:\s*"?([-+.0-9eE]+)').cast(DECIMAL),
        service_start=_instant("servicePeriodStartDate"),
        service_end=_instant("servicePeriodEndDate"),
    ).drop("fee")


def _instant(name: str) -> pl.Expr:
    return pl.col("fee").str.extract(rf'"{name}"\s*:\s*"([^"]+)"').str.to_datetime(time_unit="us", time_zone="UTC", strict=True).cast(INSTANT)
