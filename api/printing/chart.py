"""A small chart of usage as SVG: a bar per period, drawn with nothing but rectangles, lines and a few words.

Put here the drawing. Keep out which numbers are drawn (bill_pages.py). Positions are whole hundredths of a pixel, so the same
numbers give the same bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from xml.sax.saxutils import escape, quoteattr

WIDTH, HEIGHT = 680, 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 4, 4, 16, 20
_INK, _FAINT, _BAR, _NEGATIVE = "#52606d", "#d9dee4", "#2f5d8a", "#b4552d"


@dataclass(frozen=True)
class Bar:
    """One bar: what it is called, and how high it is; None where there is no number."""

    label: str
    value: Decimal | None


def _at(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _line(y: float) -> str:
    return f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{_at(y)}" y2="{_at(y)}" stroke="{_FAINT}" stroke-width="1"/>'


def _text(x: float, y: float, anchor: str, words: str) -> str:
    return f'<text x="{_at(x)}" y="{_at(y)}" text-anchor="{anchor}" font-size="10" fill="{_INK}">{escape(words)}</text>'


def _tip(bar: Bar, number: Callable[[Decimal], str]) -> str:
    return f"{bar.label}: {number(bar.value if bar.value is not None else Decimal(0))}"


def _named(count: int, step: float) -> list[tuple[int, float, str]]:
    """Position, place and alignment of the bars whose names are written: the first, the middle and the last."""
    first, last = (0, float(_LEFT), "start"), (count - 1, float(WIDTH - _RIGHT), "end")
    middle = (count // 2, _LEFT + (count // 2 + 0.5) * step, "middle")
    return [first, middle, last][: 3 if count > 2 else count] if count != 2 else [first, last]


def bar_chart(title: str, bars: Sequence[Bar], *, number: Callable[[Decimal], str], font: str) -> str:
    """The chart; its height is shared by the greatest and, when one is below zero, the least value.

    Args:
        title: What is drawn, for those who can't see it.
        bars: From left to right.
        number: How a value is written.
        font: A CSS font-family.
    """
    values = [float(bar.value) for bar in bars if bar.value is not None]
    high, low = max([0.0, *values]), min([0.0, *values])
    span = (high - low) or 1.0
    top, bottom = float(_TOP), float(HEIGHT - _BOTTOM)

    def y(value: float) -> float:
        return bottom - (value - low) / span * (bottom - top)

    step = (WIDTH - _LEFT - _RIGHT) / max(len(bars), 1)
    width = max(step * 0.72, 0.5)
    parts = [_line(y(0.0)), _line(top)]
    for position, bar in enumerate(bars):
        value = float(bar.value or 0)
        x = _LEFT + position * step + (step - width) / 2
        edge, base = y(value), y(0.0)
        shape = f'x="{_at(x)}" y="{_at(min(edge, base))}" width="{_at(width)}" height="{_at(abs(base - edge))}"'
        parts.append(f'<rect {shape} fill="{_BAR if value >= 0 else _NEGATIVE}"><title>{escape(_tip(bar, number))}</title></rect>')
    greatest = max((bar.value for bar in bars if bar.value is not None), default=Decimal(0))
    parts.append(_text(_LEFT, top - 4, "start", number(greatest)))
    parts += [_text(x, HEIGHT - 5, anchor, bars[position].label) for position, x, anchor in _named(len(bars), step)]
    size = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg {size} role="img" aria-label={quoteattr(title)} font-family={quoteattr(font)}>{"".join(parts)}</svg>'
