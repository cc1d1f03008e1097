"""YOLO's folder: `labels/` with one text file a photo, `images/`, `classes.txt` and `data.yaml`, as Ultralytics documents them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from .export_files import place_photo
from .export_run import AnnotatedPhoto, Run
from .export_shapes import as_one_ring, box_ring
from .polygons import polygons_of
from .region import Region

_PLAIN = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write_yolo(photos: Iterator[AnnotatedPhoto], folder: Path, run: Run) -> None:
    """A line a region: class, then the box's middle, width and height as shares of the photo's. A photo without regions has an empty file."""
    _write(photos, folder, run, _box_line)


def write_yolo_segments(photos: Iterator[AnnotatedPhoto], folder: Path, run: Run) -> None:
    """A line a region: class, then the corners of its polygon as shares of the photo's size, along the edges of pixels.

    YOLO has one polygon a region: several parts and holes are joined by lines that are walked there and back and enclose nothing. A region
    without a mask is its box, as four corners.
    """
    _write(photos, folder, run, _polygon_line)


def _write(photos: Iterator[AnnotatedPhoto], folder: Path, run: Run, line: Callable[[Region, tuple[int, int]], Sequence[float]]) -> None:
    images, labels = folder / "images", folder / "labels"
    images.mkdir()
    labels.mkdir()
    for photo in photos:
        file = labels / f"{run.stem(photo.path)}.txt"
        rows = [
            f"{run.labels.number(region.label)} " + " ".join(_share(value) for value in line(region, photo.annotation.size_wh))
            for region in photo.annotation.regions
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(row + "\n" for row in rows), encoding="utf-8", newline="\n")
        place_photo(photo.file, images / run.photo_name(photo.path), run.options.place)
    names = run.labels.names
    # One name a line: a line break in a name becomes a space here, and is kept in data.yaml.
    (folder / "classes.txt").write_text("".join(" ".join(name.splitlines()) + "\n" for name in names), encoding="utf-8", newline="\n")
    listed = "".join(f"  {at}: {_yaml(name)}\n" for at, name in enumerate(names))
    head = f"train: images\nval: images\nnc: {len(names)}\n"
    (folder / "data.yaml").write_text(head + (f"names:\n{listed}" if names else "names: {}\n"), encoding="utf-8", newline="\n")


def _box_line(region: Region, size_wh: tuple[int, int]) -> list[float]:
    (x1, y1, x2, y2), (width, height) = region.box_xyxy, size_wh
    return [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]


def _polygon_line(region: Region, size_wh: tuple[int, int]) -> list[float]:
    parts = polygons_of(region.mask) if region.mask is not None else ()
    corners = as_one_ring(parts) if parts else box_ring(region.box_xyxy)
    shares: list[float] = (corners / np.array(size_wh, np.float64)).ravel().tolist()
    return shares


def _share(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _yaml(text: str) -> str:
    """A double-quoted YAML scalar; what YAML does not print is escaped."""
    return '"' + "".join(_PLAIN.get(c) or (c if c.isprintable() else _escape(ord(c))) for c in text) + '"'


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
