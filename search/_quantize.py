"""The int8 graph of an image tower, beside its fp32 graph.

Every matrix product with constant weights becomes one of 8-bit integers: weights per output channel, rounded once; activations per batch, rounded
while it runs, so nothing has to be calibrated. On a processor with VNNI that is three times the photos a second for a ViT. Convolutions
stay fp32: onnxruntime has no fast kernel for those whose input is rounded while it runs, and one rounded ahead would make the graph, and so the
recipe, depend on the photos it was calibrated on. A tower of convolutions therefore gains nothing, which `choose_precision` measures.

The text tower has no int8 graph: a query's words always go through the fp32 one, which costs milliseconds once. A picture in a query goes
through the same graph as the library's photos, so that a photo finds itself.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from preprocess import InputError, WeightsError, digest_of, try_lock, writing_models

from .model import DATA, IMAGE, IMAGE_INT8, LARGEST_FILE, Model, remedy


def make_int8(folder: Path) -> Path:
    """Make `image.int8.onnx` of a model folder where it is not there yet, and enter its sha256 in `weights.json`; gives the file.

    Files appear by renaming, and `weights.json` names them last: a run that is killed leaves the model as it was. Two processes wait for
    each other. Memory: about three times the tower's weights.

    Raises:
        InputError: the model's own graph is int8 already.
        WeightsError: the fp32 graph is missing or cannot be made int8, or the folder cannot be written.
        StorageFull: the disk took no more.
    """
    model = Model.read(folder)
    if model.precision != "fp32":
        raise InputError(f"{model.name} is {model.precision} itself and has no other precision. Leave --precision at auto.")
    if _whole(folder, model):
        return folder / IMAGE_INT8
    with writing_models(folder), _alone(folder):
        for left in folder.glob(".int8-*"):  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        model = Model.read(folder)  # another process may have made it meanwhile
        if not _whole(folder, model):
            with tempfile.TemporaryDirectory(dir=folder, prefix=".int8-") as place:
                made = _quantized(folder, Path(place))
                digests = {file.name: digest_of(file) for file in made}
                for file in made:
                    file.replace(folder / file.name)
            kept = {name: digest for name, digest in model.files.items() if name not in (IMAGE_INT8, IMAGE_INT8 + DATA)}
            replace(model, files=kept | digests).write(folder)
    return folder / IMAGE_INT8


def _whole(folder: Path, model: Model) -> bool:
    names = [name for name in (IMAGE_INT8, IMAGE_INT8 + DATA) if name in model.files]
    return IMAGE_INT8 in names and all((folder / name).is_file() and digest_of(folder / name) == model.files[name] for name in names)


def _quantized(folder: Path, place: Path) -> list[Path]:
    """Files of the int8 graph in `place`, the graph last."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source = folder / IMAGE
    try:
        graph = onnx.load(str(source))
        _prepare(graph)
        quantize_dynamic(
            graph, place / IMAGE_INT8, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True}, use_external_data_format=_weight_bytes(graph) // 4 > LARGEST_FILE,
        )  # fmt: skip
    except OSError:
        raise  # a full disk says so itself
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise WeightsError(f"{source} cannot be made int8: {reason}. Use --precision fp32. {remedy(folder)}") from error
    for file in place.iterdir():
        file.chmod(source.stat().st_mode)  # onnx makes a weight file for its owner alone
    return sorted(place.iterdir(), key=lambda file: file.name == IMAGE_INT8)


def _prepare(graph: Any) -> None:
    """Drop the noted shapes of inner values: the tool turns transposed weights around under their old names and then stumbles over them. And
    note that this is done, or it warns on the root logger that it is not."""
    del graph.graph.value_info[:]
    graph.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")


def _weight_bytes(graph: Any) -> int:
    return sum(weight.ByteSize() for weight in graph.graph.initializer)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however that ends."""
    with (folder / ".int8.lock").open("a+", encoding="utf-8") as handle:
        while not try_lock(handle):
            time.sleep(0.2)
        yield
