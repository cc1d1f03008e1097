"""How fast a 12-megapixel JPEG becomes 96×96 pixels, and how far those are from the exact ones.

Run: `python benchmarks/decode.py [photo.jpg ...]`. Without arguments it makes its own photos from scikit-image's (extra `demo`).
Exact: whole decode and bicubic resize without a gap. `1x`, `2x`, `3x`: the least short side after a reduced decode, in multiples of 96.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data

SIDE = 96
REPEATS = 3
OPENCV_MODES = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


def whole(jpeg: bytes, _margin: int = 1) -> Image.Image:
    return Image.open(io.BytesIO(jpeg)).convert("RGB")


def draft(jpeg: bytes, margin: int) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    image.draft("RGB", (SIDE * margin, SIDE * margin))
    return image.convert("RGB")


def opencv(jpeg: bytes, margin: int) -> Image.Image:
    scale = min(Image.open(io.BytesIO(jpeg)).size) // (SIDE * margin)
    mode = OPENCV_MODES[max(step for step in OPENCV_MODES if step <= max(scale, 1))]
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
    return Image.fromarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def squashed(image: Image.Image, gap: float | None) -> np.ndarray:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=gap), np.float32)


WAYS: dict[str, tuple[Callable[[bytes, int], Image.Image], int, float | None]] = {
    "exact": (whole, 1, None),
    "whole, gap 3": (whole, 1, 3.0),
    **{f"Pillow draft {m}x": (draft, m, 3.0) for m in (1, 2, 3)},
    **{f"OpenCV {m}x": (opencv, m, 3.0) for m in (1, 2, 3)},
}


def made_photos(folder: Path) -> Iterator[Path]:
    """Four photos of 4032×3024 with sensor noise, and the same at 640×480, where a reduced decode leaves the fewest pixels."""
    noise = np.random.default_rng(0).normal(0, 6, (3024, 4032, 1))
    for name, pixels in {"astronaut": data.astronaut(), "cat": data.cat(), "coffee": data.coffee(), "rocket": data.rocket()}.items():
        big = np.asarray(Image.fromarray(pixels).resize((4032, 3024), Image.Resampling.LANCZOS)) + noise
        photo = Image.fromarray(np.clip(big, 0, 255).astype(np.uint8))
        for width, height in ((4032, 3024), (640, 480)):
            path = folder / f"{name}-{width}.jpg"
            photo.resize((width, height), Image.Resampling.LANCZOS).save(path, quality=92)
            yield path


def measure(path: Path) -> None:
    jpeg = path.read_bytes()
    exact = squashed(whole(jpeg), None)
    for label, (read, margin, gap) in WAYS.items():
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            result = squashed(read(jpeg, margin), gap)
            seconds.append(time.perf_counter() - start)
        print(f"{path.name:22} {label:16} {min(seconds) * 1e3:7.1f} ms   difference {np.abs(result - exact).mean():.2f}/255")


def main() -> None:
    if sys.argv[1:]:
        for name in sys.argv[1:]:
            measure(Path(name))
        return
    with tempfile.TemporaryDirectory() as folder:
        for path in made_photos(Path(folder)):
            measure(path)


if __name__ == "__main__":
    main()
