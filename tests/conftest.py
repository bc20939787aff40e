"""Fixtures of all tests: a real PostgreSQL, a lake per test, an organization per test, the application, a real server.

Ours is imported inside the fixtures: a test of one part needs no other part.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings as hypothesis_settings

from tests.servers import Server

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from pipelines.storage.database import Database
    from pipelines.storage.lake import Lake
    from pipelines.storage.organizations import Credentials

hypothesis_settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("METERHOUSE_", "DAGSTER_"))]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def database_home(tmp_path_factory: pytest.TempPathFactory, _no_settings_from_outside: None) -> Path:
    """The home folder whose embedded PostgreSQL the ``database`` fixture uses."""
    return tmp_path_factory.mktemp("database-home")


@pytest.fixture(scope="session")
def database(database_home: Path) -> "Iterator[Database]":
    """The embedded PostgreSQL, migrated; one for the whole run, so tests keep apart by organization."""
    from pipelines.storage.database import connected, migrated
    from pipelines.storage.settings import settings_of

    opened = connected(settings_of(database_home))
    migrated(opened)
    yield opened
    opened.close()


@pytest.fixture
def lake(tmp_path: Path) -> "Lake":
    """An empty lake of this test's own (the one that ``api`` uses too)."""
    from pipelines.storage.lake import Lake

    return Lake(str(tmp_path / "lake"), {})


@pytest.fixture
def organization(database: "Database") -> "Credentials":
    """A new, empty organization."""
    from pipelines.storage.organizations import created

    with database.transaction() as connection:
        return created(connection, f"Test {uuid.uuid4()}")


@pytest.fixture
def api(database: "Database", organization: "Credentials", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[TestClient]":
    """A starlette TestClient on the application, authorized for ``organization``; its home is ``tmp_path``."""
    from starlette.testclient import TestClient

    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("METERHOUSE_DATABASE_URL", database.url)
    from api.app import app

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.post("/oauth/token", json={"grant_type": "client_credentials"}, auth=(organization.api_key, organization.api_secret))
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        client.org_id = organization.org_id  # type: ignore[attr-defined]
        yield client


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, _no_settings_from_outside: None) -> Iterator[Server]:
    """A running server for the whole session; make an organization per test with ``server.new_org()``."""
    running = Server(tmp_path_factory.mktemp("server") / "home")
    running.start()
    yield running
    running.stop()
