"""The embedded PostgreSQL: shared, gone with its last user, back after any kill."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pipelines.storage.postgres import embedded, revived
from pipelines.storage.postgres_files import PostgresFiles
from pipelines.storage.unprivileged import OsUser, becoming
from tests.waiting import eventually
from transforms.errors import Unavailable

REPOSITORY = Path(__file__).parents[3]
#: A process that uses the server of a home until its standard input ends.
USER = """
import sys
from pathlib import Path
from pipelines.storage.postgres import embedded
with embedded(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def user_processes() -> Iterator[list["subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def user_process(home: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql+psycopg://")
    return process


def plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def answer(url: str, query: str) -> object:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        return row[0] if row else None


def server_pid(home: Path) -> int:
    return int((PostgresFiles(home).data / "postmaster.pid").read_text().split()[0])


def processes_of(home: Path) -> list[int]:
    """Every process, keeper or server, that has this home in its command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(os.fsencode(home)) for word in words) and int(entry.parent.name) != os.getpid():
            found.append(int(entry.parent.name))
    return found


def keeper_pid(home: Path) -> int:
    for pid in processes_of(home):
        if b"pipelines.storage.postgres_keeper" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError("no keeper")


def test_it_starts_answers_and_leaves_nothing_running(home: Path) -> None:
    with embedded(home) as url:
        assert (
            answer(url, "SELECT current_setting('fsync') || current_setting('synchronous_commit') || current_setting('listen_addresses')") == "onon"
        )
        assert answer(url, "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()") == "UTF8"
    eventually(lambda: not processes_of(home))


def test_data_is_kept_between_uses(home: Path) -> None:
    with embedded(home) as url, psycopg.connect(plain(url)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS x")
    with embedded(home) as url:
        assert answer(url, "SELECT x FROM kept") == 42


def test_processes_share_one_server_and_the_last_stops_it(home: Path, user_processes: list["subprocess.Popen[str]"]) -> None:
    with embedded(home):
        user_processes.append(user_process(home))
        pid = server_pid(home)
    assert server_pid(home) == pid, "the other process still uses it"
    user_processes[0].communicate()
    eventually(lambda: not processes_of(home))


def test_a_killed_user_does_not_keep_it_running(home: Path, user_processes: list["subprocess.Popen[str]"]) -> None:
    user_processes.append(user_process(home))
    assert processes_of(home)
    user_processes[0].kill()
    user_processes[0].wait()
    eventually(lambda: not processes_of(home))


def test_many_processes_may_start_at_once(home: Path) -> None:
    command = [sys.executable, "-c", USER, str(home)]
    started = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) for _ in range(4)]
    for process in started:
        output, _ = process.communicate(timeout=60)
        assert output.startswith("postgresql+psycopg://")
        assert process.returncode == 0
    eventually(lambda: not processes_of(home))


def test_committed_rows_survive_kill_9_of_the_server_and_it_comes_back(home: Path) -> None:
    with embedded(home) as url:
        with psycopg.connect(plain(url), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (x int)")
            for x in range(200):
                connection.execute("INSERT INTO kept VALUES (%s)", (x,))
            killed = server_pid(home)
            os.kill(killed, signal.SIGKILL)

        def is_back() -> bool:
            try:
                return answer(url, "SELECT count(*) FROM kept") == 200
            except psycopg.OperationalError:
                return False

        eventually(is_back)
        assert server_pid(home) != killed


def test_a_killed_keeper_is_replaced(home: Path) -> None:
    with embedded(home) as url:
        first = keeper_pid(home)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: first not in processes_of(home))
        revived(home)
        assert answer(url, "SELECT 1") == 1
        assert keeper_pid(home) != first
    eventually(lambda: not processes_of(home))


def test_a_stale_pid_file_of_a_living_process_is_no_obstacle(home: Path) -> None:
    with embedded(home):
        pass
    files = PostgresFiles(home)
    stranger = subprocess.Popen(["sleep", "600"], user=files.data.stat().st_uid if os.getuid() == 0 else None)
    try:
        (files.data / "postmaster.pid").write_text(f"{stranger.pid}\n{files.data}\n1700000000\n5432\n{files.socket_directory}\n\n")
        with embedded(home) as url:
            assert answer(url, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_half_made_data_folder_is_made_again(home: Path) -> None:
    files = PostgresFiles(home)
    files.new_data.mkdir(parents=True)
    (files.new_data / "PG_VERSION").write_text("18\n")
    with embedded(home) as url:
        assert answer(url, "SELECT 1") == 1


def test_a_deep_home_uses_a_short_socket_path(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    with embedded(deep) as url:
        assert answer(url, "SELECT 1") == 1
        folder = PostgresFiles(deep).socket_directory
        assert not folder.is_relative_to(deep)
        assert folder.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(folder)


def test_a_home_with_odd_characters(tmp_path: Path) -> None:
    with embedded(tmp_path / "häuser & 50% ?") as url:
        assert answer(url, "SELECT 1") == 1


def test_a_server_that_cannot_start_says_why(home: Path) -> None:
    with embedded(home):
        pass
    settings = PostgresFiles(home).data / "postgresql.conf"
    settings.write_text(settings.read_text() + "\nno_such_setting = 1\n")
    with pytest.raises(Unavailable, match=r"configuration file .* contains errors"), embedded(home):
        pass
    eventually(lambda: not processes_of(home))


def test_nobody_else_can_connect(home: Path) -> None:
    with embedded(home):
        assert PostgresFiles(home).socket_directory.stat().st_mode & 0o777 == 0o700
        assert PostgresFiles(home).data.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_root_below_a_closed_folder_and_a_plain_user_elsewhere(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as closed:  # 0700, root's
        home = Path(closed) / "home"
        with embedded(home) as url:
            assert answer(url, "SELECT 1") == 1
            owner = Path(f"/proc/{server_pid(home)}").stat().st_uid
            assert owner == pwd.getpwnam("meterhouse").pw_uid


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_program_below_a_closed_folder_passes_its_own_check_of_its_files() -> None:
    with tempfile.TemporaryDirectory() as closed:  # 0700, root's
        program = Path(closed) / "program"
        program.write_text("")
        program.chmod(0o755)
        question = "import os, sys; print(os.access(sys.argv[1], os.X_OK), os.access(sys.argv[2], os.W_OK), os.geteuid())"
        command = [sys.executable, "-c", question, str(program), closed]
        user = OsUser("nobody", 65534, 65534)
        become = becoming(user, reaching=(Path(sys.executable).resolve(), program))
        asked = subprocess.run(command, preexec_fn=become, capture_output=True, text=True, check=False)
        assert asked.stdout.split() == ["True", "False", "65534"], asked.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user; as any other user all tests here show it")
def test_a_plain_user_runs_it_directly() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        done = subprocess.run(
            [sys.executable, "-c", USER, f"{folder}/home"],
            preexec_fn=becoming(OsUser("nobody", 65534, 65534), reaching=(Path(sys.executable).resolve(), REPOSITORY)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("postgresql+psycopg://")
        assert (Path(folder) / "home/postgres/data").stat().st_uid == 65534
