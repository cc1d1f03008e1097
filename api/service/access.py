"""Who calls, and what they may do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from preprocess import PellucidError

from .keys import SCOPES as SCOPES
from .keys import KeyStore
from .keys import Scope as Scope
from .options import ServiceOptions, is_loopback
from .problem import answer
from .rate_limits import RateLimits, Spent, bucket_of
from .state import Service

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as Connection

COOKIE = "pellucid_session"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_LOG = logging.getLogger("pellucid.service")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the name and id of a key, both `local` where none is needed. Names are given anew once their key is revoked, ids never."""

    name: str
    scope: Scope
    id: str

    def may(self, scope: Scope) -> bool:
        """Whether this is within what the caller may do."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


LOCAL = Caller("local", "admin", "local")


def service_of(request: Request) -> Service:
    """The service that answers this request."""
    service: Service = request.app.state.service
    return service


# Neither lets anybody in: `Access` has done that already. They are what the OpenAPI says of a route.
_BEARER = HTTPBearer(scheme_name="key", description="A key from `pellucid keys create`: `Authorization: Bearer plk_...`", auto_error=False)
_SESSION = APIKeyCookie(name=COOKIE, scheme_name="session", description="What `POST /v1/session` sets in a browser", auto_error=False)


def needs(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, who may do what `scope` names."""

    bearer, session = Security(_BEARER, scopes=[scope]), Security(_SESSION, scopes=[scope])

    async def caller(request: Request, _key: Any = bearer, _session: Any = session) -> Caller:
        found: Caller | None = request.scope.get("pellucid.caller")
        if found is None:
            raise HTTPException(401, KEY_NEEDED, {"WWW-Authenticate": "Bearer"})
        if not found.may(scope):
            raise HTTPException(403, f"The key {found.name!r} may {found.scope}, and this needs {scope}. Use a key with that scope.")
        return found

    return caller


KEY_NEEDED = "This needs a key: send the header Authorization: Bearer plk_... Who runs the service makes one: pellucid keys create"
_WRONG = "This key opens nothing here: it is wrong, expired or revoked. Who runs the service makes a new one: pellucid keys create"


class Access:
    """Middleware that finds out who calls, before a byte of the body is read.

    Everything below `/v1/`, and `/metrics`, is closed to those who are nobody, whatever the routes say: a route that forgot to ask is not open. The page itself
    is open, since it is where people give their key, and so is `/v1/session`, which takes it.
    """

    def __init__(self, app: ASGIApp, service: Service, keys: KeyStore, rates: RateLimits) -> None:
        self.app, self.service, self.keys, self.rates = app, service, keys, rates

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Let the request through with its caller, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, path, address = Headers(scope=scope), path_of(scope), address_of(scope)
        try:
            caller, tried = self._caller(scope, headers)
        except PellucidError:
            _LOG.exception("the keys cannot be read; everybody is refused")
            detail = "The service cannot read its keys, so nobody is let in. Its log says why."
            await answer(scope, receive, send, 503, detail, {"Retry-After": "10"})
            return
        if caller is None and not tried and path == "/metrics" and self._may_watch(scope, headers):
            caller = Caller("local", "read", "local")
        if caller is None and tried and path != "/v1/session":
            spent = await self.rates.spend("failed", address)
            status, detail = (401, _WRONG) if spent.allowed else (429, f"Too many wrong keys. Try again in {spent.reset_s} seconds.")
            await answer(scope, receive, send, status, detail, {"WWW-Authenticate": "Bearer"} if status == 401 else spent.headers)
            return
        if caller is None and closed(path):
            await answer(scope, receive, send, 401, KEY_NEEDED, {"WWW-Authenticate": "Bearer"})
            return
        scope["pellucid.caller"] = caller
        if caller is LOCAL or (bucket := bucket_of(path)) is None:
            await self.app(scope, receive, send)
            return
        spent = await self.rates.spend(bucket, caller.name if caller is not None else address)
        if not spent.allowed:
            detail = f"More requests than {spent.limit} a minute. Try again in {spent.reset_s} seconds."
            await answer(scope, receive, send, 429, detail, spent.headers)
            return
        await self.app(scope, receive, _with_headers(send, spent))

    def _caller(self, scope: Connection, headers: Headers) -> tuple[Caller | None, bool]:
        """Who calls, and whether a key was shown. Where there are no keys at all, none is looked at: some programs always send one."""
        held = self.keys.held()
        if not held.keys:
            own = self.service.options.loopback and _from_here(scope, headers) and scope.get("pellucid.own_page", True)
            return (LOCAL if own else None), False
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":  # what is of another kind is for a proxy in front, whose password the browser sends with everything
            key = held.key_of(token.strip())
            return (Caller(key.name, key.scope, key.id) if key is not None else None), True
        if (session := session_of(headers)) is not None:
            key = held.key_of_session(session)
            # A session that has ended is no attempt at guessing: the page shows that a key is needed.
            return (Caller(key.name, key.scope, key.id) if key is not None else None), False
        return None, False

    def _may_watch(self, scope: Connection, headers: Headers) -> bool:
        """Whether somebody without a key may have the counts: a program on this machine, and no page that had its name point here."""
        return _from_here(scope, headers) and scope.get("pellucid.own_page", True) and is_own_name(self.service.options, headers)


def session_of(headers: Headers) -> str | None:
    """The secret of the browser's session, if it sent one."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE)  # not `SimpleCookie`: for one odd cookie it drops them all


def path_of(scope: Connection) -> str:
    """The path of a request below the service's own."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def host_of(value: str) -> str:
    """The host without its port, as the header `Host` has it; empty where it is none."""
    try:
        return (urlsplit(f"//{value}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_own_name(options: ServiceOptions, headers: Headers) -> bool:
    """Whether a request calls the service by a name that is known to be its own."""
    return host_of(headers.get("host", "")) in {"localhost", "127.0.0.1", "::1", options.host.strip("[]").lower(), *options.hosts}


def address_of(scope: Connection) -> str:
    """Who to count unknown requests for: an IPv4 address, or the network of an IPv6 one, which is one household."""
    host = str((scope.get("client") or ("unknown", 0))[0])
    return ":".join(host.split(":")[:4]) if ":" in host else host


def closed(path: str) -> bool:
    """Whether a path needs a caller who is somebody."""
    return (path.startswith("/v1/") and path != "/v1/session") or path in ("/v1", "/metrics")


def _from_here(scope: Connection, headers: Headers) -> bool:
    """Whether the request comes from this machine itself, and not through a proxy on it, which would bring in everybody."""
    client = scope.get("client")
    return client is not None and is_loopback(str(client[0])) and not any(name in headers for name in _FORWARDED)


def _with_headers(send: Send, spent: Spent) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", []),
                *((k.lower().encode(), v.encode()) for k, v in spent.headers.items() if k != "Retry-After"),
            ]
        await send(message)

    return wrapped


__all__ = [
    "COOKIE", "LOCAL", "SCOPES", "Access", "Caller", "Scope", "closed", "host_of", "is_own_name", "needs", "path_of", "service_of", "session_of",
]  # fmt: skip
