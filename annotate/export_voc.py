"""Pascal VOC's folder: `Annotations/` with one XML a photo, `SegmentationClass/` and `SegmentationObject/` with indexed PNGs, `ImageSets/`.

M. Everingham et al., The Pascal Visual Object Classes (VOC) Challenge, IJCV 88(2), 2010, and the development kit of 2012.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from pathlib import Path, PurePosixPath
from typing import TextIO

import numpy as np
import numpy.typing as npt

from preprocess import InputError

from .export_files import place_photo
from .export_run import AnnotatedPhoto, Run, check_stem, one_line, xml_safe
from .masks import decode_mask, mask_area
from .region import Region

_MOST = 254  # an index is a byte; 0 is the background and 255 "void"
_BACKGROUND = "background"


def write_voc(photos: Iterator[AnnotatedPhoto], folder: Path, run: Run) -> None:
    """Boxes are whole pixels that hold the region, counted from 1, the last one included, as VOC counts them.

    In the masks, a pixel's value is the region's label (`labels.txt` has them from 0, the background, on) or its place among the objects of the
    XML; where regions overlap, the smaller one is on top. The tree of folders is kept in every part. A label that `labelmap.txt` cannot hold is written in
    another way, the same one in all files: see `Names`.

    Raises:
        InputError: a photo has more than 254 regions with masks, or there are more than 254 labels, or a label has a line break.
    """
    labels = Names(run)
    for part in ("Annotations", "ImageSets/Main", "ImageSets/Segmentation", "JPEGImages"):
        (folder / part).mkdir(parents=True)
    sets = folder / "ImageSets"
    with (
        (sets / "Main" / "default.txt").open("w", encoding="utf-8", newline="\n") as every,
        (sets / "Segmentation" / "default.txt").open("w", encoding="utf-8", newline="\n") as masked,
    ):
        for photo in photos:
            _write_photo(photo, folder, run, labels, every, masked)
    names = [_BACKGROUND, *(labels.name(label) for label in run.labels.names)]
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")
    _write_label_map(folder / "labelmap.txt", names)


def check_voc_name(path: str, run: Run) -> None:
    """See that the XML, the lists of photos and the disk can hold a photo's path.

    Raises:
        InputError: they cannot.
    """
    xml_safe(one_line(path, "path"), "path")
    check_stem(path, run)


class Names:
    """Labels as VOC's files have them. `labelmap.txt` ends a name at a colon, takes a line that starts with # as a comment and drops spaces around a name,
    so colons and that # become underscores; a name that is taken by then, as "background" is, gets a number behind it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._names: dict[str, str] = {}
        self._taken = {_BACKGROUND}
        for label in sorted(run.labels.names, key=lambda label: label != _mapped(label)):  # those that stay have their names first
            self.name(label)

    def name(self, label: str) -> str:
        """The label's name, always the same.

        Raises:
            InputError: it has a line break.
        """
        if label not in self._names:
            base = name = _mapped(one_line(label, "label"))
            number = 2
            while name in self._taken:
                name, number = f"{base}-{number}", number + 1
            self._names[label] = name
            self._taken.add(name)
            if name != label:
                self._run.relabelled[label] = name
        return self._names[label]


def _mapped(label: str) -> str:
    name = label.strip().replace(":", "_")
    return f"_{name[1:]}" if name.startswith("#") else name or "_"


def _write_label_map(file: Path, names: Sequence[str]) -> None:
    """CVAT and Datumaro want to know the colours of the masks beforehand: `label:red,green,blue:parts:actions`."""
    colours = voc_palette()
    lines = [f"{name}:{','.join(str(value) for value in colours[3 * at : 3 * at + 3])}::\n" for at, name in enumerate(names[: _MOST + 1])]
    file.write_text("".join(["# label:color_rgb:parts:actions\n", *lines]), encoding="utf-8", newline="\n")


def _write_photo(photo: AnnotatedPhoto, folder: Path, run: Run, labels: Names, every: TextIO, masked: TextIO) -> None:
    stem = one_line(run.stem(photo.path), "path")
    regions = photo.annotation.regions
    classes = [run.labels.number(region.label) + 1 for region in regions]
    with_masks = any(region.mask is not None for region in regions)
    file = folder / "Annotations" / f"{stem}.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_xml(photo, run, labels, with_masks), encoding="utf-8", newline="\n")
    every.write(f"{stem}\n")
    if with_masks:
        if len(regions) > _MOST or max(classes) > _MOST:
            many = f"{len(regions)} regions" if len(regions) > _MOST else "more than 254 labels so far"
            raise InputError(f"{photo.path} has {many}; masks of VOC hold {_MOST}. Keep fewer, or export as coco.")
        masked.write(f"{stem}\n")
        by_class, by_object = _paint(photo, classes)
        _save(folder / "SegmentationClass" / f"{stem}.png", by_class)
        _save(folder / "SegmentationObject" / f"{stem}.png", by_object)
    place_photo(photo.file, folder / "JPEGImages" / run.photo_name(photo.path), run.options.place)


def _xml(photo: AnnotatedPhoto, run: Run, labels: Names, with_masks: bool) -> str:
    path = PurePosixPath(run.photo_name(photo.path))
    width, height = photo.annotation.size_wh
    parts = [
        "<annotation>",
        f"  <folder>{_text(str(path.parent) if path.parent.name else '', 'path')}</folder>",
        f"  <filename>{_text(path.name, 'path')}</filename>",
        "  <source><database>Pellucid</database></source>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        f"  <segmented>{int(with_masks)}</segmented>",
        *(_object(region, labels.name(region.label)) for region in photo.annotation.regions),
        "</annotation>\n",
    ]
    return '<?xml version="1.0" encoding="utf-8"?>\n' + "\n".join(parts)


def _object(region: Region, name: str) -> str:
    x1, y1, x2, y2 = region.box_xyxy
    box = {"xmin": math.floor(x1) + 1, "ymin": math.floor(y1) + 1, "xmax": math.ceil(x2), "ymax": math.ceil(y2)}
    sides = "".join(f"<{side}>{value}</{side}>" for side, value in box.items())
    return (
        f"  <object>\n    <name>{_text(name, 'label')}</name>\n    <pose>Unspecified</pose>\n    <truncated>0</truncated>\n"
        f"    <difficult>0</difficult>\n    <bndbox>{sides}</bndbox>\n  </object>"
    )


def _text(text: str, kind: str) -> str:
    return escape(xml_safe(text, kind), quote=False).replace("\r", "&#13;")


def _paint(photo: AnnotatedPhoto, classes: list[int]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    width, height = photo.annotation.size_wh
    by_class, by_object = np.zeros((2, height, width), np.uint8)
    shapes = [(at, region.mask) for at, region in enumerate(photo.annotation.regions) if region.mask is not None]
    for at, mask in sorted(shapes, key=lambda shape: -mask_area(shape[1])):
        inside = decode_mask(mask)
        by_class[inside], by_object[inside] = classes[at], at + 1
    return by_class, by_object


def _save(file: Path, values: npt.NDArray[np.uint8]) -> None:
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values)
    picture.putpalette(voc_palette())
    picture.save(file, "PNG", optimize=False)


@cache
def voc_palette() -> bytes:
    """Red, green and blue of the 256 indices, as VOC's development kit makes them: the bits of an index dealt out to the three in turn."""
    colours = np.zeros((256, 3), np.uint8)
    index = np.arange(256)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((index >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return colours.tobytes()
