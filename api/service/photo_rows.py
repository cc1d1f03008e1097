"""Rows of photos in an open cache, as answers give them: one of each photo, though copies lie in several places."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from search import IMAGE_COLUMNS, Hit, RegionHit, marks_of, row_statement

_NAMES = tuple(column.name for column in IMAGE_COLUMNS)
_COLUMNS = ", ".join(f'images."{name}"' for name in _NAMES)
_APART = frozenset({"digest", "root", "path", "width", "height", "taken_at"})


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a photo, and what was known of it when it was indexed."""

    root: str
    path: str
    format: str
    byte_size: int
    modified_ns: int
    dehazed: str | None
    size_wh: tuple[int, int]


def places_of(database: sqlite3.Connection, digest: str) -> list[Place]:
    """Where the photo lies, by root and path; nothing where the library has no such photo."""
    found = database.execute(
        "SELECT root, path, format, byte_size, modified_ns, dehazed, width, height FROM images WHERE digest = ? ORDER BY root, path",
        (digest,),
    )
    return [Place(root, path, kind or "", size or 0, at or 0, dehazed, (wide or 0, high or 0))
            for root, path, kind, size, at, dehazed, wide, high in found]  # fmt: skip


def number_of(database: sqlite3.Connection, digest: str) -> int | None:
    """The number of a photo's vector; none where the library has no such photo, or no vector of it yet."""
    row = database.execute("SELECT vector FROM images WHERE digest = ? LIMIT 1", (digest,)).fetchone()
    return None if row is None else int(row[0])


def photos_of(database: sqlite3.Connection, numbers: Iterable[int], where: str | None = None) -> list[dict[str, Any]]:
    """Photos by the numbers of their vectors, in that order, with scores and tags among their facts; each at its first place for which the condition holds."""
    statement = row_statement(_COLUMNS, where)
    found = []
    for number in numbers:
        rows = [dict(zip(_NAMES, row, strict=True)) for row in database.execute(statement, (number,))]
        if rows:
            found.append(min(rows, key=lambda row: (row["root"], row["path"])))
    marks = marks_of(database, [row["digest"] for row in found])
    for row in found:
        own = marks.get(row["digest"])
        if own is not None:
            row |= {name: round(own.scores[name], 4) for name in ("quality", "rating") if name in own.scores}
            if own.tags:
                row["tags"] = [tag for tag, _ in own.tags]
    return [photo_given(row) for row in found]


def photo_given(columns: dict[str, Any]) -> dict[str, Any]:
    """The fields of `PhotoGiven`, from a row."""
    facts = {name: value for name, value in columns.items() if value is not None and name not in _APART}
    return {"digest": columns["digest"], "root": columns["root"], "path": columns["path"], "width": columns["width"] or 0,
            "height": columns["height"] or 0, "taken_at": columns["taken_at"], "facts": facts}  # fmt: skip


def hit_given(hit: Hit) -> dict[str, Any]:
    """The fields of `HitGiven`."""
    return photo_given(hit.columns) | {
        "similarity": round(hit.similarity, 6), "z": round(hit.z, 3), "probability": round(hit.probability, 4), "verdict": hit.verdict,
        "enhancer": hit.enhancer, "matched": hit.matched, "region": hit.region and region_hit_given(hit.region), "also": list(hit.also),
    }  # fmt: skip


def region_hit_given(region: RegionHit) -> dict[str, Any]:
    """The fields of `RegionHitGiven`."""
    return region.as_dict()


def as_json(value: Any) -> bytes:
    """What an answer says, as JSON. Answers are plain values already; made into models first, a page of 500 photos would take several times as long.

    A number that is not finite, which a camera may have written and JSON cannot say, is null.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
