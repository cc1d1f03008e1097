"""Photos that are the same on every machine: on which a graph is compared with the model that it was made of."""

from __future__ import annotations

import numpy as np

from .image import RgbImage

_SIZES_WH = ((640, 480), (480, 640), (224, 224), (900, 300), (300, 900), (97, 61), (1024, 768), (33, 50))


def example_photos(count: int = len(_SIZES_WH)) -> list[RgbImage]:
    """Photos made of what real ones have most: coarse light, fine grain, edges and a colour cast, portrait and landscape, none alike.

    Their spectrum falls as in natural pictures (amplitude over frequency), so that resizing blurs them as it blurs photos.
    """
    return [_photo(at, _SIZES_WH[at % len(_SIZES_WH)]) for at in range(count)]


def real_photos() -> list[RgbImage]:
    """The four small photos that ship with Pellucid; preprocess/examples/SOURCES.md says whose they are."""
    from importlib import resources

    from .image import decode

    folder = resources.files("preprocess") / "examples"
    return [decode((folder / f"{name}.jpg").read_bytes(), name).pixels for name in ("astronaut", "chelsea", "coffee", "rocket")]


def _photo(seed: int, size_wh: tuple[int, int]) -> RgbImage:
    random = np.random.default_rng(seed)
    width, height = size_wh
    across, down = np.fft.rfftfreq(width), np.fft.fftfreq(height)
    frequency = np.maximum(np.hypot(down[:, None], across[None, :]), 1 / max(size_wh))
    noise = random.normal(size=(3, height, len(across))) + 1j * random.normal(size=(3, height, len(across)))
    grey = np.fft.irfft2(noise[:1] / frequency, s=(height, width))
    tint = np.fft.irfft2(noise / frequency**1.5, s=(height, width))
    light = _unit(grey) + 0.5 * _unit(tint)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    for _ in range(4):  # things with edges
        centre, size, colour = random.uniform(0.1, 0.9, 2), random.uniform(0.08, 0.35, 2), random.normal(0, 1.5, 3)
        inside = np.maximum(abs(x - centre[0]) / size[0], abs(y - centre[1]) / size[1]) < 1
        light = light + inside * colour.reshape(3, 1, 1)
    cast = random.uniform(70, 180, 3).reshape(3, 1, 1)
    return np.ascontiguousarray((cast + 45 * light).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def _unit(planes: np.ndarray) -> np.ndarray:
    return np.asarray(planes / planes.std())
