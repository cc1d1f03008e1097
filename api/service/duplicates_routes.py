"""`GET /v1/duplicates`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response

from ..duplicates import likeness_words, notes_of
from .access import needs, service_of
from .cursor import MOVED, Cursor, short_hash
from .duplicates_finder import AGAIN_S
from .empty_library import or_nothing
from .layout_routes import Where
from .photo_rows import as_json
from .problem import PROBLEMS
from .schemas_images import DuplicatesGiven
from .state import Service

if TYPE_CHECKING:
    from search import DuplicateGroup

    from .duplicates_finder import Comparison, Found

router = APIRouter(prefix="/v1", tags=["photos"], dependencies=[Depends(needs("read"))])
PATIENCE_S = 1.0
"""How long a request waits for a comparison that has begun; small libraries are through by then."""


@router.get(
    "/duplicates",
    operation_id="get_duplicates",
    summary="Photos that are the same or nearly so",
    response_model=DuplicatesGiven,
    responses=PROBLEMS,
)
async def get_duplicates(
    service: Annotated[Service, Depends(service_of)],
    kind: Annotated[
        Literal["exact", "near", "burst"] | None,
        Query(description="the same bytes, edited copies, or frames of a burst; unset: all three"),
    ] = None,
    where: Where = None,
    limit: Annotated[int, Query(ge=1, le=500, description="groups a page")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before")] = None,
) -> Response:
    """Groups of photos that are the same or nearly so, those with most spare bytes first; the first frame of a group is its best. Nothing is ever deleted.

    A large library is compared in the background, once for each of its states. Until that is done, `comparing` says how far it is, and there are no groups: ask
    again after the seconds of the header Retry-After.
    """
    begins = await service.workers.run(or_nothing, lambda: service.duplicates.comparison(where), None)
    if begins is None:
        nothing: dict[str, Any] = {"total": 0, "next": None, "spare_bytes": 0, "groups": [], "notes": [], "comparing": None}
        return Response(as_json(nothing), media_type="application/json")
    comparison, of_state = begins
    state = short_hash(of_state)
    begun = Cursor.of(cursor, short_hash(["duplicates", kind, where]), state)
    waiting = asyncio.wrap_future(comparison.future)
    waiting.add_done_callback(_looked_at)
    await asyncio.wait([waiting], timeout=PATIENCE_S)
    found = _found(comparison)
    if found is None:
        progress: dict[str, Any] = {"stage": "comparing", "done": comparison.done, "total": comparison.total or None, "eta_s": None}
        body: dict[str, Any] = {"total": 0, "next": None, "spare_bytes": 0, "groups": [], "notes": [], "comparing": progress}
        return Response(as_json(body), headers={"Retry-After": str(AGAIN_S)}, media_type="application/json")
    return Response(await service.workers.run(_page, found, kind, begun, limit, begun.state != state), media_type="application/json")


def _looked_at(future: asyncio.Future[Found]) -> None:
    """What failed is told to who asks; asyncio need not log that nobody looked."""
    if not future.cancelled():
        future.exception()


def _found(comparison: Comparison) -> Found | None:
    """What a comparison found; nothing where it is not through, or was given up because the library has changed: the next request begins the next one."""
    if not comparison.future.done():
        return None
    try:
        return comparison.future.result()
    except CancelledError:
        return None


def _page(found: Found, kind: str | None, cursor: Cursor, limit: int, moved: bool) -> bytes:
    groups = [group for group in found.duplicates.groups if kind in (None, group.kind)]
    some = groups[cursor.at : cursor.at + limit]
    ends = cursor.at + len(some)
    notes = notes_of(found.duplicates, found.missing) + ([MOVED] if moved else [])
    return as_json(
        {
            "total": len(groups), "next": cursor.after(len(some)).token() if ends < len(groups) else None, "spare_bytes": _spare(found, groups, kind),
            "groups": [_group(group) for group in some], "notes": notes, "comparing": None,
        }
    )  # fmt: skip


def _spare(found: Found, groups: Sequence[DuplicateGroup], kind: str | None) -> int:
    """Bytes of the files that are the best of no group."""
    if kind is None:
        return sum(found.spare_bytes.values())
    from search import spare_files

    return sum(spare_files(groups).values())


def _group(group: DuplicateGroup) -> dict[str, Any]:
    frames = [
        {
            "digest": frame.digest, "root": frame.root, "path": frame.path, "width": frame.width, "height": frame.height, "taken_at": frame.taken_at,
            "facts": {"camera": frame.camera} if frame.camera else {}, "byte_size": frame.byte_size,
            "likeness": "the best" if at == 0 else likeness_words(like, group.kind),
        }
        for at, (frame, like) in enumerate(zip(group.frames, group.likeness, strict=True))
    ]  # fmt: skip
    return {"kind": group.kind, "reason": group.reason, "spare_bytes": group.spare_bytes, "frames": frames}
