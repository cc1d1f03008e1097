"""Label Studio: `tasks.json` to import, and `labels.xml`, the labelling configuration that fits it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from preprocess import InputError

from .export_run import AnnotatedPhoto, Run, xml_safe
from .export_shapes import exact_ring
from .masks import Mask, decode_mask, mask_area, row_runs
from .region import Region

_MOST_CORNERS = 200  # as for CVAT: more is a staircase that nobody corrects by hand
_LOCAL_FILES = "/data/local-files/?d="


def write_label_studio(photos: Iterator[AnnotatedPhoto], folder: Path, run: Run) -> None:
    """A task a photo, in percent of its size. What people drew is an annotation, what a machine found a prediction with its confidence.

    A region without a mask is a rectangle; one part without holes and with at most 200 corners a polygon; every other one a brush stroke.
    Photos are named as Label Studio serves local files: LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT must be the options' `served`.
    """
    with (folder / "tasks.json").open("w", encoding="utf-8", newline="\n") as out:
        out.write("[")
        for at, photo in enumerate(photos):
            out.write(("," if at else "") + "\n" + json.dumps(_task(photo, at + 1, run), ensure_ascii=False, allow_nan=False))
        out.write("\n]\n")
    labels = "".join(f"    <Label value={quoteattr(xml_safe(name, 'label'))}/>\n" for name in run.labels.names)
    tags = "".join(
        f'  <{tag} name="{name}" toName="image">\n{labels}  </{tag}>\n'
        for tag, name in (("RectangleLabels", "box"), ("PolygonLabels", "polygon"), ("BrushLabels", "brush"))
    )
    text = f'<View>\n  <Image name="image" value="$image"/>\n{tags}</View>\n'
    (folder / "labels.xml").write_text(text, encoding="utf-8", newline="\n")


def _task(photo: AnnotatedPhoto, task: int, run: Run) -> dict[str, Any]:
    results: dict[str, list[dict[str, Any]]] = {"human": [], "machine": []}
    for at, region in enumerate(photo.annotation.regions, 1):
        run.labels.number(region.label)
        results[region.source].append({"id": f"{task}-{at}", **_result(region, photo.annotation.size_wh)})
    data = {"image": _LOCAL_FILES + quote(_served(photo, run.options.served)), "path": photo.path}
    drawn = [{"result": results["human"]}] if results["human"] else []
    found = [{"model_version": photo.annotation.maker, "result": results["machine"]}] if results["machine"] else []
    return {"id": task, "data": data, "annotations": drawn, "predictions": found}


def _served(photo: AnnotatedPhoto, folder: Path | None) -> str:
    if folder is None or photo.file is None:
        return photo.path
    try:
        return photo.file.relative_to(folder).as_posix()
    except ValueError as error:
        raise InputError(
            f"{photo.file} does not lie in {folder}, which Label Studio is to serve. Name a folder that all photos are in."
        ) from error


def _result(region: Region, size_wh: tuple[int, int]) -> dict[str, Any]:
    kind, value = _shape(region, size_wh)
    told = {"to_name": "image", "from_name": kind, "type": _TYPES[kind], "original_width": size_wh[0], "original_height": size_wh[1]}
    scored = {"score": region.confidence} if region.source == "machine" else {}
    return {**told, "image_rotation": 0, "value": {**value, _TYPES[kind]: [region.label]}, **scored}


_TYPES = {"box": "rectanglelabels", "polygon": "polygonlabels", "brush": "brushlabels"}


def _shape(region: Region, size_wh: tuple[int, int]) -> tuple[str, dict[str, Any]]:
    width, height = size_wh
    if region.mask is None or not mask_area(region.mask):
        x1, y1, x2, y2 = region.box_xyxy
        percent = {"x": 100 * x1 / width, "y": 100 * y1 / height, "width": 100 * (x2 - x1) / width, "height": 100 * (y2 - y1) / height}
        return "box", {**percent, "rotation": 0}
    ring = exact_ring(region.mask)
    if ring is not None and len(ring) <= _MOST_CORNERS:
        return "polygon", {"points": (ring * (100 / np.array(size_wh))).tolist(), "closed": True}
    return "brush", {"format": "rle", "rle": brush_runs(decode_mask(region.mask))}


def brush_runs(mask: Mask) -> list[int]:
    """The bytes of a brush stroke: red, green, blue and alpha of every pixel, row by row, 255 inside and 0 outside, packed as thi.ng's rle-pack.

    A header (32 bits: how many values; 5 bits: bits of a value, less 1; four times 4 bits: bits of a length, less 1), then runs: a 1, two bits
    that say which of the four lengths it has, the length less 1, the value. Label Studio reads the lengths 3, 4, 8 and 16.
    """
    runs = row_runs(mask) * 4
    pieces = [_bits(4 * mask.size, 32), _bits(7, 5), *(_bits(size - 1, 4) for size in _SIZES)]
    for at, run in enumerate(runs.tolist()):
        value = _bits(255 * (at % 2), 8)
        for length in [1 << 16] * (run >> 16) + [run & 0xFFFF]:
            if length:
                size = next(at for at, bits in enumerate(_SIZES) if length <= 1 << bits)
                pieces += [_bits(1, 1), _bits(size, 2), _bits(length - 1, _SIZES[size]), value]
    packed: list[int] = np.packbits(np.concatenate(pieces)).tolist()
    return packed


_SIZES = (3, 4, 8, 16)


def _bits(value: int, count: int) -> npt.NDArray[np.uint8]:
    return np.array([value >> at & 1 for at in range(count - 1, -1, -1)], np.uint8)
