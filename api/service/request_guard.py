"""What a request must be before anything is done for it: to this service, from this service's page or from a program, small enough, and coming in."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import HTTPException
from starlette.datastructures import Headers

from .access import is_own_name, path_of
from .options import ServiceOptions
from .problem import answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = frozenset({"/healthz", "/readyz"})
JSON_BYTES = 1_000_000
"""Of what is no upload. It is taken whole and made into objects between other requests, which wait for that, in ten times the memory."""
SIGN_IN_BYTES = 4_000
"""Of what anybody may send without a key."""
SMALL_BYTES = 64_000
"""Bodies up to this many bytes are not counted among those that are held: as many as there may be connections do no harm."""
_OWN_READERS = frozenset({"/v1/embeddings", "/v1/datasets:tag"})  # they take more JSON, with caps of their own


@dataclass(frozen=True, slots=True)
class Patience:
    """How long bodies may take. One must never pause for `idle_s`, and after `grace_s` it must have come at `bytes_per_s` on the whole."""

    idle_s: float = 15
    grace_s: float = 60
    bytes_per_s: int = 4_000
    linger_s: float = 5
    """How long what is still sent after a refusal is read and dropped, so that the client sees the answer and not a broken connection."""


class RequestGuard:
    """Middleware that refuses requests to other hosts, from other sites, and with bodies that are too large or too slow.

    Bodies that are being read may together hold 8 of the largest in memory; small ones are not counted, so that nobody without a key uses that up.
    """

    def __init__(self, app: ASGIApp, options: ServiceOptions, patience: Patience | None = None) -> None:
        self.app, self.options, self.patience = app, options, patience or Patience()
        self.held, self.most_held = 0, 8 * options.upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on with its body watched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if path_of(scope) not in _OPEN and (reason := self._other_host(headers)):
            await answer(scope, receive, send, 421, reason)
        elif reason := self._other_site(scope, headers):
            await answer(scope, receive, send, 403, reason)
        elif "content-length" in headers or "transfer-encoding" in headers:
            await Body(self, scope, receive, send).run(headers)
        else:
            await self.app(scope, receive, send)

    def _other_host(self, headers: Headers) -> str | None:
        """A page elsewhere can have its name point to this machine (DNS rebinding) and then reads what the service says; the name gives it away."""
        options = self.options
        if not options.loopback and not options.hosts:
            return None  # it goes by names that are not known here, and nobody is let in without a key
        if is_own_name(options, headers):
            return None
        return "This service does not go by that name. Call it localhost, or name the host in the setting serve_hosts."

    def _other_site(self, scope: Scope, headers: Headers) -> str | None:
        """Browsers say of each request which page it is from; programs say nothing. Other sites may link to the service's page, and nothing else."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin.lower() in self.options.cors:
            scope["pellucid.own_page"] = False  # may call, but with a key
            return None
        detail = "Pages of other sites may not call this service. Name their origins in the setting serve_cors."
        if site is not None and site not in ("same-origin", "none"):
            link = (
                scope["method"] in ("GET", "HEAD")
                and headers.get("sec-fetch-mode") == "navigate"
                and headers.get("sec-fetch-dest") == "document"
            )
            scope["pellucid.own_page"] = False
            return None if link and origin is None and not path_of(scope).startswith("/v1/") else detail
        if site is None and origin is not None and _authority(origin) != headers.get("host", "").lower():
            scope["pellucid.own_page"] = False
            return detail if scope["method"] not in _SAFE else None
        return None


class Body:
    """The body of one request while it comes in."""

    def __init__(self, guard: RequestGuard, scope: Scope, receive: Receive, send: Send) -> None:
        self.guard, self.scope, self.receive, self.send = guard, scope, receive, send
        self.patience, self.most = guard.patience, most_bytes(scope, guard.options)
        self.start, self.size, self.held, self.whole, self.refused = time.monotonic(), 0, 0, False, 0

    async def run(self, headers: Headers) -> None:
        """Answer the request."""
        length = headers.get("content-length", "")
        try:
            if length.isascii() and length.isdecimal() and int(length[:20]) > self.most:
                self.refused = 413
                await answer(self.scope, self.receive, self._told, 413, self._too_large())
            else:
                await self.guard.app(self.scope, self._watched, self._told)
        finally:
            self.guard.held -= self.held

    async def _watched(self) -> Message:
        if self.whole:
            return await self.receive()
        try:
            async with asyncio.timeout(self.patience.idle_s):
                message = await self.receive()
        except TimeoutError:
            raise self._refuse(408, f"No byte of the request's body came for {self.patience.idle_s:g} seconds. Send it again.") from None
        if message["type"] != "http.request":
            self.whole = True
            return message
        self.size, self.whole = self.size + len(message.get("body", b"")), not message.get("more_body", False)
        if self.size > self.most:
            raise self._refuse(413, self._too_large())
        if self.size > SMALL_BYTES:
            self.guard.held, self.held = self.guard.held + self.size - self.held, self.size
        if self.held and self.guard.held > self.guard.most_held:
            raise self._refuse(503, "Too many large requests come in at once. Try again in 5 seconds.", {"Retry-After": "5"})
        seconds = time.monotonic() - self.start
        if not self.whole and seconds > self.patience.grace_s and self.size < seconds * self.patience.bytes_per_s:
            raise self._refuse(408, f"The request's body comes too slowly: {self.size:,} bytes in {seconds:.0f} seconds. Send it again.")
        return message

    def _too_large(self) -> str:
        if self.most < self.guard.options.upload_bytes:
            return f"The request's body is larger than {self.most / 1_000_000:g} MB, the most that is taken here. Send less."
        return f"The request's body is larger than {self.most / 1_000_000:g} MB. Send less, or raise the setting serve_upload_mb."

    def _refuse(self, status: int, detail: str, headers: dict[str, str] | None = None) -> HTTPException:
        self.refused = status
        return HTTPException(status, detail, headers)

    async def _told(self, message: Message) -> None:
        """Send on. Where the body was refused, the connection ends with the answer, once the client had time to read it."""
        if not self.refused:
            await self.send(message)
            return
        if message["type"] == "http.response.start":
            await self.send({**message, "headers": [*message.get("headers", []), (b"connection", b"close")]})
            return
        await self.send({**message, "more_body": True})
        if not message.get("more_body", False):
            if self.refused != 408 and not self.whole:
                await self._drain()
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self.patience.linger_s):
                while (message := await self.receive())["type"] == "http.request" and message.get("more_body", False):
                    pass
        except TimeoutError:
            pass


def most_bytes(scope: Scope, options: ServiceOptions) -> int:
    """How long the body of a request may be, by what it is for."""
    path, kind = path_of(scope), Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    if path == "/v1/session":
        return min(SIGN_IN_BYTES, options.upload_bytes)
    upload = kind == "multipart/form-data" or path in _OWN_READERS
    return options.upload_bytes if upload else min(JSON_BYTES, options.upload_bytes)


def _authority(origin: str) -> str:
    """Host and port of an origin; the scheme is left out, since a proxy in front may speak another one."""
    return origin.lower().partition("://")[2]
