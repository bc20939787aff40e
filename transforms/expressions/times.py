"""Instants in a formula: parts of the local time and Java date patterns.

Put here what DateTime.* needs of calendars. Keep out the table of functions (functions.py). Source: DECISIONS 9,
usage.md 3.2.
"""

import re

import polars as pl

TS_FMT = "yyyy-MM-dd'T'HH:mm:ss.SSSX"

#: Java pattern letters by their run -> strftime. Runs not listed are refused.
_PATTERNS = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "yy": "%y",
    "uu": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "DDD": "%j",
    "D": "%-j",
    "EEEE": "%A",
    "EEE": "%a",
    "EE": "%a",
    "E": "%a",
    "u": "%u",
    "w": "%-V",
    "ww": "%V",
    "YYYY": "%G",
    "a": "%p",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "m": "%-M",
    "ss": "%S",
    "s": "%-S",
    "SSS": "%3f",
    "SSSSSS": "%6f",
    "SSSSSSSSS": "%9f",
    # chrono has no pattern that writes Z for UTC: the marks are resolved in `formatted`.
    "X": "\x01%z\x02",
    "XX": "\x01%z\x03",
    "XXX": "\x01%:z\x03",
    "Z": "%z",
    "xx": "%z",
    "xxx": "%:z",
    "VV": "\x04",
}
#: Quoted text, a run of one letter, or any other character (a lone quote is one that is not closed).
_PIECE = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|.", re.DOTALL)


def strftime_pattern(pattern: str) -> str:
    """The strftime spelling of a Java date pattern.

    Raises:
        ValueError: A letter or run of letters that is not supported, or a quote that is not closed.
    """
    pieces: list[str] = []
    for piece in _PIECE.finditer(pattern):
        text = piece[0]
        if text == "'":
            raise ValueError(f"the date pattern {pattern!r} has a ' that is not closed")
        if text[0] == "'":
            pieces.append((text[1:-1].replace("''", "'") or "'").replace("%", "%%"))
        elif text[0].isascii() and text[0].isalpha():
            if text not in _PATTERNS:
                raise ValueError(
                    f"the date pattern {pattern!r} has {text}, which is not supported; supported are {' '.join(_PATTERNS)} and text in '...'"
                )
            pieces.append(_PATTERNS[text])
        else:
            pieces.append(text.replace("%", "%%"))
    return "".join(pieces)


def local(instants: pl.Expr, time_zone: str) -> pl.Expr:
    """The instants with the wall clock of the time zone."""
    return instants.dt.convert_time_zone(time_zone)


def formatted(instants: pl.Expr, pattern: str, time_zone: str) -> pl.Expr:
    """The instants written in a Java date pattern, in the time zone."""
    strftime = strftime_pattern(pattern)
    text = local(instants, time_zone).dt.strftime(strftime)
    if "\x01" in strftime:
        text = (
            text.str.replace_all("\x01[+-]00:?00[\x02\x03]", "Z")
            .str.replace_all("\x01([+-]\\d\\d)00\x02", "${1}")
            .str.replace_all("[\x01\x02\x03]", "")
        )
    return text.str.replace_all("\x04", time_zone, literal=True) if "\x04" in strftime else text
