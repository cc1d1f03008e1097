"""Files of torch tensors: read without ever running what they hold, and put into a module that they fit."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

from preprocess import WeightsError

_SAFER = "Where you trust it, save its tensors alone: safetensors.torch.save_file(STATE_DICT, 'model.safetensors')."


def read_state(file: Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name, on the CPU: `.safetensors`, or a state dict that torch saved, also one under "state_dict".

    Raises:
        WeightsError: the file is missing, empty, damaged, no state dict, or cannot be read without running code from it.
    """
    if not file.is_file():
        raise WeightsError(f"There is no file {file}. Check the path.")
    if not file.stat().st_size:
        raise WeightsError(f"{file} is empty. Fetch it again.")
    state = _safetensors(file) if file.suffix.lower() == ".safetensors" else _saved(file)
    if next(iter(state)).startswith("module."):  # trained on several GPUs
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def fill(module: Any, state: dict[str, Any], what: str, *, stretch: bool = False) -> None:
    """Put a state dict into a module of open_clip, with open_clip's own conversions of other projects' names.

    `stretch` interpolates positions that are for another size of picture or text, as open_clip does silently.

    Raises:
        WeightsError: keys are missing, unknown or of another shape; `what` begins the message.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

    state = convert_state_dict(module, dict(state))
    if "positional_embedding" in state and not hasattr(module, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    own = module.state_dict()
    for key in ("logit_scale", "logit_bias"):  # a number or a row of one
        if key in state and key in own and state[key].numel() == 1:
            state[key] = state[key].reshape(own[key].shape)
    if "logit_bias" in own and "logit_bias" not in state:
        state["logit_bias"] = own["logit_bias"] * 0
    old = "text.transformer.embeddings.position_ids"  # transformers does without it since 4.31
    if old not in own:
        state.pop(old, None)
    if stretch:
        resize_pos_embed(state, module)
        resize_text_pos_embed(state, module)
    said = _misfits(own, state)
    if said:
        raise WeightsError(f"{what}: {said}. Name the architecture that they were trained in with --arch.")
    module.load_state_dict(state)


def _safetensors(file: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    try:
        state = dict(load_file(file))
    except Exception as error:
        raise WeightsError(f"{file} is not in the format safetensors, or is damaged ({first_line(error)}). Fetch it again.") from error
    if not state:
        raise WeightsError(f"{file} holds no tensors. Fetch it again.")
    return state


def _saved(file: Path) -> dict[str, Any]:
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
    state = found.get("state_dict", found) if isinstance(found, dict) else found
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items())
    ):
        raise WeightsError(f"{file} holds no state dict: names and their tensors, or those under 'state_dict'. {_SAFER}")
    return dict(state)


def _is_script(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:  # a file of before torch 1.6, or a damaged one
        return False


def _misfits(own: dict[str, Any], state: dict[str, Any]) -> str:
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


def first_line(error: Exception) -> str:
    """What a library said, short enough for a message."""
    text = " ".join(str(error).split("\n", 1)[0].split()).rstrip(".") or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
