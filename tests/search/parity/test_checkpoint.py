"""Checkpoints are read without running code, and only into the architecture that they belong to."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import UnknownName, WeightsError

torch = pytest.importorskip("torch", reason="torch is not installed")

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def tiny(make_loaded: Callable[..., Any]) -> Any:
    make_loaded("ViT-B-32", name="tiny-64", **TINY | {"vision_cfg": TINY["vision_cfg"] | {"image_size": 64}})
    return make_loaded("ViT-B-32", name="tiny", seed=3, **TINY)


def image_row(loaded: Any) -> np.ndarray:
    pixels = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    with torch.inference_mode():
        return np.asarray(loaded.module.encode_image(pixels, normalize=True))


def as_safetensors(state: dict[str, Any], folder: Path) -> Path:
    from safetensors.torch import save_file

    save_file(state, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def saved(name: str, wrap: Callable[[dict[str, Any]], Any], **options: Any) -> Callable[..., Path]:
    def write(state: dict[str, Any], folder: Path) -> Path:
        torch.save(wrap(state), folder / name, **options)
        return folder / name

    return write


KINDS = {
    "safetensors": as_safetensors,
    "state dict": saved("weights.pt", dict),
    "old format": saved("weights.pth", dict, _use_new_zipfile_serialization=False),
    "trained on several GPUs": saved("epoch_1.pt", lambda s: {"epoch": 1, "state_dict": {f"module.{key}": t for key, t in s.items()}}),
    "half precision": saved("weights.bin", lambda state: {key: tensor.half() for key, tensor in state.items()}),
    "a scale that is a row": saved("weights.pt", lambda state: state | {"logit_scale": state["logit_scale"].reshape(1)}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_is_loaded(kind: str, tiny: Any, tmp_path: Path) -> None:
    from search._open_clip import load_checkpoint

    file = KINDS[kind](tiny.module.state_dict(), tmp_path)
    loaded = load_checkpoint("tiny", file)
    assert (loaded.arch, loaded.dim, loaded.context_length, loaded.image.side) == ("tiny", 16, 77, 32)
    assert not loaded.module.training
    np.testing.assert_allclose(image_row(loaded), image_row(tiny), atol=2e-3 if kind == "half precision" else 1e-6)


def test_openai_s_own_state_dict_gets_its_activation(tiny: Any, tmp_path: Path) -> None:
    """Theirs have three numbers among the weights, half precision, and QuickGELU, which nothing in the file says."""
    from search._open_clip import load_checkpoint

    numbers = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(77), "vocab_size": torch.tensor(100)}
    file = saved("openai.pt", lambda state: {key: tensor.half() for key, tensor in state.items()} | numbers)(
        tiny.module.state_dict(), tmp_path
    )
    loaded = load_checkpoint("tiny", file)
    assert loaded.arch == "tiny-quickgelu"
    assert type(loaded.module.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    assert loaded.module.visual.proj.dtype == torch.float32


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.write_text, (self.file, "done")


def test_code_in_a_checkpoint_never_runs(tiny: Any, tmp_path: Path) -> None:
    from search._open_clip import load_checkpoint

    torch.save({"state_dict": tiny.module.state_dict(), "harm": Harmful(tmp_path / "harm")}, tmp_path / "weights.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    for name in ("weights.pt", "bare.pt"):
        with pytest.raises(WeightsError, match=name):
            load_checkpoint("tiny", tmp_path / name)
    assert not (tmp_path / "harm").exists()


def script(_: Any, folder: Path) -> Path:
    with zipfile.ZipFile(folder / "model.pt", "w") as archive:
        archive.writestr("model/constants.pkl", b"")
        archive.writestr("model/code/__torch__.py", "")
    return folder / "model.pt"


def with_bytes(name: str, data: bytes) -> Callable[..., Path]:
    def write(_: Any, folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return write


def without(*names: str) -> Callable[..., Path]:
    return saved("weights.pt", lambda state: {key: tensor for key, tensor in state.items() if key not in names})


def cut_short(state: dict[str, Any], folder: Path) -> Path:
    file = as_safetensors(state, folder)
    file.write_bytes(file.read_bytes()[:1000])
    return file


def broken(state: dict[str, Any], folder: Path) -> Path:
    file = saved("w.pt", lambda state: state)(state, folder)
    file.write_bytes(file.read_bytes().replace(b"PK\x01\x02", b"PK\x01\x03"))  # its table of contents
    return file


REFUSED = {
    "missing file": (lambda _, folder: folder / "none.pt", "There is no file .*none.pt. Check the path"),
    "folder": (lambda _, folder: folder, "There is no file"),
    "empty file": (with_bytes("empty.pt", b""), "empty.pt is empty. Fetch it again"),
    "a web page": (with_bytes("page.pt", b"<html>not found</html>"), "page.pt is not a checkpoint of torch, or is damaged"),
    "a web page named safetensors": (with_bytes("page.safetensors", b"<html>not found</html>"), "is not in the format safetensors"),
    "a damaged archive": (broken, "w.pt is not a checkpoint of torch, or is damaged"),
    "numbers for names": (saved("w.pt", lambda state: dict(enumerate(state.values()))), "holds no state dict"),
    "a page named SAFETENSORS": (with_bytes("page.SAFETENSORS", b"<html>not found</html>"), "is not in the format safetensors"),
    "cut short": (cut_short, "is not in the format safetensors, or is damaged"),
    "TorchScript": (script, "is a TorchScript archive, which holds code. .*save_file.*torch.jit.load"),
    "other classes": (
        saved("args.pt", lambda state: {"state_dict": state, "args": argparse.Namespace(lr=1)}),
        "holds more than tensors.*save_file",
    ),
    "no state dict": (saved("list.pt", lambda state: list(state.values())), "holds no state dict"),
    "an optimizer": (saved("optimizer.pt", lambda _: {"lr": 0.1}), "holds no state dict"),
    "no tensors": (saved("none.pt", lambda _: {}), "holds no state dict"),
    "no tensors in safetensors": (lambda _, folder: as_safetensors({}, folder), "holds no tensors"),
    "missing keys": (without("visual.proj", "ln_final.bias"), "2 missing: .*visual.proj.*--arch"),
    "unknown keys": (
        saved("w.pt", lambda state: state | {"visual.head.weight": state["visual.proj"]}),
        "1 not of this architecture: visual.head.weight",
    ),
    "other shapes": (
        saved("w.pt", lambda state: state | {"visual.proj": state["visual.proj"][:, :8]}),
        r"visual.proj \(64, 8\) instead of \(64, 16\)",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, that an empty file of safetensors was written
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_fitting_checkpoint_is_refused(case: str, tiny: Any, tmp_path: Path) -> None:
    from search._open_clip import load_checkpoint

    write, message = REFUSED[case]
    with pytest.raises(WeightsError, match=f"(?s){message}"):
        load_checkpoint("tiny", write(tiny.module.state_dict(), tmp_path))


def test_positions_are_not_made_up(tiny: Any, tmp_path: Path) -> None:
    """open_clip would interpolate them without a word; the vectors would be those of no model."""
    from search._open_clip import load_checkpoint

    file = as_safetensors(tiny.module.state_dict(), tmp_path)
    with pytest.raises(WeightsError, match=r"visual.positional_embedding \(5, 64\) instead of \(17, 64\)"):
        load_checkpoint("tiny-64", file)


def test_an_unknown_architecture_is_met_with_a_hint(tmp_path: Path, tiny: Any) -> None:
    from search._open_clip import load_checkpoint

    with pytest.raises(UnknownName, match=r"No architecture named 'ViT-B32'\. Did you mean 'ViT-B-32'\?"):
        load_checkpoint("ViT-B32", tmp_path / "any.pt")


def test_an_unknown_tag_is_met_with_a_hint(tiny: Any) -> None:
    from search._open_clip import load_pretrained

    with pytest.raises(UnknownName, match=r"No tag of ViT-B-32 named 'openia'\. Did you mean 'openai'\?"):
        load_pretrained("ViT-B-32", "openia")


def test_pretrained_weights_get_the_activation_they_were_trained_with(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 28 tags that open_clip lists under an architecture with GELU, though they were trained with QuickGELU, such as ViT-B-32 openai."""
    import open_clip

    from search import _open_clip

    asked = []

    def stand_in(arch: str, file: Path, *, constants: Any) -> str:
        asked.append(constants)
        return arch

    monkeypatch.setattr(open_clip, "download_pretrained", lambda facts: "weights.safetensors")
    monkeypatch.setattr(_open_clip, "load_checkpoint", stand_in)
    quick = {}
    for arch, tag in open_clip.list_pretrained():
        loaded: Any = _open_clip.load_pretrained(arch, tag)
        quick[arch, tag] = bool(_open_clip.config_of(loaded).get("quick_gelu"))
    told = {(arch, tag): bool(open_clip.get_pretrained_cfg(arch, tag).get("quick_gelu")) for arch, tag in quick}
    # Of this one, the architecture says it and the tag does not; it has no counterpart with GELU.
    assert [key for key in quick if quick[key] != told[key]] == [("roberta-ViT-B-32", "laion2b_s12b_b32k")]
    assert _open_clip.load_pretrained("ViT-B-32", "openai") == "ViT-B-32-quickgelu"
    assert _open_clip.load_pretrained("ViT-B-32", "laion2b_s34b_b79k") == "ViT-B-32"
    assert asked[0]["mean"]


