"""Who is calling: access keys, their secrets, and the bearer tokens that stand for them.

A token is a JSON Web Token signed (HS256) with the installation's secret, so any API process verifies one without asking
the database; the price is that a token outlives its key's deactivation until it expires. Verifying a key's secret is slow
on purpose (argon2id); since clients ask for a token before every call, a secret that was right is remembered for a while,
as a keyed digest, until the key's version changes.

Put here proof of identity. Keep out what an identity may do.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import threading
import time
from dataclasses import dataclass
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pipelines.storage.security_tables import ACCESS_KEYS, INSTALLATION
from transforms.errors import AccessDenied

#: How long a verified secret is remembered, in seconds.
REMEMBERED_SECONDS = 300
# Secrets are 256 random bits that nobody can guess; the cost protects the server's memory as much as the hash.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


@dataclass(frozen=True)
class Principal:
    """The caller of a request.

    Attributes:
        org_id: The only organization it may touch.
        id: With its type in front, as audit fields carry it: ``SERVICE_USER_<uuid>``.
        api_key: The access key that it showed.
    """

    org_id: str
    id: str
    api_key: str


def secret_hash(secret: str) -> str:
    """The argon2id hash under which a secret is kept."""
    return _HASHER.hash(secret)


def token_secret(connection: Connection) -> bytes:
    """The installation's signing secret, made by whoever asks first."""
    connection.execute(insert(INSTALLATION).values(id=1, token_secret=secrets.token_bytes(32)).on_conflict_do_nothing())
    return bytes(connection.execute(select(INSTALLATION.c.token_secret)).scalar_one())


@cache
def _decoy() -> str:
    """A hash that no secret has: an unknown key must cost as much as a wrong secret."""
    return secret_hash(secrets.token_urlsafe(32))


class KeyVerifier:
    """Checks access keys against their hashes; one per process, safe between threads."""

    def __init__(self) -> None:
        self._digest_key = secrets.token_bytes(32)
        self._remembered: dict[bytes, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def principal(self, connection: Connection, api_key: str, secret: str) -> Principal:
        """The caller that shows this key and secret.

        Raises:
            AccessDenied: No such active key, or another secret; which of them is not told.
        """
        key = ACCESS_KEYS
        row = connection.execute(select(key).where(key.c.api_key == api_key)).mappings().first() if "\x00" not in api_key else None
        known = row is not None and row["status"] == "ACTIVE"
        version = row["version"] if row is not None and known else 0
        stored = row["secret_hash"] if row is not None and known else _decoy()
        if not self._is_right(api_key, secret, stored, version) or row is None or not known:
            raise AccessDenied("the access key or its secret is wrong, or the key is inactive")
        return Principal(org_id=row["org_id"], id=f"SERVICE_USER_{row['service_user_id']}", api_key=api_key)

    def _is_right(self, api_key: str, secret: str, stored: str, version: int) -> bool:
        pair = f"{len(api_key)}:{api_key}{secret}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._digest_key, pair, hashlib.sha256)
        now = time.monotonic()
        with self._lock:
            remembered_version, until = self._remembered.get(digest, (-1, 0.0))
        if remembered_version == version and now < until:
            return True
        try:
            _HASHER.verify(stored, secret)
        except (VerificationError, InvalidHashError):
            return False
        with self._lock:
            self._remembered = {d: seen for d, seen in self._remembered.items() if seen[1] > now}
            self._remembered[digest] = (version, now + REMEMBERED_SECONDS)
        return True


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def bearer_token(principal: Principal, *, secret: bytes, now: float, seconds: int) -> str:
    """A token for the caller, valid for ``seconds`` from ``now`` (seconds since 1970)."""
    claims = {"org": principal.org_id, "sub": principal.id, "key": principal.api_key, "iat": int(now), "exp": int(now) + seconds}
    signed = _HEADER + b"." + _encoded(json.dumps(claims, separators=(",", ":")).encode())
    return (signed + b"." + _encoded(hmac.digest(secret, signed, hashlib.sha256))).decode()


def token_principal(token: str, *, secret: bytes, now: float) -> Principal:
    """The caller that a token stands for.

    Raises:
        AccessDenied: It is not ours, was changed, or has expired.
    """
    try:
        signed, _, signature = token.encode("ascii").rpartition(b".")
        given = base64.urlsafe_b64decode(signature + b"=" * (-len(signature) % 4))
        if not signed.startswith(_HEADER + b".") or not hmac.compare_digest(given, hmac.digest(secret, signed, hashlib.sha256)):
            raise AccessDenied("the bearer token is not valid; get one from /oauth/token")
        payload = signed[len(_HEADER) + 1 :]
        claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise AccessDenied("the bearer token is malformed; get one from /oauth/token") from None
    if claims["exp"] <= now:
        raise AccessDenied("the bearer token has expired; get a new one from /oauth/token")
    return Principal(org_id=claims["org"], id=claims["sub"], api_key=claims["key"])
