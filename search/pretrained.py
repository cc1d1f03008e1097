"""What open_clip knows of its pretrained weights, read without importing torch: that takes seconds, and an unknown name needs an answer now."""

from __future__ import annotations

import difflib
import importlib.util
import json
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from preprocess import MissingExtra, WeightsError, choose

_ALIAS = "_pellucid_open_clip"
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
QUICK = "-quickgelu"


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights that open_clip has under ARCH and TAG: where the hub has them, and what else is needed of which repository."""

    arch: str
    tag: str
    repository: str
    files: tuple[str, ...]  # the first of these that the repository has
    others: tuple[str, ...]  # repositories of the tokenizer and the text tower's definition


def find_pretrained(arch: str, tag: str) -> Pretrained:
    """What is known of ARCH/TAG. Weights that were trained with QuickGELU get the architecture that has it: with the other one they load
    without complaint and answer wrongly.

    Raises:
        MissingExtra: open_clip is not installed.
        UnknownName: there is no such architecture, or it has no such weights.
        WeightsError: they are not on the hub.
    """
    table = _table()
    arch = arch.replace("/", "-")
    tags = choose(table, arch, "open_clip architecture with weights")
    entry = choose(tags, tag if tag in tags else tag.lower().replace("-", "_"), f"open_clip weights of {arch}")
    tag = tag if tag in tags else tag.lower().replace("-", "_")
    if entry.get("quick_gelu") and not architecture(arch).get("quick_gelu") and tag in table.get(arch + QUICK, {}):
        arch, entry = arch + QUICK, table[arch + QUICK][tag]
    place = str(entry.get("hf_hub") or "")
    if not place:
        raise WeightsError(f"{arch}/{tag} is not on the hub. Download {entry.get('url')} and add the file: path:FILE --arch {arch}")
    repository, _, file = place.rpartition("/")
    files = (file.removesuffix(".bin") + ".safetensors", file) if file.endswith((".bin", ".pth")) else (file,) if file else _WEIGHTS
    return Pretrained(arch, tag, repository, files, text_repositories(arch))


def known_architecture(arch: str) -> str:
    """`arch`, when open_clip defines it; with or without "-quickgelu".

    Raises:
        MissingExtra: open_clip is not installed.
        UnknownName: it does not.
    """
    names = [file.stem for file in sorted((_folder() / "model_configs").glob("*.json"))]
    if arch.removesuffix(QUICK) not in names:
        near = difflib.get_close_matches(arch, names, n=5) or names  # all 140 would fill the screen
        choose(dict.fromkeys(near), arch, "open_clip architecture")
    return arch


def text_repositories(arch: str) -> tuple[str, ...]:
    """Repositories with the tokenizer and the definition of an architecture's text tower; none for CLIP's own."""
    text = (architecture(arch) or architecture(arch.removesuffix(QUICK))).get("text_cfg") or {}
    return tuple(dict.fromkeys(str(text[key]) for key in ("hf_tokenizer_name", "hf_model_name") if text.get(key)))


def architecture(arch: str) -> dict[str, Any]:
    """open_clip's definition of an architecture; empty where it has none."""
    file = _folder() / "model_configs" / f"{arch}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _folder() -> Path:
    spec = importlib.util.find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("open_clip is not installed, which a model from open_clip or a checkpoint needs: pip install 'pellucid[torch]'")
    return Path(spec.submodule_search_locations[0])


@cache
def _table() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """open_clip's table of weights: its module `pretrained` under another package's name, so that `open_clip` itself, which needs torch, is
    not imported, nor `safetensors.torch`."""
    package = types.ModuleType(_ALIAS)
    package.__path__ = [str(_folder())]
    held = "safetensors.torch" not in sys.modules
    sys.modules[_ALIAS] = package
    if held:
        sys.modules["safetensors.torch"] = None  # type: ignore[assignment]  # its import fails, which the module expects
    try:
        module = import_module(f"{_ALIAS}.pretrained")
        return dict(module._PRETRAINED)
    finally:
        if held:
            del sys.modules["safetensors.torch"]
        for name in [name for name in sys.modules if name.split(".")[0] == _ALIAS]:
            del sys.modules[name]
