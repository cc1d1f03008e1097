"""COCO's JSON for object detection (https://cocodataset.org/#format-data), with `score` and `source` beside its own fields.

An image has the photo's `digest` too, so that it is known again under any name.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from .export_run import AnnotatedPhoto, Run, number, pixels_of, xywh
from .export_shapes import exact_ring
from .region import Region, Rle


def write_coco(photos: Iterator[AnnotatedPhoto], file: Path, run: Run) -> None:
    """A mask of one part without holes becomes a polygon if COCO fills it to the very same pixels; every other one a compressed RLE.

    Ids count from 1 in the order of the stream. `iscrowd` is always 0: an RLE says nothing about crowds. A region without a mask has an
    empty `segmentation`.
    """
    write_document(photos, file, run, polygons=True)


def write_coco_rle(photos: Iterator[AnnotatedPhoto], file: Path, run: Run) -> None:
    """Every mask a compressed RLE: smaller than polygons, and quicker to write and read."""
    write_document(photos, file, run, polygons=False)


def write_document(photos: Iterator[AnnotatedPhoto], file: Path, run: Run, *, polygons: bool) -> None:
    """The document, photo by photo; annotations wait in a temporary file, because images come first."""
    with file.open("w", encoding="utf-8", newline="\n") as out, tempfile.TemporaryFile("w+", encoding="utf-8", dir=file.parent) as later:
        rest = cast(TextIO, later)
        out.write('{"info": {"description": "Exported by Pellucid", "version": "1.0"},\n"licenses": [],\n"images": [')
        total = 0
        for image, photo in enumerate(photos, 1):
            width, height = photo.annotation.size_wh
            told = {"date_captured": photo.facts.taken_at, "digest": photo.facts.digest}
            row = {"id": image, "file_name": photo.path, "width": width, "height": height} | {
                k: v for k, v in told.items() if v is not None
            }
            out.write(("," if image > 1 else "") + "\n" + _json(row))
            for region in photo.annotation.regions:
                total += 1
                facts = {"id": total, "image_id": image, **_facts(region, run, polygons)}
                rest.write(("," if total > 1 else "") + "\n" + _json(facts))
        out.write('\n],\n"annotations": [')
        rest.seek(0)
        shutil.copyfileobj(rest, out)
        names = [{"id": at, "name": label, "supercategory": ""} for at, label in enumerate(run.labels.names, 1)]
        out.write('\n],\n"categories": ' + _json(names) + "}\n")


def segmentation(mask: Rle, polygons: bool) -> list[Any] | dict[str, Any]:
    """COCO's `segmentation` of a mask."""
    ring = exact_ring(mask) if polygons else None
    return [ring.ravel().tolist()] if ring is not None else run_lengths(mask)


def run_lengths(mask: Rle) -> dict[str, Any]:
    """COCO's compressed RLE, in JSON."""
    return {"size": [int(side) for side in mask.size_hw], "counts": mask.counts.decode("ascii")}


def _facts(region: Region, run: Run, polygons: bool) -> dict[str, Any]:
    return {
        "category_id": run.labels.number(region.label) + 1,
        "bbox": xywh(region),
        "area": pixels_of(region),
        "segmentation": [] if region.mask is None else segmentation(region.mask, polygons),
        "iscrowd": 0,
        "score": number(region.confidence),
        "source": region.source,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
