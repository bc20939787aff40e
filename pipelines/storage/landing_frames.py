"""The form of the landing log: frames in segment files, one folder per writer.

``<root>/<writer>/<segment>.log`` holds frames one after another; ``durable`` beside them holds the one 64-bit position up
to which the writer has made them durable; the writer keeps ``lock`` locked as long as it lives. A frame is a header (magic,
version, length, CRC-32 of all that follows the checksum, receipt, organization) and the body as it was received.

Put here the bytes; writing is landing.py, reading landing_reader.py.
"""

import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

MAGIC = b"MHLF"
VERSION = 1
#: magic, version, length of the body, CRC-32; then (covered by the checksum) receipt in microseconds, organization.
_HEAD = struct.Struct("<4sIII")
_REST = struct.Struct("<q36s")
HEADER_BYTES = _HEAD.size + _REST.size
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_POSITION = struct.Struct("<Q")
POSITION_BYTES = _POSITION.size


class Position(NamedTuple):
    """A place in one writer's log: everything before it is meant."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One acknowledged body with where it stands."""

    writer: str
    segment: int
    offset: int
    org_id: str
    received_at: datetime
    body: bytes


def header(org_id: str, received_at: datetime, body: bytes) -> bytes:
    """The bytes that go before the body."""
    rest = _REST.pack((received_at - _EPOCH) // _MICROSECOND, org_id.encode("ascii").ljust(36))
    return _HEAD.pack(MAGIC, VERSION, len(body), zlib.crc32(body, zlib.crc32(rest))) + rest


def frame_at(data: bytes, at: int, *, writer: str, segment: int, base: int) -> tuple[Frame, int] | None:
    """The whole, undamaged frame at ``at`` and the offset after it; None when there is none.

    Args:
        data: Part of a segment.
        at: Where in ``data`` the frame begins.
        writer: The writer.
        segment: The segment.
        base: Offset of ``data`` in the segment.
    """
    if at + HEADER_BYTES > len(data):
        return None
    magic, version, length, checksum = _HEAD.unpack_from(data, at)
    start, end = at + HEADER_BYTES, at + HEADER_BYTES + length
    if magic != MAGIC or version != VERSION or end > len(data):
        return None
    if zlib.crc32(memoryview(data)[at + _HEAD.size : end]) != checksum:
        return None
    micros, org_id = _REST.unpack_from(data, at + _HEAD.size)
    return Frame(writer, segment, base + at, org_id.decode("ascii").rstrip(), _EPOCH + micros * _MICROSECOND, data[start:end]), end


def packed(position: Position) -> bytes:
    """The position as the ``durable`` file holds it: one aligned word, so that it is never seen half written."""
    return _POSITION.pack(position.segment << 40 | position.offset)


def unpacked(data: bytes) -> Position:
    """What :func:`packed` wrote."""
    (word,) = _POSITION.unpack(data)
    return Position(word >> 40, word & ((1 << 40) - 1))


def segment_name(segment: int) -> str:
    """File name of a segment; they sort by number."""
    return f"{segment:010}.log"
