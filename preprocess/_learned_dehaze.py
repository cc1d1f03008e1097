"""DehazeNet and AOD-Net: the two published architectures, with weights that were trained for Pellucid (builtin/MODEL_CARD.md), run by onnxruntime.

Both look at a copy whose short side has about 144 pixels, where their few pixels of view take in a good part of the scene, and which is about
what they were trained on. What they find is smoothed along the edges of the picture by the guided filter, and applied to every pixel.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._opencv import cv2
from ._session import GraphOptions, open_session
from .errors import InputError, WeightsError
from .guided_filter import GuidedFilter, fit_guided_filter, reduced, strips
from .image import RgbImage
from .recovery import Veil, recover
from .weights import check_file

FOLDER = Path(__file__).parent / "builtin"
FORMAT = 1
"""Of weights.json."""
_REMEDY = "Install Pellucid again: pip install --force-reinstall pellucid"
_TILE = 256  # pixels a side that a network is given at once: DehazeNet then takes 50 MB, however long and thin the picture is

_DARKEST = 0.3 * 255  # of the light


@dataclass(frozen=True, slots=True)
class _View:
    """How many pixels a number needs `before` and `after` its own, and how many numbers at each edge saw the zeros that a graph pads with."""

    before: int
    after: int
    spoilt: int


class _Network:
    """One graph and its constants, checked and opened. Nothing changes afterwards, so threads may share it; each call takes one thread."""

    def __init__(self, name: str, view: _View) -> None:
        self.view = view
        graph, self.facts = _verified(name)
        self._session = open_session(
            graph, GraphOptions(hoard=False), graph, _REMEDY
        )  # one thread: photos are dealt out to threads already

    def maps(self, pixels: NDArray[np.float32], tile: int = _TILE) -> NDArray[np.float32]:
        """What the network finds, Float32["channels height width"], for Float32["height width 3"], mirrored at its edges.

        Tile by tile; each is given all the pixels that it looks at, so the result does not depend on the size of tiles.
        """
        (height, width), v = pixels.shape[:2], self.view
        around = (v.before, v.after)
        padded = np.pad(pixels.transpose(2, 0, 1), ((0, 0), around, around), "reflect")[None]
        out: NDArray[np.float32] | None = None
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                rows, columns = min(tile, height - top), min(tile, width - left)
                seen = padded[..., top : top + rows + sum(around), left : left + columns + sum(around)]
                (found,) = self._session.run(["map"], {"pixels": np.ascontiguousarray(seen, np.float32)})
                if out is None:
                    out = np.empty((found.shape[1], height, width), np.float32)
                inside = found[0, :, v.spoilt : v.spoilt + rows, v.spoilt : v.spoilt + columns]
                out[:, top : top + rows, left : left + columns] = inside
        if out is None:  # `_checked` refuses empty pictures
            raise InputError("A picture without pixels has no haze.")
        return out

    def reduced(self, pixels: RgbImage) -> tuple[RgbImage, int]:
        """The copy that the network looks at, and how many pixels of the whole one of its pixels stands for."""
        step = max(1, round(min(pixels.shape[:2]) / self.facts["side"]))
        return reduced(pixels, step), step

    def fit(self, small: RgbImage, found: NDArray[np.float32], step: int) -> GuidedFilter:
        """`found`, Float32["height width"], made to follow the edges of `small`."""
        radius = max(1, round(self.facts["radius"] * min(small.shape[:2])))
        return fit_guided_filter(_grey(small), found, radius, self.facts["eps"], step)


def _verified(name: str) -> tuple[Path, dict[str, Any]]:
    """The file of `name`.onnx, and what weights.json says of it.

    Raises:
        WeightsError: a file is missing or damaged, or of a later format.
    """
    file, table = FOLDER / f"{name}.onnx", FOLDER / "weights.json"
    try:
        everything = json.loads(table.read_text(encoding="utf-8"))
        number = everything["format"]
        facts = dict(everything["models"][name])
        wanted = facts["sha256"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{table} is missing or damaged ({error!r}). {_REMEDY}") from error
    if number != FORMAT:
        raise WeightsError(f"{table} has format {number}; this Pellucid reads {FORMAT}. {_REMEDY}")
    return check_file(file, wanted, _REMEDY), facts


class DehazeNet:
    """Transmission by DehazeNet, the picture by the scattering model I = J · t + A · (1 - t).

    Cai, Xu, Jia, Qing, Tao, "DehazeNet: An End-to-End System for Single Image Haze Removal", IEEE TIP 25(11), 2016. Differences to the paper: the
    atmospheric light is estimated first, and the network sees I / A, which is what it was trained on; the guided filter's window is wider.
    """

    id = "dehazenet-1"

    def __init__(self) -> None:
        """Open the weights.

        Raises:
            WeightsError: they are missing or damaged.
        """
        self._network = _Network("dehazenet", _View(before=10, after=11, spoilt=3))

    def __call__(self, pixels: RgbImage) -> RgbImage:
        """The dehazed picture, UInt8["height width 3"]; a new array.

        Raises:
            InputError: `pixels` is not an 8-bit RGB picture, or is empty.
        """
        pixels = _checked(pixels)
        small, step = self._network.reduced(pixels)
        light, transmission = self._estimate(small)
        veil = Veil(light, self._network.fit(small, transmission, step), self._network.facts["t0"])
        return recover(pixels, veil)

    def _estimate(self, small: RgbImage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The light, Float32["3"], and the transmission, Float32["height width"].

        Where next to nothing comes through the haze at its thickest, as outdoors, that is the light. So when the transmission there turns out to be
        below 0.24, the light moves towards its colour, all the way at 0.18, and the network looks again. Skies burn out otherwise.
        """
        haziest = haziest_pixels(small)
        light = atmospheric_light(small, haziest, *self._network.facts["light"])
        (transmission,) = self._network.maps(np.divide(small, light, dtype=np.float32))
        dense, full = self._network.facts["dense"]
        share = np.clip((dense - float(transmission.ravel()[haziest].mean())) / (dense - full), 0, 1)
        if share > 0:
            colour = np.clip(small.reshape(-1, 3)[haziest].mean(0), _DARKEST, 255)
            light = np.asarray(light + share * (colour - light), np.float32)
            (transmission,) = self._network.maps(np.divide(small, light, dtype=np.float32))
        return light, transmission


