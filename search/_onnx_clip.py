"""A dual encoder from a folder of ONNX graphs: image.onnx, text.onnx, tokenizer.json, weights.json, which says how they are fed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import GraphOptions, WeightsError, normalised_planes, open_session

from .bench import bench_file, read_settings
from .encode import EncoderOptions, Recipe, normalize
from .model import DATA, TEXT, TOKENIZER, Model, remedy
from .tokenize import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from preprocess import RgbImage

    from .encode import Prepared, Vectors
    from .model import ImageInput


def builtin_folder() -> Path:
    """Where the encoder that ships with Pellucid lies."""
    return Path(str(resources.files("search") / "builtin"))


def _session(file: Path, threads: int, *, prepack: bool = True) -> Any:
    """A graph, loaded. Without `prepack` weights in a file of their own stay mapped instead of being copied into the order that is fastest to
    multiply: for ViT-B-32's text tower 0.07 s to load instead of 0.21 and 25 ms a query instead of 11, which is less for up to nine queries."""
    return open_session(file, GraphOptions(threads, prepack), file, remedy(file.parent))


PART = 16
"""Photos that one thread encodes at a time, unless it was measured. Threads that share out whole photos are faster than threads that share one
photo's layers: 1,476 photos/s instead of 739 on two cores."""


class OnnxEncoder:
    """Photos and words to unit rows through onnxruntime; a tower is loaded when it is first used.

    What `pellucid models bench` measured on this machine is used for what the options leave open.
    """

    batch_size = 64

    def __init__(self, folder: Path, options: EncoderOptions | None = None) -> None:
        options = options or EncoderOptions()
        self.folder, self.model = folder, Model.read(folder)
        precision = options.precision or self.model.precision
        measured = read_settings(bench_file(folder, options.models), precision)
        self.batch_size, self.part = measured.get("batch", self.batch_size), measured.get("part", PART)
        self.threads = options.threads or measured.get("threads") or os.cpu_count() or 1
        self.intra = 1 if options.threads else measured.get("intra", 1)
        # JPEGs decoded at a reduced size, never below three times this, give vectors within cosine 0.9999 of exact ones: at worst 0.99992
        # (ConvNeXt-B at 256) and 0.999996 (ViT-B-32 at 224) over 30 of 1,536 pixels, with random weights.
        self.side = self.model.image.side
        self.graph = self.model.graph(precision)
        self.recipe = Recipe(self.model.name, self.model.identity(precision), precision, "none", self.model.dim)

    @cached_property
    def _image(self) -> Any:
        return _session(self._still(self.graph), self.intra)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="encode")

    @cached_property
    def _text(self) -> Any:
        return _session(self._still(TEXT), self.threads, prepack=not (self.folder / (TEXT + DATA)).is_file())

    @cached_property
    def _words(self) -> Words:
        return Words(self._still(TOKENIZER), self.model.text)

    def _still(self, name: str) -> Path:
        """A file of the folder. Files are loaded late, and `models add --force` may have put others there since the recipe was read: their vectors
        would be stored under it.

        Raises:
            WeightsError: the folder holds another model now, or none.
        """
        if Model.read(self.folder).identity(self.recipe.precision) != self.recipe.weights:
            raise WeightsError(f"{self.folder} was replaced while this ran. Run the same command again.")
        return self.folder / name

    def prepare(self, pixels: RgbImage) -> Prepared:
        """The photo as the model's square, in the way it was trained with."""
        from preprocess import Fit, fit

        image = self.model.image
        return fit(pixels, Fit(image.side, image.resize, image.interpolation, image.fill, image.gap))

    def encode_images(self, prepared: Sequence[Prepared]) -> Vectors:
        """Unit rows, Float32["photo dim"], shared out among the threads."""
        parts = [prepared[at : at + self.part] for at in range(0, len(prepared), self.part)]
        if len(parts) > 1 and self.threads > 1:
            _ = self._image  # once: since Python 3.12 threads that find it missing would each load it
            rows = list(self._pool.map(self._image_rows, parts))
        else:
            rows = [self._image_rows(part) for part in parts]
        return normalize(np.concatenate(rows)) if rows else np.zeros((0, self.recipe.dim), np.float32)

    def _image_rows(self, part: Sequence[Prepared]) -> Vectors:
        image = self.model.image
        fed = np.stack(part) if image.layout == "pixels" else floats(part, image)
        return run_rows(self._image, image.tensor, fed)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, Float32["text dim"]; texts longer than the context are cut."""
        rows = [run_rows(self._text, self.model.text.tensor, self._words(texts[at : at + 64])) for at in range(0, len(texts), 64)]
        return normalize(np.concatenate(rows)) if rows else np.zeros((0, self.recipe.dim), np.float32)

    def verify(self) -> list[str]:
        """Names of files whose sha256 is not the one in weights.json; empty when all is well."""
        return self.model.wrong_files(self.folder)


def run_rows(session: Any, tensor: str, fed: NDArray[Any]) -> Vectors:
    """What a tower gives for a batch, Float32["row dim"]. Some ready-made graphs take a fixed number of rows, mostly one: they get that many."""
    fixed = session.get_inputs()[0].shape[0]
    if not isinstance(fixed, int) or fixed == len(fed):
        rows: Vectors = session.run(None, {tensor: fed})[0]
        return rows
    full = np.concatenate([fed, np.repeat(fed[-1:], -len(fed) % fixed, axis=0)])
    rows = np.concatenate([session.run(None, {tensor: full[at : at + fixed]})[0] for at in range(0, len(full), fixed)])
    return rows[: len(fed)]


def floats(part: Sequence[Prepared], image: ImageInput) -> NDArray[np.float32]:
    """Float32["photo 3 side side"], normalised."""
    return normalised_planes(np.stack(part), image.mean, image.std)
