"""``meterhouse serve`` as a whole: starts, heals, stops, leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Server, free_port
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "home")
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop()


def processes_of(home: Path) -> dict[int, str]:
    """Process id -> command line of everything that works in this home."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if command and (f"METERHOUSE_HOME={home}".encode() in environment or str(home) in command):
            found[int(entry.name)] = command
    return found


def process_with(home: Path, text: str) -> int:
    return next(pid for pid, command in processes_of(home).items() if text in command)


def log_has(server: Server, text: str) -> bool:
    return text in server.log.read_text()


def test_it_serves_and_ctrl_c_stops_everything(own_server: Server) -> None:
    credentials = own_server.new_org("While it runs")
    assert credentials["base_url"] == own_server.base_url
    token = urllib.request.Request(
        f"{own_server.base_url}/oauth/token",
        data=json.dumps({"grant_type": "client_credentials"}).encode(),
        headers={"Content-Type": "application/json", "Authorization": basic(credentials)},
    )
    with urllib.request.urlopen(token, timeout=30) as answer:
        assert json.loads(answer.read())["access_token"]
    assert len(processes_of(own_server.home)) >= 5  # supervisor, granian and its workers, worker, keeper, server
    assert own_server.stop() == 0
    eventually(lambda: not processes_of(own_server.home), why=lambda: str(processes_of(own_server.home)))
    assert log_has(own_server, "meterhouse: stopped")


def basic(credentials: dict[str, str]) -> str:
    from base64 import b64encode

    return "Basic " + b64encode(f"{credentials['api_key']}:{credentials['api_secret']}".encode()).decode()


def test_killing_the_supervisor_leaves_nothing_running(own_server: Server) -> None:
    assert own_server.process is not None
    own_server.process.kill()
    own_server.process.wait()
    eventually(lambda: not processes_of(own_server.home), seconds=60, why=lambda: str(processes_of(own_server.home)))


def test_what_is_killed_comes_back(own_server: Server) -> None:
    home = own_server.home
    eventually(lambda: any("pipelines.worker" in command for command in processes_of(home).values()))
    killed = process_with(home, "pipelines.worker")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: log_has(own_server, "worker ended with -9; it is started again"))
    eventually(lambda: process_with(home, "pipelines.worker") != killed if "pipelines.worker" in str(processes_of(home)) else False)

    postgres = int((home / "postgres/data/postmaster.pid").read_text().split()[0])
    os.kill(postgres, signal.SIGKILL)
    eventually(lambda: postgres not in processes_of(home))
    eventually(own_server.is_ready, seconds=60, why=lambda: own_server.log.read_text()[-3000:])

    keeper = process_with(home, "postgres_keeper")
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: keeper not in processes_of(home))
    eventually(lambda: own_server.is_ready() and any("postgres_keeper" in c for c in processes_of(home).values()), seconds=60)

    assert own_server.process is not None
    assert own_server.process.poll() is None


def test_one_server_a_home_and_one_a_port(own_server: Server, tmp_path: Path) -> None:
    again = serve("--home", str(own_server.home), "--port", str(free_port()))
    assert again.returncode == 1
    assert "is served already" in again.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = serve("--home", str(tmp_path / "other"), "--port", str(port))
    assert refused.returncode == 1
    assert f"port {port} of 127.0.0.1 can't be used" in refused.stderr
    assert "--port" in refused.stderr


def serve(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "api.cli", "serve", "--no-dagster", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_worker_stands_back_behind_the_api(server: Server) -> None:
    """With all its threads; and, where sessions share the processors, with its session."""
    for text, niceness in (("pipelines.worker", 10), ("granian", 0)):
        process = Path("/proc") / str(process_with(server.home, text))
        threads = [int(thread.name) for thread in (process / "task").iterdir()]
        assert len(threads) > 1
        assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {niceness}
        if (process / "autogroup").exists():
            assert (process / "autogroup").read_text().split()[-2:] == ["nice", str(niceness)]


def test_with_dagster(tmp_path: Path) -> None:
    dagster_port = free_port()
    server = Server(tmp_path / "home", arguments=("--dagster-port", str(dagster_port)))
    server.start()

    def dagster_answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{dagster_port}/server_info", timeout=5) as answer:
                return bool(json.loads(answer.read())["dagster_webserver_version"])
        except OSError:
            return False

    eventually(dagster_answers, seconds=120, why=lambda: server.log.read_text()[-3000:])
    eventually(lambda: "dagster._daemon" in str(processes_of(server.home)))
    assert server.stop() == 0
    eventually(lambda: not processes_of(server.home), why=lambda: str(processes_of(server.home)))
