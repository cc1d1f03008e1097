"""What `weights.json` says of a dual encoder: its files, what its towers take, where it comes from and under which licence."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from preprocess import WeightsError, as_tuples, write_weights_facts, wrong_files

FORMAT = 2
KIND = "encoder"
IMAGE, IMAGE_INT8, TEXT, TOKENIZER, TORCH = "image.onnx", "image.int8.onnx", "text.onnx", "tokenizer.json", "model.safetensors"
DATA = ".data"  # behind a graph's name: its weights, where they are too large for one file
LARGEST_FILE = 50_000_000
"""Bytes of weights that go into a graph's own file. Those in a file beside it are mapped into memory instead of parsed and copied: ViT-B-32's
text tower (254 MB) is ready in 0.07 s instead of 0.57, in half the memory. A protobuf message ends at 2 GiB in any case."""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """How pixels become the image tower's input.

    `layout` "pixels": the graph takes UInt8["batch side side 3"] and normalises inside. "floats": Float32["batch 3 side side"], normalised by
    `mean` and `std` outside. `tensor` is the name of the graph's input.
    """

    side: int
    resize: Literal["squash", "shortest", "longest"] = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    fill: int = 0  # what "longest" pads with
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    layout: Literal["pixels", "floats"] = "pixels"
    tensor: str = "pixels"
    gap: float | None = None  # Pillow's reducing_gap; none is exact


@dataclass(frozen=True, slots=True)
class TextInput:
    """How words become the text tower's input. `padded`: always to `length`, as most CLIPs need; otherwise to the longest of the batch."""

    length: int = 77
    pad: int = 0
    padded: bool = True
    clean: Literal["none", "whitespace", "lower", "canonicalize"] = "lower"
    dtype: Literal["int64", "int32"] = "int64"
    tensor: str = "ids"


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder's facts. `files` maps names to sha256; `measured` holds what was checked when it was made."""

    name: str
    dim: int
    image: ImageInput
    text: TextInput
    files: Mapping[str, str]
    licence: str = "unknown"
    source: str = ""
    arch: str = ""
    precision: str = "fp32"  # of `image.onnx`
    logit_scale: float = 1.0
    logit_bias: float = 0.0
    version: int = 1
    measured: Mapping[str, Any] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Model:
        """The facts of a folder.

        Raises:
            WeightsError: `weights.json` is missing, damaged, of a later format, or not an encoder's.
        """
        try:
            facts = dict(json.loads((folder / "weights.json").read_text(encoding="utf-8")))
            if (kind := facts.pop("kind", KIND)) != KIND:
                raise WeightsError(f"{folder} holds a model of the kind {kind!r}, not an encoder. Name an encoder's folder.")
            number = int(facts.pop("format"))
            if number > FORMAT:  # before the rest, which may have fields of that format
                raise WeightsError(f"{folder / 'weights.json'} has format {number}; this Pellucid reads up to {FORMAT}. Upgrade Pellucid.")
            facts["image"], facts["text"] = ImageInput(**as_tuples(facts["image"])), TextInput(**facts["text"])
            model = cls(**as_tuples(facts))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{folder / 'weights.json'} is missing or damaged ({error}). {remedy(folder)}") from error
        return model

    def write(self, folder: Path) -> None:
        """Replace the folder's `weights.json` in one step."""
        write_weights_facts(folder, {"format": FORMAT} | asdict(self))

    @property
    def precisions(self) -> list[str]:
        """Those that the image tower has a graph for, its own first."""
        return [self.precision, *(["int8"] if IMAGE_INT8 in self.files and self.precision != "int8" else [])]

    def graph(self, precision: str) -> str:
        """The file of the image tower that runs for a precision."""
        return IMAGE_INT8 if precision == "int8" and self.precision != "int8" else IMAGE

    def identity(self, precision: str) -> str:
        """Sha256 over all that decides a vector: the towers in use, the tokenizer, and how they are fed."""
        graph = self.graph(precision)
        names = (graph, graph + DATA, TEXT, TEXT + DATA, TOKENIZER)
        parts = [self.files.get(name, "") for name in names] + [json.dumps([asdict(self.image), asdict(self.text)], sort_keys=True)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def wrong_files(self, folder: Path) -> list[str]:
        """Names of files that are missing or whose sha256 is another; empty when all is well."""
        return wrong_files(folder, self.files)


def remedy(folder: Path) -> str:
    """What to do about a model folder that is damaged. Never to remove it: `models remove` takes a library's vectors too."""
    if folder.name == "builtin":
        return "Install Pellucid again: pip install --force-reinstall pellucid"
    if folder.name.startswith("."):  # it is being made
        return "See that its files are whole, or take another model."
    return f"Add it again in its place: {add_command(folder)}"


def add_command(folder: Path, runtime: str = "") -> str:
    """The command that makes a model's folder anew; SOURCE stands where `weights.json` does not say where it came from."""
    try:
        facts = dict(json.loads((folder / "weights.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        facts = {}
    source, arch = str(facts.get("source") or "SOURCE"), str(facts.get("arch") or "")
    words = ["pellucid", "models", "add", source, *(["--arch", arch] if arch and source.startswith("path:") else []), "--name", folder.name]
    return shlex.join([*words, *(["--runtime", runtime] if runtime else []), "--force"])
