"""Every scenario of this folder, in an organization of its own, against one real server through the official SDK.

A scenario mostly waits, for the worker's next batch and for bill jobs; so a few are played at once, and each test is about
how its own went.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from m3ter import M3ter

from pipelines.storage.database import connected
from pipelines.storage.organizations import created
from pipelines.storage.settings import settings_of
from tests.scenarios.runner import Scenario
from tests.servers import Server

AT_ONCE = 4
FILES = sorted(Path(__file__).parent.glob("*.yaml"))
CASES = {f"{file.stem}: {case['name']}": case for file in FILES for case in yaml.safe_load_all(file.read_text())}


@pytest.fixture(scope="module")
def playing(server: Server, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[None]]]:
    """Name -> the play of every scenario that was asked for, in the order of the tests."""
    # The server's own database, to make organizations in: a process per organization would take most of the time.
    database = connected(settings_of(server.home))

    def play(case: dict[str, Any]) -> None:
        with database.transaction() as connection:
            keys = created(connection, case["name"])
        with M3ter(
            base_url=server.base_url, org_id=keys.org_id, api_key=keys.api_key, api_secret=keys.api_secret, max_retries=0, timeout=60
        ) as client:
            Scenario(case, client).play()

    names = [item.callspec.params["name"] for item in request.session.items if isinstance(item, pytest.Function) and item.function is test_scenario]
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="scenario")
    yield {name: pool.submit(play, CASES[name]) for name in names}
    pool.shutdown(cancel_futures=True)
    database.close()


@pytest.mark.parametrize("name", CASES)
def test_scenario(playing: dict[str, Future[None]], name: str) -> None:
    playing[name].result()
