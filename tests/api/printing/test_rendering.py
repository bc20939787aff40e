"""From texts to pages."""

import io
from typing import Any

import pytest
from pypdf import PdfReader

from api.printing.chart import Bar, bar_chart
from api.printing.formats import labels
from api.printing.rendering import html, pdf


def view(**parts: Any) -> dict[str, Any]:
    return {
        "language": "en",
        "direction": "ltr",
        "labels": dict(labels("en")),
        "title": "Bill",
        "draft": "",
        "number": "INV-1",
        "issuer": "Issuer",
        "customer": ["Customer"],
        "dates": [("Number", "INV-1")],
        "total": {"label": "Total", "amount": "$1.00"},
        "made_at": [2025, 2, 1],
        "groups": [],
        "charts": [],
        "tables": [],
        "conversions": "",
        "notes": [],
        **parts,
    }


def table(rows: int) -> dict[str, Any]:
    return {
        "name": "calls",
        "details": "",
        "columns": ["Days", "Quantity"],
        "texts": 1,
        "rows": [[f"day {n}", str(n)] for n in range(rows)],
        "total": ["In all", "1"],
    }


def pages(content: bytes) -> list[str]:
    return [" ".join(one.extract_text().split()) for one in PdfReader(io.BytesIO(content)).pages]


def test_the_head_of_a_long_table_stands_on_each_of_its_pages() -> None:
    found = pages(pdf(view(tables=[table(200)])))
    assert len(found) > 3
    assert [("Days Quantity" in text, f"Page {n} of {len(found)}" in text) for n, text in enumerate(found, 1)] == [(True, True)] * len(found)
    assert all(f"day {n} " in " ".join(found) for n in range(200))


def test_the_same_view_gives_the_same_bytes_and_names_its_title() -> None:
    first = pdf(view(tables=[table(3)]))
    assert first == pdf(view(tables=[table(3)]))
    information = PdfReader(io.BytesIO(first)).metadata
    assert information is not None
    assert (information.title, information.author) == ("Bill INV-1", "Issuer")


@pytest.mark.parametrize("text", ["#panic()", "$x^2$", "*bold* _it_", '"quoted" \\ #import "x"', "<b>&amp;</b>", "{{ 7 * 7 }}", "Ünïcödé €"])
def test_texts_are_never_markup(text: str) -> None:
    shown = view(customer=[text], notes=[text])
    (page,) = pages(pdf(shown))
    assert page.count(text) == 2, page
    assert "49" not in html(shown)
    assert "<b>" not in html(shown)


def test_other_directions_and_a_chart_can_be_set() -> None:
    chart = bar_chart("calls", [Bar("one", None)], number=str, font="serif")
    shown = view(language="ar", direction="rtl", charts=[{"title": "calls", "svg": chart}], conversions="1 = 2")
    assert 'dir="rtl"' in html(shown)
    assert "calls" in pages(pdf(shown))[0]
