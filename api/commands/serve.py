"""``meterhouse serve``: the API, the worker and Dagster under one supervisor."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.context import HomeOption, choose_home
from api.dagster_programs import DAEMON, PREPARATION, REPOSITORY, home_environment, printed_variables, webserver

if TYPE_CHECKING:
    from api.supervisor import Service
    from pipelines.storage.settings import Settings


def serve(
    port: Annotated[int | None, typer.Option(help="Port of the API; METERHOUSE_PORT, else 8000.", show_default=False)] = None,
    dagster_port: Annotated[int | None, typer.Option(help="Port of the Dagster UI; METERHOUSE_DAGSTER_PORT, else 3000.", show_default=False)] = None,
    dagster: Annotated[bool, typer.Option("--dagster/--no-dagster", help="Whether to run the Dagster UI and daemon.")] = True,
    home: Annotated[Path | None, HomeOption] = None,
) -> None:
    """Run the API, the worker that ingests and bills, and the Dagster UI and daemon, until Ctrl-C."""
    from api.supervisor import Supervisor
    from pipelines.storage.database import connected, migrated
    from pipelines.storage.postgres import revived
    from pipelines.storage.settings import settings_of
    from pipelines.storage.supervision import serving

    for name, value in (("METERHOUSE_PORT", port), ("METERHOUSE_DAGSTER_PORT", dagster_port)):
        if value is not None:
            os.environ[name] = str(value)
    choose_home(home)
    settings = settings_of()
    settings.home.mkdir(parents=True, exist_ok=True)
    with serving(settings):
        _check_ports(settings, dagster=dagster)
        _write_addresses(settings, dagster=dagster)
        database = connected(settings)
        try:
            migrated(database)
            announced = _Announcement(settings, dagster=dagster)
            supervisor = Supervisor(tuple(_services(settings, dagster=dagster)), say=_say, tick=announced.when_ready)

            def tick() -> None:
                if settings.database_url is None:
                    revived(settings.home, settings.postgres_user)
                announced.when_ready()

            supervisor.tick = tick
            supervisor.run()
        finally:
            database.close()
    _say("stopped")


def _say(message: str) -> None:
    typer.echo(f"meterhouse: {message}")


def _check_ports(settings: "Settings", *, dagster: bool) -> None:
    import socket

    from transforms.errors import Unavailable

    for port, option in ((settings.port, "--port"), *([(settings.dagster_port, "--dagster-port")] if dagster else [])):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                raise Unavailable(f"port {port} of {settings.host} can't be used ({error.strerror}); choose another with {option}") from error


def _write_addresses(settings: "Settings", *, dagster: bool) -> None:
    addresses = {"pid": os.getpid(), "base_url": settings.base_url or f"http://{settings.host}:{settings.port}"}
    if dagster:
        addresses["dagster_url"] = f"http://{settings.host}:{settings.dagster_port}"
    draft = settings.serving_file.with_suffix(".new")
    draft.write_text(json.dumps(addresses) + "\n")
    draft.replace(settings.serving_file)


def _services(settings: "Settings", *, dagster: bool) -> "Iterator[Service]":
    from api.supervisor import Service

    environment = home_environment(settings)
    if dagster:
        environment |= _dagster_environment(environment)
    python = sys.executable
    granian = (
        "--interface", "asgi", "--host", settings.host, "--port", str(settings.port), "--workers", str(settings.api_workers), "--loop", "uvloop",
        "--log-level", settings.log_level, "--no-access-log", "--respawn-failed-workers", "--workers-kill-timeout", "10", "api.app:app",
    )  # fmt: skip
    yield Service("API", (python, "-m", "granian", *granian), environment, REPOSITORY)
    # Acknowledging comes first: what is acknowledged is durable, and taken in as soon as there is time.
    yield Service("worker", (python, "-m", "pipelines.worker"), environment, REPOSITORY, niceness=settings.worker_niceness)
    if dagster:
        yield Service("Dagster UI", webserver(settings), environment, REPOSITORY)
        yield Service("Dagster daemon", DAEMON, environment, REPOSITORY)


def _dagster_environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Dagster's variables, printed by the program that prepares its instance."""
    from transforms.errors import Unavailable

    done = subprocess.run(PREPARATION, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"Dagster's instance can't be prepared: {done.stderr.strip()[-2000:]}")
    return printed_variables(done.stdout)


class _Announcement:
    """Says once that the server is ready, with its addresses."""

    def __init__(self, settings: "Settings", *, dagster: bool) -> None:
        self._settings = settings
        self._waiting = [("API", f"http://{settings.host}:{settings.port}", "/healthz")]
        if dagster:
            self._waiting.append(("Dagster UI", f"http://{settings.host}:{settings.dagster_port}", "/server_info"))

    def when_ready(self) -> None:
        still_waiting = []
        for name, address, path in self._waiting:
            if _answers(address + path):
                _say(f"{name} ready at {address}")
                if len(self._waiting) == 1:
                    _say("press Ctrl-C to stop")
            else:
                still_waiting.append((name, address, path))
        self._waiting = still_waiting


def _answers(address: str) -> bool:
    from http.client import HTTPException
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(address, timeout=1) as answer:  # noqa: S310  (our own address)
            return bool(answer.status == 200)
    except (URLError, HTTPException, TimeoutError, ConnectionError):
        return False
