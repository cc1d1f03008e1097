"""Segmenters by name, and what `weights.json` says of one that is a folder with a graph."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from preprocess import InputError, RgbImage, WeightsError, as_tuples, choose, folders_of, write_weights_facts

FORMAT = 1
"""Of a segmenter's weights.json."""
KIND = "segmenter"
GRAPH = "segment.onnx"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1]: what most networks' inputs are normalised by."""
TILE = 768
"""Pixels of a tile's side where nothing else is said: a photo of 3:2 whose short side has 512 fits into one."""
MOST_LABELS = 255  # a class is one byte a pixel, and 255 stands for none


@dataclass(frozen=True, slots=True, eq=False)
class SegmentMap:
    """What a segmenter says of every pixel of a photo.

    `classes`, UInt8["height width"], are places in the segmenter's labels; `confidence`, UInt8["height width"], is the probability of that class in
    steps of 1/255: a byte a pixel, where Float32 would take 48 MB for 12 megapixels.
    """

    classes: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


class Segmenter(Protocol):
    """Names what every pixel shows. Safe to call from many threads.

    `id` is its name and a part of the hash over all that decides a map: the maker of an annotation, so that those of different ones are told apart.
    """

    @property
    def id(self) -> str:
        """Name and version."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, by their number."""
        ...

    def segment(self, pixels: RgbImage) -> SegmentMap:
        """The map of a photo, of the photo's size."""
        ...


@dataclass(frozen=True, slots=True)
class SegmenterOptions:
    """How a segmenter is loaded.

    `models` is the folder of segmenters that were added; `threads` those that share out one photo's layers, 0 for one a core; `short` and `tile`, in
    pixels, replace those of the folder (see `Frame`), `short` 0 for photos at their full size.
    """

    models: Path | None = None
    threads: int = 0
    short: int | None = None
    tile: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """How pixels become a graph's input.

    `short`: a photo whose short side is longer is brought down to it first, since a network knows things at the size that it was trained on; 0 for
    never. `tile` and `overlap`: what is longer than a tile is cut into tiles. `stride`: both sides must be multiples of it, and at least `least`.
    `layout` "pixels": the graph takes UInt8["batch height width 3"] and normalises inside. "floats": Float32["batch 3 height width"], normalised by
    `mean` and `std`, which are of values in [0, 1], outside. `tensor` is the name of the graph's input.
    """

    stride: int
    short: int = 0
    tile: int = TILE
    overlap: int = 96
    least: int = 1
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    layout: Literal["pixels", "floats"] = "pixels"
    tensor: str = "pixels"

    def __post_init__(self) -> None:
        if self.stride < 1 or self.least < 1 or self.short < 0 or not 0 <= self.overlap < self.tile:
            raise InputError(f"{self} is not possible: stride and least are positive, short is not negative, overlap is less than tile.")
        if self.tile % self.stride or self.tile < self.least:
            raise InputError(f"A tile of {self.tile} pixels is not a multiple of the stride {self.stride} of at least {self.least}.")
        if self.layout not in ("pixels", "floats") or len(self.mean) != 3 or len(self.std) != 3 or not all(self.std):
            raise InputError(f"{self} is not possible: layout is pixels or floats; mean and std are three numbers, std not 0.")


