"""Characters to tokens.

Put here what one token looks like. Keep out how tokens combine (parser.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from transforms.errors import ExpressionError


class Kind(StrEnum):
    """The kinds of tokens."""

    NUMBER = "number"
    STRING = "string"
    WORD = "name"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: ``text`` as written, except that a string comes without quotes and escapes."""

    kind: Kind
    text: str
    position: int


_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WORD = re.compile(r"[^\W\d$][\w$]*|\$[\w$]*")
_SYMBOLS = ("==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "^", "<", ">", "?", ":", "(", ")", "[", "]", ",", ".")
_INSTEAD = {
    "=": "write == to compare",
    "!": "there is no NOT: compare with false, or use != ",
    "&": "write AND",
    "|": "write OR",
    "{": "use round brackets",
    "}": "use round brackets",
    ";": "a formula is a single expression",
    "“": 'write straight quotes "',
    "”": 'write straight quotes "',
    "‘": "write straight quotes '",
    "’": "write straight quotes '",
    "×": "write * to multiply",
    "÷": "write / to divide",
    "−": "write - (hyphen-minus)",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
}


def tokens(source: str) -> Iterator[Token]:
    """The tokens of a formula in order, ending with one of kind END.

    Raises:
        ExpressionError: At a character that no token starts with, and at a string that is not closed.
    """
    at = 0
    while True:
        gap = _SPACE.match(source, at)
        at = gap.end() if gap else at
        if at == len(source):
            yield Token(Kind.END, "", at)
            return
        token, at = _token(source, at)
        yield token


def _token(source: str, at: int) -> tuple[Token, int]:
    character = source[at]
    if character in "\"'":
        return _string(source, at)
    number = _NUMBER.match(source, at)
    if number and not (character == "." and at > 0 and (source[at - 1].isalnum() or source[at - 1] in "_$])")):
        word = _WORD.match(source, number.end())
        if word:
            raise ExpressionError(f"{number[0]}{word[0]} is neither a number nor a name: a name may not start with a digit", source, at)
        return Token(Kind.NUMBER, number[0], at), number.end()
    word = _WORD.match(source, at)
    if word:
        return Token(Kind.WORD, word[0], at), word.end()
    for symbol in _SYMBOLS:
        if source.startswith(symbol, at):
            return Token(Kind.SYMBOL, symbol, at), at + len(symbol)
    hint = _INSTEAD.get(character)
    raise ExpressionError(f"unexpected character {character!r}" + (f": {hint.strip()}" if hint else ""), source, at)


def _string(source: str, start: int) -> tuple[Token, int]:
    r"""A literal in single or double quotes; a backslash makes the next character literal (``\n`` and ``\t`` as usual)."""
    text: list[str] = []
    quote, at = source[start], start + 1
    while at < len(source):
        character = source[at]
        if character == quote:
            return Token(Kind.STRING, "".join(text), start), at + 1
        if character == "\\" and at + 1 < len(source):
            at += 1
            character = {"n": "\n", "t": "\t"}.get(source[at], source[at])
        text.append(character)
        at += 1
    raise ExpressionError(f"the string is not closed: a {quote} is missing at its end", source, start)
