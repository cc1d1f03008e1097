"""The library without a query: its photos in an order, and their shapes."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Query, Request, Response

from preprocess import QueryError

from .access import needs, service_of
from .conditional import answered, holds, known_etags
from .cursor import MOVED, Cursor, short_hash
from .empty_library import NO_STATE, or_nothing
from .photo_order import Direction, Sort, aspects, ordered
from .photo_rows import as_json, photos_of
from .problem import PROBLEMS
from .schemas_search import LayoutGiven, PhotosGiven
from .state import Service

router = APIRouter(prefix="/v1", tags=["photos"])
_NO_ETAG = f'"{NO_STATE}"'

Where: TypeAlias = Annotated[
    str | None,
    Query(max_length=4_000, description="a condition on columns", openapi_examples={"wide": {"value": "width > height"}}),
]
Sorted: TypeAlias = Annotated[Sort, Query(description="photos without a date or score come last")]
Ordered: TypeAlias = Annotated[Direction, Query(description="falling or rising")]


@router.get(
    "/images",
    operation_id="list_images",
    summary="Photos in an order",
    response_model=PhotosGiven,
    responses=PROBLEMS,
    dependencies=[Depends(needs("read"))],
)
async def list_images(
    service: Annotated[Service, Depends(service_of)],
    where: Where = None,
    sort: Sorted = "date",
    order: Ordered = "desc",
    limit: Annotated[int, Query(ge=1, le=1_000, description="photos a page")] = 100,
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before")] = None,
    start: Annotated[
        int | None, Query(ge=0, le=1_000_000_000, description="how many photos to pass over, for access in any order; not with `cursor`")
    ] = None,
) -> Response:
    """Photos in an order, each once however many copies it has: by the date on which they were taken, by name, or by a score."""
    if cursor is not None and start is not None:
        raise QueryError("Give one of cursor and start.")

    def page() -> bytes:
        with service.opened(service.library()) as opened:
            state = short_hash(opened.state)
            found = Cursor.of(cursor, short_hash(["images", where, sort, order]), state)
            at = start if start is not None else found.at
            numbers = ordered(service, opened, where, sort, order)
            some = numbers[at : at + limit].tolist()
            following = Cursor(at + len(some), found.asked, found.state).token() if at + len(some) < len(numbers) else None
            return as_json(
                {
                    "total": len(numbers), "next": following, "state": state, "note": MOVED if found.state != state else None,
                    "photos": photos_of(opened.derived.database, some, where),
                }
            )  # fmt: skip

    nothing = as_json({"total": 0, "next": None, "state": NO_STATE, "note": None, "photos": []})
    return Response(await service.workers.run(or_nothing, page, nothing), media_type="application/json")


@router.get(
    "/layout",
    operation_id="get_layout",
    summary="The shapes of all photos in an order",
    response_model=LayoutGiven,
    responses=PROBLEMS,
    dependencies=[Depends(needs("read"))],
)
async def get_layout(
    request: Request,
    service: Annotated[Service, Depends(service_of)],
    where: Where = None,
    sort: Sorted = "date",
    order: Ordered = "desc",
) -> Response:
    """The shapes of all photos that `GET /v1/images` lists, in the same order: 100,000 take half a megabyte. It has an ETag."""
    known = known_etags(request)

    def layout() -> tuple[bytes | None, str]:
        with service.opened(service.library()) as opened:
            state, database = short_hash(opened.state), opened.derived.database
            etag = f'"{short_hash([state, where, sort, order])}"'

            def made() -> bytes:
                numbers = ordered(service, opened, where, sort, order)
                return as_json({"total": len(numbers), "state": state, "aspects": aspects(database, numbers).tolist()})

            data = service.layouts.get((opened.state, where, sort, order), made)  # a wrong condition is told, whatever the caller knows
            return None if holds(etag, known) else data, etag

    nothing = as_json({"total": 0, "state": NO_STATE, "aspects": []})
    data, etag = await service.workers.run(or_nothing, layout, (None if holds(_NO_ETAG, known) else nothing, _NO_ETAG))
    return answered(data, {"ETag": etag, "Cache-Control": "private, no-cache"}, "application/json")
