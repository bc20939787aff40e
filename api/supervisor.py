"""Running the processes of ``meterhouse serve``: start, restart after a crash, stop all of them.

Put here what is true of any child process. Keep out which ones there are (``api/commands/serve.py``).
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

GRACE_SECONDS = 15.0
_FIRST_PAUSE, _LONGEST_PAUSE, _WELL_SECONDS = 0.5, 30.0, 60.0
_PR_SET_PDEATHSIG = 1
_AUTOGROUP = Path("/proc/self/autogroup")


@dataclass(frozen=True)
class Service:
    """One process to keep running.

    ``niceness`` is how far it stands back when the processors are short: 0 like everything else, 19 behind all others.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    niceness: int = 0


@dataclass
class _Child:
    service: Service
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    pause: float = _FIRST_PAUSE
    due_at: float = 0.0


def _become(niceness: int) -> Callable[[], None]:
    """What a child does before it is the service: it takes its place behind others, and dies with its parent.

    Before, because on Linux a process's niceness is that of one thread, which those that it starts inherit.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    parent = os.getpid()

    def become() -> None:
        if niceness:
            _stand_back(niceness)
        if libc is not None:
            # SIGTERM when the supervisor dies, however it dies.
            libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return become


def _stand_back(niceness: int) -> None:
    """Set this process's niceness, and that of its session.

    Where Linux groups processes by session (sched_autogroup), it shares the processors between sessions first: a process's
    own niceness then counts among those of its session alone, and every service has a session of its own.
    """
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    # Not there on other systems; and without privileges Linux takes one such change in a tenth of a second from all processes.
    with suppress(OSError):
        _AUTOGROUP.write_text(str(niceness))


@dataclass
class Supervisor:
    """Keeps services running until ``run`` is asked to end.

    Args:
        services: In the order of their start; they are stopped in the opposite one.
        say: Tells a person what happened.
        tick: Called about once a second while all is well.
    """

    services: tuple[Service, ...]
    say: Callable[[str], None]
    tick: Callable[[], None]
    _children: list[_Child] = field(default_factory=list)

    def run(self) -> None:
        """Start all, restart what ends, and return when SIGINT or SIGTERM came and all have ended."""
        with _wakeups() as (woken, stopped):
            self._children = [_Child(service) for service in self.services]
            try:
                while not stopped():
                    self._start_what_is_due()
                    self.tick()
                    woken(1.0)
                    self._notice_what_ended()
            finally:
                self._stop()

    def _start_what_is_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None and now >= child.due_at:
                child.started_at = now
                child.process = subprocess.Popen(
                    child.service.command,
                    cwd=child.service.directory,
                    env=dict(child.service.environment),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then stops the others in order
                    preexec_fn=_become(child.service.niceness),
                )

    def _notice_what_ended(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and (code := child.process.poll()) is not None:
                _killed_group(child.process, signal.SIGKILL)  # what it left behind
                child.process = None
                child.pause = _FIRST_PAUSE if now - child.started_at > _WELL_SECONDS else min(child.pause * 2, _LONGEST_PAUSE)
                child.due_at = now + child.pause
                self.say(f"{child.service.name} ended with {code}; it is started again in {child.pause:.0f} s")

    def _stop(self) -> None:
        running = [child.process for child in reversed(self._children) if child.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.say(f"process {process.pid} does not end; it is killed")
            _killed_group(process, signal.SIGKILL)
            process.wait()


def _killed_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # the whole group has ended


@contextmanager
def _wakeups() -> Iterator[tuple[Callable[[float], None], Callable[[], bool]]]:
    """Functions that wait (for a signal, at most so many seconds) and that tell whether we shall end."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    asked: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda got, _: asked.append(got)) for number in numbers}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
    descriptor = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def woken(seconds: float) -> None:
        if select.select([reader], [], [], seconds)[0]:
            os.read(reader, 4096)

    try:
        yield woken, lambda: bool(asked)
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
