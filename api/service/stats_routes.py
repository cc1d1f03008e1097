"""What the library holds, and what this service may do: the first thing that a page asks."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query

from preprocess import LibraryNotFound

from .access import SCOPES, Caller, needs, service_of
from .problem import PROBLEMS
from .schemas_images import StatsGiven
from .state import Service

if TYPE_CHECKING:
    from search import Library

router = APIRouter(prefix="/v1", tags=["photos"], responses=PROBLEMS)


@router.get("/stats", operation_id="get_stats", summary="What the library holds")
async def get_stats(
    service: Annotated[Service, Depends(service_of)],
    caller: Annotated[Caller, Depends(needs("read"))],
    full: Annotated[bool, Query(description="with all facts that `pellucid stats` says, which takes longer")] = False,
) -> StatsGiven:
    """Counts, and what the service may do for the caller. A library that is not there yet holds nothing."""
    return await service.workers.run(stats, service, caller, full)


def stats(service: Service, caller: Caller, full: bool) -> StatsGiven:
    """The answer; it blocks."""
    counted, facts = _NOTHING, None
    try:
        library = service.library()
    except LibraryNotFound:
        library = None
    if library is not None:
        counted = counts(service, library)
        if full:
            from ..health import library_stats

            facts = library_stats(library)
    options = service.options
    roots = [str(root) for root in options.roots] or list(library.file.roots if library is not None else ())
    return StatsGiven(
        **counted, version=version("pellucid"), scopes=[scope for scope in SCOPES if caller.may(scope)], fetches_urls=options.fetch_urls,
        upload_bytes=options.upload_bytes, allowed_roots=roots if caller.may("admin") else [],
        library=str(library.folder) if library is not None and caller.may("admin") else None, facts=facts,
    )  # fmt: skip


_NOTHING: dict[str, Any] = {"photos": 0, "roots": {}, "failures": 0, "encoder": None, "regions": None, "dehaze": None, "tag_runs": 0}


def counts(service: Service, library: Library) -> dict[str, Any]:
    """Counts of one state of the library: of photos from the cache, since a store of 100,000 is not read for them; of the rest from small tables."""
    file = library.file
    current = file.recipes.get(file.current) if file.current else None
    facts = service.facets.get(("stats", library.stamp(), library.marks_stamp()), lambda: _counted(service, library))
    encoder = None if current is None else str(current["encoder"])
    return {**facts, "encoder": encoder, "regions": file.regions, "dehaze": file.dehaze}


def _counted(service: Service, library: Library) -> dict[str, Any]:
    found: dict[str, int] = {}
    if library.file.current is not None:
        with service.derived(library) as derived:
            found = dict(derived.database.execute("SELECT root, count(*) FROM images GROUP BY root").fetchall())
    store = service.store()
    roots = dict.fromkeys(library.file.roots, 0) | found
    return {"photos": sum(found.values()), "roots": roots, "failures": len(store.failures()), "tag_runs": len(store.marks.runs())}
