"""Plain tables: CSV and Parquet with one row a region, JSON lines with one line a photo."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from .export_coco import run_lengths
from .export_run import AnnotatedPhoto, PhotoFacts, Run, number, pixels_of
from .palette import hex_of
from .region import Region

_BATCH = 10_000  # rows in memory before they are written; about 4 MB
_REAL = {"latitude", "longitude", "haze"}
FACTS: dict[str, str] = {fact.name: "real" if fact.name in _REAL else "text" for fact in fields(PhotoFacts)}
REGION: dict[str, str] = {
    "region": "integer", "label": "text", "confidence": "real", "source": "text", "left": "real", "top": "real", "right": "real", "bottom": "real",
    "area": "real", "pixels": "real", "colour": "text", "haze_depth": "real", "mask_counts": "text",
}  # fmt: skip
COLUMNS: dict[str, str] = {"path": "text", "width": "integer", "height": "integer", **FACTS, "maker": "text", **REGION}
"""Columns of CSV and Parquet, and their kinds. `area` is the region's share of the photo, in [0, 1], as in `--where`; `haze` is the photo's, `haze_depth`
the region's; `colour` is #rrggbb."""


def write_csv(photos: Iterator[AnnotatedPhoto], file: Path, run: Run) -> None:
    """UTF-8, quoted as RFC 4180 says. A photo without regions is one row whose fields from `region` on are empty; so is `mask_counts` without a mask."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for photo in photos:
            for row in _rows(photo, run):
                writer.writerow(["" if row[name] is None else row[name] for name in COLUMNS])


def write_jsonl(photos: Iterator[AnnotatedPhoto], file: Path, run: Run) -> None:
    """A JSON object a photo, with its regions in a list, and their masks as COCO's RLE."""
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for photo in photos:
            width, height = photo.annotation.size_wh
            regions = [_region(region, (width, height), run) for region in photo.annotation.regions]
            line = {
                "path": photo.path,
                "width": width,
                "height": height,
                **asdict(photo.facts),
                "maker": photo.annotation.maker,
                "regions": regions,
            }
            # U+2028 and U+2029 may stay in JSON, but some readers of lines break at them.
            text = json.dumps(line, ensure_ascii=False, allow_nan=False)
            out.write(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085") + "\n")


def write_parquet(photos: Iterator[AnnotatedPhoto], file: Path, run: Run) -> None:
    """The columns of the CSV. A photo without regions is one row with nulls from `region` on; `mask_counts` is COCO's compressed RLE or null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for photo in photos:
            rows += _rows(photo, run)
            if len(rows) >= _BATCH:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _rows(photo: AnnotatedPhoto, run: Run) -> Iterator[dict[str, Any]]:
    width, height = photo.annotation.size_wh
    common = {**dict.fromkeys(COLUMNS), "path": photo.path, "width": width, "height": height, **asdict(photo.facts)}
    common["maker"] = photo.annotation.maker
    if not photo.annotation.regions:
        yield common
    for at, region in enumerate(photo.annotation.regions):
        x1, y1, x2, y2 = (number(value) for value in region.box_xyxy)
        counts = None if region.mask is None else region.mask.counts.decode("ascii")
        sides = {"left": x1, "top": y1, "right": x2, "bottom": y2}
        yield {**common, "region": at, **_told(region, (width, height), run), **sides, "mask_counts": counts}


def _region(region: Region, size_wh: tuple[int, int], run: Run) -> dict[str, Any]:
    mask = None if region.mask is None else run_lengths(region.mask)
    return {**_told(region, size_wh, run), "box_xyxy": [number(value) for value in region.box_xyxy], "mask": mask}


def _told(region: Region, size_wh: tuple[int, int], run: Run) -> dict[str, Any]:
    """What is said of a region in every table. An area that nobody measured is that of the mask, or of the box."""
    run.labels.number(region.label)
    pixels = pixels_of(region)
    area = region.area if region.area is not None else pixels / (size_wh[0] * size_wh[1])
    colour = None if region.colour is None else hex_of(region.colour)
    told = {"label": region.label, "confidence": region.confidence, "source": region.source, "area": area, "pixels": pixels}
    return {**told, "colour": colour, "haze_depth": region.haze_depth}
