"""The chart of usage."""

from decimal import Decimal
from xml.etree import ElementTree as ET

from hypothesis import given, strategies as st

from api.printing.chart import HEIGHT, WIDTH, Bar, bar_chart

SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.lists(st.none() | st.decimals(min_value="-1e9", max_value="1e9", places=3), max_size=40)


def drawn(values: list[Decimal | None], label: str = "d") -> ET.Element:
    bars = [Bar(f"{label}{n}", value) for n, value in enumerate(values)]
    return ET.fromstring(bar_chart("calls & <more>", bars, number=str, font="serif"))


@given(VALUES)
def test_there_is_a_bar_for_every_value_inside_of_the_chart(values: list[Decimal | None]) -> None:
    rectangles = drawn(values).findall(f"{SVG}rect")
    assert len(rectangles) == len(values)
    for one in rectangles:
        x, y, width, height = (float(one.get(name) or 0) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + width <= WIDTH
        assert 0 <= y <= y + height <= HEIGHT + 0.01


def test_heights_are_in_proportion_and_below_zero_hangs_down() -> None:
    four, two, minus = drawn([Decimal(4), Decimal(2), Decimal(-2)]).findall(f"{SVG}rect")
    heights = [float(one.get("height") or 0) for one in (four, two, minus)]
    assert abs(heights[0] - 2 * heights[1]) < 0.02
    assert float(minus.get("y") or 0) > float(four.get("y") or 0)
    assert minus.get("fill") != four.get("fill")


def test_names_are_texts_and_the_same_numbers_give_the_same_bytes() -> None:
    chart = drawn([Decimal(1)], label="<b>&")
    assert chart.get("aria-label") == "calls & <more>"
    assert [one.text for one in chart.findall(f"{SVG}text")] == ["1", "<b>&0"]
    assert ET.tostring(chart) == ET.tostring(drawn([Decimal(1)], label="<b>&"))
