"""Fixtures of all tests: a real PostgreSQL, a lake per test, an organization per test, the application, a real server.

Ours is imported inside the fixtures: a test of one part needs no other part.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError

import pytest
from hypothesis import HealthCheck, settings as hypothesis_settings

from tests.waiting import eventually

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from pipelines.storage.database import Database
    from pipelines.storage.lake import Lake
    from pipelines.storage.organizations import Credentials

hypothesis_settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

MIN_LIFE_SECONDS = 60.0


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


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A real ``meterhouse serve`` in a process of its own."""

    home: Path
    port: int = field(default_factory=free_port)
    arguments: tuple[str, ...] = ("--no-dagster",)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home.with_name(self.home.name + "-serve.log")

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "api.cli", "--home", str(self.home), "serve", "--port", str(self.port), *self.arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        eventually(self.is_ready, seconds=MIN_LIFE_SECONDS, why=lambda: self.log.read_text()[-4000:])

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"serve ended: {self.log.read_text()[-4000:]}"
        try:
            with urllib.request.urlopen(f"{self.base_url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (HTTPError, URLError, ConnectionError, TimeoutError):
            return False

    def stop(self) -> int:
        """Ask it to end as Ctrl-C does; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(MIN_LIFE_SECONDS)

    def new_org(self, name: str = "Case") -> dict[str, str]:
        """The credentials of a new organization, made by the command line as a user would."""
        command = [sys.executable, "-m", "api.cli", "org", "create", name, "--home", str(self.home)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        answer: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return answer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, _no_settings_from_outside: None) -> Iterator[Server]:
    """A running server for the whole session; make an organization per test with ``server.new_org()``."""
    running = Server(tmp_path_factory.mktemp("server") / "home")
    running.start()
    yield running
    running.stop()
