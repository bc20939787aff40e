"""A small organization with three months of usage, and the Dagster services around it."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.storage import config_store
from pipelines.storage.database import Database, connected, migrated
from pipelines.storage.landing import Landing
from pipelines.storage.organizations import created
from pipelines.storage.settings import settings_of
from tests.servers import free_port
from tests.waiting import eventually
from transforms.entities.documents import validated
from transforms.entities.organization import OrganizationConfig
from transforms.entities.registry import BY_KIND

REPOSITORY = Path(__file__).parents[3]
ACTOR = "test"


def create(database: Database, org_id: str, kind: str, **wire: Any) -> str:
    """The id of a new entity, given in wire names."""
    with database.transaction() as connection:
        return config_store.created(connection, org_id, validated(BY_KIND[kind].entity, wire), ACTOR).id


def small_organization(database: Database, landing_root: Path, *, accounts: tuple[str, ...] = ("alpha", "beta")) -> str:
    """The id of a new organization: two accounts, one meter, one monthly plan at 0.50 per request, ten requests a day in January to March 2013."""
    with database.transaction() as connection:
        org_id = created(connection, "Small").org_id
        config = config_store.singleton(connection, org_id, OrganizationConfig)
        early = {"year_epoch": date(2013, 1, 1), "month_epoch": date(2013, 1, 1), "week_epoch": date(2012, 12, 31), "day_epoch": date(2013, 1, 1)}
        config_store.updated(connection, org_id, config.id, config.model_copy(update=early), ACTOR)
    product = create(database, org_id, "Product", name="Product", code="product")
    field = {"category": "MEASURE", "code": "requests", "name": "Requests", "unit": "1"}
    meter = create(database, org_id, "Meter", productId=product, name="Meter", code="meter", dataFields=[field], derivedFields=[])
    counted = {"targetField": "requests", "aggregation": "SUM", "quantityPerUnit": 1, "rounding": "NONE", "unit": "1"}
    aggregation = create(database, org_id, "Aggregation", name="Requests", code="requests", meterId=meter, **counted)
    cadence = {"billFrequency": "MONTHLY", "billFrequencyInterval": 1, "currency": "USD", "standingCharge": 0}
    template = create(database, org_id, "PlanTemplate", productId=product, name="Template", code="template", **cadence)
    plan = create(database, org_id, "Plan", planTemplateId=template, name="Plan", code="plan")
    bands = [{"lowerLimit": 0, "fixedPrice": 0, "unitPrice": 0.5}]
    start = "2013-01-01T00:00:00Z"
    create(database, org_id, "Pricing", planId=plan, aggregationId=aggregation, startDate=start, cumulative=True, pricingBands=bands)
    for code in accounts:
        account = create(database, org_id, "Account", name=code, code=code, emailAddress=f"{code}@example.com")
        create(database, org_id, "AccountPlan", accountId=account, planId=plan, startDate=start)
    days = [date(2013, month, day) for month, last in ((1, 31), (2, 28), (3, 31)) for day in range(1, last + 1)]
    measurements = [
        {"uid": f"{code} {day}", "meter": "meter", "account": code, "ts": f"{day}T12:00:00Z", "measure": {"requests": 10}}
        for code in accounts
        for day in days
    ]
    # Sent again, and once for a meter that does not exist: one duplicate, one rejection.
    measurements += [measurements[0], {**measurements[0], "uid": "x", "meter": "unknown"}]
    with closing(Landing(landing_root)) as landing:
        bodies = [json.dumps({"measurements": measurements[n : n + 500]}).encode() for n in range(0, len(measurements), 500)]
        landing.append_all(org_id, bodies, datetime.now(UTC))
    return org_id


@pytest.fixture(scope="session")
def small_organization_of() -> Callable[..., str]:
    """The function ``small_organization``."""
    return small_organization


@dataclass(frozen=True)
class Home:
    """A Meterhouse home of its own, with its Dagster instance, for subprocesses.

    Attributes:
        environment: What every process is started with.
    """

    path: Path
    database: Database
    environment: dict[str, str]

    @property
    def landing_root(self) -> Path:
        return self.path / "landing"

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A Python module, run to its end."""
        return subprocess.run([sys.executable, "-m", *arguments], env=self.environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, _no_settings_from_outside: None) -> Iterator[Home]:
    """A home with an embedded PostgreSQL and a prepared Dagster instance; apart from ``database``, so that sensors see only what is here."""
    path = tmp_path_factory.mktemp("dagster") / "home"
    with closing(connected(settings_of(path))) as database:
        migrated(database)
        environment = {**os.environ, "METERHOUSE_HOME": str(path), "METERHOUSE_DATABASE_URL": database.url}
        prepared = Home(path, database, environment).run("pipelines.defs.instance")
        assert prepared.returncode == 0, prepared.stderr
        environment |= dict(line.split("=", 1) for line in prepared.stdout.splitlines())
        yield Home(path, database, environment)


@dataclass
class DagsterServices:
    """Webserver and daemon as ``meterhouse serve`` starts them."""

    home: Home
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))

    def started(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", *arguments]
            return subprocess.Popen(command, env=self.home.environment, cwd=REPOSITORY, stdout=log, stderr=log, start_new_session=True)

    def ended(self, process: "subprocess.Popen[bytes]") -> None:
        """End a service and all that it started: a code server outlives its service for as long as a run of its own goes on."""
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data that the query answers, as the browser would ask for it."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            document: dict[str, Any] = json.loads(answer.read())
        assert "errors" not in document, document
        data: dict[str, Any] = document["data"]
        return data


@pytest.fixture(scope="session")
def webserver(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServices]:
    """A running Dagster webserver."""
    services = DagsterServices(home, tmp_path_factory.mktemp("services"), free_port())
    process = services.started("webserver", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(services.port))
    try:
        eventually(services.is_ready, seconds=90, why=services.log)
        yield services
    finally:
        services.ended(process)
