"""How many measurements per second the server acknowledges over HTTP, durable and authenticated.

The client stands on the same machine and costs as little as it can: bodies are made beforehand and get new uids in place,
each connection has one request under way, sockets are plain. A measurement counts when its call was answered 200. The meter
exists and no uid comes twice, so that the worker, which shares the machine, takes all of it in.
"""

import itertools
import json
import re
import socket
import threading
import time
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

PER_CALL = 1000
#: What every uid begins with; its digits are replaced by the number of the call.
_UID = b"c000000-"
_SERIALS = itertools.count(1)
#: The meter of the measurements below, as configuration as code.
DOCUMENT: dict[str, Any] = {
    "products": [{"name": "Requests", "code": "requests"}],
    "meters": [
        {
            "product": "requests",
            "name": "Requests",
            "code": "requests",
            "dataFields": [
                {"category": "WHAT", "code": "region", "name": "Region"},
                {"category": "MEASURE", "code": "tokens", "name": "Tokens", "unit": "1"},
                {"category": "MEASURE", "code": "latency", "name": "Latency", "unit": "1"},
            ],
            "derivedFields": [],
        }
    ],
    "aggregations": [
        {"name": "Tokens", "code": "tokens", "meter": "requests", "aggregation": "SUM", "targetField": "tokens"}
        | {"quantityPerUnit": 1, "rounding": "NONE", "unit": "1"}
    ],
}


@dataclass(frozen=True)
class Acknowledged:
    """One run: measurements acknowledged, seconds, and what else was answered."""

    measurements: int
    seconds: float
    refused: int

    @property
    def per_second(self) -> float:
        """Acknowledged measurements per second."""
        return self.measurements / self.seconds


def bearer_token(credentials: dict[str, str]) -> str:
    """A token for the organization's key."""
    basic = b64encode(f"{credentials['api_key']}:{credentials['api_secret']}".encode()).decode()
    request = urllib.request.Request(
        f"{credentials['base_url']}/oauth/token",
        data=b'{"grant_type": "client_credentials"}',
        headers={"authorization": f"Basic {basic}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        token: str = json.load(answer)["access_token"]
    return token


class _Call:
    """One request, sent again and again with new uids."""

    def __init__(self, target: str, host: str, token: str, call: int) -> None:
        self._request = bytearray(_request(target, host, token, call))
        view: NDArray[np.uint8] = np.frombuffer(self._request, dtype=np.uint8)
        found = [at.start() + 1 for at in re.finditer(_UID, self._request)]
        self._bytes, self._places = view, np.add.outer(np.array(found), np.arange(6))

    def renewed(self) -> bytearray:
        """The request with uids that no other call has."""
        self._bytes[self._places] = np.frombuffer(b"%06d" % next(_SERIALS), dtype=np.uint8)
        return self._request


def _request(target: str, host: str, token: str, call: int) -> bytes:
    day = 1 + call % 28
    body = {
        "measurements": [
            {
                "uid": f"{_UID.decode()}{i}",
                "meter": "requests",
                "account": f"account-{(call * 37 + i) % 5000}",
                "ts": f"2026-01-{day:02d}T{i % 24:02d}:{i % 60:02d}:00.{i:03d}Z",
                "what": {"region": f"region-{i % 20:02d}"},
                "measure": {"tokens": i, "latency": i / 8},
            }
            for i in range(PER_CALL)
        ]
    }
    data = json.dumps(body, separators=(",", ":")).encode()
    head = f"POST {target} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def _answered(connection: socket.socket) -> bool:
    """Read one whole answer; True when it is a 200."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, rest = received.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(rest) < length:
        rest += connection.recv(65536)
    return head.startswith(b"HTTP/1.1 200")


def acknowledged(credentials: dict[str, str], *, seconds: float, connections: int) -> Acknowledged:
    """Submit for about that many seconds on that many connections."""
    url = urlsplit(credentials["base_url"])
    token = bearer_token(credentials)
    target = f"/organizations/{credentials['org_id']}/measurements"
    calls = [_Call(target, url.netloc, token, call) for call in range(16 * connections)]
    counts = [[0, 0] for _ in range(connections)]
    until = time.perf_counter() + seconds

    def client(number: int) -> None:
        own = calls[number::connections]
        with socket.create_connection((url.hostname or "127.0.0.1", url.port or 80)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            turn = 0
            while time.perf_counter() < until:
                connection.sendall(own[turn % len(own)].renewed())
                counts[number][0 if _answered(connection) else 1] += 1
                turn += 1

    started = time.perf_counter()
    threads = [threading.Thread(target=client, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Acknowledged(sum(c[0] for c in counts) * PER_CALL, time.perf_counter() - started, sum(c[1] for c in counts))
