"""The demo, run as a user runs it, and every one of its 192 bills computed again by hand from the source's own file."""

import json
import math
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from api.demo.flights import BATCH, bodies, flights, flights_file
from pipelines.storage.bill_tables import BILLS
from pipelines.storage.database import connected
from pipelines.storage.settings import settings_of

FLIGHTS = 336_776
HUB, PARTNER = ("B6", "DL", "UA"), ("AS", "HA", "VX")
Bands = list[tuple[int, str]]


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "home"


@pytest.fixture(scope="module")
def first_run(demo_home: Path) -> str:
    return run_demo(demo_home)


def run_demo(home: Path) -> str:
    command = [sys.executable, "-m", "api.cli", "demo", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "160"})
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def source() -> pl.DataFrame:
    """The package's file as it is: local dates and hours in columns of their own."""
    with zipfile.ZipFile(flights_file()) as archive:
        return pl.read_csv(archive.read("flights.csv"), null_values="NA", infer_schema_length=None)


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def tiered(units: int, bands: Bands) -> Decimal:
    ends = [lower for lower, _ in bands[1:]] + [10**12]
    return sum(((min(units, end) - lower) * Decimal(price) for (lower, price), end in zip(bands, ends, strict=True) if units > lower), Decimal())


def reached(units: int, bands: Bands) -> Decimal:
    """The price of the last band that the units go beyond; of the first for none."""
    return Decimal([price for lower, price in bands if units > lower or lower == 0][-1])


def bill_total(account: str, rows: pl.DataFrame) -> Decimal:
    """A month's bill of one airline."""
    departed = rows.filter(pl.col("dep_time").is_not_null())
    hundred_miles = math.ceil(departed["distance"].sum() / 100)
    if account in PARTNER:
        miles = cents(hundred_miles * Decimal("3.2"))
        lines = [Decimal(1500), tiered(departed.height, [(0, "105"), (200, "92.8")]), miles, max(Decimal(), 9000 - miles)]
        return sum((cents(cents(line) * Decimal("1.3281")) for line in lines), Decimal())
    at = {origin: departed.filter(pl.col("origin") == origin).height for origin in ("EWR", "JFK", "LGA")}
    peak = departed.filter(pl.col("hour").is_between(16, 19))
    is_later = (pl.col("month") > 7) | ((pl.col("month") == 7) & (pl.col("day") >= 15))
    late = int((departed["dep_delay"].clip(15) - 15).sum())
    mile_bands: Bands = [(0, "3.75"), (50_000, "3.1")] if account in HUB else [(0, "4.2"), (10_000, "3.85"), (50_000, "3.4")]
    usage = [
        tiered(at["EWR"], [(0, "96"), (500, "84"), (2000, "71.5")]),
        tiered(at["JFK"], [(0, "110"), (500, "97.5"), (2000, "82")]),
        tiered(at["LGA"], [(0, "88"), (500, "79.25")]),
        peak.filter(~is_later).height * Decimal(25),
        peak.filter(is_later).height * Decimal("31.25"),
        hundred_miles * reached(hundred_miles, mile_bands),
        reached(rows["dest"].n_unique(), [(0, "750"), (5, "4000"), (20, "12500"), (40, "20000")]) if rows.height else Decimal(),
        (rows.height - departed.height) * Decimal(150),
        tiered(max(late - 5 * departed.height, 0), [(0, "0.4"), (20_000, "0.65")]),
    ]
    used = sum(map(cents, usage), Decimal())
    standing, minimum = (40_000, 500_000) if account in HUB else (2500, 20_000)
    return used + standing + max(Decimal(), minimum - used)


def test_every_bill_is_what_the_tariff_says(first_run: str, demo_home: Path, source: pl.DataFrame) -> None:
    database = connected(settings_of(demo_home))
    with database.transaction() as connection:
        billed = {(row.account_code, row.end_date.month): row.bill_total for row in connection.execute(sa.select(BILLS))}
    database.close()
    parts = source.partition_by("carrier", "month", as_dict=True)
    accounts = source["carrier"].unique().to_list()
    expected = {(a, month): bill_total(a, parts.get((a, month), source.clear())) for a in accounts for month in range(1, 13)}
    assert billed == expected
    assert f"{sum(expected.values()):,.2f} USD" in first_run


def test_it_shows_the_year_the_counts_and_where_to_go(first_run: str, demo_home: Path) -> None:
    assert [month for month in range(1, 13) if f"2013-{month:02}" not in first_run] == []
    assert f"{FLIGHTS + 1000:,} landed = {FLIGHTS:,} accepted + 1,000 duplicates + 0 rejected" in first_run
    assert "http://127.0.0.1:8000" in first_run
    assert "http://127.0.0.1:3000" in first_run
    credentials = demo_home / "demo-credentials.json"
    assert set(json.loads(credentials.read_text())) == {"base_url", "org_id", "api_key", "api_secret"}
    assert credentials.stat().st_mode & 0o777 == 0o600


def test_a_second_run_finds_everything_done(first_run: str, demo_home: Path) -> None:
    second = run_demo(demo_home)
    assert "Everything is done already" in second
    assert second[second.index("Billed by month") :] == first_run[first_run.index("Billed by month") :]


def test_flights_stand_at_their_scheduled_time(source: pl.DataFrame) -> None:
    rows = flights(flights_file())
    assert rows["uid"].n_unique() == FLIGHTS
    # The source states the hour in UTC too; ours is turned from local time, over both changes of the clock.
    stated = source.select(
        uid=pl.format("{}{}-{}-2013{}{}", "carrier", "flight", "origin", _two("month"), _two("day")), hour="time_hour", minute="minute"
    )
    ours = rows.select("uid", hour=pl.col("ts").dt.truncate("1h").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), minute=pl.col("ts").dt.minute().cast(pl.Int64))
    assert ours.sort("uid").equals(stated.sort("uid"))


def _two(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.zfill(2)


def test_what_is_not_known_is_zero_and_says_why(source: pl.DataFrame) -> None:
    rows = flights(flights_file())
    by_status = {status: part for (status,), part in rows.partition_by("status", as_dict=True).items()}
    assert {status: part.height for status, part in by_status.items()} == {"flown": 327_346, "diverted": 1_175, "cancelled": 8_255}
    assert by_status["cancelled"].select("air_minutes", "delay_minutes").sum().row(0) == (0, 0)
    assert by_status["diverted"]["air_minutes"].sum() == 0
    assert rows["delay_minutes"].sum() == source["dep_delay"].sum()
    assert rows["air_minutes"].sum() == source["air_time"].sum()


def test_bodies_are_requests_of_at_most_a_thousand() -> None:
    some = flights(flights_file()).head(2500)
    made: Iterator[tuple[bytes, int]] = bodies(some)
    documents = [(json.loads(body)["measurements"], number) for body, number in made]
    assert [number for _, number in documents] == [BATCH, BATCH, 500]
    assert [len(items) for items, _ in documents] == [BATCH, BATCH, 500]
    assert [item["uid"] for items, _ in documents for item in items] == some["uid"].to_list()
