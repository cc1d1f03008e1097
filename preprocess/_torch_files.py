"""Files of torch tensors, read without ever running what they hold, and graphs made of torch's modules."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import PellucidError, WeightsError
from .weights import first_line

OPSET = 18
_SAFER = "Where you trust it, save its tensors alone: safetensors.torch.save_file(STATE_DICT, 'model.safetensors')."


def read_state(file: Path, keys: Sequence[str] = ("state_dict",), prefixes: Sequence[str] = ("module.",)) -> dict[str, Any]:
    """The tensors of a checkpoint by name, on the CPU: `.safetensors`, or a state dict that torch saved, also one under one of `keys`.

    Those of `prefixes` that training put before every name are taken off; "module." is that of several GPUs.

    Raises:
        WeightsError: the file is missing, empty, damaged, no state dict, or cannot be read without running code from it.
    """
    if not file.is_file():
        raise WeightsError(f"There is no file {file}. Check the path.")
    if not file.stat().st_size:
        raise WeightsError(f"{file} is empty. Fetch it again.")
    state = _safetensors(file) if file.suffix.lower() == ".safetensors" else _saved(file, keys)
    for prefix in prefixes:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def misfits(own: dict[str, Any], state: dict[str, Any]) -> str:
    """What keeps a state dict from fitting, the first three keys of each kind; empty where it fits."""
    faults = {
        "missing": [key for key in own if key not in state and not key.endswith("num_batches_tracked")],  # torch fills these in
        "not of this architecture": [key for key in state if key not in own],
        "of another shape": [
            f"{key} {_shape(state[key])} instead of {_shape(own[key])}"
            for key in own
            if key in state and _shape(state[key]) != _shape(own[key])
        ],
    }
    return "; ".join(
        f"{len(keys)} {kind}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}" for kind, keys in faults.items() if keys
    )


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(tensor.shape)


def write_onnx(
    module: Any, example: Any, file: Path, inputs: Sequence[str], outputs: Sequence[str], axes: dict[str, dict[int, str]]
) -> None:
    """Write a module's graph, made with one `example` tensor; of inputs and outputs, `axes` vary.

    By torch's TorchScript-based exporter: the newer one takes 5 to 10 times as long, for a graph of the same speed. It warns that it is the older one,
    and that shapes become constants, which whoever compares the graph with the module would find.
    """
    import torch

    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (example,), str(file), input_names=list(inputs), output_names=list(outputs), dynamic_axes=axes, opset_version=OPSET, dynamo=False
        )  # fmt: skip


@contextlib.contextmanager
def graph_errors(arch: str) -> Iterator[None]:
    """Turn whatever keeps a model from becoming a graph into one error; a full disk says so itself.

    Raises:
        WeightsError: the model cannot be made an ONNX graph.
    """
    try:
        yield
    except (OSError, PellucidError):
        raise
    except Exception as error:
        raise WeightsError(f"{arch} cannot be made an ONNX graph: {first_line(error)}. Choose another model.") from error


def _safetensors(file: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    try:
        state = dict(load_file(file))
    except Exception as error:
        raise WeightsError(f"{file} is not in the format safetensors, or is damaged ({first_line(error)}). Fetch it again.") from error
    if not state:
        raise WeightsError(f"{file} holds no tensors. Fetch it again.")
    return state


def _saved(file: Path, keys: Sequence[str]) -> dict[str, Any]:
    import torch

    if _is_script(file):
        raise WeightsError(f"{file} is a TorchScript archive, which holds code. {_SAFER} It is torch.jit.load(FILE).state_dict().")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError, KeyError, ...: whatever damaged bytes lead to
        if any(f"unsupported {what}" in str(error).lower() for what in ("global", "class")):
            raise WeightsError(f"{file} holds more than tensors, and could run code when it is read. {_SAFER}") from error
        raise WeightsError(f"{file} is not a checkpoint of torch, or is damaged ({first_line(error)}). Fetch it again.") from error
    state = found
    for key in keys:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items())
    ):
        raise WeightsError(f"{file} holds no state dict: names and their tensors, or those under {' or '.join(map(repr, keys))}. {_SAFER}")
    return dict(state)


def _is_script(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:  # a file of before torch 1.6, or a damaged one
        return False
