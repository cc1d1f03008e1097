"""A dual encoder from a folder of ONNX graphs: image.onnx, text.onnx, tokenizer.json, weights.json.

The graphs hold their own normalisation: `image.onnx` takes UInt8["batch side side 3"], `text.onnx` Int64["batch length"].
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import WeightsError

from .encode import EncoderOptions, Recipe, normalize
from .model import IMAGE, IMAGE_INT8, TEXT, TOKENIZER, Model, remedy
from .tokenize import Words

if TYPE_CHECKING:
    from preprocess import RgbImage

    from .encode import Prepared, Vectors


def builtin_folder() -> Path:
    """Where the encoder that ships with Pellucid lies."""
    return Path(str(resources.files("search") / "builtin"))


def _session(file: Path, threads: int) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning would steal the cores that decode
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WeightsError(f"{file} does not load: {error}. {remedy(file.parent)}") from error


PART = 16
"""Photos that one thread encodes at a time. Threads that share out whole photos are faster than threads that share one photo's layers:
1,476 photos/s instead of 739 on two cores."""


class OnnxEncoder:
    """Photos and words to unit rows through onnxruntime; a tower is loaded when it is first used."""

    batch_size = 64

    def __init__(self, folder: Path, options: EncoderOptions | None = None) -> None:
        options = options or EncoderOptions()
        self.folder, self.threads = folder, options.threads or os.cpu_count() or 1
        self.model = Model.read(folder)
        self.side = self.model.image.side
        precision = options.precision or self.model.precision
        self.graph = IMAGE_INT8 if precision == "int8" and self.model.precision != "int8" else IMAGE
        self.recipe = Recipe(self.model.name, self.model.identity(precision), precision, "none", self.model.dim)

    @cached_property
    def _image(self) -> Any:
        return _session(self.folder / self.graph, 1)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="encode")

    @cached_property
    def _text(self) -> Any:
        return _session(self.folder / TEXT, self.threads)

    @cached_property
    def _words(self) -> Words:
        return Words(self.folder / TOKENIZER, self.model.text)

    def prepare(self, pixels: RgbImage) -> Prepared:
        """The whole photo squashed to side x side, antialiased."""
        from preprocess import squash

        return squash(pixels, self.side)

    def encode_images(self, prepared: Sequence[Prepared]) -> Vectors:
        """Unit rows, Float32["photo dim"], shared out among the threads."""
        parts = [prepared[at : at + PART] for at in range(0, len(prepared), PART)]
        if len(parts) > 1 and self.threads > 1:
            rows = list(self._pool.map(self._image_rows, parts))
        else:
            rows = [self._image_rows(part) for part in parts]
        return normalize(np.concatenate(rows)) if rows else np.zeros((0, self.recipe.dim), np.float32)

    def _image_rows(self, part: Sequence[Prepared]) -> Vectors:
        rows: Vectors = self._image.run(None, {self.model.image.tensor: np.stack(part)})[0]
        return rows

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, Float32["text dim"]; texts longer than the context are cut."""
        rows = [self._text.run(None, {self.model.text.tensor: self._words(texts[at : at + 64])})[0] for at in range(0, len(texts), 64)]
        return normalize(np.concatenate(rows)) if rows else np.zeros((0, self.recipe.dim), np.float32)

    def verify(self) -> list[str]:
        """Names of files whose sha256 is not the one in weights.json; empty when all is well."""
        return self.model.wrong_files(self.folder)
