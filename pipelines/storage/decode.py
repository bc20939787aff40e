"""Landed bodies to columns: the one place that looks at measurements one by one.

Bodies were checked before they landed (transforms/measurements/wire.py). Numbers stay the digits that were sent, because
only text to Decimal is exact. Put here the way from JSON to columns; what a column means is transforms/measurements.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence, Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl
from msgspec import Raw, Struct

from pipelines.storage.landing_frames import Frame
from transforms.datasets import INSTANT
from transforms.entities.usage import Category
from transforms.measurements.landed import KEYED, LANDED, SEQUENCE, VALUES, sent_column

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Measurements turned into columns together; bounds the number of Python objects alive.
CHUNK = 50_000
_NONE: dict[str, Any] = {}


class LandedMeasurement(Struct, gc=False):
    """A measurement as it landed, numbers as their digits."""

    account: str
    meter: str
    ts: datetime
    ets: datetime | None = None
    uid: str | None = None
    who: dict[str, str] | None = None
    what: dict[str, str] | None = None
    where: dict[str, str] | None = None
    other: dict[str, str] | None = None
    metadata: dict[str, str] | None = None
    measure: dict[str, Raw] | None = None
    income: dict[str, Raw] | None = None
    cost: dict[str, Raw] | None = None


class _Call(Struct, gc=False):
    measurements: list[LandedMeasurement]


class _RawCall(Struct, gc=False):
    measurements: list[Raw]


_DECODER = msgspec.json.Decoder(_Call)
_RAW_DECODER = msgspec.json.Decoder(_RawCall)


class Decoded:
    """The measurements of frames of one organization, as columns by meter code.

    Attributes:
        by_meter: Meter code -> LANDED rows with the columns sent.
        count: Number of measurements.
    """

    def __init__(self, frames: Sequence[Frame], field_codes: Mapping[str, AbstractSet[str]]) -> None:
        """Decode the frames.

        Args:
            frames: In the order of (received_at, arrival).
            field_codes: Meter code -> codes of its data fields; values of other fields are counted, not kept.
        """
        self._frames = frames
        self._starts: list[int] = []
        self.count = 0
        parts: dict[str, list[pl.DataFrame]] = {}
        chunk: list[tuple[int, Frame, list[LandedMeasurement]]] = []
        size = 0
        for frame in frames:
            items = _DECODER.decode(frame.body).measurements
            self._starts.append(self.count)
            chunk.append((self.count, frame, items))
            self.count += len(items)
            size += len(items)
            if size >= CHUNK:
                _add(parts, chunk, field_codes)
                chunk, size = [], 0
        _add(parts, chunk, field_codes)
        self.by_meter = {meter: pl.concat(frames, how="diagonal") for meter, frames in parts.items()}

    def bodies(self, sequences: Sequence[int]) -> list[str]:
        """The measurements at these places as they were sent (JSON text)."""
        raws: dict[int, list[Raw]] = {}
        texts = []
        for sequence in sequences:
            at = bisect_right(self._starts, sequence) - 1
            if at not in raws:
                raws[at] = _RAW_DECODER.decode(self._frames[at].body).measurements
            texts.append(bytes(raws[at][sequence - self._starts[at]]).decode())
        return texts


def _add(
    parts: dict[str, list[pl.DataFrame]], chunk: list[tuple[int, Frame, list[LandedMeasurement]]], field_codes: Mapping[str, AbstractSet[str]]
) -> None:
    rows: dict[str, list[tuple[int, str, Frame, LandedMeasurement]]] = {}
    for start, frame, items in chunk:
        prefix = _uid_prefix(frame)
        for position, item in enumerate(items):
            rows.setdefault(item.meter, []).append((start + position, f"{prefix}{position}" if not item.uid else item.uid, frame, item))
    for meter, of_meter in rows.items():
        parts.setdefault(meter, []).append(_columns(of_meter, field_codes.get(meter, frozenset())))


def _uid_prefix(frame: Frame) -> str:
    """What uids made up for a frame begin with: the same whenever the frame is read, another for every frame."""
    place = f"{frame.writer} {frame.segment} {frame.offset}"
    return f"auto-{hashlib.blake2b(place.encode(), digest_size=12).hexdigest()}-"


def _columns(rows: list[tuple[int, str, Frame, LandedMeasurement]], field_codes: AbstractSet[str]) -> pl.DataFrame:
    items = [item for _, _, _, item in rows]
    maps = {c: values for c in Category if any(values := [getattr(m, c.value.lower()) for m in items])}
    counts = [[0 if v is None else len(v) for v in values] for values in maps.values()]
    columns: dict[str, pl.Series] = {
        SEQUENCE: pl.Series([sequence for sequence, _, _, _ in rows], dtype=pl.Int64),
        "account_code": pl.Series([m.account for m in items], dtype=pl.String),
        "ts": _instants([m.ts for m in items]),
        "ets": _instants([m.ets for m in items]),
        "uid": pl.Series([uid for _, uid, _, _ in rows], dtype=pl.String),
        KEYED: pl.Series([bool(m.uid) for m in items], dtype=pl.Boolean),
        "received_at": _instants([frame.received_at for _, _, frame, _ in rows]),
        VALUES: pl.Series(list(map(sum, zip(*counts, strict=True))) if counts else [0] * len(items), dtype=pl.Int32),
    }
    assert tuple(columns) == tuple(LANDED)
    for category, values in maps.items():
        dense = [_NONE if v is None else v for v in values]
        for code in sorted(field_codes & set().union(*dense)):
            column = [v.get(code) for v in dense]
            columns[sent_column(category, code)] = _digits(column) if category.is_numeric else pl.Series(column, dtype=pl.String)
    return pl.DataFrame(columns)


def _digits(numbers: list[Raw | None]) -> pl.Series:
    return pl.Series([None if n is None else bytes(n) for n in numbers], dtype=pl.Binary).cast(pl.String)


def _instants(values: Sequence[datetime | None]) -> pl.Series:
    """The instants in UTC; those without an offset stand for UTC."""
    try:
        micros = [None if v is None else (v - _EPOCH) // _MICROSECOND for v in values]
    except TypeError:
        micros = [None if v is None else ((v if v.tzinfo else v.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND for v in values]
    return pl.Series(micros, dtype=pl.Int64).cast(INSTANT)
