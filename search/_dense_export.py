"""Dense features of a vision transformer: a vector for each patch, as a graph beside that of the whole photo's vector.

After Wang, Mei, Yuille, "SCLIP: Rethinking Self-Attention for Dense Vision-Language Inference", ECCV 2024. In the last block each head attends by

    softmax(q qᵀ / √d) + softmax(k kᵀ / √d)

instead of softmax(q kᵀ / √d): patches gather from patches that are like them, not from those that matter to the whole photo. The two are
added, not averaged. All weights stay what they are, and the block keeps its residual and its MLP, as in the authors' own code; later work drops both
(Lan et al., "ClearCLIP", ECCV 2024), which this does not. Then every patch goes the way of the class token: the last norm and the projection.

The graph is one of its own, because computing it costs the last block a second time, and an output of `image.onnx` that nobody asked for would be paid for by
every photo that is indexed. Where `image.onnx` has its weights in a file beside it, the dense graph points into that file.
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
from ._onnx_clip import OnnxEncoder
from ._torch_clip import normalized
from ._towers import write_graph
from .dense import DENSE
from .model import IMAGE, Model

if TYPE_CHECKING:
    from preprocess import RgbImage

    from ._open_clip import Loaded

LEAST_COSINE = 0.9999
"""Between the graph's vectors and torch's, and between the photo's vector by this graph and by `image.onnx`."""
DENSE_PHOTOS = 4
"""On which the graph is compared with torch; each has hundreds of patches."""


class DenseTower(nn.Module):
    """UInt8["batch side side 3"] to unit rows: the photo's, Float32["batch dim"], and the patches', Float32["batch rows columns dim"].

    Raises:
        WeightsError: when made, of a tower that has no patches, or attends in another way.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        reason = unsupported(loaded.module)
        if reason:
            raise WeightsError(
                f"{loaded.arch} has no dense features here: {reason}. They are made of plain vision transformers: open_clip's own (ViT-B-32, ViT-L-14, ...) "
                f"and timm's (SigLIP, SigLIP2). Add it without --dense: pellucid segment then looks at crops of a photo."
            )
        self.visual, self.image = loaded.module.visual, loaded.image
        self.timm = hasattr(self.visual, "trunk")

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised inside."""
        photos = normalized(pixels, self.image)
        whole, patches = self._timm(photos) if self.timm else self._open_clip(photos)
        patches = functional.normalize(patches, dim=-1)
        return functional.normalize(whole, dim=-1), patches.reshape(-1, *self.grid, patches.shape[-1])

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        rows, columns = self.visual.trunk.patch_embed.grid_size if self.timm else self.visual.grid_size
        return int(rows), int(columns)

    def _open_clip(self, photos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        visual = self.visual
        *blocks, last = visual.transformer.resblocks
        tokens = visual._embeds(photos)
        for block in blocks:
            tokens = block(tokens)
        whole, _ = visual._pool(last(tokens))
        normed = last.ln_1(tokens)
        qkv = functional.linear(normed, last.attn.in_proj_weight, last.attn.in_proj_bias)
        tokens = tokens + last.ls_1(last.attn.out_proj(correlated(qkv, last.attn.num_heads)))
        tokens = tokens + last.ls_2(last.mlp(last.ln_2(tokens)))
        patches = visual.ln_post(tokens[:, 1:])
        if visual.proj is not None:
            whole, patches = whole @ visual.proj, patches @ visual.proj
        return whole, patches

    def _timm(self, photos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """SigLIP has no class token: a learnt query attends to the patches. A patch goes through that pool alone, where all attention is on itself."""
        trunk = self.visual.trunk
        *blocks, last = trunk.blocks
        tokens = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(photos)))
        for block in blocks:
            tokens = block(tokens)
        whole = trunk.forward_head(trunk.norm(last(tokens)))
        mixed = last.attn.proj(correlated(last.attn.qkv(last.norm1(tokens)), last.attn.num_heads))
        tokens = tokens + last.ls1(mixed)
        tokens = tokens + last.ls2(last.mlp(last.norm2(tokens)))
        patches = trunk.norm(tokens)[:, trunk.num_prefix_tokens :]
        pool = trunk.attn_pool
        if pool is not None:
            patches = pool.proj(pool.kv(patches).chunk(2, dim=-1)[1])
            if pool.mlp is not None:
                patches = patches + pool.mlp(pool.norm(patches))
        patches = trunk.head(trunk.fc_norm(patches))
        return self.visual.head(whole), self.visual.head(patches)


