"""The image tower of CLIP-IQA as a graph beside that of the whole photo's vector: a photo of any size, and no positions in the pool.

After Wang, Chan, Loy, "Exploring CLIP for Assessing the Look and Feel of Images", AAAI 2023: the positional embedding of the attention pool, which belongs to
7×7 cells of a square of 224, is left out, so that a photo of any size and shape can be seen without cutting or squeezing it, which would change the quality that is to be
judged. The pool's only query that counts is the mean of all cells:

    vector = W_c · Σ softmax(q(mean) · k(tokens)ᵀ / √d) v(tokens) + b,    tokens = the mean, and then the cells

It is for the residual nets of OpenAI (RN50 is the paper's). The authors choose such a net because
vision transformers lean more on their positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from preprocess import Progress, WeightsError, example_photos, graph_errors, no_progress, real_photos

from ._graph_beside import replace_beside, write_beside
from ._iqa import LEAST_SIDE, at_native_size, open_iqa
from ._torch_clip import normalized
from ._towers import write_graph
from .iqa import IQA
from .model import Model

if TYPE_CHECKING:
    from preprocess import RgbImage

    from ._open_clip import Loaded

LEAST_COSINE = 0.9999
"""Between the graph's vectors and torch's, and between those of the tower and of open_clip's own pool with its positions set to 0."""
IQA_PHOTOS = 3
"""On which the graph is compared with torch; each at its own size and as a strip."""


class IqaTower(nn.Module):
    """UInt8["batch height width 3"] of any size from 32×32 up to unit rows, Float32["batch dim"].

    Raises:
        WeightsError: when made, of a tower that has no attention pool over the cells of a convolutional net.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        visual = loaded.module.visual
        if type(visual).__name__ != "ModifiedResNet":
            raise WeightsError(
                f"{loaded.arch} has no CLIP-IQA graph: its image tower is a {type(getattr(visual, 'trunk', visual)).__name__}, and the method is for OpenAI's residual "
                f"nets. Add RN50 for it: pellucid models add open_clip:RN50/openai"
            )
        self.visual, self.image = visual, loaded.image

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised inside."""
        visual = self.visual
        cells = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(normalized(pixels, self.image))))))
        return functional.normalize(self._pool(cells), dim=-1)

    def _pool(self, cells: torch.Tensor) -> torch.Tensor:
        """Float["batch width rows columns"] to Float["batch dim"]. Three dimensions before the last projection and two in it make the exporter lay the
        weights out as in `image.onnx`, with which they are shared."""
        pool = self.visual.attnpool
        rows = cells.flatten(2).transpose(1, 2)
        mean = rows.mean(1, keepdim=True)
        tokens = torch.cat([mean, rows], 1)
        queries, keys, values = (
            self._heads(project(given)) for project, given in ((pool.q_proj, mean), (pool.k_proj, tokens), (pool.v_proj, tokens))
        )
        weights = (queries * queries.shape[-1] ** -0.5 @ keys.transpose(-2, -1)).softmax(-1)
        mixed: torch.Tensor = pool.c_proj((weights @ values).flatten(1))
        return mixed

    def _heads(self, rows: torch.Tensor) -> torch.Tensor:
        heads = self.visual.attnpool.num_heads
        return rows.reshape(rows.shape[0], -1, heads, rows.shape[2] // heads).transpose(1, 2)


def write_iqa(loaded: Loaded, folder: Path, on_progress: Progress = no_progress) -> None:
    """Write `iqa.onnx` into a folder that has `image.onnx`; input as that of `image.onnx`, but of any height and width; output "vectors".

    Raises:
        WeightsError: the tower is not of a supported kind, or cannot be made a graph.
    """
    import onnx

    tower = IqaTower(loaded)
    on_progress("CLIP-IQA tower to ONNX", None)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), np.uint8))

    def make(file: Path) -> Any:
        write_graph(tower, pixels, file, loaded.image.tensor, {0: "batch", 1: "height", 2: "width"})
        return onnx.load(str(file))

    with graph_errors(loaded.arch):
        write_beside(folder, IQA, make)


def replace_iqa(loaded: Loaded, folder: Path, on_progress: Progress = no_progress) -> Model:
    """Put a CLIP-IQA graph into a model's folder, or another one in its place, and enter it in `weights.json` once it is checked.

    Raises:
        WeightsError: see `write_iqa` and `check_iqa`; the folder then has none.
    """
    IqaTower(loaded)

    def check() -> dict[str, float]:
        return check_iqa(loaded, folder, [*real_photos(), *example_photos()][:IQA_PHOTOS])

    return replace_beside(folder, IQA, lambda: write_iqa(loaded, folder, on_progress), check, on_progress)


def check_iqa(loaded: Loaded, folder: Path, photos: Sequence[RgbImage]) -> dict[str, float]:
    """The least cosines of the folder's graph with torch, on photos and strips of them, and, on a square of the model's size, with open_clip's own pool whose positions
    are set to 0.

    Raises:
        WeightsError: one is below `LEAST_COSINE`, or not a number.
    """
    session, tower, side = open_iqa(folder, 1), IqaTower(loaded).eval(), loaded.image.side
    shown = [at_native_size(photo) for photo in photos]
    shown += [photo[:LEAST_SIDE] for photo in shown[:1]] + [photo[:, :LEAST_SIDE] for photo in shown[:1]]
    square = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)

    def graph(pixels: Any) -> Any:
        return session.run(None, {loaded.image.tensor: np.ascontiguousarray(pixels)})[0]

    with torch.inference_mode():
        cosines = [float((graph(photo[None]) * tower(torch.from_numpy(np.array(photo[None]))).numpy()).sum()) for photo in shown]
        own = functional.normalize(_without_positions(loaded, torch.from_numpy(square)), dim=-1)
        found = {"iqa_cosine": min(cosines), "iqa_pool_cosine": float((graph(square) * own.numpy()).sum())}
    for name, cosine in found.items():
        if not cosine >= LEAST_COSINE:  # also where it is not a number
            what = "torch's vectors" if name == "iqa_cosine" else "those of open_clip's own pool"
            raise WeightsError(
                f"The CLIP-IQA graph of {loaded.arch} does not give {what}: their cosine is {cosine:.6f}, less than {LEAST_COSINE}. It was not kept."
            )
    return {name: round(cosine, 7) for name, cosine in found.items()}


def _without_positions(loaded: Loaded, pixels: torch.Tensor) -> torch.Tensor:
    """open_clip's own vectors of squares of its size, with the positions of its pool at 0 meanwhile."""
    positions = loaded.module.visual.attnpool.positional_embedding
    kept = positions.detach().clone()
    try:
        positions.data.zero_()
        rows: torch.Tensor = loaded.module.visual(normalized(pixels, loaded.image))
        return rows
    finally:
        positions.data.copy_(kept)
