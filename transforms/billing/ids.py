"""Ids of bills and line items: the same for the same thing in every calculation (DECISIONS 32).

A bill's id is a UUIDv5 of its key. A line's id has the form of one, but hashing a name per line is most of the cost of
writing a million lines, so its 122 bits are mixed from two SHA-1 digests (of the account plan on its bill, and of what
is charged) and the start of the service period. The mixing is a bijection of the start for equal digests, so two lines
of one charge never collide; different digests do so with the odds of any 122-bit hash. numpy is used here only, for
unsigned 64-bit arithmetic and to write hexadecimal digits. Put here ids and nothing else.
"""

import hashlib
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

_NAMESPACE = "meterhouse:billed"
#: The four hexadecimal digits of every pair of bytes, as one 32-bit number.
_HEX = np.frombuffer(np.arange(65536, dtype=np.uint16).tobytes().hex().encode(), dtype=np.uint32)
#: Where those of each pair stand among the 36 characters of a UUID, and where its hyphens do.
_PLACES = (0, 4, 9, 14, 19, 24, 28, 32)
_HYPHENS = (8, 13, 18, 23)
_TEXT = np.dtype({"names": [f"{n}" for n in range(8)], "formats": [np.uint32] * 8, "offsets": list(_PLACES), "itemsize": 36})
#: Ids written at a time, few enough to stay in the processor's cache.
_BLOCK = 16_384
_U64 = np.uint64


def _digests(names: pl.Series) -> Any:
    """SHA-1 of every name, cut to 16 bytes: an array of shape (n, 16)."""
    sha1 = hashlib.sha1
    data = b"".join([sha1(name.encode()).digest() for name in (_NAMESPACE + names).to_list()])
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, 20)[:, :16].copy()


def _texts(digests: Any) -> pl.Series:
    """The digests as UUIDs of version 5."""
    digests[:, 6] = (digests[:, 6] & 0x0F) | 0x50
    digests[:, 8] = (digests[:, 8] & 0x3F) | 0x80
    count = len(digests)
    text = np.empty((count, 36), dtype=np.uint8)
    pairs, pieces = digests.view(np.uint16), text.reshape(-1).view(_TEXT)
    for first in range(0, count, _BLOCK):
        digits, block = _HEX.take(pairs[first : first + _BLOCK]), pieces[first : first + _BLOCK]
        for number in range(8):
            block[f"{number}"] = digits[:, number]
        for place in _HYPHENS:
            text[first : first + _BLOCK, place] = ord("-")
    offsets = pa.py_buffer(np.arange(0, 36 * (count + 1), 36, dtype=np.int64))
    array = pa.LargeStringArray.from_buffers(count, offsets, pa.py_buffer(text))
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series


def uuids(names: pl.Series) -> pl.Series:
    """One UUIDv5 per name."""
    return _texts(_digests(names))


def _mixed(x: Any) -> Any:
    """A bijection of 64-bit numbers in which every bit depends on every other (the finalizer of MurmurHash3)."""
    x = (x ^ (x >> _U64(33))) * _U64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> _U64(33))) * _U64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> _U64(33))


def line_item_ids(*, owners: pl.Series, owner: pl.Series, charges: pl.Series, charge: pl.Series, start: pl.Series) -> pl.Series:
    """One id per line.

    Args:
        owners: Names of what the lines belong to (bill and account plan).
        owner: Per line, the position of its owner.
        charges: Names of what can be charged (kind, pricing, segment).
        charge: Per line, the position of its charge.
        start: Per line, the start of the service period.
    """
    whose = _digests(owners).view(_U64)[owner.to_numpy()]
    what = _digests(charges).view(_U64)[charge.to_numpy()]
    when = start.dt.epoch("us").to_numpy().astype(_U64)
    with np.errstate(over="ignore"):
        both = np.empty((len(when), 2), dtype=_U64)
        both[:, 0] = _mixed(whose[:, 0] ^ _mixed(what[:, 0] + when * _U64(0x9E3779B97F4A7C15)))
        both[:, 1] = _mixed(whose[:, 1] ^ _mixed(what[:, 1] + when * _U64(0xD1B54A32D192ED03)))
    return _texts(both.view(np.uint8))
