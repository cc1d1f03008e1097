"""Work that is not begun for clients that have left: whoever searches as they type leaves a dozen searches behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .access import path_of
from .request_client import CLIENT, Client

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

READS = frozenset({"/v1/search", "/v1/tags:zero-shot", "/v1/score", "/v1/dehaze", "/v1/segment", "/v1/embeddings"})
"""What is sent with POST and writes nothing. What writes is done, whoever has left: it was asked for."""


class Leaving:
    """Middleware that lets `Workers` know the client."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or (scope["method"] not in ("GET", "HEAD") and path_of(scope) not in READS):
            await self.app(scope, receive, send)
            return
        client = Client(receive, not any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]))
        token = CLIENT.set(client)
        try:
            await self.app(scope, client.receive, send)
        finally:
            CLIENT.reset(token)
