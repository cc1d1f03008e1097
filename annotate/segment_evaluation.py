"""Segmenters measured on photos with masks: intersection over union by class and by category."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess import InputError, Limits, is_photo, read_image

from .label_sets import LABEL_SETS, DataLabels, read_labels
from .labels import NOTHING

if TYPE_CHECKING:
    from .segment import Segmenter

_SHOWN = 3  # files that a message names
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MaskedPhoto:
    """A photo's file and that of its mask."""

    photo: Path
    mask: Path


def find_masked_photos(folder: Path) -> list[MaskedPhoto]:
    """The photos in `images`, at any depth, each with its mask of the same name in `masks`, in the order of their names.

    Raises:
        InputError: a folder is missing or holds no photos, a photo has no mask, a mask no photo, or two photos one mask.
    """
    images, masks = folder / "images", folder / "masks"
    for place in (images, masks):
        if not place.is_dir():
            raise InputError(f"There is no folder {place}. A set for measuring has images/NAME.jpg and masks/NAME.png.")
    photos = sorted(file for file in _files(images) if is_photo(file.name))
    if not photos:
        raise InputError(f"There are no photos in {images}. Put them there, and their masks into {masks}.")
    pairs = [MaskedPhoto(photo, masks / photo.relative_to(images).with_suffix(".png")) for photo in photos]
    if alone := [pair.photo for pair in pairs if not pair.mask.is_file()]:
        raise InputError(f"{len(alone)} photos have no mask in {masks}: {_some(alone, images)}. A mask is a PNG of the photo's name.")
    wanted = [pair.mask for pair in pairs]
    if len(set(wanted)) != len(wanted):
        twice = [mask for at, mask in enumerate(wanted) if mask in wanted[:at]]
        raise InputError(f"Two photos share a mask: {_some(twice, masks)}. Give each photo a name of its own.")
    if left := sorted(file for file in _files(masks) if file.suffix.lower() == ".png" and file not in set(wanted)):
        raise InputError(f"{len(left)} masks have no photo in {images}: {_some(left, masks)}. Remove them, or add the photos.")
    return pairs


def find_labels(folder: Path, given: str | None = None) -> DataLabels:
    """What the numbers in a set's masks mean: `given` (see `read_labels`), else its `labels.json` or `labels.txt`.

    Raises:
        InputError: there is none of these, or it cannot be read.
    """
    if given is not None:
        return read_labels(given)
    for name in ("labels.json", "labels.txt"):
        if (folder / name).is_file():
            return read_labels(str(folder / name))
    raise InputError(
        f"What do the numbers in {folder / 'masks'} mean? Write {folder / 'labels.txt'} with one name a line, in the order of the numbers from 0 on; or "
        f"add --labels FILE, or one of {', '.join(LABEL_SETS)}."
    )


