"""What commands that find regions share: photos at a working size, and regions drawn on copies, as tables and as JSON.

`read_working` reads a photo, `draw_copy` draws and saves its copy; `regions_table` prints what was found, and `annotation_dict` is what `--json` gives of a
photo. Which photos, and where each copy goes, says `draw_plan`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import DECODE_MARGIN, InputError, read_image, reduced, write_whole

from .draw_plan import WRITERS
from .output import console, plain

if TYPE_CHECKING:
    from annotate import Annotation, LabelSet, Region
    from preprocess import Limits, RgbImage

DRAWN_SHORT = 1080
"""Pixels of the short side that a drawn copy has at least, where the photo has them: enough to read the plates on any screen."""
MOST_PIXELS = 8_000_000
"""Of a picture in work: a panorama is brought down further, so that a photo of any size takes the same memory."""


def read_working(file: Path, limits: Limits, short: int, *, drawn: bool = False) -> tuple[RgbImage, tuple[int, int]]:
    """Upright pixels brought down to no less than `short` on the short side (or `DRAWN_SHORT` where they are drawn on), and the photo's full size, width
    and height. `reduced` brings them down further where less is enough.

    Raises:
        ImageError: see `preprocess.read_image`.
    """
    wanted = max(short, DRAWN_SHORT) if drawn else short
    photo = read_image(file, limits, side=-(-wanted // DECODE_MARGIN))  # which a photo decoded at a smaller scale still has
    return reduced(photo.pixels, wanted, MOST_PIXELS), (photo.width, photo.height)


def draw_copy(pixels: RgbImage, annotation: Annotation, out: Path, *, force: bool, labels: LabelSet | None = None) -> None:
    """Draw the regions on a copy of `pixels`, upright ones of any size, and write it whole or not at all; nothing of the photo's metadata goes with it.

    A file that exists is replaced only with `force`. Make sure with `draw_plan.targets` that `out` is not a photo.

    Raises:
        InputError: `out` exists, cannot be written, or ends in neither .jpg nor .png.
        StorageFull: the disk took no more.
    """
    from annotate import draw_regions

    writer = WRITERS.get(out.suffix.lower())
    if writer is None:
        raise InputError(f"{out} ends in neither .jpg nor .png. Name it so.")
    height, width = pixels.shape[:2]
    scale = width / annotation.size_wh[0], height / annotation.size_wh[1]
    drawn = draw_regions(pixels, [_scaled(region, scale, (height, width)) for region in annotation.regions], labels)
    write_whole(out, writer(drawn), force=force)


def regions_table(file: Path | str, annotation: Annotation) -> None:
    """Print a photo's regions, in the order they have: label, confidence, share of the photo, box in pixels, and colour and depth where they are known."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    width, height = annotation.size_wh
    count = len(annotation.regions)
    out.print(plain(f"{file}: {width}×{height} pixels, {count or 'no'} {'region' if count == 1 else 'regions'} by {annotation.maker}"))
    if not count:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("label", overflow="fold")
    for name in ("confidence", "area", "left", "top", "right", "bottom"):
        table.add_column(name, justify="right")
    table.add_column("colour")
    table.add_column("haze depth", justify="right")
    for region in annotation.regions:
        table.add_row(
            Text(plain(region.label)), f"{region.confidence:.2f}", "" if region.area is None else f"{region.area:.1%}",
            *(f"{value:.0f}" for value in region.box_xyxy), "" if region.colour is None else _hex(region.colour),
            "" if region.haze_depth is None else f"{region.haze_depth:.2f}",
        )  # fmt: skip
    out.print(table)


def annotation_dict(file: Path | str, annotation: Annotation) -> dict[str, Any]:
    """A photo's regions for JSON. Boxes are left, top, right, bottom in pixels of the full upright photo; a mask is COCO's compressed RLE, whose `size`,
    height and width, may be smaller than the photo's. What is not known is null."""
    width, height = annotation.size_wh
    return {
        "file": str(file), "width": width, "height": height, "maker": annotation.maker,
        "regions": [_region_dict(region) for region in annotation.regions],
    }  # fmt: skip


def _region_dict(region: Region) -> dict[str, Any]:
    mask = region.mask and {"size": list(region.mask.size_hw), "counts": region.mask.counts.decode("ascii")}
    return {
        "box_xyxy": list(region.box_xyxy), "label": region.label, "confidence": round(region.confidence, 4),
        "area": None if region.area is None else round(region.area, 6), "colour": None if region.colour is None else _hex(region.colour),
        "haze_depth": None if region.haze_depth is None else round(region.haze_depth, 4), "mask": mask,
    }  # fmt: skip


def _scaled(region: Region, scale: tuple[float, float], size_hw: tuple[int, int]) -> Region:
    """The region as it lies in a picture of another size, which its mask gets too."""
    from annotate import resize_mask

    x1, y1, x2, y2 = region.box_xyxy
    box = (x1 * scale[0], y1 * scale[1], x2 * scale[0], y2 * scale[1])
    return replace(region, box_xyxy=box, mask=region.mask and resize_mask(region.mask, size_hw))


def _hex(colour: tuple[int, int, int]) -> str:
    return f"#{bytes(colour).hex()}"
