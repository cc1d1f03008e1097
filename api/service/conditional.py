"""Answers that a caller may have already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastapi import Request


def known_etags(request: Request) -> frozenset[str]:
    """Those that the caller has, by its header If-None-Match; `*` stands for any.

    Weak and strong ones are compared alike, as RFC 9110 has it for this header.
    """
    header = ",".join(request.headers.getlist("if-none-match"))
    return frozenset(tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip())


def unchanged(headers: dict[str, str]) -> Response:
    """304, with the headers that the whole answer would have."""
    return Response(None, 304, headers)


def answered(data: bytes | None, headers: dict[str, str], media_type: str) -> Response:
    """The whole answer, or 304 where there is none to be sent."""
    return unchanged(headers) if data is None else Response(data, 200, headers, media_type)


def holds(etag: str, known: Collection[str]) -> bool:
    """Whether the caller has it."""
    return etag in known or "*" in known
