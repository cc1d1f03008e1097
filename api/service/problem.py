"""Errors as RFC 9457 has them, from the one table of errors."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from preprocess import PellucidError

from ..errors import codes
from .schemas import Problem
from .workers import Overloaded

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
TYPES = "/problems/"
MOST_FAULTS = 50
"""Of a malformed request, as the answer lists them."""
_LOG = logging.getLogger("pellucid.service")

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request cannot be answered; `detail` says why and what to do"},
    "5XX": {"model": Problem, "description": "The service could not answer"},
}
"""For `responses=` of routes."""


def problem(
    request: Request, status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, errors: Any = ()
) -> JSONResponse:
    """The answer that says what went wrong."""
    kind = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    body = Problem(type=TYPES + kind, title=title, status=status, detail=detail, instance=request_id(request), errors=list(errors))
    return JSONResponse(body.model_dump(), status, headers, media_type=MEDIA_TYPE)


async def answer(scope: Scope, receive: Receive, send: Send, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
    """The same from middleware, which stands before the application."""
    await problem(Request(scope), status, _PHRASES.get(status, "Refused"), detail, headers=headers)(scope, receive, send)


def template_of(scope: Scope) -> str:
    """The route of a request without what stands in it, such as `/v1/images/{digest}`; `-` where there is none."""
    route = scope.get("route")
    return str(getattr(route, "path_format", None) or getattr(route, "path", None) or "-")


def request_id(request: Request) -> str:
    """The id of a request, as the log and the answer's header have it."""
    return str(request.scope.get("pellucid.request_id", ""))


def without_library(detail: str, library: Path) -> str:
    """A message as those may read it who need not know where on the machine the library lies."""
    place = str(library.expanduser().absolute())
    if place != library.anchor:
        detail = re.sub(re.escape(place) + r"(?![\w-]|\.\w)", "the library", detail)
    return detail[:1].upper() + detail[1:] if detail.startswith("the library") else detail


def title_of(error: type[BaseException]) -> str:
    """The kind of an error in words: `Query error`, `Library not found`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", error.__name__)
    return words[:1].upper() + words[1:].lower()


def methods_of(app: FastAPI, template: str) -> set[str]:
    """The methods that all routes of a path take together."""
    return {method for route in iter_route_contexts(app.routes) if route.path == template for method in route.methods or ()}


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        caller, detail = request.scope.get("pellucid.caller"), str(error)
        if caller is None or not caller.may("admin"):
            detail = without_library(detail, app.state.service.settings.library)
        return problem(request, codes(type(error))[1] if isinstance(error, PellucidError) else 500, title_of(type(error)), detail)

    async def overloaded(request: Request, error: Exception) -> JSONResponse:
        retry = error.retry_s if isinstance(error, Overloaded) else 1
        return problem(request, 503, "Overloaded", str(error), headers={"Retry-After": str(retry)})

    async def refused(request: Request, error: Exception) -> JSONResponse:
        status, detail, headers = (error.status_code, error.detail, error.headers) if isinstance(error, HTTPException) else (500, "", None)
        told = dict(headers or {})
        if status == 405 and (methods := methods_of(app, template_of(request.scope))):
            told["Allow"] = ", ".join(sorted(methods))  # of all its routes, not only of the first
        return problem(request, status, _PHRASES.get(status, "Refused"), str(detail), headers=told)

    async def malformed(request: Request, error: Exception) -> JSONResponse:
        found = error.errors()[:MOST_FAULTS] if isinstance(error, RequestValidationError) else []
        faults = [{"field": ".".join(str(part) for part in fault["loc"]), "message": fault["msg"]} for fault in found]
        detail = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:5])
        return problem(request, 422, "Malformed request", f"The request has another form than this needs. {detail}", errors=faults)

    async def unknown(request: Request, error: Exception) -> JSONResponse:
        _LOG.error("request %s failed", request_id(request), exc_info=error)
        return problem(request, 500, "Internal error", f"Something went wrong that should not. The log has it under {request_id(request)}.")

    app.add_exception_handler(PellucidError, known)
    app.add_exception_handler(Overloaded, overloaded)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(Exception, unknown)


_PHRASES = {401: "Key needed", 403: "Not allowed", 404: "Not found", 405: "Method not allowed", 408: "Too slow", 409: "Conflict", 411: "Length needed", 412: "Precondition failed",
            413: "Too large", 415: "Unsupported media type", 416: "Range not satisfiable", 421: "Wrong host", 422: "Malformed request", 429: "Too many requests",
            431: "Headers too large", 500: "Internal error", 501: "Not installed", 503: "Unavailable", 507: "Storage full"}  # fmt: skip
