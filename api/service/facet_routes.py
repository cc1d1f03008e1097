"""What a library can be filtered by, and where its photos were taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Response

from .access import needs, service_of
from .cursor import MOVED, Cursor, short_hash
from .empty_library import or_nothing
from .facets import NO_FACETS, facets
from .layout_routes import Where
from .photo_order import ordered
from .photo_rows import as_json
from .problem import PROBLEMS
from .schemas_images import FacetsGiven, MapGiven
from .state import Service

if TYPE_CHECKING:
    from numpy.typing import NDArray

router = APIRouter(prefix="/v1", tags=["photos"], dependencies=[Depends(needs("read"))])
_LOCATED = "SELECT vector FROM images WHERE latitude IS NOT NULL AND longitude IS NOT NULL"
_POINT = "SELECT digest, latitude, longitude FROM images WHERE vector = ? AND latitude IS NOT NULL AND longitude IS NOT NULL LIMIT 1"


@router.get("/facets", operation_id="get_facets", summary="What photos can be filtered by", response_model=FacetsGiven, responses=PROBLEMS)
async def get_facets(service: Annotated[Service, Depends(service_of)], where: Where = None) -> Response:
    """Cameras, years, formats, tags, labels of regions, haze and quality of the photos that meet a condition, each with the number of photos."""

    def found() -> bytes:
        with service.opened(service.library()) as opened:
            return as_json(facets(service, opened, where))

    return Response(await service.workers.run(or_nothing, found, as_json(NO_FACETS)), media_type="application/json")


@router.get("/map", operation_id="get_map", summary="Where photos were taken", response_model=MapGiven, responses=PROBLEMS)
async def get_map(
    service: Annotated[Service, Depends(service_of)],
    where: Where = None,
    limit: Annotated[int, Query(ge=1, le=20_000, description="photos a page")] = 5_000,
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before")] = None,
) -> Response:
    """Where photos were taken, the newest first; those without a place are not among them."""

    def page() -> bytes:
        with service.opened(service.library()) as opened:
            state, database = short_hash(opened.state), opened.derived.database
            found = Cursor.of(cursor, short_hash(["map", where]), state)

            def located() -> NDArray[np.int64]:
                numbers = ordered(service, opened, where, "date", "desc")
                return numbers[np.isin(numbers, np.array([number for (number,) in database.execute(_LOCATED)], np.int64))]

            every: NDArray[np.int64] = service.orders.get((opened.state, where, "map"), located)
            some = [database.execute(_POINT, (number,)).fetchone() for number in every[found.at : found.at + limit].tolist()]
            ends = found.at + len(some)
            return as_json(
                {
                    "total": len(every), "next": found.after(len(some)).token() if ends < len(every) else None,
                    "note": MOVED if found.state != state else None, "points": [{"digest": digest, "latitude": north, "longitude": east} for digest, north, east in some],
                }
            )  # fmt: skip

    nothing = as_json({"total": 0, "next": None, "note": None, "points": []})
    return Response(await service.workers.run(or_nothing, page, nothing), media_type="application/json")
