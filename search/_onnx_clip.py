"""A dual encoder from a folder of ONNX graphs: image.onnx, text.onnx, tokenizer.json, weights.json.

The graphs hold their own normalisation: `image.onnx` takes UInt8["batch side side 3"], `text.onnx` Int64["batch length"].
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import WeightsError

from .encode import Recipe, normalize
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
        raise WeightsError(f"{file} does not load: {error}. Install Pellucid again: pip install --force-reinstall pellucid") from error


PART = 16
"""Photos that one thread encodes at a time. Threads that share out whole photos are faster than threads that share one photo's layers:
1,476 photos/s instead of 739 on two cores."""


class OnnxEncoder:
    """Photos and words to unit rows through onnxruntime; a tower is loaded when it is first used."""

    batch_size = 64

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.folder, self.threads = folder, threads or os.cpu_count() or 1
        try:
            facts = json.loads((folder / "weights.json").read_text())
            self.side, dim = int(facts["side"]), int(facts["dim"])
            self.length, self.pad = int(facts["context_length"]), int(facts["pad_id"])
            self.files: dict[str, str] = dict(facts["files"])
            name = str(facts["name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{folder / 'weights.json'} is missing or damaged ({error}). Install Pellucid again.") from error
        towers = "".join(self.files.get(tower, "") for tower in ("image.onnx", "text.onnx", "tokenizer.json"))
        self.recipe = Recipe(name, hashlib.sha256(towers.encode()).hexdigest(), str(facts.get("precision", "fp32")), "none", dim)

    @cached_property
    def _image(self) -> Any:
        return _session(self.folder / "image.onnx", 1)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="encode")

    @cached_property
    def _text(self) -> Any:
        return _session(self.folder / "text.onnx", self.threads)

    @cached_property
    def _words(self) -> Words:
        return Words(self.folder / "tokenizer.json", self.length, self.pad)

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
        rows: Vectors = self._image.run(None, {"pixels": np.stack(part)})[0]
        return rows

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, Float32["text dim"]; texts longer than the context are cut."""
        rows = [self._text.run(None, {"ids": self._words(texts[at : at + 64])})[0] for at in range(0, len(texts), 64)]
        return normalize(np.concatenate(rows)) if rows else np.zeros((0, self.recipe.dim), np.float32)

    def verify(self) -> list[str]:
        """Names of files whose sha256 is not the one in weights.json; empty when all is well."""
        wrong = []
        for name, digest in self.files.items():
            file = self.folder / name
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                wrong.append(name)
        return wrong
