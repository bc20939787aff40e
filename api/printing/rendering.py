"""From a view to HTML and PDF.

HTML is one file that needs nothing from anywhere. PDF is set by Typst, whose package brings its own fonts and needs no
library of the system, so a bill looks the same wherever it is made; the same view gives the same bytes. What the system's fonts have
beyond those (other scripts) is used where it is needed.

Put here the two engines. Keep out what a page says (bill_pages.py).
"""

import json
from functools import cache
from importlib.resources import files

import typst
from jinja2 import Environment, StrictUndefined, Template

from api.printing.bill_pages import FONT, View


def _source(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


@cache
def _page() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_source("page.html"))


def html(view: View) -> str:
    """The pages as HTML."""
    return _page().render(view=view, font=FONT)


def pdf(view: View) -> bytes:
    """The pages as PDF, A4."""
    # Texts reach the template as data: nothing in them is taken for markup.
    data = json.dumps(view, ensure_ascii=False, sort_keys=True)
    return bytes(typst.compile(_source("page.typ").encode(), format="pdf", sys_inputs={"view": data}))
