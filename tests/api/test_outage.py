"""A database that goes away: 503 while it is gone, and no restart when it is back."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from starlette.testclient import TestClient

from api.app import created_app
from pipelines.storage import organizations
from pipelines.storage.database import Database, connected, migrated
from pipelines.storage.settings import Settings


class Outage:
    """A database of its own on the shared server, which can be shut to everybody."""

    def __init__(self, server: Database) -> None:
        self.server = server
        self.name = f"outage_{uuid.uuid4().hex}"
        self._run(f"CREATE DATABASE {self.name}")

    @property
    def url(self) -> str:
        return make_url(self.server.url).set(database=self.name).render_as_string(hide_password=False)

    def begin(self) -> None:
        self._run(f"ALTER DATABASE {self.name} WITH ALLOW_CONNECTIONS false")
        self._run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}'")

    def end(self) -> None:
        self._run(f"ALTER DATABASE {self.name} WITH ALLOW_CONNECTIONS true")

    def drop(self) -> None:
        self._run(f"DROP DATABASE {self.name} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        with self.server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)


@pytest.fixture
def outage(database: Database) -> Iterator[Outage]:
    one = Outage(database)
    yield one
    one.drop()


def test_a_stopped_database_is_a_503_until_it_is_back(outage: Outage, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=outage.url)
    own = connected(settings)
    migrated(own)
    with own.transaction() as connection:
        credentials = organizations.created(connection, "Outage")
    own.close()
    with TestClient(created_app(settings), raise_server_exceptions=False) as api:
        grant = {"grant_type": "client_credentials"}
        auth = (credentials.api_key, credentials.api_secret)
        token = api.post("/oauth/token", json=grant, auth=auth).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        products = f"/organizations/{credentials.org_id}/products"
        assert api.get("/healthz").status_code == 200
        outage.begin()
        for _ in range(3):
            for answer in (
                api.get("/healthz"),
                api.get(products, headers=headers),
                api.post(products, headers=headers, json={"name": "n", "code": "lost"}),
                api.post("/oauth/token", json=grant, auth=auth),
            ):
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                assert "database" in answer.json()["message"]
        outage.end()
        assert api.get("/healthz").status_code == 200
        assert api.post(products, headers=headers, json={"name": "n", "code": "kept"}).status_code == 200
        assert [one["code"] for one in api.get(products, headers=headers).json()["data"]] == ["kept"]
