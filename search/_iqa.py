"""CLIP-IQA's vectors of photos at their own size, from a model's `iqa.onnx`, by onnxruntime."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from preprocess import GraphOptions, RgbImage, open_session

from ._graph_beside import GraphBeside
from .encode import normalize
from .iqa import IQA

if TYPE_CHECKING:
    from .encode import EncoderOptions, Vectors

LONGEST = 1024
"""Pixels on the long side that a photo is seen at, at most; a larger one is brought down to it. The paper sees KonIQ-10k's photos at their 1024×768, and larger ones
(SPAQ) brought down to 512 on the short side; a net that learned from 224 pixels sees no more in a photo of 12 megapixels, and would need 16 times as long."""

DECODED_SIDE = -(-LONGEST // 3)
"""For `read_image(file, side=...)`: its short side is then at least `LONGEST`, so no photo is seen at less than its own size up to the cap."""

LEAST_SIDE = 32
"""The net halves five times: smaller photos are enlarged to it."""


def open_iqa(folder: Path, threads: int) -> Any:
    """The session of a folder's CLIP-IQA graph. Memory goes back after each photo, since they are of many sizes.

    Raises:
        WeightsError: it does not load.
    """
    return open_session(folder / IQA, GraphOptions(threads, hoard=False), folder / IQA, _remedy(folder))


def _remedy(folder: Path) -> str:
    return f"Make it anew: pellucid models iqa {shlex.quote(folder.name)}"


def at_native_size(pixels: RgbImage) -> RgbImage:
    """The photo as it is, unless its long side is over `LONGEST` or its short side under `LEAST_SIDE` pixels; then brought there, antialiased bicubic. A strip that cannot
    have both keeps its shortest side."""
    height, width = pixels.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    size = tuple(max(LEAST_SIDE, round(length * scale)) for length in (width, height))
    if size == (width, height):
        return pixels
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC))


class IqaEncoder(GraphBeside):
    """Photos at their own size to unit rows of the space of a model with `iqa.onnx`. Safe to call from many threads.

    `id` names all that decides the rows.

    Raises:
        WeightsError: when made, of a folder that has no such graph.
    """

    def __init__(self, folder: Path, options: EncoderOptions) -> None:
        super().__init__(folder, IQA, options, open_iqa, _remedy(folder))
        self.id = f"iqa-1:{self.digest[:12]}:{LONGEST}"

    def __call__(self, pixels: RgbImage) -> Vectors:
        """The unit row of one photo, UInt8["height width 3"], Float32["dim"]. One at a time: photos of many sizes make no batch."""
        ready = np.ascontiguousarray(at_native_size(pixels))
        (rows,) = self.session.run(["vectors"], {self.model.image.tensor: ready[None]})
        return np.asarray(normalize(rows)[0], np.float32)
