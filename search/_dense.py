"""Dense features from a model's `dense.onnx`, by onnxruntime: a photo of any shape is cut into squares of the model's size."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import GraphOptions, Progress, RgbImage, no_progress, open_session

from ._graph_beside import GraphBeside
from .dense import DENSE, Cells, bump, grid_of, resized, starts

if TYPE_CHECKING:
    from .encode import Encoder, EncoderOptions

SHORT = 1.5
"""Tiles' sides that a photo's short side is long: as in SCLIP, which brings it to 336 pixels and slides a window of 224 over it."""
_OVERLAP = 0.5  # of neighbouring tiles, as there
_BATCH = 8  # tiles at a time, so that a long photo takes no more memory than a square one


def open_dense(folder: Path, threads: int) -> Any:
    """The session of a folder's dense graph.

    Raises:
        WeightsError: it does not load.
    """
    return open_session(folder / DENSE, GraphOptions(threads, prepack=False), folder / DENSE, _remedy(folder))


def _remedy(folder: Path) -> str:
    return f"Make it anew: pellucid models dense {shlex.quote(folder.name)}"


class TiledEncoder(GraphBeside):
    """Cells of a vision transformer: one a patch. A photo is brought to one and a half of the model's squares on its short side, and cut into squares that
    overlap by half; a cell gets the mean over those that cover it, each counting most in its middle."""

    def __init__(self, encoder: Encoder, folder: Path, options: EncoderOptions) -> None:
        super().__init__(folder, DENSE, options, open_dense, _remedy(folder))
        self.encoder = encoder
        self.id = f"tiles-1:{self.digest[:12]}:{SHORT}:{_OVERLAP}"
        self.short = round(SHORT * self.model.image.side)

    def __call__(self, pixels: RgbImage, on_progress: Progress = no_progress) -> Cells:
        """The cells of a photo, UInt8["height width 3"]."""
        image, session = self.model.image, self.session
        grid = tuple(session.get_outputs()[1].shape[1:3])
        patch = image.side / min(grid)
        shape = grid_of(pixels, round(SHORT * min(grid)))
        height, width = (max(image.side, round(cells * patch)) for cells in shape)
        photo = resized(pixels, (height, width), bilinear=image.interpolation == "bilinear")
        tiles = [
            (row, column)
            for row in starts(shape[0], grid[0], grid[0] * _OVERLAP)
            for column in starts(shape[1], grid[1], grid[1] * _OVERLAP)
        ]
        sums, weights = np.zeros((*shape, self.encoder.recipe.dim), np.float32), np.zeros((*shape, 1), np.float32)
        weight = (bump(grid[0])[:, None] * bump(grid[1]))[..., None]
        for at in range(0, len(tiles), _BATCH):
            batch = tiles[at : at + _BATCH]
            corners = [
                (min(round(row * patch), height - image.side), min(round(column * patch), width - image.side)) for row, column in batch
            ]
            fed = np.stack([photo[top : top + image.side, left : left + image.side] for top, left in corners])
            (dense,) = session.run(["dense"], {image.tensor: fed})
            for (row, column), patches in zip(batch, dense, strict=True):
                place = slice(row, row + grid[0]), slice(column, column + grid[1])
                sums[place] += weight * patches
                weights[place] += weight
            on_progress("tiles", (at + len(batch)) / len(tiles))
        return Cells(sums / weights)
