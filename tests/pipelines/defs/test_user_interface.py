"""The Dagster UI as a user meets it: a backfill launched by the mutation that its button sends, the graph and the partitions in a browser."""

import os
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.defs.layers import Layer
from pipelines.partitions import BILLING_MONTHS
from pipelines.storage.bill_tables import BILLS
from tests.waiting import eventually

ASSETS = ("bill_calculations", "bill_line_items", "bills", "published_line_items")
MONTHS = ("2013-01", "2013-02", "2013-03")

LAUNCH = """
mutation LaunchPartitionBackfill($backfillParams: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfillParams) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message stack }
  }
}
"""
BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status error { message } runs(limit: 10) { id status } } }
}
"""
MATERIALIZED = """
query Partitions($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      partitionStats { numMaterialized numFailed }
      assetPartitionStatuses { ... on TimePartitionStatuses { ranges { startKey endKey status } } }
    }
  }
}
"""
CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync")


@pytest.fixture(scope="module")
def small(home: Any, small_organization_of: Any) -> str:
    return str(small_organization_of(home.database, home.landing_root))


@pytest.fixture(scope="module")
def backfill_id(webserver: Any, small: str) -> str:
    """A backfill of January to March 2013, launched as the UI does."""
    parameters = {
        "assetSelection": [{"path": [name]} for name in ASSETS],
        "partitionNames": MONTHS,
        "tags": [{"key": "meterhouse/organization", "value": small}],
    }
    answer = webserver.graphql(LAUNCH, backfillParams=parameters)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return str(answer["backfillId"])


@pytest.fixture(scope="module")
def daemon(webserver: Any, backfill_id: str) -> Iterator[None]:
    """A running daemon; it looks for backfills as it starts, and every half minute after."""
    process = webserver.started("daemon", "dagster._daemon", "run", "-w", "workspace.yaml")
    try:
        yield
    finally:
        webserver.ended(process)


def test_a_backfill_launched_from_the_ui_bills_three_months_in_one_run(webserver: Any, backfill_id: str, daemon: None, home: Any, small: str) -> None:
    def backfill() -> dict[str, Any]:
        found: dict[str, Any] = webserver.graphql(BACKFILL, id=backfill_id)["partitionBackfillOrError"]
        return found

    def is_over() -> bool:
        return backfill()["status"] not in ("REQUESTED", "CANCELING", "FAILING")

    eventually(is_over, seconds=150, why=lambda: f"{backfill()}\n{webserver.log()}")
    assert backfill()["status"] == "COMPLETED_SUCCESS", f"{backfill()}\n{webserver.log()}"
    assert [run["status"] for run in backfill()["runs"]] == ["SUCCESS"]
    with home.database.transaction() as connection:
        ends = connection.scalars(sa.select(BILLS.c.end_date).where(BILLS.c.org_id == small).order_by(BILLS.c.end_date, BILLS.c.id)).all()
    assert ends == [day for day in (date(2013, 1, 31), date(2013, 2, 28), date(2013, 3, 31)) for _ in range(2)]
    for name in ASSETS:
        node = webserver.graphql(MATERIALIZED, key={"path": [name]})["assetNodeOrError"]
        assert node["partitionStats"]["numFailed"] == 0
        assert {"startKey": "2013-01", "endKey": "2013-03", "status": "MATERIALIZED"} in node["assetPartitionStatuses"]["ranges"]


@pytest.mark.skipif(not Path(CHROMIUM).exists() and "CI" not in os.environ, reason="Chromium is not installed (apt-get install chromium)")
def test_the_graph_and_the_partitions_are_shown_in_a_browser(webserver: Any, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    assert shutil.which(CHROMIUM), "Chromium is missing: .ci/run installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1800, "height": 1000})
        page.goto(f"{webserver.url}/asset-groups")
        for layer in Layer:
            page.get_by_text(layer.value, exact=True).first.wait_for(timeout=60_000)
        page.keyboard.press("Alt+KeyE")  # expand all groups
        for name in ("landed_batches", "measurements", "daily_aggregates", "bill_calculations", "bill_line_items", "bills"):
            page.get_by_text(name, exact=True).first.wait_for(timeout=60_000)
        page.screenshot(path=tmp_path / "graph.png")
        page.goto(f"{webserver.url}/assets/bills?view=partitions")
        page.get_by_text(BILLING_MONTHS.get_last_partition_key() or "", exact=True).first.wait_for(timeout=60_000)
        page.screenshot(path=tmp_path / "partitions.png")
        browser.close()
    assert (tmp_path / "graph.png").stat().st_size > 20_000
    assert (tmp_path / "partitions.png").stat().st_size > 20_000
