"""Fees of commitments with dates, read out of JSON text: what decoding it would give, with every digit."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, strategies as st

from transforms.configuration import FRAMES, Configuration
from transforms.entities.organization import CustomFields, OrganizationConfig
from transforms.rating.fee_dates import dated_fees, fee_days

DAYS = st.dates(date(2024, 12, 30), date(2025, 1, 3))
AMOUNTS = st.decimals(Decimal("1e-12"), Decimal("9e25"), places=12)
FEES = st.lists(st.tuples(DAYS, AMOUNTS, DAYS, st.sampled_from(["Z", ".250Z"])), max_size=4)
SPACES = st.sampled_from([None, (",", ":")])


def text(fees: list[tuple[date, Decimal, date, str]], separators: tuple[str, str] | None) -> str:
    """The fees as JSON, their amounts with the digits that they have."""
    rows: list[dict[str, Any]] = []
    for day, amount, start, end in fees:
        service = {"servicePeriodEndDate": f"{start}T00:00:00{end}", "servicePeriodStartDate": f"{start}T00:00:00Z"}
        rows.append({"amount": f"<{amount:f}>", "date": str(day), **service})
    return json.dumps(rows, separators=separators).replace('"<', "").replace('>"', "")


def configuration(texts: list[str | None]) -> Configuration:
    """An organization with commitments that carry these texts."""
    frame = pl.DataFrame({"commitment_id": [f"c{n}" for n in range(len(texts))], "fee_dates": texts}, schema_overrides={"fee_dates": pl.String})
    frame = frame.with_columns(account_id=pl.format("a-{}", "commitment_id"), currency=pl.lit("USD"))
    whole = frame.select((pl.col(n) if n in frame.columns else pl.lit(None).alias(n)).cast(t) for n, t in FRAMES["Commitment"].items())
    empty = pl.DataFrame()
    return Configuration("org", datetime(2025, 1, 1, tzinfo=UTC), OrganizationConfig(), CustomFields(), {}, empty, empty, "", {"Commitment": whole})


@given(st.lists(st.tuples(FEES, SPACES), max_size=4), st.sets(DAYS, max_size=3))
def test_what_is_read_is_what_decoding_gives(schedules: list[tuple[list[Any], tuple[str, str] | None]], days: set[date]) -> None:
    given_texts: list[str | None] = [text(fees, separators) for fees, separators in schedules]
    found = configuration([None, *given_texts])
    every = [(f"c{n}", fee) for n, (fees, _) in enumerate(schedules, 1) for fee in fees]
    assert sorted(fee_days(found).select("account_id", "event_date").rows()) == sorted((f"a-{c}", fee[0]) for c, fee in every)
    due = dated_fees(found, pl.Series(sorted(days), dtype=pl.Date))
    midnight = {day: datetime(day.year, day.month, day.day, tzinfo=UTC) for _, (_, _, day, _) in every}
    expected = [
        (c, day, amount, midnight[start], midnight[start].replace(microsecond=250_000 if end == ".250Z" else 0))
        for c, (day, amount, start, end) in every
        if day in days
    ]
    assert sorted(due.select("commitment_id", "event_date", "amount", "service_start", "service_end").rows()) == sorted(expected)
