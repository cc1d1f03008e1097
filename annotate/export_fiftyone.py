"""A folder that FiftyOne loads as `fiftyone.types.COCODetectionDataset`: `labels.json` beside `data/` or `data.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from .export_coco import write_document
from .export_files import place_photo
from .export_run import AnnotatedPhoto, Run


def write_fiftyone(photos: Iterator[AnnotatedPhoto], folder: Path, run: Run) -> None:
    """`labels.json` is COCO with masks as RLE. Photos that are placed lie in `data/`; with a root alone, `data.json` says where each one is.

    Without a root, load it with `Dataset.from_dir(dataset_dir=..., dataset_type=fo.types.COCODetectionDataset, data_path=THE_PHOTOS)`.
    """
    root, how = run.options.root, run.options.place
    if root is not None and how != "none":
        write_document(_placed(photos, folder / "data", root, how), folder / "labels.json", run, polygons=False)
    elif root is not None:
        with (folder / "data.json").open("w", encoding="utf-8", newline="\n") as out:
            out.write("{")
            write_document(_listed(photos, out.write, root.resolve()), folder / "labels.json", run, polygons=False)
            out.write("\n}\n")
    else:
        write_document(photos, folder / "labels.json", run, polygons=False)


def _placed(photos: Iterator[AnnotatedPhoto], data: Path, root: Path, how: Literal["link", "copy"]) -> Iterator[AnnotatedPhoto]:
    data.mkdir()
    for photo in photos:
        place_photo(root / photo.path, data / photo.path, how)
        yield photo


def _listed(photos: Iterator[AnnotatedPhoto], write: Callable[[str], object], root: Path) -> Iterator[AnnotatedPhoto]:
    first = True
    for photo in photos:
        line = f"{json.dumps(photo.path, ensure_ascii=False)}: {json.dumps(str(root / photo.path), ensure_ascii=False)}"
        write(("\n" if first else ",\n") + line)
        first = False
        yield photo
