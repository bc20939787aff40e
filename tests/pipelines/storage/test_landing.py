"""The landing log: durable before it is acknowledged, readable after any end, usable again after a full disk."""

import asyncio
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from pipelines.storage.landing import Landing
from pipelines.storage.landing_frames import HEADER_BYTES, Position, packed, segment_name, unpacked
from pipelines.storage.landing_reader import backlog_bytes, end_positions, forget, read, writers
from transforms.errors import Unavailable

ORG = "0d6f1c1e-6f34-4a8f-9d55-0f8c8e0a1b2c"
NOW = datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ALL = 1 << 30


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    opened = Landing(tmp_path, segment_bytes=1000)
    yield opened
    opened.close()


def bodies(root: Path, positions: dict[str, Position] | None = None) -> list[bytes]:
    return [f.body for f in read(root, positions or {}, ALL).frames]


def test_what_is_appended_is_read_as_it_was(landing: Landing, tmp_path: Path) -> None:
    landing.append_all(ORG, [b"one", b"", b"three"], NOW)
    frames = read(tmp_path, {}, ALL).frames
    assert [(f.org_id, f.received_at, f.body) for f in frames] == [(ORG, NOW, b"one"), (ORG, NOW, b""), (ORG, NOW, b"three")]
    assert [f.offset for f in frames] == [0, HEADER_BYTES + 3, 2 * HEADER_BYTES + 3]


def test_many_appenders_at_once_all_get_through(landing: Landing, tmp_path: Path) -> None:
    async def everybody() -> None:
        await asyncio.gather(*(landing.append(ORG, b"%d" % n, NOW) for n in range(500)))

    asyncio.run(everybody())
    assert sorted(map(int, bodies(tmp_path))) == list(range(500))


def test_reading_goes_on_where_it_stopped_across_segments(landing: Landing, tmp_path: Path) -> None:
    positions: dict[str, Position] = {}
    seen: list[bytes] = []
    for n in range(30):
        landing.append_all(ORG, [b"x" * 100 + b"%d" % n], NOW + timedelta(seconds=n))
        if n % 3 == 2:
            while True:
                batch = read(tmp_path, positions, 250)
                if not batch.positions:
                    break
                seen += [f.body for f in batch.frames]
                positions |= batch.positions
    assert seen == [b"x" * 100 + b"%d" % n for n in range(30)]
    assert positions == end_positions(tmp_path)
    assert backlog_bytes(tmp_path, positions) == 0
    assert len(list((tmp_path / landing.writer).glob("*.log"))) > 3


def test_frames_of_several_writers_come_in_order_of_receipt(tmp_path: Path) -> None:
    first, second = Landing(tmp_path), Landing(tmp_path)
    for n in range(6):
        (first, second)[n % 2].append_all(ORG, [b"%d" % n], NOW + timedelta(seconds=n))
    assert bodies(tmp_path) == [b"%d" % n for n in range(6)]
    first.close()
    second.close()


def test_a_living_writer_is_read_only_as_far_as_it_is_durable(landing: Landing, tmp_path: Path) -> None:
    landing.append_all(ORG, [b"one"], NOW)
    log = tmp_path / landing.writer / segment_name(0)
    whole = log.read_bytes()
    with log.open("ab") as file:
        file.write(whole)  # a whole frame that was written and is not durable yet
    assert bodies(tmp_path) == [b"one"]
    landing.append_all(ORG, [b"two"], NOW)
    assert bodies(tmp_path) == [b"one", b"two"]


@pytest.mark.parametrize("damage", ["cut in the header", "cut in the body", "flipped bit", "zeros"])
def test_the_torn_tail_of_a_writer_that_is_gone_is_skipped_and_told(tmp_path: Path, damage: str) -> None:
    landing = Landing(tmp_path)
    landing.append_all(ORG, [b"first", b"second"], NOW)
    landing.close()
    log = tmp_path / landing.writer / segment_name(0)
    data = bytearray(log.read_bytes())
    second = HEADER_BYTES + 5
    match damage:
        case "cut in the header":
            del data[second + 10 :]
        case "cut in the body":
            del data[-2:]
        case "flipped bit":
            data[-1] ^= 1
        case "zeros":
            data[second:] = bytes(len(data) - second)
    log.write_bytes(data)
    batch = read(tmp_path, {}, ALL)
    assert [f.body for f in batch.frames] == [b"first"]
    assert batch.torn == [(landing.writer, 0, second, len(data) - second)]
    # The next read has nothing, and the log can be deleted.
    assert read(tmp_path, batch.positions, ALL).positions == {}
    assert forget(tmp_path, batch.positions) == [landing.writer]
    assert writers(tmp_path) == []


def test_segments_are_deleted_when_read_and_a_living_writer_keeps_its_last(landing: Landing, tmp_path: Path) -> None:
    for n in range(12):
        landing.append_all(ORG, [b"y" * 300], NOW + timedelta(seconds=n))
    positions = read(tmp_path, {}, ALL).positions
    assert forget(tmp_path, positions) == []
    assert [int(p.stem) for p in (tmp_path / landing.writer).glob("*.log")] == [positions[landing.writer].segment]
    landing.append_all(ORG, [b"later"], NOW)
    assert bodies(tmp_path, positions) == [b"later"]
    landing.close()
    assert forget(tmp_path, positions) == []
    assert bodies(tmp_path, positions) == [b"later"]
    assert forget(tmp_path, {**positions, **read(tmp_path, positions, ALL).positions}) == [landing.writer]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The operating system refuses longer files, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_acknowledges_nothing_and_the_log_goes_on_afterwards(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    landing.append_all(ORG, [b"before"], NOW)
    with no_file_larger_than(300):
        for _ in range(3):
            with pytest.raises(Unavailable, match="can't be stored at the moment"):
                landing.append_all(ORG, [b"z" * 1000], NOW)
        assert bodies(tmp_path) == [b"before"]
        landing.append_all(ORG, [b"small"], NOW)
    landing.append_all(ORG, [b"a" * 1000], NOW)
    landing.close()
    batch = read(tmp_path, {}, ALL)
    assert [f.body for f in batch.frames] == [b"before", b"small", b"a" * 1000]
    assert batch.torn == []


def test_a_disk_that_does_not_sync_acknowledges_nothing(landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landing.append_all(ORG, [b"before"], NOW)

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with ThreadPoolExecutor(4) as pool:
            failures = [pool.submit(landing.append_all, ORG, [b"lost"], NOW) for _ in range(8)]
        assert all(isinstance(f.exception(), Unavailable) for f in failures)
    assert bodies(tmp_path) == [b"before"]
    landing.append_all(ORG, [b"after"], NOW)
    assert bodies(tmp_path) == [b"before", b"after"]


def test_a_landing_folder_that_can_not_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    landing = Landing(tmp_path / "file" / "landing")
    with pytest.raises(Unavailable):
        landing.append_all(ORG, [b"x"], NOW)
    landing.close()
    with pytest.raises(Unavailable, match="stopping"):
        landing.append_all(ORG, [b"x"], NOW)


@given(st.integers(0, 2**24 - 1), st.integers(0, 2**40 - 1))
def test_a_position_survives_packing(segment: int, offset: int) -> None:
    assert unpacked(packed(Position(segment, offset))) == (segment, offset)
