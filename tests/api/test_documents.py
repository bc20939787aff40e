"""Printed bills and statements: what a person reads on the pages, in a browser and in a PDF."""

import io
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pypdf import PdfReader

from api.commands.document import document
from pipelines.storage.database import Database
from pipelines.storage.lake import Lake
from pipelines.storage.organizations import Credentials
from tests.statements import Billed, billed

CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
NASTY = "Acme <script>alert(1)</script> #panic() $x$ *b*"


@pytest.fixture
def site(database: Database, lake: Lake, organization: Credentials, tmp_path: Path) -> Billed:
    return billed(database, lake, organization.org_id, tmp_path / "landing")


@pytest.fixture
def bill_id(api: Any, site: Billed) -> str:
    path = f"/organizations/{api.org_id}/accounts/{site.plans.account_ids['acme']}"
    address = {"addressLine1": "1 Long Street", "postCode": "10115", "locality": "Berlin", "country": "DE"}
    answer = api.put(path, json={**api.get(path).json(), "name": NASTY, "address": address, "purchaseOrderNumber": "PO-7"})
    assert answer.status_code == 200, answer.text
    # Two bands, so that the bill shows them.
    pricing = f"/organizations/{api.org_id}/pricings/{site.plans.pricing_id}"
    bands = [{"lowerLimit": 0, "fixedPrice": 1, "unitPrice": 0.25}, {"lowerLimit": 100, "fixedPrice": 0, "unitPrice": 0.125}]
    answer = api.put(pricing, json={**api.get(pricing).json(), "pricingBands": bands})
    assert answer.status_code == 200, answer.text
    return site.bill()["acme"]


def page(api: Any, bill_id: str, path: str, *, status: int = 200, headers: dict[str, str] | None = None, **query: str) -> Any:
    answer = api.get(f"/organizations/{api.org_id}/bills/{bill_id}/{path}", params=query, headers=headers)
    assert answer.status_code == status, answer.text
    return answer


def pages_of(content: bytes) -> list[str]:
    """The texts of a PDF's pages, with single spaces."""
    return [" ".join(one.extract_text().split()) for one in PdfReader(io.BytesIO(content)).pages]


def test_a_pdf_says_what_the_bill_says(api: Any, bill_id: str) -> None:
    answer = page(api, bill_id, "document.pdf")
    bill = api.get(f"/organizations/{api.org_id}/bills/{bill_id}").json()
    (text,) = pages_of(answer.content)
    # 1 + 100 x 0.25 + 201.5 x 0.125 + 5
    assert bill["billTotal"] == 56.19
    for wanted in (
        "Bill DRAFT",
        NASTY,
        "1 Long Street",
        "10115 Berlin",
        f"INV-{bill_id[-4:]}",
        "January 1, 2025 – January 31, 2025",
        "PO-7",
        "0 to 100",
        "$0.25 + fixed $1.00",
        "above 100",
        "201.5",
        "$25.19",
        "Standing Charge $5.00",
        "Total $56.19",
        bill_id,
        bill["calculationId"],
        bill["configurationHash"],
        f"Meterhouse {bill['softwareVersion']}",
        "Page 1 of 1",
    ):
        assert wanted in text, (wanted, text)
    # What the organization measured as a whole is not told to one of its customers.
    assert "landed" not in text
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content == page(api, bill_id, "document.pdf").content


def test_units_and_overage_are_put_in_words(api: Any, site: Billed) -> None:
    organization, acme = f"/organizations/{api.org_id}", site.plans.account_ids["acme"]
    (aggregation,) = api.get(f"{organization}/aggregations").json()["data"]
    changed = {**aggregation, "quantityPerUnit": 100, "rounding": "UP", "unit": "1"}
    assert api.put(f"{organization}/aggregations/{aggregation['id']}", json=changed).status_code == 200
    pricing = f"{organization}/pricings/{site.plans.pricing_id}"
    overage = [{"lowerLimit": 0, "fixedPrice": 0, "unitPrice": 3}]
    assert api.put(pricing, json={**api.get(pricing).json(), "overagePricingBands": overage}).status_code == 200
    commitment = {"accountId": acme, "startDate": "2025-01-01", "endDate": "2026-01-01", "currency": "USD", "amount": 0.25, "amountPrePaid": 0.25}
    answer = api.post(f"{organization}/commitments", json={**commitment, "separateOverageUsage": True, "lineItemTypes": ["USAGE"]})
    assert answer.status_code == 200, answer.text
    (text,) = pages_of(page(api, site.bill()["acme"], "document.pdf").content)
    # 301.5 / 100, up: 4 units, one of them prepaid.
    assert "calls 75.375 measured 1 $0.25 $0.25" in text, text
    assert "calls beyond what is prepaid · 226.125 measured 3 $3.00 $9.00" in text, text


def test_an_approved_bill_is_no_draft(api: Any, bill_id: str) -> None:
    assert "Draft" in page(api, bill_id, "document.html").text
    api.post(f"/organizations/{api.org_id}/bills/approve", json={"billIds": [bill_id]})
    assert "Draft" not in page(api, bill_id, "document.html").text


