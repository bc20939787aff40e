"""The embedded PostgreSQL as its users see it: shared by the processes of one home folder, gone with the last of them.

The server itself is run by a keeper process (``postgres_keeper.py``). Who uses the server holds a shared lock on
``users.lock``; the kernel drops it also after a kill -9, and when nobody holds it the keeper stops the server. Whether a
server is there is asked by connecting to it, never by looking at process ids.

Put here how a process comes to use the server. Keep out how the server is set up and run.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg
from psycopg import sql

from pipelines.storage.postgres_files import PORT, ROLE, PostgresFiles
from transforms.errors import Unavailable

START_SECONDS = 120.0
#: A server that died at its start is given this long to come up with the next try.
PATIENCE_SECONDS = 3.0
STOP_SECONDS = 60.0
_POLL_SECONDS = 0.02


@contextmanager
def embedded(home: Path, os_user: str = "meterhouse") -> Iterator[str]:
    """The URL of the home folder's PostgreSQL, running for as long as the block (or any other user's) lasts.

    Args:
        home: The home folder; the database lies in ``<home>/postgres``.
        os_user: Who runs the server when this process is root (PostgreSQL refuses root).

    Raises:
        Unavailable: It can't be started; the message ends with what the server said.
    """
    files = PostgresFiles(home.absolute())
    files.prepare()
    with _locked(files.users_lock, fcntl.LOCK_SH, guard=files.start_lock) as user:
        with _locked(files.start_lock, fcntl.LOCK_EX):
            _await_running(files, os_user)
        try:
            yield url_of(files)
        finally:
            with _locked(files.start_lock, fcntl.LOCK_EX):
                fcntl.flock(user, fcntl.LOCK_UN)
                _await_stopped_when_unused(files)


def revived(home: Path, os_user: str = "meterhouse") -> None:
    """Start the keeper again if it is gone; for a long-lived user of the server, in case someone killed the keeper.

    Raises:
        Unavailable: It can't be started.
    """
    files = PostgresFiles(home.absolute())
    with _locked(files.start_lock, fcntl.LOCK_EX):
        if not _is_kept(files):
            _await_running(files, os_user)


def url_of(files: PostgresFiles, *, driver: str = "postgresql+psycopg", database: str = ROLE) -> str:
    """The SQLAlchemy URL of the server's socket."""
    return f"{driver}://{ROLE}@/{database}?host={quote(str(files.socket_directory), safe='/')}&port={PORT}"


@contextmanager
def _locked(path: Path, operation: int, guard: Path | None = None) -> Iterator[IO[str]]:
    """The open lock file; with ``guard``, the lock is taken while that one is held, so that it can't be taken amid a stop."""
    with path.open("a") as file:
        if guard is None:
            fcntl.flock(file, operation)
        else:
            with _locked(guard, fcntl.LOCK_EX):
                fcntl.flock(file, operation)
        yield file


def _has_lock(path: Path, operation: int) -> bool:
    """Whether the lock could be had at this moment; it is let go again at once."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _is_kept(files: PostgresFiles) -> bool:
    return not _has_lock(files.keeper_lock, fcntl.LOCK_SH)


def _await_running(files: PostgresFiles, os_user: str) -> None:
    began = time.monotonic()
    files.failure.unlink(missing_ok=True)
    while True:
        refusal = _refusal(files)
        if refusal is None and _is_kept(files):
            return
        if not _is_kept(files) and not files.failure.exists():
            _start_keeper(files, os_user)
        waited = time.monotonic() - began
        if files.failure.exists() and (not _is_kept(files) or waited > PATIENCE_SECONDS):
            raise Unavailable(f"the embedded PostgreSQL does not start: {files.failure.read_text().strip()}; its log is {files.log}")
        if waited > START_SECONDS:
            raise Unavailable(f"the embedded PostgreSQL did not answer within {START_SECONDS:.0f} s ({refusal}); its log is {files.log}")
        time.sleep(_POLL_SECONDS)


def _start_keeper(files: PostgresFiles, os_user: str) -> None:
    root = Path(__file__).parents[2]
    with files.log.open("a") as log:
        # The keeper puts itself in the background and returns once it holds its lock.
        subprocess.run(
            [sys.executable, "-m", "pipelines.storage.postgres_keeper", str(files.home), os_user],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )


def _refusal(files: PostgresFiles) -> str | None:
    """Why a connection to our database can't be had, or None when it can; makes our database in a new server."""
    try:
        with psycopg.connect(_conninfo(files, ROLE), connect_timeout=2, autocommit=True):
            return None
    except psycopg.OperationalError as error:
        if f'database "{ROLE}" does not exist' not in str(error):
            return " ".join(str(error).split())
    with psycopg.connect(_conninfo(files, "postgres"), connect_timeout=2, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(ROLE)))
    return None


def _conninfo(files: PostgresFiles, database: str) -> str:
    return url_of(files, driver="postgresql", database=database)


def _await_stopped_when_unused(files: PostgresFiles) -> None:
    """Wait until the keeper has stopped the server, unless others use it; the start lock is held meanwhile."""
    deadline = time.monotonic() + STOP_SECONDS
    while _is_kept(files) and time.monotonic() < deadline:
        nobody_uses_it = _has_lock(files.users_lock, fcntl.LOCK_EX)
        if not nobody_uses_it and _has_lock(files.users_lock, fcntl.LOCK_SH):
            return  # others hold it
        time.sleep(_POLL_SECONDS)