class AodNet:
    """J = K · I - K + 1, with K, one number a pixel and colour, by AOD-Net: light and transmission in one (equation 4).

    Li, Peng, Wang, Xu, Feng, "AOD-Net: All-in-One Dehazing Network", ICCV 2017. Difference to the paper: K is found on the reduced copy, and
    smoothed along the edges of the picture.
    """

    id = "aod-net-1"

    def __init__(self) -> None:
        """Open the weights.

        Raises:
            WeightsError: they are missing or damaged.
        """
        self._network = _Network("aod-net", _View(before=7, after=7, spoilt=7))

    def __call__(self, pixels: RgbImage) -> RgbImage:
        """The dehazed picture, UInt8["height width 3"]; a new array.

        Raises:
            InputError: `pixels` is not an 8-bit RGB picture, or is empty.
        """
        pixels = _checked(pixels)
        small, step = self._network.reduced(pixels)
        found = self._network.maps(np.divide(small, 255, dtype=np.float32))
        gains = [self._network.fit(small, k, step).rows(pixels[..., 0]) for k in found]
        out = np.empty_like(pixels)
        for top, bottom in strips(*pixels.shape[:2]):
            strip = pixels[top:bottom]
            grey = _grey(strip)
            planes = []
            for plane, gain in zip(cv2.split(strip), gains, strict=True):
                k = gain.filtered(grey, top)
                planes.append(cv2.addWeighted(cv2.multiply(plane, k, dtype=cv2.CV_32F), 1, k, -255, 255, dtype=cv2.CV_8U))
            cv2.merge(planes, out[top:bottom])
        return out


def haziest_pixels(pixels: RgbImage) -> NDArray[np.intp]:
    """Which 1 % of the pixels have the brightest dark channel (window 7×7): places in the flattened picture."""
    dark = _dark(pixels).ravel()
    count = max(1, dark.size // 100)
    return np.argpartition(dark, -count)[-count:]


def atmospheric_light(pixels: RgbImage, haziest: NDArray[np.intp], offset: float, brightest: float, veil: float) -> NDArray[np.float32]:
    """The colour of the haze, Float32["3"] in [76, 255].

    In haze next to nothing is brighter than the light. So its brightness is `offset` + `brightest` times the highest value in the picture + `veil`
    times the median of the dark channel, white being 1: a linear fit on synthetic haze. It is not much darker than the haziest pixels, and not at
    all where there is nothing but haze. Half of its colour is that of those pixels, and half is grey. The published rule, the brightest of the
    pixels with the least transmission, is further off where haze does not hide the far end of a scene, as in a room.
    """
    dark = _dark(pixels)
    colour = pixels.reshape(-1, 3)[haziest].mean(0)
    floor = 0.8 * float(colour.mean()) + 0.2 * float(dark.min())
    grey = max(255 * offset + brightest * float(pixels.max()) + veil * float(np.median(dark)), floor)
    return np.asarray(np.clip(grey + 0.5 * (colour - colour.mean()), _DARKEST, 255), np.float32)


def _dark(pixels: RgbImage) -> NDArray[np.uint8]:
    return np.asarray(cv2.erode(pixels.min(2), np.ones((7, 7), np.uint8)), np.uint8)


def _grey(pixels: RgbImage) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _checked(pixels: RgbImage) -> RgbImage:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(
            f"A dehazer takes 8-bit RGB of shape (height, width, 3), not {pixels.dtype} of shape {pixels.shape}. Use read_image."
        )
    return np.ascontiguousarray(pixels)
