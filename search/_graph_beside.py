"""A further graph in a model's folder, beside the one of whole photos: written, checked, and only then entered in `weights.json`; and loaded when it is first used."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import Progress, WeightsError, digest_of, no_progress, writing_models

from ._shared_weights import share_weights
from .model import DATA, IMAGE, LARGEST_FILE, Model

if TYPE_CHECKING:
    from .encode import EncoderOptions


class GraphBeside:
    """The graph `name` of a model's folder, which `opened` loads for so many threads. `digest` is the sha256 of its file.

    Raises:
        WeightsError: when made, of a folder that has no such graph; the message ends with the `remedy`.
    """

    def __init__(self, folder: Path, name: str, options: EncoderOptions, opened: Callable[[Path, int], Any], remedy: str) -> None:
        self.folder, self.model = folder, Model.read(folder)
        self.threads = options.threads or os.cpu_count() or 1
        digest = self.model.files.get(name)
        if digest is None:
            raise WeightsError(f"{folder / name} is not in {folder / 'weights.json'}. {remedy}")
        self.digest, self._opened = digest, opened
        self._lock, self._session = threading.Lock(), None

    @property
    def session(self) -> Any:
        """The graph, loaded when it is first used.

        Raises:
            WeightsError: it does not load, or the folder holds another model now.
        """
        with self._lock:
            if self._session is None:
                if self.model.files != Model.read(self.folder).files:
                    raise WeightsError(f"{self.folder} was replaced while this ran. Run the same command again.")
                self._session = self._opened(self.folder, self.threads)
            return self._session


def write_beside(folder: Path, name: str, make: Callable[[Path], Any]) -> None:
    """Write the graph that `make` gives, a loaded ONNX model, for a file that it may use meanwhile. Weights that `image.onnx` has in a file beside it are shared with it; what is
    left goes into a file of its own where it is large."""
    import onnx

    with tempfile.TemporaryDirectory(dir=folder, prefix=".graph") as place:
        graph = make(Path(place) / name)
        if (folder / (IMAGE + DATA)).is_file():
            share_weights(graph, folder / IMAGE)
        ready = Path(place) / "ready"
        ready.mkdir()
        if sum(len(tensor.raw_data) for tensor in graph.graph.initializer) > LARGEST_FILE:
            onnx.save_model(graph, str(ready / name), save_as_external_data=True, location=name + DATA)
        else:
            (ready / name).write_bytes(graph.SerializeToString())
        for file in sorted(ready.iterdir(), reverse=True):  # the graph last
            file.chmod((folder / IMAGE).stat().st_mode)
            file.replace(folder / file.name)


def replace_beside(
    folder: Path, name: str, write: Callable[[], None], check: Callable[[], Mapping[str, float]], on_progress: Progress = no_progress
) -> Model:
    """Let `write` put the graph `name` into a model's folder, or another one in its place, and enter it in `weights.json`, with what `check` measured.

    Raises:
        PellucidError: of `write` or `check`; the folder then has no such graph.
    """
    model = Model.read(folder)
    kept = {file: digest for file, digest in model.files.items() if not file.startswith(name)}
    with writing_models(folder):
        replace(model, files=kept).write(folder)
        try:
            write()
            on_progress("comparison with open_clip", None)
            measured = check()
        except BaseException:
            for file in folder.glob(name + "*"):
                file.unlink()
            raise
        made = {file.name: digest_of(file) for file in sorted(folder.glob(name + "*"))}
        model = replace(model, files=kept | made, measured=dict(model.measured) | dict(measured))
        model.write(folder)
    return model
