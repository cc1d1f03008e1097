"""The page that people look at: one HTML file and its assets, built from `api/web` and part of this package."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import PurePosixPath

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

router = APIRouter(include_in_schema=False)

VIEWS = ("photo", "review", "runs", "duplicates", "map", "jobs", "library")
"""First parts of the addresses that the page itself understands."""
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
    ".json": "application/json", ".png": "image/png", ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
"""Of what the page is made of. The system's own table differs from machine to machine."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, as it is and as gzip has it, with its type and an entity tag."""

    body: bytes
    small: bytes | None
    type: str
    etag: str


@cache
def built() -> dict[str, Asset]:
    """All files that a browser may ask for, by their path in the folder of what was built; none where nothing was built. They are read once."""
    folder = files("api").joinpath("web", "dist")
    found = {"assets/": folder.joinpath("assets"), "": folder}
    return {
        place + file.name: _asset(file.read_bytes(), TYPES[PurePosixPath(file.name).suffix])
        for place, inner in found.items()
        if inner.is_dir()
        for file in inner.iterdir()
        if PurePosixPath(file.name).suffix in TYPES
    }


def _asset(body: bytes, kind: str) -> Asset:
    small = gzip.compress(body, 9, mtime=0) if not kind.startswith("image/png") and len(body) > 1_000 else None
    return Asset(body, small, kind, f'W/"{sha256(body).hexdigest()[:32]}"')


def _answer(request: Request, given: Asset, cache: str) -> Response:
    shrunk = given.small is not None and "gzip" in request.headers.get("accept-encoding", "")
    headers = {"Cache-Control": cache, "ETag": given.etag, "Vary": "Accept-Encoding"}
    if given.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if shrunk and given.small is not None:
        return Response(given.small, headers={**headers, "Content-Encoding": "gzip"}, media_type=given.type)
    return Response(given.body, headers=headers, media_type=given.type)


@router.get("/assets/{name}", operation_id="page_asset")
async def page_asset(request: Request, name: str) -> Response:
    """A part of the page. Its name changes with what it holds, so it may be kept for good."""
    found = built().get(f"assets/{name}")
    if found is None:
        raise HTTPException(404, f"The page has no part named {name!r}. Load the page again: it may be of another version.")
    return _answer(request, found, "public, max-age=31536000, immutable")


@router.get("/favicon.svg", operation_id="page_icon")
async def page_icon(request: Request) -> Response:
    """The page's icon."""
    found = built().get("favicon.svg")
    if found is None:
        raise HTTPException(404, "The page has no icon.")
    return _answer(request, found, "public, max-age=86400")


async def page(request: Request) -> Response:
    """The page. What it shows, its own address says; its parts lie below the path under which a proxy shows the service."""
    found = built().get("index.html")
    if found is None:
        raise HTTPException(
            503, "The page is not part of this installation. Install the wheel, or build it: cd api/web && npm ci && npm run build"
        )
    root = escape(request.scope.get("root_path", ""), quote=True)
    return _answer(request, _asset(found.body.replace(b'"./', f'"{root}/'.encode()), found.type), "no-cache")


for _address in ("/", *(f"/{view}" for view in VIEWS), *(f"/{view}/{{rest:path}}" for view in VIEWS)):
    router.add_api_route(_address, page, methods=["GET", "HEAD"])
