"""One photo: what is known of it, its thumbnail and preview, and its file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from .access import needs, service_of
from .conditional import answered, holds, known_etags, unchanged
from .file_response import OriginalResponse
from .image_facts import image_facts
from .original_file import OriginalFile, open_original
from .photo_rows import places_of
from .pictures import PREVIEW_SIDE, PictureAsked, kind_of, picture
from .problem import PROBLEMS
from .schemas import Digest
from .schemas_images import ImageGiven
from .state import Service

router = APIRouter(prefix="/v1/images/{digest}", tags=["photos"], dependencies=[Depends(needs("read"))])
Serving = Annotated[Service, Depends(service_of)]

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture", "content": {"image/jpeg": _BYTES, "image/webp": _BYTES}},
    304: {"description": "The caller has it already"},
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file", "content": {"image/*": _BYTES, "application/octet-stream": _BYTES}},
    206: {"description": "The part of it that was asked for", "content": {"image/*": _BYTES, "application/octet-stream": _BYTES}},
    304: {"description": "The caller has it already"},
}


@router.get("", operation_id="get_image", summary="All that is known of a photo", responses=PROBLEMS)
async def get_image(digest: Digest, service: Serving) -> ImageGiven:
    """All that is known of a photo, and the photos that are most similar to it."""
    found = await service.workers.run(image_facts, service, digest)
    if found is None:
        raise HTTPException(404, f"The library has no photo with the digest {digest}.")
    return found


@router.get(
    "/thumbnail",
    operation_id="get_thumbnail",
    summary="A small picture of a photo",
    response_class=Response,
    responses={**_PICTURES, **PROBLEMS},
)
async def get_thumbnail(
    digest: Digest,
    request: Request,
    service: Serving,
    size: Annotated[Literal["160", "320", "640"], Query(description="pixels of its long side")] = "320",
) -> Response:
    """A small picture of the photo: WebP for those who accept it, else JPEG. It is made when it is first asked for."""
    return await _picture(request, service, PictureAsked(digest, int(size), kind_of(request.headers.get("accept"))))


@router.get(
    "/preview",
    operation_id="get_preview",
    summary="A picture of a photo that fills a screen",
    response_class=Response,
    responses={**_PICTURES, **PROBLEMS},
)
async def get_preview(
    digest: Digest,
    request: Request,
    service: Serving,
    enhancer: Annotated[Literal["none", "dehazed"], Query(description="the photo as it is, or its dehazed version if it has one")] = "none",
) -> Response:
    """The photo with a long side of at most 2,048 pixels, in a format that browsers show, whatever its own is. Boxes of regions are in pixels of the whole photo."""
    asked = PictureAsked(digest, PREVIEW_SIDE, kind_of(request.headers.get("accept")), enhancer == "dehazed")
    return await _picture(request, service, asked)


async def _picture(request: Request, service: Service, asked: PictureAsked) -> Response:
    data = await service.workers.run(picture, service, asked, known_etags(request))
    headers = {
        "ETag": asked.etag, "Cache-Control": "private, max-age=86400", "Vary": "Accept", "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }  # fmt: skip
    return answered(data, headers, asked.media_type)


@router.get("/file", operation_id="get_file", summary="The original", response_class=Response, responses={**_FILE, **PROBLEMS})
async def get_file(digest: Digest, request: Request, service: Serving) -> Response:
    """The original as it is, whole or in part (Range). A file that has changed since it was indexed, or that is gone, is never given for the photo that it was."""
    etag, known = f'"{digest}"', known_etags(request)

    def opened_file() -> OriginalFile | None:
        library = service.library()
        with service.opened(library) as opened:
            places = places_of(opened.derived.database, digest)
        if places and holds(etag, known):
            return None
        return open_original(library.file.roots, places, digest)

    file = await service.workers.run(opened_file)
    if file is None:
        return unchanged({"ETag": etag, "Cache-Control": "private, max-age=3600"})
    return OriginalResponse(file, etag, request.headers.get("range"), request.headers.get("if-range"))
