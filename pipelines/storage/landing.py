"""The landing log: where acknowledged measurements are durable before anybody looks at them (DECISIONS 13).

One log per process. Whoever appends waits; a thread writes everything that waits with one write and one fdatasync and
then lets all of them go (group commit). When the disk refuses, nobody is acknowledged, the log is cut back to what was
durable before, and the next append tries again.

Put here writing. The bytes are landing_frames.py, reading is landing_reader.py.
"""

import asyncio
import fcntl
import os
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path

from pipelines.storage.landing_frames import HEADER_BYTES, POSITION_BYTES, Position, header, packed, segment_name
from transforms.errors import Unavailable

SEGMENT_BYTES = 64 * 1024 * 1024
#: How much one write takes at most; also bounds how long the first of a group waits.
GROUP_BYTES = 32 * 1024 * 1024
_IOV_MAX = 1024

_Waiting = tuple[bytes, bytes, "Future[None]"]


class Landing:
    """The log of one process; safe between threads, not across a fork.

    Args:
        root: Folder of all logs, on this machine's disk.
        segment_bytes: A segment that has grown beyond this is followed by a new one.
    """

    def __init__(self, root: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.writer = str(uuid.uuid4())
        self._folder = root / self.writer
        self._segment_bytes = segment_bytes
        self._io = threading.Lock()
        self._log: int | None = None
        self._durable: int | None = None
        self._lock: int | None = None
        self._position = Position(0, 0)
        self._is_cut = True
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    async def append(self, org_id: str, body: bytes, received_at: datetime) -> None:
        """Return once the body is durable.

        Raises:
            Unavailable: The disk is full or broken; nothing of the body was kept.
        """
        await asyncio.wrap_future(self._queued(org_id, body, received_at))

    def append_all(self, org_id: str, bodies: Sequence[bytes], received_at: datetime) -> None:
        """Return once all bodies are durable; for callers without an event loop.

        Raises:
            Unavailable: As :meth:`append`; those written before the failure stay.
        """
        for future in [self._queued(org_id, body, received_at) for body in bodies]:
            future.result()

    def close(self) -> None:
        """Write what waits and give the log up: from now on it counts as finished."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        with self._io:
            for descriptor in (self._log, self._durable, self._lock):
                if descriptor is not None:
                    os.close(descriptor)
            self._log = self._durable = self._lock = None

    def _queued(self, org_id: str, body: bytes, received_at: datetime) -> "Future[None]":
        future: Future[None] = Future()
        item = (header(org_id, received_at, body), body, future)
        with self._changed:
            if self._is_closing:
                raise Unavailable("the server is stopping; try again")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="landing", daemon=True)
                self._thread.start()
            self._waiting.append(item)
            self._changed.notify()
        return future

    def _run(self) -> None:
        while group := self._group():
            try:
                with self._io:
                    self._write(group)
            except OSError as error:
                problem = Unavailable(
                    f"measurements can't be stored at the moment: {error.strerror or error}; nothing of the request was kept, try again later"
                )
                for _, _, future in group:
                    future.set_exception(problem)
            else:
                for _, _, future in group:
                    future.set_result(None)

    def _group(self) -> list[_Waiting]:
        """What is written together: everything that waits, up to a bound; empty when the log is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            size, count = 0, 0
            for head, body, _ in self._waiting:
                if count and size + len(head) + len(body) > GROUP_BYTES:
                    break
                size, count = size + len(head) + len(body), count + 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            return group

    def _write(self, group: Sequence[_Waiting]) -> None:
        log, durable = self._opened()
        if not self._is_cut:
            os.ftruncate(log, self._position.offset)
            self._is_cut = True
        size = sum(HEADER_BYTES + len(body) for _, body, _ in group)
        end = Position(self._position.segment, self._position.offset + size)
        self._is_cut = False
        try:
            _write_all(log, [part for head, body, _ in group for part in (head, body)], self._position.offset)
            os.fdatasync(log)
            os.pwrite(durable, packed(end), 0)
        except OSError:
            os.ftruncate(log, self._position.offset)
            self._is_cut = True
            raise
        self._is_cut = True
        self._position = end

    def _opened(self) -> tuple[int, int]:
        """The segment's and the position's file, opened or rotated as needed."""
        if self._durable is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            durable = os.open(self._folder / "durable", os.O_RDWR | os.O_CREAT, 0o644)
            if os.pwrite(durable, packed(self._position), 0) != POSITION_BYTES:
                os.close(durable)
                raise OSError("the position file can't be written")
            self._durable = durable
        if self._log is not None and self._position.offset >= self._segment_bytes and self._is_cut:
            following = Position(self._position.segment + 1, 0)
            log = self._new_segment(following.segment)
            os.close(self._log)
            self._log, self._position = log, following
        if self._log is None:
            self._log = self._new_segment(self._position.segment)
        return self._log, self._durable

    def _new_segment(self, segment: int) -> int:
        log = os.open(self._folder / segment_name(segment), os.O_RDWR | os.O_CREAT, 0o644)
        for folder in (self._folder, self._folder.parent):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return log


def _write_all(log: int, parts: list[bytes], offset: int) -> None:
    """Write the parts one after another from ``offset`` on; a write that takes only a part is continued."""
    views = [memoryview(part) for part in parts]
    while views:
        written = os.pwritev(log, views[:_IOV_MAX], offset)
        if written == 0:
            raise OSError("nothing could be written")
        offset += written
        while views and written >= len(views[0]):
            written -= len(views[0])
            del views[0]
        if written:
            views[0] = views[0][written:]
