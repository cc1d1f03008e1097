"""Makers of regions by name: segmenters, proposals without a class, and several joined.

A maker is a function of pixels. Its id says which weights and which options decided the regions, so that those of different makers are told apart and
are made anew only where something changed.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from preprocess import InputError, RgbImage, choose

from ._opencv import cv2
from .components import ComponentOptions, find_regions
from .labels import NOTHING, LabelSet
from .measures import brought_down, measured, scaled_box
from .region import Annotation, Box, Region
from .segment import Segmenter, SegmenterFacts, SegmenterOptions, builtin_folder, open_segmenter, segmenter_folders

NO_REGIONS = "none"
"""The name that stands for no maker."""
JOINED = "+"
BACKGROUNDS = frozenset({"background", "__background__", "unlabelled", "unlabeled", "unlabel", "void", "ignore"})
"""Labels that say that nothing is known: no regions."""

_MASK_SHORT = 512  # pixels of the short side that masks have at most: more would fill the store, and outlines are no surer
_MOST_SHORT = 1024  # that photos are segmented at, where the segmenter's folder says more, or as they are
_RULES = 1  # of what is here and in components.py: raised where the same map would give other regions
_HUMAN = "human"  # what the ids of people's regions begin with


class RegionMaker(Protocol):
    """Finds the regions of a photo. Safe to call from many threads.

    `id` names what decides them: the maker of an annotation. It is cheap: no weights are loaded for it.
    """

    @property
    def id(self) -> str:
        """Name and version."""
        ...

    @property
    def short(self) -> int:
        """Pixels of the short side that it is glad to have; a photo that has more is brought down."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """All that its regions can be called."""
        ...

    def __call__(self, pixels: RgbImage, size_wh: tuple[int, int]) -> Annotation:
        """The regions of a photo whose full size is `size_wh` and whose pixels, upright, may be reduced already.

        Boxes are whole pixels of the full size; masks are of the size of `pixels` or smaller; area, colour and depth are filled in. The largest come first.
        """
        ...


@dataclass(frozen=True, slots=True)
class RegionMakerOptions:
    """Which regions are made.

    `models` is the folder of segmenters that were added. Of a segmenter's regions, at most `most` are kept, the largest; those that cover less than
    `least_area`, a share of the photo, or whose mean confidence is below `least_confidence`, are left out. Where makers are joined, so is what
    has an intersection over union above `repeated` with the box of a region by an earlier one.
    """

    models: Path | None = None
    most: int = 16
    least_area: float = 0.002
    least_confidence: float = 0.6
    repeated: float = 0.6

    def __post_init__(self) -> None:
        if self.most < 1:
            raise InputError(f"At most {self.most} regions are to be kept; it must be at least 1. For none, name the maker {NO_REGIONS!r}.")
        for name, share in (("least_area", self.least_area), ("least_confidence", self.least_confidence), ("repeated", self.repeated)):
            if not 0 <= share <= 1:
                raise InputError(f"{name} is {share}; it is a share, from 0 to 1.")

    def identity(self, *more: object) -> str:
        """Twelve hexadecimal digits of the hash over what decides the regions, and `more`."""
        said = {name: value for name, value in asdict(replace(self, models=None)).items() if name != "models"}
        return hashlib.sha256(json.dumps([_RULES, said, *more], sort_keys=True).encode()).hexdigest()[:12]


class SegmentedRegions:
    """Regions by a segmenter: the connected parts of each class but the background. Its weights are opened when the first photo comes."""

    def __init__(self, name: str, folder: Path, options: RegionMakerOptions | None = None) -> None:
        """Read the folder's facts.

        Raises:
            WeightsError: they are missing or damaged.
            InputError: the name is taken by the regions that people draw.
        """
        if name == _HUMAN:
            raise InputError(f"A segmenter cannot be called {_HUMAN!r}: so are the regions that people draw. Rename its folder {folder}.")
        facts = SegmenterFacts.read(folder)
        self.folder, self.options = folder, options or RegionMakerOptions()
        self._label_set = LabelSet.of(facts.labels)
        self.short = min(facts.frame.short or _MOST_SHORT, _MOST_SHORT)
        self.id = f"{name}-{self.options.identity(facts.identity(facts.frame))}"
        self._left_out = [label.id for label in self._label_set if label.name.strip().lower() in BACKGROUNDS]
        self.labels = tuple(label.name for label in self._label_set if label.id not in self._left_out)
        self._parts = ComponentOptions(
            crumb_share=self.options.least_area, max_regions=max(4 * self.options.most, ComponentOptions().max_regions)
        )
        self._lock = threading.Lock()
        self._segmenter: Segmenter | None = None

    def __call__(self, pixels: RgbImage, size_wh: tuple[int, int]) -> Annotation:
        """See `RegionMaker`.

        Raises:
            WeightsError: the weights are missing or damaged.
        """
        large = brought_down(pixels, self.short)
        found = self._opened().segment(large)
        small = brought_down(large, _MASK_SHORT)
        height, width = small.shape[:2]
        classes, confidence = (_resized(values, (width, height)) for values in (found.classes, found.confidence))
        if self._left_out:
            classes = np.where(np.isin(classes, self._left_out), np.uint8(NOTHING), classes)
        regions = find_regions(classes, confidence, self._label_set, self._parts)
        sure = [region for region in regions if region.confidence >= self.options.least_confidence][: self.options.most]
        return Annotation(size_wh, tuple(scaled_box(region, (width, height), size_wh) for region in measured(small, sure)), self.id)

    def _opened(self) -> Segmenter:
        """The segmenter, with one thread a photo: photos are dealt out to threads."""
        with self._lock:
            if self._segmenter is None:
                self._segmenter = open_segmenter(self.folder, SegmenterOptions(threads=1))
            return self._segmenter


def _resized(values: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Of a map of another size, the value at the middle of each pixel."""
    return np.asarray(cv2.resize(values, size_wh, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


class JoinedRegions:
    """Regions by several makers, those of the first one first. What repeats a region of an earlier maker is left out."""

    def __init__(self, makers: tuple[RegionMaker, ...], options: RegionMakerOptions) -> None:
        self.makers, self.options = makers, options
        self.id = JOINED.join(maker.id for maker in makers)
        self.short = max(maker.short for maker in makers)
        self.labels = tuple(dict.fromkeys(label for maker in makers for label in maker.labels))

    def __call__(self, pixels: RgbImage, size_wh: tuple[int, int]) -> Annotation:
        """See `RegionMaker`."""
        kept: list[Region] = []
        for maker in self.makers:
            earlier = [region.box_xyxy for region in kept]
            kept += [region for region in maker(pixels, size_wh).regions if not self._repeats(region.box_xyxy, earlier)]
        return Annotation(size_wh, tuple(kept), self.id)

    def _repeats(self, box: Box, earlier: list[Box]) -> bool:
        return any(box_overlap(box, other) > self.options.repeated for other in earlier)


def box_overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, `box_xyxy`, in [0, 1].

    >>> round(box_overlap((0, 0, 2, 2), (1, 0, 3, 2)), 3)
    0.333
    """
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, wide) * max(0.0, high)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


_Load: TypeAlias = Callable[[RegionMakerOptions], RegionMaker | None]


def _none(_options: RegionMakerOptions) -> None:
    return None


def _builtin(options: RegionMakerOptions) -> RegionMaker:
    return SegmentedRegions("builtin", builtin_folder(), options)


def _proposals(_options: RegionMakerOptions) -> RegionMaker:
    from .proposals import Proposals

    return Proposals()


REGION_MAKERS: Mapping[str, _Load] = {
    NO_REGIONS: _none,
    "builtin": _builtin,
    "proposals": _proposals,
}
"""Makers that need nothing added; segmenters that were added are makers by their folder's name."""


def load_region_maker(name: str = "builtin", options: RegionMakerOptions | None = None) -> RegionMaker | None:
    """The maker called `name`: "none" for no maker, "builtin", "proposals", a segmenter that was added, or several joined by "+".

    Raises:
        UnknownName: no maker has this name.
        WeightsError: a segmenter's files are missing or damaged.
        InputError: "none", or one maker twice, is among several.
    """
    options = options or RegionMakerOptions()
    known: dict[str, _Load] = {folder.name: partial(_added, folder) for folder in segmenter_folders(options.models)}
    known = {**REGION_MAKERS, **known}
    if name in known or JOINED not in name:
        return choose(known, name, "maker of regions")(options)
    names = [part.strip() for part in name.split(JOINED)]
    load = [choose(known, part, "maker of regions") for part in names]
    if NO_REGIONS in names or len(set(names)) < len(names):
        raise InputError(f"The makers of regions {name!r} cannot be joined: name each once, and {NO_REGIONS!r} alone.")
    return JoinedRegions(tuple(maker for one in load if (maker := one(options)) is not None), options)


def _added(folder: Path, options: RegionMakerOptions) -> RegionMaker:
    return SegmentedRegions(folder.name, folder, options)
