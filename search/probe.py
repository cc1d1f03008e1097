"""Photos and words that are the same on every machine, to compare what one runtime makes of them with what another did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from preprocess import RgbImage

    from .encode import Encoder

EXAMPLE_TEXTS = (
    "a photo of a cat",
    "Two dogs run along a sandy beach at sunset.",
    "",
    "A red bicycle, leaning on a wall; 1999's winner!",
    "犬が浜辺にいる",
    "Ein Käsekuchen für Größenwahnsinnige",
    "\U0001f415\U0001f3d6️ summer &amp; sea",
    "an old photograph of people who stand on a platform and wait for a train that never comes, " * 8,
)
"""Short, empty, long, other scripts, signs: each finds another fault of a tokenizer or a text tower."""

_SIZES_WH = ((640, 480), (480, 640), (224, 224), (900, 300), (300, 900), (97, 61), (1024, 768), (33, 50))
_NUMBERS = 8  # of a vector that are kept: a hash of their rest would break at the last bit


def example_photos(count: int = len(_SIZES_WH)) -> list[RgbImage]:
    """Photos made of what real ones have most: coarse light, fine grain, edges and a colour cast, portrait and landscape, none alike.

    Their spectrum falls as in natural pictures (amplitude over frequency), so that resizing blurs them as it blurs photos.
    """
    return [_photo(at, _SIZES_WH[at % len(_SIZES_WH)]) for at in range(count)]


def real_photos() -> list[RgbImage]:
    """The four small photos that ship with Pellucid; search/examples/SOURCES.md says whose they are."""
    from importlib import resources

    from preprocess import decode

    folder = resources.files("search") / "examples"
    return [decode((folder / f"{name}.jpg").read_bytes(), name).pixels for name in ("astronaut", "chelsea", "coffee", "rocket")]


def probe_vectors(encoder: Encoder) -> dict[str, list[float]]:
    """The first eight numbers of the vectors of one example photo and one text, under "image" and "text"."""
    photo = encoder.prepare(example_photos(1)[0])
    rows = {"image": encoder.encode_images([photo])[0], "text": encoder.encode_texts(EXAMPLE_TEXTS[1:2])[0]}
    return {kind: [round(float(number), 6) for number in row[:_NUMBERS]] for kind, row in rows.items()}


def probe_difference(encoder: Encoder, expected: dict[str, list[float]]) -> float:
    """The largest difference of `probe_vectors` from those of the day the model was made; a sound fp32 runtime stays below 0.001."""
    found = probe_vectors(encoder)
    return max(float(np.abs(np.subtract(found[kind], expected[kind])).max()) for kind in found)


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
