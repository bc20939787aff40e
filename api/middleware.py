"""What happens to a request before it is routed: the URL tidied, the body's size limited.

Put here what concerns the raw request; authentication and parsing are dependencies.
"""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import error_response
from transforms.errors import BodyTooLarge

#: Bodies must be smaller (DECISIONS 12, platform.md 2.6).
BODY_LIMIT = 512_000
_TOO_LARGE = f"the body is too large: it must be under {BODY_LIMIT:,} bytes; send it in parts"


class TidyUrl:
    """Treats ``//organizations/...`` as ``/organizations/...`` and refuses NUL characters.

    A client with a path in its base URL sends double slashes; no id or filter holds a NUL, and the database takes none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a tidy URL."""
        if scope["type"] == "http":
            if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
                await error_response(400, "the URL holds a NUL character (%00)")(scope, receive, send)
                return
            if "//" in scope["path"]:
                scope = {**scope, "path": re.sub("/{2,}", "/", scope["path"]), "raw_path": re.sub(b"/{2,}", b"/", scope.get("raw_path") or b"")}
        await self.app(scope, receive, send)


class LimitedBody:
    """Refuses a body over the limit with 403, before or while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if announced.isdigit() and int(announced) >= BODY_LIMIT:
            await error_response(403, _TOO_LARGE)(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size >= BODY_LIMIT:
                raise BodyTooLarge(_TOO_LARGE)
            return message

        await self.app(scope, counted, send)
