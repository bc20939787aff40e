"""The probe of an object store: one that would lose commits is refused before the first is made."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.storage.lake import Lake
from pipelines.storage.object_store import check_conditional_writes, signed_headers
from transforms.datasets import UID_INDEX
from transforms.errors import Refused, Unavailable


@contextmanager
def store(*, is_conditional: bool = True, status: int = 200) -> Iterator[str]:
    """An object store of one dictionary; the endpoint's address."""
    objects: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            exists = self.path in objects and self.headers["if-none-match"] == "*"
            answer = 412 if exists and is_conditional else status
            if answer == 200:
                objects[self.path] = body
            self.answer(answer)

        def do_DELETE(self) -> None:
            objects.pop(self.path, None)
            self.answer(204)

        def answer(self, code: int) -> None:
            self.send_response(code)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
        assert objects == {}, "the probe cleans up"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def options(endpoint: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": endpoint, "aws_access_key_id": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_a_store_that_honours_the_condition_is_taken() -> None:
    with store() as endpoint:
        check_conditional_writes("s3://bucket/lake", options(endpoint))


def test_a_store_that_ignores_the_condition_is_refused_before_the_first_commit() -> None:
    with store(is_conditional=False) as endpoint, pytest.raises(Refused, match=r"ignores If-None-Match .* commits would be lost"):
        Lake("s3://bucket/lake", options(endpoint)).commit(UID_INDEX, "org", files=[], app_id="x", app_version=1)


def test_a_store_that_refuses_the_keys_or_is_away_is_unavailable() -> None:
    with store(status=403) as endpoint, pytest.raises(Unavailable, match="answers 403"):
        check_conditional_writes("s3://bucket/lake", options(endpoint))
    with pytest.raises(Unavailable, match="can't be reached"):
        check_conditional_writes("s3://bucket/lake", options(endpoint))


def test_a_store_of_ones_own_needs_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Refused, match="must give AWS_ACCESS_KEY_ID"):
        check_conditional_writes("s3://bucket", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})


def test_the_signature_is_that_of_the_published_example() -> None:
    """PUT Object of the Signature Version 4 documentation of Amazon S3."""
    access = {"ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "REGION": "us-east-1"}
    headers = signed_headers(
        "PUT",
        "https://examplebucket.s3.amazonaws.com/test%24file.text",
        access,
        b"Welcome to Amazon S3.",
        {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert headers["authorization"].endswith("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
