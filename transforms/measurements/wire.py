"""Measurements as clients send them: the synchronous check of a call (DECISIONS 12).

The check decodes the whole body with one typed decoder and looks at whole columns of the result, so that a thousand
measurements cost about a millisecond. Only when something is wrong does problems.py walk through the items to name it.

Put here what every way of delivery shares (HTTP, files). What depends on the configuration is judged later, per row.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from transforms.errors import BodyTooLarge
from transforms.measurements.problems import CODE, EARLIEST, FUTURE_TOLERANCE, MOST_ITEMS, located

BODY_LIMIT = 512_000

WireCode = Annotated[str, Meta(min_length=1, max_length=80)]
Strings = dict[str, str]
Numbers = dict[str, float]


class WireMeasurement(Struct, gc=False):
    """One measurement on the wire (usage.md 2.1); unknown keys are ignored."""

    account: WireCode
    meter: WireCode
    ts: datetime
    ets: datetime | None = None
    uid: Annotated[str, Meta(max_length=50)] | None = None
    who: Strings | None = None
    what: Strings | None = None
    where: Strings | None = None
    other: Strings | None = None
    metadata: dict[str, Annotated[str, Meta(max_length=256)]] | None = None
    measure: Numbers | None = None
    income: Numbers | None = None
    cost: Numbers | None = None


class WireCall(Struct, gc=False):
    """The body of a call."""

    measurements: Annotated[list[WireMeasurement], Meta(min_length=1, max_length=MOST_ITEMS)]


_DECODER = msgspec.json.Decoder(WireCall)
#: Codes that were found well formed; bounded, so that a client that makes up codes can't fill the memory.
_KNOWN_CODES: set[str] = set()
_MOST_KNOWN_CODES = 500_000
#: Space, backslash, delete. JSON has the other control characters of ASCII in no text, and codes are of the lengths declared.
_NOT_PLAIN = (b" ", b"\\", b"\x7f")


def checked(body: bytes, *, now: datetime) -> int:
    """The number of measurements of a body that is acceptable as a whole.

    Args:
        body: ``{"measurements": [...]}`` as received.
        now: The present instant (aware); ``ts`` may be at most 5 minutes later.

    Raises:
        BodyTooLarge: 512,000 bytes or more.
        EntityInvalid: The first thing that is wrong, with the item's index and the field's path.
    """
    if len(body) >= BODY_LIMIT:
        raise BodyTooLarge(f"the body has {len(body):,} bytes; it must be under {BODY_LIMIT:,}: send fewer measurements per call")
    try:
        items = _DECODER.decode(body).measurements
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise located(body, now, str(error)) from None
    if not ((_is_plain(body) or _has_good_codes(items)) and _has_good_times(items, now)):
        raise located(body, now, "the body is not acceptable")
    return len(items)


def _is_plain(body: bytes) -> bool:
    """True when no text in the body can hold what a code must not: white space, control characters, anything escaped.

    Most bodies are plain, and four searches of the bytes cost a tenth of a look at every code.
    """
    return body.isascii() and not any(character in body for character in _NOT_PLAIN)


def _has_good_codes(items: list[WireMeasurement]) -> bool:
    codes = {m.account for m in items}
    codes.update([m.meter for m in items])
    if codes <= _KNOWN_CODES:
        return True
    new = codes - _KNOWN_CODES
    if not all(map(re.compile(CODE).fullmatch, new)):
        return False
    if len(_KNOWN_CODES) + len(new) > _MOST_KNOWN_CODES:
        _KNOWN_CODES.clear()
    _KNOWN_CODES.update(new)
    return True


def _has_good_times(items: list[WireMeasurement], now: datetime) -> bool:
    times: Iterable[datetime] = [m.ts for m in items]
    try:
        earliest, latest = min(times), max(times)
    except TypeError:
        # Some have an offset and some have none.
        times = [utc(t) for t in times]
        earliest, latest = min(times), max(times)
    if utc(latest) > now + FUTURE_TOLERANCE or utc(earliest) < EARLIEST:
        return False
    return all(utc(m.ets) >= utc(m.ts) for m in items if m.ets is not None)


def utc(instant: datetime) -> datetime:
    """The instant with an offset: without one it stands for UTC."""
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
