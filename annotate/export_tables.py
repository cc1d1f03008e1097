"""Plain tables: CSV and Parquet with one row a region, JSON lines with one line a photo."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .export_run import AnnotatedPhoto, Run, number
from .masks import mask_area
from .region import Region

_BATCH = 10_000  # rows in memory before they are written; about 4 MB
COLUMNS = (
    "path", "width", "height", "maker", "region", "label", "confidence", "source", "left", "top", "right", "bottom", "area", "mask_counts",
)  # fmt: skip


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
            line = {"path": photo.path, "width": width, "height": height, "maker": photo.annotation.maker, "regions": regions}
            # U+2028 and U+2029 may stay in JSON, but some readers of lines break at them.
            text = json.dumps(line, ensure_ascii=False, allow_nan=False)
            out.write(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085") + "\n")


def write_parquet(photos: Iterator[AnnotatedPhoto], file: Path, run: Run) -> None:
    """The columns of the CSV. A photo without regions is one row with nulls from `region` on; `mask_counts` is COCO's compressed RLE or null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    kinds = (text, whole, whole, text, whole, text, real, text, real, real, real, real, real, text)
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
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
    common = {**dict.fromkeys(COLUMNS), "path": photo.path, "width": width, "height": height, "maker": photo.annotation.maker}
    if not photo.annotation.regions:
        yield common
    for at, region in enumerate(photo.annotation.regions):
        run.labels.number(region.label)
        x1, y1, x2, y2 = (number(value) for value in region.box_xyxy)
        counts = None if region.mask is None else region.mask.counts.decode("ascii")
        told = {"region": at, "label": region.label, "confidence": region.confidence, "source": region.source, "area": _area(region)}
        yield {**common, **told, "left": x1, "top": y1, "right": x2, "bottom": y2, "mask_counts": counts}


def _region(region: Region, size_wh: tuple[int, int], run: Run) -> dict[str, Any]:
    run.labels.number(region.label)
    mask = None if region.mask is None else {"size": [size_wh[1], size_wh[0]], "counts": region.mask.counts.decode("ascii")}
    told = {"label": region.label, "confidence": region.confidence, "source": region.source}
    return {**told, "box_xyxy": [number(value) for value in region.box_xyxy], "area": _area(region), "mask": mask}


def _area(region: Region) -> int | float:
    """Pixels of the mask, or of the box where there is none."""
    if region.mask is not None:
        return mask_area(region.mask)
    x1, y1, x2, y2 = region.box_xyxy
    return number((x2 - x1) * (y2 - y1))
