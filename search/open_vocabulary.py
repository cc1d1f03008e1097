"""Regions of whatever is named in words: no segmenter is needed, only an encoder that knows photos and words."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from annotate import NOTHING, Annotation, ClassMap, ComponentOptions, LabelSet, find_regions, measured, scaled_box
from preprocess import InputError, Progress, RgbImage, cv2, no_progress

from .dense import DenseEncoder, grid_of, resized
from .encode import normalize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .dense import Cells
    from .encode import Vectors

TEMPLATES = ("a photo of a {}", "a photo of the {}", "a close-up photo of a {}", "a picture of a {}", "there is a {} in the picture", "{}")
BACKGROUND = (
    "sky", "cloud", "wall", "floor", "ceiling", "window", "door", "curtain", "table", "bed", "grass", "tree", "leaves", "flowers", "sand", "soil", "rock",
    "mountain", "water", "snow", "road", "pavement", "stairs", "building", "fence",
)  # fmt: skip
"""What photos are full of and nobody asked for.

With these and nine more instead of words such as "background" or "something", the encoder that ships finds cats and dogs with a mean IoU of 0.57 instead of 0.55 by
the same windows (38 photos). Without the nine (sofa, chair, furniture, carpet, shelf, lamp, screen, paper, blanket) it gains 0.01 for pets and 0.05 for people: to
it, much that is indoors looks like a sofa.
"""
_NEAR = 0.99
"""A background word is left out where it is more similar to a label than this share of the pairs of background words are to each other: "road" for "street"."""
MOST_LABELS = 1000
MOST_LETTERS = 200  # of a label: more than the words that any encoder's text tower takes
_VERSION = 1  # of the rules below: raised where the same cells would give other regions
_PLAIN_SCALE = 100.0  # CLIP's own, for ready-made models that do not say theirs


@dataclass(frozen=True, slots=True)
class VocabularyOptions:
    """How sure the labels must be, and what they compete with.

    `threshold`, in [0, 1]: a pixel belongs to its likeliest label where all labels together are at least so likely, against the background, and to nothing
    otherwise. `others` are words for what else the photos show and nobody asked for, beside `BACKGROUND`. `short`: pixels of the short side of masks. At
    most `most` regions are kept, the largest, and none that covers less than `least_area`, a share of the photo.
    """

    threshold: float = 0.25
    others: tuple[str, ...] = ()
    short: int = 384
    most: int = 64
    least_area: float = 0.002

    def __post_init__(self) -> None:
        for name, share in (("threshold", self.threshold), ("least_area", self.least_area)):
            if not 0 <= share <= 1:
                raise InputError(f"The {name} is {share}; it is a share, from 0 to 1.")
        if self.short < 1 or self.most < 1:
            raise InputError(f"{self} is not possible: short and most are at least 1.")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledMap:
    """What each pixel is called: `classes`, UInt8["height width"], ids of `labels` or `annotate.NOTHING`; `confidence`, Float32["height width"], in [0, 1]."""

    classes: ClassMap
    confidence: NDArray[np.float32]
    labels: LabelSet


def plain_word(word: str) -> str:
    """A word as labels are compared: without regard to case, and `-`, `_` and spaces are one."""
    return " ".join(word.replace("_", " ").replace("-", " ").casefold().split())


def labels_of(words: Iterable[str]) -> tuple[str, ...]:
    """Labels, each once, as `plain_word` compares them; the first spelling stays.

    >>> labels_of([" Dog", "sofa", "dog "])
    ('Dog', 'sofa')

    Raises:
        InputError: there is none, there are more than `MOST_LABELS`, or one is too long.
    """
    names: dict[str, str] = {}
    for word in words:
        name = " ".join(word.split())
        names.setdefault(plain_word(name), name)
    names.pop("", None)
    if not names:
        raise InputError('There is no label. Name what to look for, such as --labels "dog, sofa, window".')
    if len(names) > MOST_LABELS:
        raise InputError(f"There are {len(names):,} labels; the most are {MOST_LABELS:,}. Name fewer.")
    long = next((name for name in names.values() if len(name) > MOST_LETTERS), None)
    if long is not None:
        raise InputError(f"The label {long[:40]!r}... has {len(long):,} letters; the most are {MOST_LETTERS}. Name it in fewer words.")
    return tuple(names.values())


@dataclass(slots=True, eq=False)
class OpenVocabulary:
    """A maker of regions for labels in words (see `annotate.RegionMaker`): cells of a photo are compared with the labels, and with words for what is none of
    them. Safe to call from many threads.

    A label's vector is the mean over some templates. What a cell shows is likely by the softmax of its similarities to all labels and background words, at
    the scale that the encoder was trained with.
    """

    dense: DenseEncoder
    labels: tuple[str, ...]
    options: VocabularyOptions = field(default_factory=VocabularyOptions)
    _texts: Vectors | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self.labels = labels_of(self.labels)
        if self.options.others:
            labels_of(self.options.others)  # under the same limits

    @property
    def id(self) -> str:
        """The encoder's name and a hash over all that decides the regions."""
        recipe = self.dense.encoder.recipe
        said = json.dumps([_VERSION, recipe.id, self.dense.id, self.labels, asdict(self.options), TEMPLATES, BACKGROUND], sort_keys=True)
        return f"words-{recipe.encoder}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"

    @property
    def short(self) -> int:
        """Pixels of the short side that are of use."""
        return max(self.dense.short, self.options.short)

    def __call__(self, pixels: RgbImage, size_wh: tuple[int, int], on_progress: Progress = no_progress) -> Annotation:
        """The regions of a photo whose full size is `size_wh`; `pixels` may be reduced. The largest come first, boxes are of the full size."""
        small = resized(pixels, grid_of(pixels, min(self.options.short, *pixels.shape[:2])))
        found = self.map(pixels, small.shape[:2], on_progress)
        parts = ComponentOptions(crumb_share=self.options.least_area, hole_share=self.options.least_area, max_regions=self.options.most)
        regions = measured(small, find_regions(found.classes, found.confidence, found.labels, parts))
        small_wh = small.shape[1], small.shape[0]
        return Annotation(size_wh, tuple(scaled_box(region, small_wh, size_wh) for region in regions), self.id)

    def map(self, pixels: RgbImage, size_hw: tuple[int, ...], on_progress: Progress = no_progress) -> LabelledMap:
        """The likeliest label of every pixel of a photo at a size, and how likely it is."""
        texts = self._vectors(on_progress)
        return self._labelled(self.likelihoods(self.dense(pixels, on_progress), texts), (size_hw[0], size_hw[1]))

    def likelihoods(self, cells: Cells, texts: Vectors) -> NDArray[np.float32]:
        """Of each label in each cell, Float32["row column label"]; what they lack of 1 is the background's."""
        logits = (cells.vectors @ texts.T) * self._scale
        logits -= logits.max(-1, keepdims=True)
        likely = np.exp(logits)
        likely /= likely.sum(-1, keepdims=True)
        return np.asarray(likely[..., : len(self.labels)], np.float32)

    @property
    def _scale(self) -> float:
        scale = float(getattr(getattr(self.dense.encoder, "model", None), "logit_scale", 1.0))
        return scale if scale > 1 else _PLAIN_SCALE

    def _vectors(self, on_progress: Progress) -> Vectors:
        """Unit rows of the labels, then of the background words, Float32["text dim"]."""
        with self._lock:
            if self._texts is None:
                on_progress("labels", None)
                others = list(dict.fromkeys(word for word in self.options.others if plain_word(word) not in map(plain_word, self.labels)))
                labels, more, usual = (self._rows(words) for words in (self.labels, others, BACKGROUND))
                pairs = (usual @ usual.T)[np.triu_indices(len(usual), 1)]
                far = (usual @ labels.T).max(1) <= np.quantile(pairs, _NEAR)
                self._texts = np.concatenate([labels, more, usual[far]])
            return self._texts

    def _rows(self, words: Sequence[str]) -> Vectors:
        rows = [self.dense.encoder.encode_texts([template.format(word) for template in TEMPLATES]).mean(0) for word in words]
        return normalize(np.array(rows, np.float32).reshape(len(words), self.dense.encoder.recipe.dim))

    def _labelled(self, likely: NDArray[np.float32], size_hw: tuple[int, int]) -> LabelledMap:
        """Likelihoods brought to a size, bilinear, one label after the other: a thousand labels take no more memory than one. Only labels that lead somewhere
        are brought up, the 254 with the most cells at most."""
        counts = np.bincount(likely.argmax(-1).ravel(), minlength=len(self.labels))
        leading = sorted(np.argsort(-counts, kind="stable")[: NOTHING - 1].tolist())
        leading = [label for label in leading if counts[label]]
        best, classes = np.zeros(size_hw, np.float32), np.full(size_hw, NOTHING, np.uint8)
        for number, label in enumerate(leading):
            one = np.asarray(
                cv2.resize(np.ascontiguousarray(likely[..., label]), size_hw[::-1], interpolation=cv2.INTER_LINEAR), np.float32
            )
            more = one > best
            classes[more], best[more] = number, one[more]
        sure = cv2.resize(np.ascontiguousarray(likely.sum(-1)), size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        classes[np.asarray(sure) < self.options.threshold] = NOTHING
        return LabelledMap(classes, np.minimum(best, np.float32(1)), LabelSet.of([self.labels[label] for label in leading]))
