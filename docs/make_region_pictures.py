"""Write docs/images/regions-gallery.jpg: eight photos with the regions that the built-in segmenter finds. Run: `python docs/make_region_pictures.py`.

The photos are those that scikit-image and scikit-learn carry (extra `demo`). They are unlike the streets that the segmenter learnt from, and none was left out
because it came out badly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from sklearn.datasets import load_sample_image

from annotate import draw_regions, load_region_maker

IMAGE = Path(__file__).parent / "images" / "regions-gallery.jpg"
CELL_WH = (400, 300)
COLUMNS = 4
MOST_BYTES = 400_000


def photos() -> dict[str, Any]:
    """UInt8["height width 3"] by name."""
    grey = data.camera()
    return {
        "astronaut": data.astronaut(), "camera": np.repeat(grey[..., None], 3, 2), "chelsea": data.chelsea(), "china": load_sample_image("china.jpg"),
        "coffee": data.coffee(), "flower": load_sample_image("flower.jpg"), "motorcycle": data.stereo_motorcycle()[0], "rocket": data.rocket(),
    }  # fmt: skip


def cell(pixels: Any) -> Any:
    """Cut to 4:3 around the middle, and brought to the cell's size."""
    height, width = pixels.shape[:2]
    wide, high = min(width, height * 4 // 3), min(height, width * 3 // 4)
    left, top = (width - wide) // 2, (height - high) // 2
    return np.asarray(
        Image.fromarray(pixels[top : top + high, left : left + wide]).resize((2 * CELL_WH[0], 2 * CELL_WH[1]), Image.Resampling.LANCZOS)
    )


def main() -> None:
    """Find, draw, and put side by side."""
    maker = load_region_maker("builtin")
    if maker is None:
        raise SystemExit("There is no maker.")
    found = photos()
    rows = -(-len(found) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (CELL_WH[0] + 6) - 6, rows * (CELL_WH[1] + 24)), "white")
    for at, (name, pixels) in enumerate(found.items()):
        pixels = cell(pixels)
        annotation = maker(pixels, (pixels.shape[1], pixels.shape[0]))
        regions = [scaled_mask(region, pixels.shape[:2]) for region in annotation.regions]
        x, y = at % COLUMNS * (CELL_WH[0] + 6), at // COLUMNS * (CELL_WH[1] + 24)
        page.paste(Image.fromarray(draw_regions(pixels, regions)).resize(CELL_WH, Image.Resampling.LANCZOS), (x, y + 20))
        labels = ", ".join(dict.fromkeys(region.label for region in annotation.regions)) or "nothing"
        ImageDraw.Draw(page).text((x + 4, y + 3), f"{name}: {labels}", "black", ImageFont.load_default(13))
    for quality in (85, 75, 65, 55):
        page.save(IMAGE, quality=quality, optimize=True, progressive=True)
        if IMAGE.stat().st_size < MOST_BYTES:
            return
    raise ValueError(f"{IMAGE} is {IMAGE.stat().st_size:,} bytes; the most is {MOST_BYTES:,}. Make CELL_WH smaller.")


def scaled_mask(region: Any, size_hw: tuple[int, int]) -> Any:
    """The region with its mask at the photo's size."""
    from dataclasses import replace

    from annotate import resize_mask

    return replace(region, mask=resize_mask(region.mask, size_hw)) if region.mask is not None else region


if __name__ == "__main__":
    main()
