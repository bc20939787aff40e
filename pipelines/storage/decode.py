"""Landed bodies to columns: the one place that looks at measurements one by one.

Bodies were checked before they landed (transforms/measurements/wire.py). Numbers stay the digits that were sent, because
only text to Decimal is exact. Put here the way from JSON to columns; what a column means is transforms/measurements.
"""

import gc
import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec
import polars as pl
from msgspec import Raw, Struct

from pipelines.storage.landing_frames import Frame
from transforms.datasets import INSTANT
from transforms.entities.usage import Category
from transforms.measurements.deduplicate import uid_hashes
from transforms.measurements.landed import HASH, KEYED, LANDED, SEQUENCE, VALUES, sent_column

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


_MAPS = tuple((category, attrgetter(category.value.lower())) for category in Category)


@dataclass(frozen=True, slots=True)
class _Run:
    """Measurements of one meter out of one frame: their places in it, and their number within the batch."""

    frame: Frame
    start: int
    positions: Sequence[int]
    items: list[LandedMeasurement]


class Decoded:
    """The measurements of frames of one organization, as columns by meter code.

    Args:
        frames: In the order of (received_at, arrival).
        field_codes: Meter code -> codes of its data fields; values of other fields are counted, not kept.

    Attributes:
        by_meter: Meter code -> LANDED rows with the columns sent.
        count: Number of measurements.
    """

    def __init__(self, frames: Sequence[Frame], field_codes: Mapping[str, AbstractSet[str]]) -> None:
        self._frames = frames
        self._starts: list[int] = []
        self.count = 0
        parts: dict[str, list[pl.DataFrame]] = {}
        # Hundreds of thousands of short-lived objects without cycles: the collector would look at them again and again.
        was_collecting = gc.isenabled()
        gc.disable()
        try:
            for chunk in self._chunks():
                for meter, runs in chunk.items():
                    parts.setdefault(meter, []).append(_columns(runs, field_codes.get(meter, frozenset())))
        finally:
            if was_collecting:
                gc.enable()
        self.by_meter = {meter: pl.concat(of_meter, how="diagonal") for meter, of_meter in parts.items()}

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

    def _chunks(self) -> Iterator[dict[str, list[_Run]]]:
        chunk: dict[str, list[_Run]] = {}
        size = 0
        for frame in self._frames:
            items = _DECODER.decode(frame.body).measurements
            meters = {m.meter for m in items}
            for meter in meters:
                positions: Sequence[int] = range(len(items))
                if len(meters) > 1:
                    positions = [at for at, m in enumerate(items) if m.meter == meter]
                of_meter = items if len(meters) == 1 else [items[at] for at in positions]
                chunk.setdefault(meter, []).append(_Run(frame, self.count, positions, of_meter))
            self._starts.append(self.count)
            self.count += len(items)
            size += len(items)
            if size >= CHUNK:
                yield chunk
                chunk, size = {}, 0
        yield chunk


def _columns(runs: Sequence[_Run], field_codes: AbstractSet[str]) -> pl.DataFrame:
    items = [item for run in runs for item in run.items]
    sent = [m.uid for m in items]
    keyed = [bool(uid) for uid in sent]
    made_up = [] if all(keyed) else [f"{prefix}{at}" for run in runs for prefix in (_uid_prefix(run.frame),) for at in run.positions]
    uids = [uid or made_up[at] for at, uid in enumerate(sent)]
    maps = {category: values for category, of in _MAPS if any(values := list(map(of, items)))}
    counts = [[0 if v is None else len(v) for v in values] for values in maps.values()]
    columns: dict[str, pl.Series] = {
        SEQUENCE: pl.Series([run.start + at for run in runs for at in run.positions], dtype=pl.Int64),
        "account_code": pl.Series([m.account for m in items], dtype=pl.String),
        "ts": _instants([m.ts for m in items]),
        "ets": _instants([m.ets for m in items]),
        "uid": pl.Series(uids, dtype=pl.String),
        KEYED: pl.Series(keyed, dtype=pl.Boolean),
        HASH: uid_hashes(uids),
        "received_at": _instants([run.frame.received_at for run in runs]).repeat_by(pl.Series([len(run.items) for run in runs])).explode(),
        VALUES: pl.Series(list(map(sum, zip(*counts, strict=True))) if counts else [0] * len(items), dtype=pl.Int32),
    }
    assert tuple(columns) == tuple(LANDED), "the columns are those of LANDED"
    for category, values in maps.items():
        dense = [_NONE if v is None else v for v in values]
        for code in sorted(field_codes & set().union(*dense)):
            column = [v.get(code) for v in dense]
            columns[sent_column(category, code)] = _digits(column) if category.is_numeric else pl.Series(column, dtype=pl.String)
    return pl.DataFrame(columns)


def _uid_prefix(frame: Frame) -> str:
    """What uids made up for a frame begin with: the same whenever the frame is read, another for every frame."""
    place = f"{frame.writer} {frame.segment} {frame.offset}"
    return f"auto-{hashlib.blake2b(place.encode(), digest_size=12).hexdigest()}-"


def _digits(numbers: list[Raw | None]) -> pl.Series:
    return pl.Series([None if n is None else bytes(n) for n in numbers], dtype=pl.Binary).cast(pl.String)


def _instants(values: Sequence[datetime | None]) -> pl.Series:
    """The instants in UTC; those without an offset stand for UTC."""
    if not any(values):
        return pl.Series([None], dtype=INSTANT).new_from_index(0, len(values))
    try:
        micros = [None if v is None else (v - _EPOCH) // _MICROSECOND for v in values]
    except TypeError:
        micros = [None if v is None else ((v if v.tzinfo else v.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND for v in values]
    return pl.Series(micros, dtype=pl.Int64).cast(INSTANT)
