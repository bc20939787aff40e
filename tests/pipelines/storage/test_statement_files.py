"""Documents of statements: in a folder and in an object store."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from pipelines.storage.lake import Lake
from pipelines.storage.statement_files import StatementFile, content, kept
from tests.servers import free_port
from tests.waiting import eventually
from transforms.errors import NotFound

FILE = StatementFile("org-1", "bill-1", "job-1", "json")


class Store(BaseHTTPRequestHandler):
    """An object store of one dictionary: whole objects are put, and got whole or by range."""

    objects: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["content-length"]))
        self._answer(200, b"", {"etag": '"1"'})

    def do_POST(self) -> None:
        """The begin and the end of an upload in parts."""
        self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, query = self.path.partition("?")
        if query.startswith("uploads"):
            body = f"<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>{path}</Key><UploadId>1</UploadId></InitiateMultipartUploadResult>"
        else:
            parts = sorted(
                (name for name in self.objects if name.startswith(f"{path}?")), key=lambda name: int(name.split("partNumber=")[1].split("&")[0])
            )
            self.objects[path] = b"".join(self.objects.pop(name) for name in parts)
            body = f'<CompleteMultipartUploadResult><Bucket>bucket</Bucket><Key>{path}</Key><ETag>"1"</ETag></CompleteMultipartUploadResult>'
        self._answer(200, body.encode(), {"content-type": "application/xml"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        found = self.objects.get(self.path)
        if found is None:
            self._answer(404, b"", {})
            return
        headers = {"etag": '"1"', "last-modified": "Wed, 01 Jan 2025 00:00:00 GMT"}
        first, _, last = self.headers.get("range", "").removeprefix("bytes=").partition("-")
        if first:
            part = found[int(first) : int(last) + 1]
            self._answer(206, part, {**headers, "content-range": f"bytes {first}-{int(first) + len(part) - 1}/{len(found)}"})
        else:
            self._answer(200, found, headers)

    def _answer(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        pass


@pytest.fixture(params=["folder", "store"])
def some_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    if request.param == "folder":
        yield Lake(str(tmp_path))
        return
    port = free_port()
    # In a process of its own: the client of the object store holds this one's interpreter while it waits.
    with subprocess.Popen([sys.executable, __file__, str(port)], env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}) as process:
        access = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        try:
            eventually(lambda: is_open(port))
            yield Lake("s3://bucket/lake", {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **access})
        finally:
            process.kill()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_document_is_read_as_it_was_kept_last(some_lake: Lake) -> None:
    kept(some_lake, FILE, b"first")
    kept(some_lake, FILE, "zweite Fassung €".encode() * 1000)
    assert content(some_lake, FILE).decode() == "zweite Fassung €" * 1000


def test_a_document_that_is_not_there_is_not_found(some_lake: Lake) -> None:
    with pytest.raises(NotFound, match="job-1"):
        content(some_lake, FILE)


def test_nothing_but_the_document_is_left_in_its_folder(tmp_path: Path) -> None:
    kept(Lake(str(tmp_path)), FILE, b"{}")
    assert [path.name for path in (tmp_path / FILE.path).parent.iterdir()] == ["job-1.json"]


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Store).serve_forever()