def correlated(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    """Correlative self-attention of Float["batch token 3·width"], the queries, keys and values, before the output projection: Float["batch token width"]."""
    batch, length, width = qkv.shape
    queries, keys, values = qkv.reshape(batch, length, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4).unbind(0)
    scale = queries.shape[-1] ** -0.5
    among_queries, among_keys = ((part * scale @ part.transpose(-2, -1)).softmax(-1) for part in (queries, keys))
    mixed: torch.Tensor = (among_queries + among_keys) @ values
    return mixed.transpose(1, 2).reshape(batch, length, width // 3)


def unsupported(module: Any) -> str:
    """Why a model of open_clip has no dense features here; empty where it has."""
    visual = module.visual
    kind = type(getattr(visual, "trunk", visual)).__name__
    if kind != "VisionTransformer":
        return f"its image tower is a {kind}"
    if not hasattr(visual, "trunk"):
        last = visual.transformer.resblocks[-1]
        if getattr(visual, "attn_pool", None) is not None:
            return "its image tower pools by attention"
        plain = type(last.attn) is nn.MultiheadAttention and last.attn._qkv_same_embed_dim and last.attn.batch_first
        return "" if plain else f"its last block attends by a {type(last.attn).__name__} of another kind"
    trunk, last = visual.trunk, visual.trunk.blocks[-1]
    attention = last.attn
    named = all(hasattr(last, name) for name in ("norm1", "ls1", "norm2", "ls2", "mlp")) and hasattr(attention, "qkv")
    plain = named and all(type(getattr(attention, name, nn.Identity())) is nn.Identity for name in ("q_norm", "k_norm", "norm"))
    if not plain or getattr(attention, "gate", None) is not None or type(attention).__name__ != "Attention":
        return f"its last block attends by a {type(attention).__name__} of another kind"
    pool = trunk.attn_pool
    if pool is not None and (type(pool).__name__ != "AttentionPoolLatent" or pool.pos_embed is not None or pool.latent_len != 1):
        return "its image tower pools in another way"
    return ""


def write_dense(loaded: Loaded, folder: Path, on_progress: Progress = no_progress) -> None:
    """Write `dense.onnx` into a folder that has `image.onnx`; input as that of `image.onnx`, outputs "vector" and "dense".

    Raises:
        WeightsError: the tower is not of a supported kind, or cannot be made a graph.
    """
    import onnx

    tower = DenseTower(loaded)
    on_progress("dense tower to ONNX", None)
    side = loaded.image.side
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8))

    def make(file: Path) -> Any:
        write_graph(tower, pixels, file, loaded.image.tensor, {0: "batch"}, ("vector", "dense"))
        graph = onnx.load(str(file))
        for dimension, length in zip(graph.graph.output[1].type.tensor_type.shape.dim[1:], (*tower.grid, loaded.dim), strict=True):
            dimension.dim_value = length  # which the exporter cannot know of a reshaped output
        return graph

    with graph_errors(loaded.arch):
        write_beside(folder, DENSE, make)


def replace_dense(loaded: Loaded, folder: Path, on_progress: Progress = no_progress) -> Model:
    """Put a dense graph into a model's folder, or another one in its place, and enter it in `weights.json` once it is checked.

    Raises:
        WeightsError: see `write_dense` and `check_dense`; the folder then has none.
    """
    DenseTower(loaded)

    def check() -> dict[str, float]:
        return check_dense(loaded, OnnxEncoder(folder), [*real_photos(), *example_photos()][:DENSE_PHOTOS])

    return replace_beside(folder, DENSE, lambda: write_dense(loaded, folder, on_progress), check, on_progress)


def check_dense(loaded: Loaded, encoder: OnnxEncoder, photos: Sequence[RgbImage]) -> dict[str, float]:
    """The least cosines of the dense graph in the encoder's folder with torch, patch by patch, and of its vector of a photo with the encoder's.

    Raises:
        WeightsError: one is below `LEAST_COSINE`, or not a number.
    """
    from ._dense import open_dense

    session = open_dense(encoder.folder, 1)
    ready = [encoder.prepare(photo) for photo in photos]
    vectors, whole, dense = encoder.encode_images(ready), [], []
    with torch.inference_mode():
        tower = DenseTower(loaded).eval()
        for one in ready:
            vector, patches = session.run(["vector", "dense"], {encoder.model.image.tensor: one[None]})
            _, theirs = tower(torch.from_numpy(np.array(one[None])))  # a copy: torch wants to be able to write
            whole.append(vector)
            dense.append(float((patches * theirs.numpy()).sum(-1).min()))
    cosines = {"dense_cosine": min(dense), "dense_vector_cosine": float((np.concatenate(whole) * vectors).sum(-1).min())}
    for name, cosine in cosines.items():
        if not cosine >= LEAST_COSINE:  # also where it is not a number
            what = "torch's dense features" if name == "dense_cosine" else f"the vectors of {IMAGE}"
            raise WeightsError(
                f"The dense graph of {loaded.arch} does not give {what}: their cosine is {cosine:.6f}, less than {LEAST_COSINE}. It was not kept."
            )
    return {name: round(cosine, 7) for name, cosine in cosines.items()}
