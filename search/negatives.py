"""`without:people`: leave out photos in which there is evidence of something, a region with that label or a tag."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from preprocess import QueryError

from .phrases import plural
from .vocabulary import tag_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PEOPLE = (
    "person", "persons", "people", "man", "woman", "boy", "girl", "child", "baby", "human", "pedestrian", "bicyclist", "rider", "crowd", "face", "portrait",
)  # fmt: skip
_VEHICLES = ("vehicle", "car", "automobile", "truck", "bus", "van", "motorcycle", "motorbike", "bicycle", "train", "tram", "boat", "ship",
    "ferry", "airplane", "aeroplane", "aircraft", "helicopter", "tractor", "lorry", "taxi", "scooter", "caravan")  # fmt: skip
_ANIMALS = ("animal", "pet", "dog", "cat", "bird", "horse", "cow", "sheep", "goat", "pig", "elephant", "bear", "zebra", "giraffe",
    "lion", "tiger", "fox", "wolf", "deer", "rabbit", "monkey", "fish", "insect", "butterfly", "duck", "chicken", "snake", "frog", "turtle")  # fmt: skip
EVIDENCE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("person", "people", "human", "human being", "somebody", "someone", "anyone"), _PEOPLE),
    **dict.fromkeys(("vehicle",), _VEHICLES),
    **dict.fromkeys(("animal",), _ANIMALS),
    **dict.fromkeys(("car", "automobile"), ("car", "automobile")),
    **dict.fromkeys(("bicycle", "bike", "cycle"), ("bicycle", "bike", "bicyclist")),
    **dict.fromkeys(("motorcycle", "motorbike"), ("motorcycle", "motorbike")),
    **dict.fromkeys(("airplane", "aeroplane", "plane", "aircraft"), ("airplane", "aeroplane", "aircraft")),
    **dict.fromkeys(("dog", "puppy"), ("dog", "puppy", "pet")),
    **dict.fromkeys(("cat", "kitten"), ("cat", "kitten", "pet")),
    **dict.fromkeys(("pet",), ("pet", "dog", "cat")),
    **dict.fromkeys(("child", "kid"), ("child", "kid", "boy", "girl", "baby")),
    **dict.fromkeys(("sofa", "couch"), ("sofa", "couch")),
    **dict.fromkeys(("tv", "television", "tvmonitor", "screen"), ("tv", "television", "tvmonitor", "tv monitor")),
    **dict.fromkeys(("phone", "mobile phone", "cell phone"), ("phone", "mobile phone", "cell phone")),
    **dict.fromkeys(("plant", "potted plant"), ("plant", "potted plant", "pottedplant")),
    **dict.fromkeys(("table", "dining table"), ("table", "dining table", "diningtable")),
    **dict.fromkeys(("building", "house"), ("building", "house", "skyscraper")),
}
"""Which labels and tags are evidence of a thing, by its name in the singular. To leave out for certain is what `without:` is for, so a label that may be the thing counts: a
segmenter that knows only pets says so of dogs. A word that is not here is evidence of itself."""
_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Excluded:
    """Row numbers of the photos that show it, ascending, Int64["photo"]; and a `note` where the library has nothing of that name."""

    photos: NDArray[np.int64]
    note: str | None = None


def evidence_of(words: str) -> tuple[str, ...]:
    """The names that are evidence of a thing, singular and plural, as tags are compared.

    >>> evidence_of("Dogs")
    ('dog', 'dogs', 'pet', 'pets', 'puppies', 'puppy')

    Raises:
        QueryError: there are no words.
    """
    key = tag_key(words)
    if not key:
        raise QueryError("without: says nothing. Example: pellucid search 'a beach' without:people")
    known = [names for name, names in EVIDENCE.items() if key in (name, plural(name))]
    names = {name for found in known for name in found} or {key, *_singulars(key)}
    return tuple(sorted(names | {plural(name) for name in names if not (name == key and plural(_singulars(key)[-1]) == key)}))


def _singulars(key: str) -> tuple[str, ...]:
    """What a word may be the plural of, itself if of nothing."""
    found = tuple(
        one
        for ending, instead in (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""), ("men", "man"))
        if (one := re.sub(f"{ending}$", instead, key)) != key and len(one) > 2 and plural(one) == key
    )
    return found or (key,)


def excluded(database: sqlite3.Connection, without: Sequence[str]) -> Excluded:
    """The photos of an open cache in which there is evidence of any of these things.

    Raises:
        QueryError: the library has neither regions nor tags, so that nothing could be told.
    """
    import numpy as np

    marked = any(name == "marks" for _, name, _ in database.execute("PRAGMA database_list"))
    tagged = marked and database.execute("SELECT 1 FROM marks.tagged LIMIT 1").fetchone() is not None
    if not tagged and database.execute("SELECT 1 FROM regions LIMIT 1").fetchone() is None:
        raise QueryError(
            f"without:{without[0]} needs evidence, and the library has neither regions nor tags. Find regions: pellucid index --regions builtin; "
            f"or tag the photos: pellucid tag. To turn away from it instead, write -{without[0]}"
        )
    photos: set[int] = set()
    labels = [str(row[0]) for row in database.execute("SELECT DISTINCT label FROM regions ORDER BY label")]
    unknown = []
    for words in without:
        names = evidence_of(words)
        marks = ", ".join("?" * len(names))
        same = [label for label in labels if tag_key(label) in names]  # as tags are compared: "traffic_light" is a traffic light
        found = database.execute(f"SELECT DISTINCT photo FROM regions WHERE label IN ({', '.join('?' * len(same))})", same).fetchall()  # noqa: S608
        if tagged:
            found += database.execute(
                "SELECT DISTINCT images.vector FROM marks.names JOIN marks.tagged USING (tag) JOIN marks.photos USING (photo)"  # noqa: S608 (only question marks)
                f" JOIN images ON images.digest = photos.digest WHERE names.key IN ({marks})",
                names,
            ).fetchall()
        photos.update(row[0] for row in found if row[0] is not None)
        if not found:
            unknown.append(words)
    note = None
    if unknown:
        here = f" Labels of regions here: {', '.join(labels[:_SHOWN])}." if labels else ""
        note = f"No region or tag says {unknown[0]!r}, so without:{unknown[0]} leaves nothing out.{here}"
    return Excluded(np.array(sorted(photos), np.int64), note)
