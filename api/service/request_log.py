"""One line in the log for each request, under the id that its answer has.

Neither the address nor the query nor the body is in it, since those are what somebody looks for, or the name of a photo: only the route's template.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect

from .problem import answer, template_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .metrics import Metrics

REQUEST_ID: ContextVar[str] = ContextVar("pellucid_request_id", default="-")
"""The id of the request that is being worked on, in its threads too."""
LEFT = 499
"""What stands in the log and the counts for a client that left before its request was whole. It is no answer; proxies call it so too."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SANE = re.compile(r"[A-Za-z0-9._-]{8,64}")
_ACCESS = logging.getLogger("pellucid.access")
_LOG = logging.getLogger("pellucid.service")


class WithRequestId(logging.Filter):
    """Gives each record `request_id`, for the format of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        record.request_id = REQUEST_ID.get()
        return True


class RequestLog:
    """Middleware that names, times, counts and logs requests, and answers those that failed in a way that nobody thought of."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; say what came of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _SANE.fullmatch(sent) else uuid.uuid4().hex
        scope["pellucid.request_id"] = request_id
        token = REQUEST_ID.set(request_id)
        start, status, size = time.perf_counter(), 0, 0

        async def wrapped(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, wrapped)
        except ClientDisconnect:
            status = status or LEFT  # nobody is there to be told, and nothing went wrong here
        except Exception:
            if status:
                raise  # an answer has begun; the server logs this and cuts it off, so that nobody takes it for whole
            _LOG.exception("a request failed")
            detail = f"Something went wrong that should not. The log has it under {request_id}."
            await answer(scope, receive, wrapped, 500, detail)
        finally:
            seconds = time.perf_counter() - start
            template, method = template_of(scope), scope["method"] if scope["method"] in METHODS else "OTHER"
            self.metrics.count(method, template, status, seconds)
            caller = scope.get("pellucid.caller")
            name = caller.name if caller is not None else "nobody"
            _ACCESS.info("%s %s %d %.1f ms %d bytes %s", method, template, status, seconds * 1_000, size, name)
            REQUEST_ID.reset(token)
