"""Every scenario of this folder, in an organization of its own, against one real server through the official SDK."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from m3ter import M3ter

from pipelines.storage.database import Database, connected
from pipelines.storage.organizations import created
from pipelines.storage.settings import settings_of
from tests.scenarios.runner import Scenario
from tests.servers import Server

FILES = sorted(Path(__file__).parent.glob("*.yaml"))
CASES = [pytest.param(case, id=f"{file.stem}: {case['name']}") for file in FILES for case in yaml.safe_load_all(file.read_text())]


@pytest.fixture(scope="module")
def server_database(server: Server) -> Iterator[Database]:
    """The server's own database, to make organizations in: a process per organization would take most of the time."""
    opened = connected(settings_of(server.home))
    yield opened
    opened.close()


@pytest.mark.parametrize("case", CASES)
def test_scenario(server: Server, server_database: Database, case: dict[str, Any]) -> None:
    with server_database.transaction() as connection:
        keys = created(connection, case["name"])
    with M3ter(base_url=server.base_url, org_id=keys.org_id, api_key=keys.api_key, api_secret=keys.api_secret, max_retries=0, timeout=60) as client:
        Scenario(case, client).play()
