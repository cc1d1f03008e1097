"""A tagged data set as a file: COCO, JSON lines or Parquet, written picture by picture."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from annotate import Region

FILES: Mapping[str, str] = {"coco": "dataset.json", "jsonl": "dataset.jsonl", "parquet": "dataset.parquet"}
_BATCH = 2_000  # rows of Parquet in memory
_FACTS = ("path", "digest", "width", "height", "format", "taken_at")


@dataclass(frozen=True, slots=True)
class Tagged:
    """A picture with its tags, the likeliest first, each with the precision to be expected, and its regions as `region_facts` has them."""

    facts: dict[str, Any]
    tags: list[tuple[str, float]]
    regions: list[dict[str, Any]] = field(default_factory=list)

    def tag_rows(self) -> list[dict[str, Any]]:
        """The tags as plain values."""
        return [{"tag": tag, "precision": round(precision, 4)} for tag, precision in self.tags]


def region_facts(region: Region, size_wh: tuple[int, int]) -> dict[str, Any] | None:
    """A region as plain values, its box clipped to the picture and its mask of the picture's size; none where it lies outside."""
    from annotate import as_written
    from annotate.export_coco import run_lengths

    whole = as_written(region, size_wh)
    if whole is None:
        return None
    return {
        "label": whole.label, "confidence": round(whole.confidence, 4), "box_xyxy": list(whole.box_xyxy),
        "area": None if whole.area is None else round(whole.area, 6), "mask": None if whole.mask is None else run_lengths(whole.mask),
    }  # fmt: skip


def _line(value: Any) -> str:
    """JSON in one line for every reader: some break lines at U+2028."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


def _jsonl(pictures: Iterator[Tagged], file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for picture in pictures:
            out.write(_line({**picture.facts, "tags": picture.tag_rows(), "regions": picture.regions}) + "\n")


def _coco(pictures: Iterator[Tagged], file: Path) -> None:
    """COCO with the tags of each image in a field of their own, which readers of boxes pass over. Annotations wait in a temporary file."""
    with file.open("w", encoding="utf-8", newline="\n") as out, tempfile.TemporaryFile("w+", encoding="utf-8", dir=file.parent) as later:
        out.write('{"info": {"description": "Tagged by Pellucid", "version": "1.0"},\n"licenses": [],\n"images": [')
        numbers: dict[str, int] = {}
        total = 0
        for image, picture in enumerate(pictures, 1):
            facts = {name: value for name, value in picture.facts.items() if name not in ("path", "format", "taken_at")}
            taken = {"date_captured": picture.facts["taken_at"]} if picture.facts["taken_at"] else {}
            row = {"id": image, "file_name": picture.facts["path"], **facts, **taken, "tags": picture.tag_rows()}
            out.write(("," if image > 1 else "") + "\n" + _line(row))
            for region in picture.regions:
                total += 1
                number = numbers.setdefault(region["label"], len(numbers) + 1)
                later.write(("," if total > 1 else "") + "\n" + _line(_annotation(region, total, image, number, picture)))
        out.write('\n],\n"annotations": [')
        later.seek(0)
        shutil.copyfileobj(later, out)
        names = [{"id": number, "name": label, "supercategory": ""} for label, number in numbers.items()]
        out.write('\n],\n"categories": ' + _line(names) + "}\n")


def _annotation(region: dict[str, Any], number: int, image: int, category: int, picture: Tagged) -> dict[str, Any]:
    x1, y1, x2, y2 = region["box_xyxy"]
    share = region["area"]
    pixels = (x2 - x1) * (y2 - y1) if share is None else share * picture.facts["width"] * picture.facts["height"]
    return {
        "id": number, "image_id": image, "category_id": category, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": round(pixels, 2),
        "segmentation": region["mask"] or [], "iscrowd": 0, "score": region["confidence"],
    }  # fmt: skip


def _parquet(pictures: Iterator[Tagged], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, real = pa.string(), pa.float64()
    sides = [(side, real) for side in ("left", "top", "right", "bottom")]
    region = pa.struct([("label", text), ("confidence", real), *sides, ("area", real), ("mask_counts", text)])
    kinds = {"width": pa.int64(), "height": pa.int64()}
    schema = pa.schema([
        *((name, kinds.get(name, text)) for name in _FACTS), ("tags", pa.list_(pa.struct([("tag", text), ("precision", real)]))), ("regions", pa.list_(region)),
    ])  # fmt: skip
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for picture in pictures:
            rows.append({**picture.facts, "tags": picture.tag_rows(), "regions": [_flat(one) for one in picture.regions]})
            if len(rows) >= _BATCH:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))


def _flat(region: dict[str, Any]) -> dict[str, Any]:
    sides = dict(zip(("left", "top", "right", "bottom"), region["box_xyxy"], strict=True))
    counts = None if region["mask"] is None else region["mask"]["counts"]
    return {"label": region["label"], "confidence": region["confidence"], "area": region["area"], **sides, "mask_counts": counts}


Writer: TypeAlias = Callable[[Iterator[Tagged], Path], None]
WRITERS: Mapping[str, Writer] = {"coco": _coco, "jsonl": _jsonl, "parquet": _parquet}
"""Formats by name."""
