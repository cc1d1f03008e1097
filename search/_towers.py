"""The two towers of a torch model as modules that take what Pellucid feeds, and their ONNX graphs.

Graphs are made by torch's TorchScript-based exporter. The newer one (`dynamo=True`) gives the same speed in onnxruntime (ViT-B-32, one
thread: 11.6 and 11.4 photos, 16.2 and 15.9 texts a second of processor time), and takes 5 to 10 times as long to make them.
"""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from preprocess import write_onnx

from ._torch_clip import normalized
from .model import DATA, LARGEST_FILE

if TYPE_CHECKING:
    from ._open_clip import Loaded


class ImageTower(nn.Module):
    """UInt8["batch side side 3"] to unit rows, Float32["batch dim"]."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        self.whole, self.image = _fused(loaded.module), loaded.image

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised inside."""
        rows: torch.Tensor = self.whole.encode_image(normalized(pixels, self.image), normalize=True)
        return rows


class TextTower(nn.Module):
    """Int64["batch length"], always the whole context, to unit rows, Float32["batch dim"]."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.whole = module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """By open_clip's own code."""
        rows: torch.Tensor = self.whole.encode_text(ids, normalize=True)
        return rows


class ShortTextTower(nn.Module):
    """Int64["batch length"] of any length up to the context's, to unit rows, Float32["batch dim"].

    In CLIP's text tower no token sees later ones, and the row is read at the end token: padding behind it changes nothing. Without it a
    query of six words needs 8 tokens instead of 77.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.tower = getattr(module, "text", module)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """As `CLIP.encode_text` and `TextTransformer.forward`, with positions and mask cut to the length."""
        tower, length = self.tower, ids.shape[1]
        rows = tower.token_embedding(ids) + tower.positional_embedding[:length]
        rows = tower.ln_final(tower.transformer(rows, attn_mask=tower.attn_mask[:length, :length]))
        rows = rows[torch.arange(rows.shape[0]), ids.argmax(dim=-1)]
        projection = tower.text_projection
        if projection is not None:
            rows = projection(rows) if isinstance(projection, nn.Linear) else rows @ projection
        return functional.normalize(rows, dim=-1)


def text_tower(module: Any) -> ShortTextTower | TextTower:
    """The text tower that takes short texts as they are, where the model's own cannot tell the difference."""
    tower = getattr(module, "text", module)
    pool = getattr(module, "text_pool_type", None) if tower is module else getattr(tower, "pool_type", None)
    causal = getattr(tower, "attn_mask", None) is not None
    plain = getattr(tower, "cls_emb", None) is None and not getattr(tower, "use_pad_mask", False)
    return ShortTextTower(module) if causal and plain and pool == "argmax" else TextTower(module)


def write_graph(
    tower: nn.Module, example: torch.Tensor, file: Path, name: str, axes: dict[int, str], outputs: tuple[str, ...] = ("vectors",)
) -> None:
    """Write a tower's graph: input `name`, whose `axes` vary, and its outputs; weights over 50 MB go into a file beside it.

    Memory: two to three times the tower's weights.
    """
    large = sum(tensor.numel() * tensor.element_size() for tensor in tower.parameters()) > LARGEST_FILE
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".parts") as parts:
        target = Path(parts) / file.name if large else file
        with _exporting(tower):
            write_onnx(tower, example, target, [name], outputs, {name: axes} | {output: {0: "batch"} for output in outputs})
        if large:  # above 2 GB torch makes a file of each weight
            import onnx

            onnx.save_model(onnx.load(target), file, save_as_external_data=True, location=file.name + DATA)
            file.with_name(file.name + DATA).chmod(file.stat().st_mode)  # which onnx makes for its owner alone


@contextlib.contextmanager
def _exporting(tower: nn.Module) -> Iterator[None]:
    """Attention in single steps: torch's fused one has no counterpart in ONNX, and its other one writes the length of the
    example into the graph."""
    layers = [part for part in tower.modules() if type(part) is nn.MultiheadAttention]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    for layer in layers:
        layer.forward = MethodType(_attend, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for layer in layers:
            del layer.forward


def _attend(self: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **given: Any) -> tuple[torch.Tensor, None]:
    """`MultiheadAttention.forward` of a sequence on itself; any other use is torch's own."""
    mask = given.get("attn_mask")
    itself = key is query and value is query and self._qkv_same_embed_dim and self.batch_first and self.bias_k is None
    if not itself or self.add_zero_attn or given.get("key_padding_mask") is not None or given.get("is_causal"):
        rows, _ = nn.MultiheadAttention.forward(self, query, key, value, **given)
        return rows, None
    batch, length, width = query.shape
    parts = functional.linear(query, self.in_proj_weight, self.in_proj_bias).reshape(batch, length, 3, self.num_heads, self.head_dim)
    queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
    scores = (queries * self.head_dim**-0.5) @ keys.transpose(-2, -1)
    if mask is not None:
        scores = scores + (mask.reshape(batch, self.num_heads, length, length) if mask.dim() == 3 else mask)
    rows = (scores.softmax(-1) @ values).transpose(1, 2).reshape(batch, length, width)
    return self.out_proj(rows), None


def _fused(module: Any) -> Any:
    """The model with branches of convolutions that add up to one (MobileCLIP) made one; the same object where there are none."""
    if not any(hasattr(part, "reparameterize") for part in module.visual.modules()):
        return module
    from timm.utils.model import reparameterize_model

    whole = copy.copy(module)
    whole._modules = dict(module._modules)
    whole.visual = reparameterize_model(module.visual)
    return whole