def test_weights_that_cannot_be_fetched_have_a_remedy(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    from search._open_clip import load_pretrained

    def offline(_: Any) -> str:
        raise FileNotFoundError("Failed to download file")

    monkeypatch.setattr(open_clip, "download_pretrained", offline)
    with pytest.raises(WeightsError, match=r"cannot be fetched \(Failed to download file\).*path:FILE --arch ViT-B-32-quickgelu"):
        load_pretrained("ViT-B-32", "openai")


def test_all_architectures_are_described_or_refused(tiny: Any) -> None:
    """Not the modules, which would fill the memory: what their configurations ask of preprocessing and tokenizer."""
    import open_clip

    from search import _open_clip

    class Module:
        logit_scale = torch.zeros(())
        visual = argparse.Namespace(preprocess_cfg={"size": 224, "mean": (0.5,) * 3, "std": (0.5,) * 3})

    loaded = {arch: _open_clip.describe(Module(), arch) for arch in open_clip.list_models()}
    assert {model.clean for model in loaded.values()} == {"lower", "whitespace", "canonicalize"}
    assert {model.context_length for model in loaded.values()} >= {32, 64, 76, 77}
    assert [arch for arch, model in loaded.items() if model.strip_sep]
    Module.visual.preprocess_cfg["size"] = (224, 320)
    with pytest.raises(WeightsError, match=r"ViT-B-32 takes pictures of \(224, 320\) pixels"):
        _open_clip.describe(Module(), "ViT-B-32")


def test_without_torch_the_error_has_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    from preprocess import MissingExtra
    from search._open_clip import load_checkpoint

    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pellucid\[torch\]'"):
        load_checkpoint("ViT-B-32", tmp_path / "any.pt")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pellucid\[torch\]'"):
        load_checkpoint("ViT-B-32", tmp_path / "any.pt")
