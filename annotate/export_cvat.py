"""CVAT's XML 1.1 "for images" (https://docs.cvat.ai/docs/other/xml_format)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from .export_run import AnnotatedPhoto, Run, number, xml_safe
from .export_shapes import cut_out, exact_ring
from .masks import row_runs
from .region import Region, Rle

_MOST_CORNERS = 200  # a polygon with more is a staircase that nobody corrects by hand; a mask is brushed


def write_cvat(photos: Iterator[AnnotatedPhoto], file: Path, run: Run) -> None:
    """A region without a mask is a box; one part without holes and with at most 200 corners a polygon; every other one a mask.

    `source` is "manual" for what people drew and "auto" otherwise. CVAT has no field for a confidence.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=file.parent) as later:
        for at, photo in enumerate(photos):
            width, height = photo.annotation.size_wh
            later.write(f'  <image id="{at}" name={_value(photo.path, "path")} width="{width}" height="{height}">\n')
            for region in photo.annotation.regions:
                run.labels.number(region.label)
                later.write(_shape(region))
            later.write("  </image>\n")
        later.seek(0)
        labels = "".join(
            f"<label><name>{escape(xml_safe(name, 'label'), {chr(13): '&#13;'})}</name><attributes></attributes></label>"
            for name in run.labels.names
        )
        with file.open("w", encoding="utf-8", newline="\n") as out:
            out.write(
                '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta><task>'
                f"<name>Pellucid</name><size>{run.photos}</size><mode>annotation</mode><overlap>0</overlap><flipped>False</flipped>"
                f"<labels>{labels}</labels></task></meta>\n"
            )
            shutil.copyfileobj(later, out)
            out.write("</annotations>\n")


def _shape(region: Region) -> str:
    source = "manual" if region.source == "human" else "auto"
    common = f'label={_value(region.label, "label")} source="{source}" occluded="0"'
    drawn = _polygon_or_mask(region.mask) if region.mask is not None else None
    if drawn is not None:
        kind, told = drawn
        return f'    <{kind} {common} {told} z_order="0"></{kind}>\n'
    x1, y1, x2, y2 = (number(value) for value in region.box_xyxy)
    return f'    <box {common} xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" z_order="0"></box>\n'


def _polygon_or_mask(mask: Rle) -> tuple[str, str] | None:
    """The element's name and its own attributes; none where a mask is empty. CVAT's runs go row by row through the mask's own box and begin with one outside."""
    if (cut := cut_out(mask)) is None:
        return None
    ring = exact_ring(mask)
    if ring is not None and len(ring) <= _MOST_CORNERS:
        points = ";".join(f"{x}.00,{y}.00" for x, y in ring.tolist())
        return "polygon", f'points="{points}"'
    pixels, (left, top, right, bottom) = cut
    runs = ", ".join(map(str, row_runs(pixels).tolist()))
    return "mask", f'rle="{runs}" left="{left}" top="{top}" width="{right - left}" height="{bottom - top}"'


def _value(text: str, kind: str) -> str:
    return quoteattr(xml_safe(text, kind))