def evaluate_segmentation(
    pairs: Sequence[MaskedPhoto],
    labels: DataLabels,
    segmenter: Segmenter,
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Figures of a segmenter on photos with masks, pixels summed over all photos at their own size.

    A label of the segmenter stands for the set's class that it names (`LabelSet.find`); one that names none is always wrong where it is given. Classes
    that no label stands for are listed in `unknown`: their pixels count against whatever is named there, but they are left out of `miou` and of
    `pixel_accuracy`, so that these say how well the segmenter does what it can do. In `miou_all` they count 0. Classes that are neither in the
    masks nor named have no figure, and count nowhere.

    Intersection over union of a class is TP / (TP + FP + FN); of a category, classes of which may be mixed up at no cost, the same over its pixels
    (Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016). Where no class is a kind of another,
    `categories` is empty.

    Raises:
        InputError: a mask is not one, is of another size than its photo, or holds a number that is no label; or no class is one that the segmenter knows.
        ImageError: a photo cannot be read.
    """
    order = tuple(sorted(labels.labels, key=lambda label: label.id))
    places = {label.name: place for place, label in enumerate(order)}
    answers = np.full(256, len(order), np.uint8)  # by the segmenter's number, the place of the class; behind the last: none
    for number, name in enumerate(segmenter.labels):
        if (label := labels.labels.find(name)) is not None:
            answers[number] = places[label.name]
    known = np.isin(np.arange(len(order)), answers)
    if not known.any():
        raise InputError(
            f"The segmenter names none of the set's classes. It names {', '.join(segmenter.labels)}; the set has {', '.join(places)}."
        )
    table = np.full(256, NOTHING, np.uint8)
    for place, label in enumerate(order):
        table[label.id] = place
    confusion = np.zeros((len(order), len(order) + 1), np.int64)
    for done, pair in enumerate(pairs, 1):
        pixels = read_image(pair.photo, limits or Limits()).pixels
        truth = table[_read_mask(pair, pixels.shape[:2], labels)]
        confusion += confusion_of(truth, answers[segmenter.segment(pixels).classes], len(order))
        on_progress(done, len(pairs))
    return {"segmenter": segmenter.id, "photos": len(pairs)} | _figures(confusion, known, labels, [label.name for label in order])


def confusion_of(truth: NDArray[np.uint8], answer: NDArray[np.uint8], classes: int) -> Counts:
    """Int64["class answer"]: pixels by true class and by what was said, the last column for what is no class; those whose truth is 255 are left out."""
    there = truth != NOTHING
    cells = truth[there].astype(np.int64) * (classes + 1) + np.minimum(answer[there], classes)
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def overlaps(confusion: Counts) -> NDArray[np.float64]:
    """Float64["class"]: intersection over union of each, of Int64["class answer"]; not a number for what is neither true nor said."""
    count = len(confusion)
    right = np.diag(confusion[:, :count])
    union = confusion[:, :count].sum(0) + confusion.sum(1) - right
    return np.where(union > 0, right / np.maximum(union, 1), np.nan)


def merged(confusion: Counts, groups: NDArray[np.intp]) -> Counts:
    """Int64["group answer"]: the same with classes of one group made one; `groups`, Intp["class"], are numbered from 0 on."""
    count = int(groups.max()) + 1
    out = np.zeros((count, count + 1), np.int64)
    np.add.at(out, (groups[:, None], np.append(groups, count)[None]), confusion)
    return out


def _figures(confusion: Counts, known: NDArray[np.bool_], labels: DataLabels, names: list[str]) -> dict[str, Any]:
    right, asked = int(np.diag(confusion)[known].sum()), int(confusion[known].sum())
    figures: dict[str, Any] = {"pixel_accuracy": round(right / asked, 4) if asked else None}
    figures |= _means("miou", overlaps(confusion), known)
    figures |= {
        "classes": _named(names, overlaps(confusion)),
        "unknown": [name for name, there in zip(names, known, strict=True) if not there],
    }
    categories = [labels.labels.category(name) for name in names]
    distinct = list(dict.fromkeys(categories))
    if len(distinct) == len(names):
        return figures | {"categories": {}}
    groups = np.array([distinct.index(category) for category in categories])
    by_category = overlaps(merged(confusion, groups))
    figures |= _means("category_miou", by_category, np.isin(np.arange(len(distinct)), groups[known]))
    return figures | {"categories": _named(distinct, by_category)}


def _means(name: str, found: NDArray[np.float64], known: NDArray[np.bool_]) -> dict[str, float | None]:
    """Over those that are known, and over all."""
    there = ~np.isnan(found)
    return {
        name: round(float(found[there & known].mean()), 4) if (there & known).any() else None,
        f"{name}_all": round(float(found[there].mean()), 4) if there.any() else None,
    }


def _named(names: Sequence[str], found: NDArray[np.float64]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else round(float(value), 4) for name, value in zip(names, found, strict=True)}


def _read_mask(pair: MaskedPhoto, size_hw: tuple[int, ...], labels: DataLabels) -> NDArray[np.uint8]:
    """UInt8["height width"] of class numbers."""
    file = pair.mask
    try:
        with Image.open(file) as picture:
            if picture.mode not in ("L", "P", "1"):
                raise InputError(
                    f"{file} is a picture of mode {picture.mode}, not one byte a pixel. Write the number of each pixel's class."
                )
            if picture.size != (size_hw[1], size_hw[0]):
                raise InputError(
                    f"{file} has {picture.size[0]}×{picture.size[1]} pixels; {pair.photo} has {size_hw[1]}×{size_hw[0]}, upright."
                )
            mask = np.asarray(picture).astype(np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{file} cannot be read as a PNG: {error}. Write it again.") from error
    meant = {label.id for label in labels.labels} | labels.ignored
    if odd := sorted(set(np.unique(mask).tolist()) - meant):
        raise InputError(
            f"{file} holds the number {odd[0]}, which is no label; there are {', '.join(f'{label.id} ({label.name})' for label in labels.labels)}. Name it, "
            "or write it as void: such pixels count nowhere, as those of 255."
        )
    return mask


def _files(folder: Path) -> list[Path]:
    """All files below a folder but hidden ones, such as the `._a.png` that macOS puts beside."""
    found = (file for file in folder.rglob("*") if file.is_file())
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def _some(files: Sequence[Path], folder: Path) -> str:
    named = ", ".join(str(file.relative_to(folder)) for file in files[:_SHOWN])
    return named + (", ..." if len(files) > _SHOWN else "")
