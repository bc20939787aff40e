"""Whether an object store can hold Delta tables: it must refuse to create an object that exists (``If-None-Match: *``).

Some S3-compatible stores ignore the condition; two writers would then overwrite each other's commits without a word, so
such a store is refused. Put here the probe. Reading and writing go through deltalake and Polars.
"""

import hashlib
import hmac
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import httpx

from transforms.errors import Refused, Unavailable

_NAMES = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "ENDPOINT_URL")


def check_conditional_writes(root: str, storage_options: Mapping[str, str] | None) -> None:
    """Return when the store behind ``s3://bucket/prefix`` honours conditional writes.

    Amazon's own S3 (no endpoint given) does; it is not asked. Another store is written to, twice, at a new key.

    Raises:
        Refused: The store ignores the condition, or there are no keys to ask it with.
        Unavailable: The store can't be reached or refuses the keys.
    """
    access = _access(storage_options or {})
    if urlsplit(root).scheme not in ("s3", "s3a") or not access.get("ENDPOINT_URL"):
        return
    if not access.get("ACCESS_KEY_ID") or not access.get("SECRET_ACCESS_KEY"):
        raise Refused("METERHOUSE_LAKE_OPTIONS must give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the store at AWS_ENDPOINT_URL")
    parts = urlsplit(root)
    key = f"{parts.path.strip('/')}/_meterhouse_probe/{uuid.uuid4()}".lstrip("/")
    url = f"{access['ENDPOINT_URL'].rstrip('/')}/{parts.netloc}/{quote(key)}"
    try:
        first, second = _put(url, access, b"first"), _put(url, access, b"second")
        _send("DELETE", url, access, b"", {})
    except httpx.HTTPError as error:
        raise Unavailable(f"the lake's store at {access['ENDPOINT_URL']} can't be reached: {error}") from error
    if not first.is_success:
        raise Unavailable(f"the lake's store at {access['ENDPOINT_URL']} answers {first.status_code} to a write below {root}: {first.text[:300]}")
    if second.status_code not in (409, 412):
        raise Refused(
            f"the store at {access['ENDPOINT_URL']} ignores If-None-Match (it answered {second.status_code} where 412 would be right): "
            "concurrent commits would be lost. Use one that honours conditional writes, such as Amazon S3 or Ceph"
        )


def _access(options: Mapping[str, str]) -> dict[str, str]:
    """The options by plain upper-case name; what is not given comes from the environment, as it does for deltalake."""
    given = {name.upper().removeprefix("AWS_"): value for name, value in options.items()}
    if "ENDPOINT" in given:
        given.setdefault("ENDPOINT_URL", given["ENDPOINT"])
    from_environment = {name: os.environ[f"AWS_{name}"] for name in _NAMES if f"AWS_{name}" in os.environ}
    return {**from_environment, **given}


def _put(url: str, access: Mapping[str, str], body: bytes) -> httpx.Response:
    return _send("PUT", url, access, body, {"if-none-match": "*"})


def _send(method: str, url: str, access: Mapping[str, str], body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    signed = signed_headers(method, url, access, body, headers, now=datetime.now(UTC))
    return httpx.request(method, url, content=body, headers=signed, timeout=10)


def signed_headers(method: str, url: str, access: Mapping[str, str], body: bytes, headers: Mapping[str, str], *, now: datetime) -> dict[str, str]:
    """The headers of a request with its AWS Signature Version 4."""
    parts = urlsplit(url)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    digest = hashlib.sha256(body).hexdigest()
    every = {**headers, "host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    if access.get("SESSION_TOKEN"):
        every["x-amz-security-token"] = access["SESSION_TOKEN"]
    names = ";".join(sorted(every))
    canonical = "\n".join((method, parts.path, parts.query, *(f"{name}:{every[name]}" for name in sorted(every)), "", names, digest))
    scope = f"{day}/{access.get('REGION', 'us-east-1')}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{access['SECRET_ACCESS_KEY']}".encode()
    for piece in scope.split("/"):
        key = hmac.digest(key, piece.encode(), "sha256")
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return {**every, "authorization": f"AWS4-HMAC-SHA256 Credential={access['ACCESS_KEY_ID']}/{scope}, SignedHeaders={names}, Signature={signature}"}
