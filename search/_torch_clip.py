"""A dual encoder from a folder with model.safetensors, run by torch through open_clip: for where there is a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import InputError, WeightsError, read_state

from ._checkpoint import fill
from ._onnx_clip import OnnxEncoder
from ._open_clip import create_module, import_torch
from .encode import EncoderOptions, Recipe, normalize
from .model import TORCH, ImageInput, add_command

if TYPE_CHECKING:
    from .encode import Prepared, Vectors


class TorchEncoder(OnnxEncoder):
    """Photos and words to unit rows through torch: autocast to bf16 (fp16 where the GPU has none) on a GPU, fp32 without one.

    Only the towers are torch's; photos and words are made ready as for the ONNX graphs. On a CPU, vectors of a recipe "bf16" or "fp16" are
    computed in fp32: they are closer to the true ones than the library's own.
    """

    def __init__(self, folder: Path, options: EncoderOptions | None = None) -> None:
        options = options or EncoderOptions()
        torch = import_torch()
        super().__init__(folder, EncoderOptions(models=options.models, runtime=options.runtime, threads=options.threads))
        if not (folder / TORCH).is_file():
            raise WeightsError(
                f"{folder} has no {TORCH}, which the torch runtime needs. Add the model again, with it: {add_command(folder, 'torch')}"
            )
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.batch_size = 256 if self.device == "cuda" else 64
        best = ("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16") if self.device == "cuda" else "fp32"
        precision = options.precision or best
        if precision not in ("fp32", "bf16", "fp16"):
            raise InputError(f"The torch runtime has no precision {precision!r}. Use fp32, bf16 or fp16, or --runtime onnx.")
        self.lower = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision) if self.device == "cuda" else None
        self.recipe = Recipe(self.model.name, self.model.identity(precision), precision, "none", self.model.dim)

    @cached_property
    def _module(self) -> Any:
        torch = import_torch()
        if self.device == "cpu":
            torch.set_num_threads(self.threads)
        module = create_module(self.model.arch)
        file = self._still(TORCH)
        fill(module, read_state(file), f"{file} does not fit {self.model.arch}")
        return module.to(self.device)

    @contextlib.contextmanager
    def _running(self) -> Iterator[Any]:
        torch = import_torch()
        with torch.inference_mode(), torch.autocast(self.device, self.lower) if self.lower else contextlib.nullcontext():
            yield torch

    def encode_images(self, prepared: Sequence[Prepared]) -> Vectors:
        """Unit rows, Float32["photo dim"]."""
        rows = [np.zeros((0, self.recipe.dim), np.float32)]
        for at in range(0, len(prepared), self.batch_size):
            with self._running() as torch:
                # Copied as bytes and made floats there: a quarter of what goes over the bus.
                pixels = torch.from_numpy(np.stack(prepared[at : at + self.batch_size])).to(self.device)
                floats = normalized(pixels, self.model.image)
                rows.append(self._module.encode_image(floats, normalize=True).float().cpu().numpy())
        return normalize(np.concatenate(rows))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, Float32["text dim"]; texts longer than the context are cut."""
        rows = [np.zeros((0, self.recipe.dim), np.float32)]
        for at in range(0, len(texts), self.batch_size):
            ids = self._words(texts[at : at + self.batch_size])
            full = np.full((len(ids), self.model.text.length), self.model.text.pad, np.int64)  # torch's towers take no shorter ones
            full[:, : ids.shape[1]] = ids
            with self._running() as torch:
                rows.append(self._module.encode_text(torch.from_numpy(full).to(self.device), normalize=True).float().cpu().numpy())
        return normalize(np.concatenate(rows))


def normalized(pixels: Any, image: ImageInput) -> Any:
    """UInt8["batch side side 3"] to the tower's Float32["batch 3 side side"], both tensors of torch."""
    import torch

    mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) * 255 for values in (image.mean, image.std))
    return (pixels.permute(0, 3, 1, 2).float() - mean) / std
