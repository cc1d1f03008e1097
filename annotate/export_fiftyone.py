"""A folder that FiftyOne loads as `fiftyone.types.COCODetectionDataset`: `labels.json` beside `data/` or `data.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from .export_coco import write_document
from .export_files import place_photo
from .export_run import AnnotatedPhoto, Placing, Run


def write_fiftyone(photos: Iterator[AnnotatedPhoto], folder: Path, run: Run) -> None:
    """`labels.json` is COCO with masks as RLE. Photos that are placed lie in `data/`; otherwise `data.json` says where each one is.

    Where that is not known, load it with `Dataset.from_dir(dataset_dir=..., dataset_type=fo.types.COCODetectionDataset, data_path=THE_PHOTOS)`.
    """
    if run.options.place != "none":
        (folder / "data").mkdir()
        write_document(_placed(photos, folder / "data", run.options.place), folder / "labels.json", run, polygons=False)
        return
    places = folder / "data.json"
    with places.open("w", encoding="utf-8", newline="\n") as out:
        out.write("{")
        write_document(_listed(photos, out.write), folder / "labels.json", run, polygons=False)
        out.write("\n}\n")
        known = out.tell() > len("{\n}\n")
    if not known:
        places.unlink()


def _placed(photos: Iterator[AnnotatedPhoto], data: Path, how: Placing) -> Iterator[AnnotatedPhoto]:
    for photo in photos:
        place_photo(photo.file, data / photo.path, how)
        yield photo


def _listed(photos: Iterator[AnnotatedPhoto], write: Callable[[str], object]) -> Iterator[AnnotatedPhoto]:
    first = True
    for photo in photos:
        if photo.file is not None:
            line = f"{json.dumps(photo.path, ensure_ascii=False)}: {json.dumps(str(photo.file.absolute()), ensure_ascii=False)}"
            write(("\n" if first else ",\n") + line)
            first = False
        yield photo
