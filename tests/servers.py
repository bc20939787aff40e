"""A real ``meterhouse serve`` for tests: in a process of its own, on a free port, in a home of its own."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError

from tests.waiting import eventually

START_SECONDS = 120.0
STOP_SECONDS = 60.0


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
        try:
            eventually(self.is_ready, seconds=START_SECONDS, why=lambda: self.log.read_text()[-4000:])
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise

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
        return self.process.wait(STOP_SECONDS)

    def new_org(self, name: str = "Case") -> dict[str, str]:
        """The credentials of a new organization, made by the command line as a user would."""
        command = [sys.executable, "-m", "api.cli", "org", "create", name, "--home", str(self.home)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        answer: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return answer
