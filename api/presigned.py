"""Addresses that whoever has them may download from for a minute, without a token.

The signature is over the path and the instant at which it expires, with the installation's secret. Put here how an address
is signed and checked. Keep out what is downloaded (routers/downloads.py). Source: billing.md 8.
"""

import hashlib
import hmac
import time
from urllib.parse import quote

from starlette.requests import Request

from api.dependencies import State, state_of
from transforms.errors import AccessDenied

#: How long an address is good for.
SECONDS = 60


def _signature(state: State, path: str, expires: int) -> str:
    return hmac.new(state.token_secret, f"download\n{path}\n{expires}".encode(), hashlib.sha256).hexdigest()


def download_url(request: Request, path: str) -> str:
    """The address of a path of this API, good for a minute.

    It names the base URL that the operator set, else the one that the client has just used.
    """
    state = state_of(request)
    expires = int(time.time()) + SECONDS
    base = (state.settings.base_url or str(request.base_url)).rstrip("/")
    return f"{base}{path}?expires={expires}&signature={_signature(state, path, expires)}"


def checked(request: Request) -> None:
    """Return when the request has an address that is ours and still good.

    Raises:
        AccessDenied: It was changed, was never ours, or has expired.
    """
    expires, given = request.query_params.get("expires", ""), request.query_params.get("signature", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 20):
        raise AccessDenied("the download address is not complete; ask for a new one")
    wanted = _signature(state_of(request), request.url.path, int(expires))
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise AccessDenied("the download address is not valid; ask for a new one")
    if int(expires) <= time.time():
        raise AccessDenied("the download address has expired; ask for a new one")


def file_headers(name: str, *, disposition: str = "attachment") -> dict[str, str]:
    """Headers of a file: a browser saves it under the name, and nobody on the way keeps it."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return {
        "content-disposition": f"{disposition}; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
    }
