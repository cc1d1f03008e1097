"""Regions painted on a copy of the photo: translucent areas with an outline, and plates that say what each one is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from preprocess import InputError, RgbImage

from ._opencv import cv2
from .labels import LabelSet
from .masks import Mask, decode_mask, mask_area, resize_mask
from .palette import OKABE_ITO, Colour, ink_on
from .proposals import PART
from .region import Box, Region, Rle

_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Rectangle: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom, the latter two exclusive

_SMALLEST_TEXT = 11  # pixels; smaller letters of the font cannot be read
_ELLIPSIS = "…"
_ROOMY = 4  # a mask of so many times a plate's area is not hidden by it
_SMALL = 8  # a box of less than so many times a plate's area would be
_CROWDED = 0.15  # of the photo under plates: from there on, a label that was written once is not written again


@dataclass(frozen=True, slots=True)
class DrawOptions:
    """How regions look. `opacity` is that of areas, in [0, 1]. `outline_share` and `text_share` are the width of outlines and the size of letters, as
    shares of the photo's shorter side; they never get thinner than 1 pixel, or smaller than 11. `font` is a file for languages that the built-in font,
    which knows Latin letters only, cannot write.
    """

    opacity: float = 0.4
    outline_share: float = 0.004
    text_share: float = 0.028
    with_confidence: bool = True
    font: Path | None = None

    def __post_init__(self) -> None:
        for name, share in (("opacity", self.opacity), ("outline_share", self.outline_share), ("text_share", self.text_share)):
            if not 0 <= share <= 1:
                raise InputError(f"{name} is {share}; it is a share, from 0 to 1.")


@dataclass(frozen=True, slots=True)
class Plate:
    """A text on a plain ground, where it was put: left, top, right and bottom in pixels, the latter two exclusive."""

    place: tuple[int, int, int, int]
    text: str
    ground: Colour
    ink: Colour


def draw_regions(
    pixels: RgbImage, regions: Sequence[Region], labels: LabelSet | None = None, options: DrawOptions | None = None
) -> RgbImage:
    """A copy of the photo, UInt8["height width 3"], with its regions on it: large ones first, so that small ones are not hidden.

    A region without a mask is its box. A label that is not in `labels` has a colour that its name decides, the same in all photos; proposals, which
    have no class, take turns, so that boxes that overlap are told apart.

    Raises:
        InputError: `pixels` is not an 8-bit RGB picture, or a mask is of another size; the font cannot be read.
    """
    options, labels = options or DrawOptions(), labels or LabelSet(())
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(f"A photo is uint8 pixels of shape (height, width, 3), not {pixels.dtype} of {pixels.shape}.")
    canvas = np.array(pixels, order="C")
    for region, colour in _coloured(regions, labels):
        _paint(canvas, region, colour, options)
    plates = place_plates(regions, (pixels.shape[1], pixels.shape[0]), labels, options)
    picture = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(picture), _font(picture.size, options)
    for plate in plates:
        left, top, right, bottom = plate.place
        draw.rectangle((left, top, right - 1, bottom - 1), plate.ground)
        draw.text(((left + right) / 2, (top + bottom) / 2), plate.text, plate.ink, font, anchor="mm")
    return np.array(picture)


def place_plates(
    regions: Sequence[Region], size_wh: tuple[int, int], labels: LabelSet | None = None, options: DrawOptions | None = None
) -> tuple[Plate, ...]:
    """What is written where: large regions first, each plate within the photo, and apart from those before it where there is room.

    It goes to the middle of a mask that is much larger than it; or else on top of its region's box, within it, below it, or along its edges, where it
    hides no small region; where everything is taken, where it covers least of others, and without the confidence. Where a photo is crowded, a label that
    is written already is not written again: its colour says it. Letters stand out by a contrast of 4.5 or more (WCAG 2.2, level AA). A text too long for the
    photo is cut; a photo too small for letters gets none.
    """
    options, labels = options or DrawOptions(), labels or LabelSet(())
    font, plates = _font(size_wh, options), list[Plate]()
    boxes = [region.box_xyxy for region in regions]
    for region, ground in _coloured(regions, labels):
        taken, label = [plate.place for plate in plates], " ".join(region.label.split())
        said = any(plate.text.startswith(label) and plate.ground == ground for plate in plates)
        covered = sum((right - left) * (bottom - top) for left, top, right, bottom in taken)
        if said and covered > _CROWDED * size_wh[0] * size_wh[1]:
            continue
        for text in dict.fromkeys((f"{label} {region.confidence:.0%}" if options.with_confidence else label, label)):
            fitted = _fitted(text, font, size_wh)
            if fitted is None:
                break
            place, free = _free(_places(region, fitted[1], size_wh), taken, _small(boxes, fitted[1]))
            if free or text == label:
                plates.append(Plate(place, fitted[0], ground, ink_on(ground)))
                break
    return tuple(plates)


def _coloured(regions: Sequence[Region], labels: LabelSet) -> list[tuple[Region, Colour]]:
    """The regions, large ones first, and their colours."""
    ordered = sorted(regions, key=lambda region: -_area(region))
    turns = itertools.cycle(OKABE_ITO)
    return [(region, next(turns) if region.label == PART else labels.colour(region.label)) for region in ordered]


def _small(boxes: Sequence[Box], size: tuple[int, int]) -> list[Box]:
    """The boxes that a plate of that size would hide."""
    return [box for box in boxes if (box[2] - box[0]) * (box[3] - box[1]) < _SMALL * size[0] * size[1]]


def _area(region: Region) -> float:
    x1, y1, x2, y2 = region.box_xyxy
    return mask_area(region.mask) if region.mask else (x2 - x1) * (y2 - y1)


def _paint(canvas: RgbImage, region: Region, colour: Colour, options: DrawOptions) -> None:
    """The area, and a line along its inner edge with a thin one of black or white inside, so that it is seen on any ground."""
    height, width = canvas.shape[:2]
    inside, (left, top) = _inside(region, (height, width))
    if not inside.any():
        return
    window = canvas[top : top + inside.shape[0], left : left + inside.shape[1]]
    line = max(1, round(options.outline_share * min(height, width)))
    border = _border(inside, line)
    if region.mask:
        _mix(window, inside & ~border, colour, options.opacity)
    _mix(window, border, ink_on(colour), 1.0)
    _mix(window, _border(inside, -(-line * 2 // 3)), colour, 1.0)


def _inside(region: Region, size_hw: tuple[int, int]) -> tuple[Mask, tuple[int, int]]:
    """The pixels of the region within its window, and where that begins: left, top."""
    x1, y1, x2, y2 = region.box_xyxy
    left, right = (int(np.clip(x, 0, size_hw[1])) for x in (np.floor(x1), np.ceil(x2)))
    top, bottom = (int(np.clip(y, 0, size_hw[0])) for y in (np.floor(y1), np.ceil(y2)))
    if region.mask is None:
        return np.ones((max(0, bottom - top), max(0, right - left)), np.bool_), (left, top)
    if region.mask.size_hw != size_hw:
        raise InputError(
            f"The mask of {region.label!r} is of {region.mask.size_hw} pixels, the photo of {size_hw}, height and width. Resize it with resize_mask."
        )
    mask = decode_mask(region.mask)
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))  # a box that was made by other means need not enclose its mask
    return np.ascontiguousarray(mask[top : top + height, left : left + width]), (left, top)


def _border(inside: Mask, line: int) -> Mask:
    """The pixels inside that are nearer than `line` pixels to the outside."""
    kernel = np.ones((2 * line + 1, 2 * line + 1), np.uint8)
    core = cv2.erode(inside.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inside & (np.asarray(core) == 0), np.bool_)


def _mix(window: NDArray[np.uint8], where: Mask, colour: Colour, opacity: float) -> None:
    """By a table of what each value becomes: for 10.7 megapixels 31 ms instead of the 268 that floats take."""
    values = np.arange(256)[:, None]
    table = np.rint(values + (np.array(colour) - values) * opacity).astype(np.uint8)
    under = np.ascontiguousarray(window)
    window[:] = cv2.copyTo(cv2.LUT(under, table[None]), where.view(np.uint8), under.copy())


def _font(size_wh: tuple[int, int], options: DrawOptions) -> _Font:
    size = max(_SMALLEST_TEXT, round(options.text_share * min(size_wh)))
    if options.font is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(str(options.font), size)
    except OSError as error:
        raise InputError(f"The font {options.font} cannot be read ({error}). Name a TrueType or OpenType file.") from error


def _fitted(text: str, font: _Font, size_wh: tuple[int, int]) -> tuple[str, tuple[int, int]] | None:
    """As much of the text as the photo is wide, and the size of its plate."""
    top, bottom = (round(font.getbbox("Áy", anchor="ls")[at]) for at in (1, 3))
    margin = max(2, (bottom - top) // 5)
    height = bottom - top + 2 * margin
    if height > size_wh[1]:
        return None
    for length in range(len(text), 0, -1):
        short = text if length == len(text) else text[:length].rstrip() + _ELLIPSIS
        width = int(np.ceil(font.getlength(short))) + 2 * margin
        if width <= size_wh[0]:
            return short, (width, height)
    return None


def _places(region: Region, size: tuple[int, int], size_wh: tuple[int, int]) -> list[_Rectangle]:
    """Where a plate may go, the best first, all within the photo."""
    x1, y1, x2, y2 = (round(min(max(value, 0), size_wh[at % 2])) for at, value in enumerate(region.box_xyxy))
    width, height = size
    corners = [(x1, y1 - height), (x1, y1), (x1, y2), (x2 - width, y1 - height), (x2 - width, y1), (x1, y2 - height), (x2 - width, y2)]
    corners += [(x1, y) for y in range(y1 + height, y2 - height, height)]
    corners += [(x, y1 - height) for x in range(x1 + height, x2 - width, height)]
    corners += [(x1, y) for step in range(1, 12) for y in (y2 + step * height, y1 - (step + 1) * height)]
    if region.mask and mask_area(region.mask) > _ROOMY * width * height:
        x, y = _middle(region.mask)
        corners = [(x - width // 2, y - height // 2), *corners]
    lefts_tops = [(min(max(x, 0), size_wh[0] - width), min(max(y, 0), size_wh[1] - height)) for x, y in corners]
    return [(x, y, x + width, y + height) for x, y in dict.fromkeys(lefts_tops)]


def _middle(mask: Rle) -> tuple[int, int]:
    """The point inside that is farthest from the outside, x and y, of a mask brought down to at most 200 pixels on its longer side."""
    height, width = mask.size_hw
    scale = min(1.0, 200 / max(height, width))
    small = decode_mask(resize_mask(mask, (max(1, round(height * scale)), max(1, round(width * scale)))))
    depth = np.asarray(cv2.distanceTransform(np.pad(small, 1).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int((x + 0.5) * width / small.shape[1]), int((y + 0.5) * height / small.shape[0])


def _free(places: Sequence[_Rectangle], taken: Sequence[_Rectangle], small: Sequence[Box]) -> tuple[_Rectangle, bool]:
    """The first place that covers none of the taken ones and no small box, or the one that covers least of them; and whether it covers nothing."""
    cost = _covered(places, taken) * 1000 + _covered(places, small)  # letters on letters cannot be read at all
    best = int(np.argmin(cost))
    return places[best], not cost[best]


def _covered(places: Sequence[_Rectangle], others: Sequence[Box] | Sequence[_Rectangle]) -> NDArray[np.float64]:
    """Pixels that each place shares with the others."""
    if not others:
        return np.zeros(len(places))
    a, b = np.array(places, np.float64)[:, None], np.array(others, np.float64)[None]
    return np.asarray((np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0).prod(-1).sum(-1), np.float64)
