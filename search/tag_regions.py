"""Tags of photos out of what their pixels as a whole and their regions say: the better of both, and what follows from kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors
    from .tag_judge import Candidates, Kinship
    from .vocabulary import Vocabulary

WHOLE = frozenset({
    "setting", "natural scenes", "rural scenes", "urban scenes", "home interiors", "public interiors", "sports venues", "number of people", "events", "weather",
    "time of day", "seasons", "light", "shot size", "camera angle", "colour", "main colours", "technique", "composition", "genre", "medium", "image quality",
    "mood",
})  # fmt: skip
"""Groups of the vocabularies that ship whose tags are about a photo as a whole: a cropped wheel is no close-up of the photo."""


@dataclass(frozen=True, slots=True, eq=False)
class TagColumns:
    """Tags of some photos: the `photo`, Int64["found"], ascending, the `tag`'s number in the vocabulary, Int64["found"], its expected `precision` in [0, 1],
    `similarity` and `z`, Float32["found"], and the number of the `region` that is the evidence, Int64["found"], -1 for the photo itself. The tags of a photo come
    by precision, the most likely first."""

    photo: NDArray[np.int64]
    tag: NDArray[np.int64]
    precision: Vectors
    similarity: Vectors
    z: Vectors
    region: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.photo)


def of_parts(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Which tags a region can show, Bool["tag"]."""
    return np.array([tag.group not in WHOLE and tag.form != "whole" for tag in vocabulary])


CROWDING = 0.25
"""On 250 photos of COCO with 15 regions each, at a cut of 0.4: with 0, tags' precision falls from 0.51 to 0.33; with 0.25, right tags a photo rise from 0.47 to 0.56
at a precision of 0.53; with 0.5 and more (1 would be Bonferroni's correction, for chances that have nothing to do with each other) regions hardly say anything."""


def crowding(count: NDArray[np.int64]) -> Vectors:
    """What a region's log odds lose where there are `count` of a photo, Float32["region"]: the best of many is higher by chance alone.

    The odds are divided by (n + 1)^CROWDING, the photo itself being one chance more. Regions of a photo are much alike, so that they are few chances.
    """
    return np.asarray(CROWDING * np.log(count + 1.0), np.float32)


def found(
    photos: Candidates, regions: tuple[Candidates, NDArray[np.int64], NDArray[np.int64]] | None, kinship: Kinship, tags: int, most: int
) -> TagColumns:
    """The better evidence of each tag of each photo. `regions` are candidates of regions (their rows), each row's photo, and its number among that photo's.

    What a tag is a kind of is at least as likely as the tag. Of an exclusive group only the best is left, and `most` tags of a photo.
    """
    parts = [_columns(photos, photos.row, np.full(len(photos.row), -1))]
    if regions is not None:
        candidates, photo, number = regions
        parts.append(_columns(candidates, photo[candidates.row], number[candidates.row]))
    columns = [np.concatenate(values) for values in zip(*parts, strict=True)]
    counts = np.array([len(above) for above in kinship.above])
    flat = np.concatenate([*kinship.above, np.zeros(0, np.int64)])
    starts = np.cumsum(counts) - counts
    repeat = counts[columns[1]]
    inner = np.arange(int(repeat.sum())) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    higher = [np.repeat(values, repeat) for values in columns]
    higher[1] = flat[np.repeat(starts[columns[1]], repeat) + inner]
    columns = [np.concatenate(values) for values in zip(columns, higher, strict=True)]
    photo, tag, odds = columns[:3]
    direct = np.arange(len(photo)) < len(photo) - int(repeat.sum())
    # A tag's own evidence comes before what it inherits, where both are as good.
    order = np.lexsort((~direct, -odds, photo * tags + tag))
    key = (photo * tags + tag)[order]
    columns = [values[order[np.r_[True, key[1:] != key[:-1]]] if len(key) else order] for values in columns]
    return _cut(columns, kinship.exclusive, tags, most)


def _cut(columns: Sequence[NDArray[Any]], exclusive: tuple[NDArray[np.int64], ...], tags: int, most: int) -> TagColumns:
    photo, odds = columns[0], columns[2]
    order = np.lexsort((-odds, photo))
    photo, tag, odds, similarity, z, region = (values[order] for values in columns)
    group = np.arange(tags)
    for members in exclusive:
        group[members] = members[0]
    _, first = np.unique(photo * tags + group[tag], return_index=True)  # the first is the best
    kept = np.sort(first)
    place = np.arange(len(kept)) - np.searchsorted(photo[kept], photo[kept])
    kept = kept[place < most]
    precision = np.asarray(1 / (1 + np.exp(-odds[kept])), np.float32)
    return TagColumns(photo[kept], tag[kept], precision, similarity[kept], z[kept], region[kept])


def _columns(candidates: Candidates, photo: NDArray[np.int64], region: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    return photo, candidates.tag, candidates.odds, candidates.similarity, candidates.z, region
