"""Reading the landing log: durable frames after a position, in the order in which they were written.

A living writer is read up to the position that it has published, a finished one to its end; what is damaged at the end
of a finished segment was never acknowledged and is skipped. Put here reading and the deletion of what was read.
"""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.storage.landing_frames import POSITION_BYTES, Frame, Position, frame_at, segment_name, unpacked


@dataclass
class Batch:
    """Frames read together.

    Attributes:
        frames: In the order of receipt, ties by place.
        positions: Writer -> where the next read goes on, for the writers read.
        torn: Places of skipped bytes, for the log: writer, segment, offset, number of bytes.
    """

    frames: list[Frame] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    torn: list[tuple[str, int, int, int]] = field(default_factory=list)


def writers(root: Path) -> list[str]:
    """All writers that have a folder."""
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []


def is_finished(root: Path, writer: str) -> bool:
    """True when the writer's process is gone (or has closed its log), so that its log will not grow."""
    try:
        descriptor = os.open(root / writer / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _segments(root: Path, writer: str) -> list[int]:
    return sorted(int(path.stem) for path in (root / writer).glob("*.log"))


def _size(root: Path, writer: str, segment: int) -> int:
    return (root / writer / segment_name(segment)).stat().st_size


def end_position(root: Path, writer: str) -> Position:
    """Up to where the writer's log can be read now."""
    if is_finished(root, writer):
        segments = _segments(root, writer)
        return Position(segments[-1], _size(root, writer, segments[-1])) if segments else Position(0, 0)
    try:
        data = (root / writer / "durable").read_bytes()
    except FileNotFoundError:
        return Position(0, 0)
    return unpacked(data) if len(data) == POSITION_BYTES else Position(0, 0)


def end_positions(root: Path) -> dict[str, Position]:
    """Writer -> up to where its log can be read now; everything acknowledged before the call lies before it."""
    return {writer: end_position(root, writer) for writer in writers(root)}


def backlog_bytes(root: Path, positions: Mapping[str, Position]) -> int:
    """How many landed bytes are in no batch yet."""
    total = 0
    for writer, end in end_positions(root).items():
        start = positions.get(writer, Position(0, 0))
        for segment in _segments(root, writer):
            if start.segment <= segment <= end.segment:
                until = end.offset if segment == end.segment else _size(root, writer, segment)
                total += max(until - (start.offset if segment == start.segment else 0), 0)
    return total


def read(root: Path, positions: Mapping[str, Position], limit_bytes: int) -> Batch:
    """The next frames of all writers, about ``limit_bytes`` of them in all, at least one when there is one."""
    batch = Batch()
    ends = {writer: end for writer, end in end_positions(root).items() if positions.get(writer, Position(0, 0)) < end}
    for writer, end in ends.items():
        _read_writer(root, writer, positions.get(writer, Position(0, 0)), end, limit=max(limit_bytes // len(ends), 1), batch=batch)
    batch.frames.sort(key=lambda f: (f.received_at, f.writer, f.segment, f.offset))
    return batch


def _read_writer(root: Path, writer: str, start: Position, end: Position, *, limit: int, batch: Batch) -> None:
    taken = 0
    for segment in _segments(root, writer):
        if segment < start.segment or segment > end.segment or taken >= limit:
            continue
        offset = start.offset if segment == start.segment else 0
        until = end.offset if segment == end.segment else _size(root, writer, segment)
        with (root / writer / segment_name(segment)).open("rb") as file:
            file.seek(offset)
            # One body is at most 512,000 bytes, so this always holds at least one whole frame.
            data = file.read(min(until - offset, limit - taken + 1_000_000))
        is_whole = offset + len(data) >= until
        at = 0
        while taken < limit and (found := frame_at(data, at, writer=writer, segment=segment, base=offset)):
            frame, following = found
            batch.frames.append(frame)
            taken += following - at
            at = following
        if taken < limit and is_whole and at < len(data):
            batch.torn.append((writer, segment, offset + at, len(data) - at))
            at = len(data)
        batch.positions[writer] = Position(segment, offset + at)
        if not is_whole or at < len(data):
            return


def forget(root: Path, positions: Mapping[str, Position]) -> list[str]:
    """Delete the segments before the positions, and the folders of finished writers read to their end; the writers that are gone for good."""
    gone: list[str] = []
    for writer, position in positions.items():
        folder = root / writer
        if not folder.is_dir():
            continue  # perhaps another machine's
        for segment in _segments(root, writer):
            if segment < position.segment:
                (folder / segment_name(segment)).unlink()
        if is_finished(root, writer) and end_position(root, writer) <= position:
            for name in (segment_name(position.segment), "durable", "lock"):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
            gone.append(writer)
    return gone