def test_a_statement_shows_usage_by_day_and_its_measures(api: Any, bill_id: str) -> None:
    path = f"/organizations/{api.org_id}/statementdefinitions"
    definition = api.post(
        path, json={"aggregationFrequency": "DAY", "includePricePerUnit": True, "measures": [{"aggregations": ["SUM", "MAX"]}]}
    ).json()
    organization = f"/organizations/{api.org_id}/organizationconfig"
    stored = api.get(organization).json()
    assert api.put(organization, json={**stored, "defaultStatementDefinitionId": definition["id"]}).status_code == 200
    texts = pages_of(page(api, bill_id, "statement/document.pdf").content)
    assert len(texts) == 2
    assert [f"Page {number} of {len(texts)}" in text for number, text in enumerate(texts, 1)] == [True] * len(texts)
    whole = " ".join(texts)
    assert whole.count("Days Quantity (call) Unit price") == 1
    assert "Jan 10, 2025 100.5" in whole
    assert "In all 301.5 $51.19" in whole
    assert "Days qty.SUM qty.MAX Jan 3, 2025 100.5 100.5" in whole


@pytest.mark.parametrize(
    ("asked", "header", "own", "total"),
    [
        (None, None, None, "$56.19"),
        (None, "de-DE, en;q=0.5", None, "56,19 $"),
        (None, "de-DE", "fr-FR", "56,19 $US"),
        ("en-GB", "de-DE", "fr-FR", "US$56.19"),
    ],
)
def test_the_reader_chooses_the_language_before_the_account_before_the_browser(  # noqa: PLR0917
    api: Any, site: Billed, bill_id: str, asked: str | None, header: str | None, own: str | None, total: str
) -> None:
    query = {} if asked is None else {"locale": asked}
    if own is not None:
        path = f"/organizations/{api.org_id}/accounts/{site.plans.account_ids['acme']}"
        assert api.put(path, json={**api.get(path).json(), "customFields": {"locale": own}}).status_code == 200
    text = page(api, bill_id, "document.html", headers={"accept-language": header or ""}, **query).text
    found = re.search('id="total">([^<]*)', text)
    assert found is not None
    assert found[1].replace("\u00a0", " ") == total


def test_a_german_bill_is_german(api: Any, bill_id: str) -> None:
    (text,) = pages_of(page(api, bill_id, "document.pdf", locale="de-DE").content)
    for wanted in ("Rechnung ENTWURF", "Rechnung an", "1. Januar 2025 – 31. Januar 2025", "Summe 56,19 $", "Seite 1 von 1"):
        assert wanted in text, text


def test_what_there_is_not_is_refused(api: Any, bill_id: str) -> None:
    assert "language tag" in page(api, bill_id, "document.html", status=400, locale="klingon").json()["message"]
    page(api, "nothing", "document.pdf", status=404)
    page(api, bill_id, "document.docx", status=400)


def test_a_page_runs_nothing_and_asks_for_nothing(api: Any, bill_id: str) -> None:
    answer = page(api, bill_id, "document.html")
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert not re.search(r"(src|href)=|url\(|@import", answer.text)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.skipif(not Path(CHROMIUM).exists() and "CI" not in os.environ, reason="Chromium is not installed (apt-get install chromium)")
def test_a_person_sees_the_bill_in_a_browser(api: Any, bill_id: str, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    assert shutil.which(CHROMIUM), "Chromium is missing: .ci/run installs it"
    file = tmp_path / "bill.html"
    file.write_text(page(api, bill_id, "document.html").text, encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        tab = browser.new_page(viewport={"width": 900, "height": 1200})
        asked: list[str] = []
        said: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(file.as_uri())
        assert tab.title() == f"Bill INV-{bill_id[-4:]}"
        assert tab.get_by_role("heading", level=1).inner_text() == "Bill DRAFT"
        assert NASTY in tab.locator("address").inner_text()
        assert tab.locator("#total").inner_text() == "$56.19"
        assert tab.locator("tr.band").count() == 2
        chart = tab.get_by_role("img", name="calls (call)")
        assert chart.locator("rect").count() == 31
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 400
        # Nothing is cut off: the page is as wide as the window.
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        tab.screenshot(path=tmp_path / "bill.png", full_page=True)
        printed = tab.pdf(prefer_css_page_size=True)
        browser.close()
    assert (asked, said) == ([file.as_uri()], [])
    assert (tmp_path / "bill.png").stat().st_size > 10_000
    assert len(pages_of(printed)) == 1


def test_an_old_bill_is_printed_without_the_usage_that_is_no_longer_kept(api: Any, site: Billed, bill_id: str) -> None:
    with site.database.transaction() as connection:
        gone = sa.text("""UPDATE bill_calculations SET dataset_versions = (SELECT jsonb_object_agg(key, 4000) FROM jsonb_each(dataset_versions))
                          WHERE org_id = :org_id""")
        connection.execute(gone, {"org_id": site.org_id})
    text = page(api, bill_id, "document.html").text
    assert 'id="total">$56.19' in text
    assert "no longer kept" in text
    assert "<svg" not in text
    page(api, bill_id, "statement/document.pdf", status=400)


def test_the_command_writes_both(database: Database, site: Billed, bill_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_DATABASE_URL", database.url)
    monkeypatch.setenv("METERHOUSE_LOCALE", "es-ES")
    pdf, html = tmp_path / "bill.pdf", tmp_path / "bill.html"
    document(bill_id, pdf=pdf, html=html, statement=True, locale=None, org=site.org_id, home=tmp_path)
    assert "Extracto de consumo" in pages_of(pdf.read_bytes())[0]
    assert "Extracto de consumo" in html.read_text()