@dataclass(frozen=True, slots=True)
class SegmenterFacts:
    """A segmenter folder's facts. `files` maps names to sha256; `measured` holds what was checked when it was made."""

    name: str
    labels: tuple[str, ...]
    frame: Frame
    files: Mapping[str, str]
    licence: str = "unknown"
    source: str = ""
    arch: str = ""
    version: int = 1
    measured: Mapping[str, Any] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked_labels(self.labels)
        if GRAPH not in self.files:
            raise InputError(f"The segmenter {self.name} has no {GRAPH} among its files.")

    @classmethod
    def read(cls, folder: Path) -> SegmenterFacts:
        """The facts of a folder.

        Raises:
            WeightsError: `weights.json` is missing, damaged, of a later format, or not a segmenter's.
        """
        file = folder / "weights.json"
        try:
            facts = dict(json.loads(file.read_text(encoding="utf-8")))
            kind, number = facts.pop("kind", "encoder"), int(facts.pop("format"))
            if kind != KIND:
                raise WeightsError(f"{folder} holds a model of the kind {kind!r}, not a segmenter. Name a segmenter's folder.")
            if number > FORMAT:  # before the rest, which may have fields of that format
                raise WeightsError(f"{file} has format {number}; this Pellucid reads up to {FORMAT}. Upgrade Pellucid.")
            return cls(**as_tuples(facts | {"frame": Frame(**as_tuples(facts["frame"]))}))
        except (OSError, ValueError, KeyError, TypeError, InputError) as error:
            raise WeightsError(f"{file} is missing or damaged ({error}). {remedy(folder)}") from error

    def write(self, folder: Path) -> None:
        """Replace the folder's `weights.json` in one step."""
        write_weights_facts(folder, {"kind": KIND, "format": FORMAT} | asdict(self))

    def identity(self, frame: Frame) -> str:
        """Sha256 over all that decides a map: the graph, the labels, and how it is fed."""
        parts = [self.files[GRAPH], json.dumps([self.labels, asdict(frame)], sort_keys=True)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def checked_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels, where they can be a label set.

    Raises:
        InputError: there are none or more than 255, one is empty, or one is there twice.
    """
    if not 1 < len(labels) <= MOST_LABELS:
        raise InputError(
            f"A segmenter has 2 to {MOST_LABELS} labels, not {len(labels)}. Give one for each class, that of the background too."
        )
    odd = [label for label in labels if not isinstance(label, str) or not label.strip()]
    twice = sorted({label for label in labels if labels.count(label) > 1}) if not odd else []
    if odd or twice:
        raise InputError(f"Labels must have a name, and each its own: {odd or twice}.")
    return labels


def remedy(folder: Path) -> str:
    """What to do about a segmenter's folder that is damaged."""
    if folder.name == "builtin":
        return "Install Pellucid again: pip install --force-reinstall pellucid"
    if folder.name.startswith("."):  # it is being made
        return "See that its files are whole, or take another model."
    try:
        source = str(dict(json.loads((folder / "weights.json").read_text(encoding="utf-8"))).get("source") or "SOURCE")
    except (OSError, ValueError, TypeError):
        source = "SOURCE"
    command = shlex.join(["pellucid", "segmenters", "add", source.removeprefix("path:"), "--name", folder.name, "--force"])
    return f"Add it again in its place, as it was added: {command}"


def builtin_folder() -> Path:
    """Where the segmenter that ships with Pellucid lies."""
    return Path(str(resources.files("annotate") / "builtin"))


def _builtin(options: SegmenterOptions) -> Segmenter:
    return open_segmenter(builtin_folder(), options)


SEGMENTERS: Mapping[str, Callable[[SegmenterOptions], Segmenter]] = {"builtin": _builtin}
"""Segmenters that need nothing added; those that were added are known by their folder's name."""


def segmenter_folders(models: Path | None) -> list[Path]:
    """Folders of segmenters that were added, by name; encoders, which lie beside them, are left out."""
    return folders_of(models, KIND)


def load_segmenter(name: str = "builtin", options: SegmenterOptions | None = None) -> Segmenter:
    """The segmenter called `name`: one that is built in, or one that was added; ready to run.

    Raises:
        UnknownName: no segmenter has this name.
        WeightsError: its files are missing or damaged.
    """
    options = options or SegmenterOptions()
    if name in SEGMENTERS:
        return SEGMENTERS[name](options)
    added = {folder.name: folder for folder in segmenter_folders(options.models)}
    return open_segmenter(choose({**dict.fromkeys(SEGMENTERS, Path()), **added}, name, "segmenter"), options)


def open_segmenter(folder: Path, options: SegmenterOptions | None = None) -> Segmenter:
    """The segmenter in a folder with `segment.onnx` and `weights.json`.

    Raises:
        WeightsError: its files are missing or damaged.
    """
    from ._onnx_segmenter import OnnxSegmenter

    return OnnxSegmenter(folder, options)
