"""Regions in a build: which photos lack some, how they are found, and what is encoded of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from annotate import Annotation, region_crops
from preprocess import DECODE_MARGIN, reduced
from search import Annotated

if TYPE_CHECKING:
    from annotate import RegionMaker
    from preprocess import RgbImage
    from search import Encoder, Key, Prepared, Recipe, Store, Vectors

Crop = tuple[str, str, int, int]  # digest, maker, the region's number, the crop's


@dataclass(frozen=True, slots=True)
class Regions:
    """What a photo gets: an annotation that is to be stored, if any, and the crops that are to be encoded."""

    annotation: Annotation | None = None
    crops: Mapping[Crop, Prepared] = field(default_factory=dict)


NO_REGIONS = Regions()


class RegionStage:
    """Finds regions with a maker, or with none only cuts out those that people drew. Safe to call from many threads; only `done` changes.

    `done` holds the digests that lack nothing: looked at by this maker or by a person, and with a vector for every region.
    """

    def __init__(self, maker: RegionMaker | None, store: Store, recipe: Recipe, encoder: Encoder) -> None:
        self.maker, self.encoder, self.store = maker, encoder, store
        self.kept: dict[str, Annotated] = store.regions.annotations()
        embedded = store.regions.embedded(recipe.id, self.kept)
        self.done = {digest for digest in embedded if self._stands(digest)}
        self._boxes = store.regions.boxes({digest for digest in self.kept if digest not in self.done and self._stands(digest)}, self.kept)
        self._drawn: dict[Key, tuple[str, Annotation]] = {}

    def follow(self, before: Mapping[Key, tuple[str, tuple[int, int]]]) -> None:
        """Let files that have changed keep what people drew in them; each file's digest and full size were these. New keywords change a file, and its
        digest, but not what it shows."""
        drawn = {key: (digest, size_wh) for key, (digest, size_wh) in before.items() if self._human(digest)}
        regions = self.store.regions.regions({digest for digest, _ in drawn.values()}) if drawn else {}
        self._drawn = {
            key: (digest, Annotation(size_wh, regions.get(digest, ()), self.kept[digest].maker)) for key, (digest, size_wh) in drawn.items()
        }

    def inherited(self, key: Key, digest: str, size_wh: tuple[int, int] | None = None) -> Annotation | None:
        """What people drew in a file before it changed into this digest; none where its size is another, or where they drew in these bytes too."""
        old, annotation = self._drawn.get(key, (digest, None))
        same = annotation is not None and size_wh in (None, annotation.size_wh)
        return annotation if same and old != digest and not self._human(digest) else None

    @property
    def id(self) -> str:
        """What the library notes once every photo was looked at."""
        return self.maker.id if self.maker is not None else "none"

    @property
    def side(self) -> int:
        """Pixels that a photo must be decoded to on its short side, in the words of `preprocess.decode`."""
        short = self.maker.short if self.maker is not None else 0
        return max(self.encoder.side, math.ceil(short / DECODE_MARGIN))

    @property
    def short(self) -> int:
        """Pixels of the short side that regions are looked for in and cut out of; no fewer, where the photo has them."""
        return max(4 * self.encoder.side, self.maker.short if self.maker is not None else 0)

    def complete(self, digest: str) -> bool:
        """Whether a photo lacks nothing of its regions."""
        return digest in self.done or (self.maker is None and not self._human(digest))

    def __call__(self, digest: str, pixels: RgbImage, size_wh: tuple[int, int], drawn: Annotation | None = None) -> Regions:
        """The regions of a photo that is not complete, from its pixels, which may be reduced; those that were `drawn` in it before its file changed.

        Raises:
            WeightsError: the maker's weights are missing or damaged.
        """
        pixels = reduced(pixels, self.short)
        if self._stands(digest):
            return Regions(
                None,
                self._crops(
                    digest, self.kept[digest].maker, self._boxes[digest].tolist() if digest in self._boxes else [], pixels, size_wh
                ),
            )
        if drawn is None and self.maker is None:
            return NO_REGIONS
        annotation = drawn or self.maker(pixels, size_wh)  # type: ignore[misc]
        boxes = [region.box_xyxy for region in annotation.regions]
        return Regions(annotation, self._crops(digest, annotation.maker, boxes, pixels, size_wh))

    def finished(self, found: Mapping[str, Annotation], digests: Iterable[str]) -> None:
        """Note what was stored: new annotations by digest, and photos of which nothing is lacking now."""
        self.kept.update({digest: Annotated(annotation.maker, len(annotation.regions)) for digest, annotation in found.items()})
        self.done.update(digest for digest in digests if self._stands(digest))

    def _crops(
        self, digest: str, maker: str, boxes: Sequence[Sequence[float]], pixels: RgbImage, size_wh: tuple[int, int]
    ) -> dict[Crop, Prepared]:  # fmt: skip
        crops: dict[Crop, Prepared] = {}
        for number, box in enumerate(boxes):
            x1, y1, x2, y2 = box
            for at, crop in enumerate(region_crops(pixels, (x1, y1, x2, y2), size_wh)):
                crops[digest, maker, number, at] = self.encoder.prepare(crop)
        return crops

    def _human(self, digest: str) -> bool:
        return digest in self.kept and self.kept[digest].human

    def _stands(self, digest: str) -> bool:
        """Whether the regions that a photo has are those that it should have."""
        kept = self.kept.get(digest)
        return kept is not None and (kept.human or (self.maker is not None and kept.maker == self.maker.id))


def load_region_maker(name: str, models: Path | None) -> RegionMaker | None:
    """The maker of that name, if there is one; OpenCV is loaded for it here, and not with this package."""
    if name == "none":
        return None
    from annotate import RegionMakerOptions, load_region_maker

    return load_region_maker(name, RegionMakerOptions(models))


def averaged(crops: list[Crop], rows: Vectors) -> tuple[list[tuple[str, str, int]], Vectors]:
    """The regions whose crops were encoded, and of each the mean of its crops' rows, unit, Float32["region dim"]."""
    import numpy as np

    from search import normalize

    numbers: dict[tuple[str, str, int], int] = {}
    owners = np.array([numbers.setdefault(crop[:3], len(numbers)) for crop in crops], np.int64)
    total = np.zeros((len(numbers), rows.shape[1]), np.float32)
    np.add.at(total, owners, rows)
    return list(numbers), normalize(total)
