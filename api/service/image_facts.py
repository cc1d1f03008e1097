"""All that is known of one photo."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from search import Annotated, Store, marks_of

from ..scoring import NOTE
from .neighbours import neighbours_of
from .original_file import is_there
from .outlines import outlines
from .photo_rows import number_of, photos_of, places_of
from .schemas_images import ImageGiven, PlaceGiven, RegionGiven, TagGiven

if TYPE_CHECKING:
    from .state import Service

_REGIONS = "SELECT number, maker, label, confidence, area, x1, y1, x2, y2 FROM regions WHERE photo = ? ORDER BY number"


def image_facts(service: Service, digest: str) -> ImageGiven | None:
    """Facts, places, tags, scores, regions with their outlines, and the most similar photos; none where the library has no such photo."""
    library = service.library()
    with service.opened(library) as opened:
        database = opened.derived.database
        number = number_of(database, digest)
        if number is None:
            return None
        (photo,) = photos_of(database, [number])
        places, rejected = places_of(database, digest), _rejected(database, digest)
        marks = marks_of(database, [digest]).get(digest)
        drawn = database.execute(_REGIONS, (number,)).fetchall()
        found = neighbours_of(opened.derived, library, service.encoder(library), number)
    store = Store(library)
    scores = {axis: round(value, 4) for axis, value in marks.scores.items()} if marks is not None else {}
    roots = library.file.roots
    return ImageGiven.model_validate(photo | {
        "places": [PlaceGiven(root=place.root, path=place.path, there=is_there(roots, place)) for place in places],
        "tags": _tags(store, digest), "rejected": rejected, "scores": scores, "score_note": NOTE if scores else None,
        "regions": _regions(store, drawn, digest, (photo["width"], photo["height"])), "dehazed": places[0].dehazed, "neighbours": found,
    })  # fmt: skip


def _rejected(database: sqlite3.Connection, digest: str) -> list[str]:
    rows = database.execute(
        "SELECT name FROM marks.photos JOIN marks.said USING (photo) JOIN marks.names USING (tag) WHERE digest = ? AND NOT confirmed ORDER BY name",
        (digest,),
    )
    return [str(name) for (name,) in rows]


def _tags(store: Store, digest: str) -> list[TagGiven]:
    return [
        TagGiven(
            tag=tag.tag, precision=round(tag.precision, 4), similarity=tag.similarity, z=tag.z, region=tag.region, run=tag.run or None,
            human=tag.human,
        )
        for tag in store.marks.tags({digest}).get(digest, ())
    ]  # fmt: skip


def _regions(store: Store, drawn: list[tuple[Any, ...]], digest: str, size_wh: tuple[int, int]) -> list[RegionGiven]:
    """The regions that the cache names, with the outlines of their masks, which only the store has."""
    if not drawn:
        return []
    current = Annotated(drawn[0][1], drawn[-1][0] + 1)
    regions = store.regions.regions({digest}, current={digest: current}).get(digest, ())
    masks = [region.mask for region in regions] if len(regions) == len(drawn) else [None] * len(drawn)
    return [
        RegionGiven(
            number=number, label=label, box_xyxy=(x1, y1, x2, y2), confidence=round(confidence, 4), area=round(area or 0.0, 6), maker=maker,
            human=current.human, polygons=outlines(mask, size_wh),
        )
        for (number, maker, label, confidence, area, x1, y1, x2, y2), mask in zip(drawn, masks, strict=True)
    ]  # fmt: skip
