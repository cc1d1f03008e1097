"""One model folder, two runtimes: which is taken when, and that a library of the one is searched by the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import InputError, MissingExtra, UnknownName, WeightsError, example_photos
from search import EncoderOptions, load_encoder
from search.probe import EXAMPLE_TEXTS, probe_difference

torch = pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture(scope="module")
def models(make_loaded: Callable[..., Any], export: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: "both" has weights for torch, "graphs" has none."""
    folder = tmp_path_factory.mktemp("models")
    loaded = make_loaded("ViT-B-32", name="ViT-B-32-two")
    export(loaded, folder / "both", photos=example_photos(2), runtime="torch")
    export(loaded, folder / "graphs", photos=example_photos(2))
    return folder


def loaded_as(models: Path, runtime: str, precision: str | None = None, name: str = "both") -> Any:
    return load_encoder(name, EncoderOptions(models=models, runtime=runtime, precision=precision, threads=1))


def kind(encoder: Any) -> str:
    return type(encoder).__name__


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes torch say that there is a GPU, or none."""

    def say(there: bool, bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)

    return say


def test_both_runtimes_give_the_same_vectors(models: Path, gpu: Callable[..., None]) -> None:
    gpu(False)
    one, other = loaded_as(models, "torch"), loaded_as(models, "onnx")
    assert (kind(one), kind(other)) == ("TorchEncoder", "OnnxEncoder")
    assert one.recipe == other.recipe  # fp32 both
    photos = example_photos()
    assert all((one.prepare(photo) == other.prepare(photo)).all() for photo in photos)
    ready = [one.prepare(photo) for photo in photos]
    for ours, theirs in [
        (one.encode_images(ready), other.encode_images(ready)),
        (one.encode_texts(EXAMPLE_TEXTS), other.encode_texts(EXAMPLE_TEXTS)),
        (one.encode_texts(["dog"]), other.encode_texts(["dog"])),
    ]:
        assert ours.dtype == np.float32
        assert (ours * theirs).sum(1).min() >= 0.9999
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert one.encode_images([]).shape == one.encode_texts([]).shape == (0, 512)
    assert probe_difference(one, dict(one.model.measured["probe"])) < 1e-4


def test_more_than_a_batch(models: Path, gpu: Callable[..., None]) -> None:
    gpu(False)
    encoder = loaded_as(models, "torch")
    encoder.batch_size = 2
    ready = [encoder.prepare(photo) for photo in example_photos(5)]
    rows = encoder.encode_images(ready)
    np.testing.assert_allclose(rows, np.concatenate([encoder.encode_images([photo]) for photo in ready]), atol=1e-5)
    texts = ["dog", "a cat", "", "two red bicycles", "sea"]
    np.testing.assert_allclose(encoder.encode_texts(texts), np.concatenate([encoder.encode_texts([text]) for text in texts]), atol=1e-5)


def test_auto_takes_torch_only_where_it_wins(models: Path, gpu: Callable[..., None]) -> None:
    gpu(False)
    assert kind(loaded_as(models, "auto")) == "OnnxEncoder"
    gpu(True)
    assert kind(loaded_as(models, "auto")) == "TorchEncoder"
    assert kind(loaded_as(models, "auto", "int8")) == "OnnxEncoder"
    assert kind(loaded_as(models, "auto", name="graphs")) == "OnnxEncoder"
    assert kind(loaded_as(models, "onnx")) == "OnnxEncoder"


@pytest.mark.parametrize(("bf16", "precision"), [(True, "bf16"), (False, "fp16")])
def test_what_a_gpu_made_is_searched_without_one(models: Path, gpu: Callable[..., None], bf16: bool, precision: str) -> None:
    gpu(True, bf16)
    made_by = loaded_as(models, "torch").recipe
    assert made_by.precision == precision
    gpu(False)
    for runtime in ("onnx", "auto", "torch"):
        found = loaded_as(models, runtime, made_by.precision)
        assert found.recipe == made_by
        assert found.recipe.id == made_by.id
    exact = loaded_as(models, "onnx", "fp32")
    assert exact.recipe.id != made_by.id
    assert exact.recipe.weights == made_by.weights  # the same model, at another precision
    np.testing.assert_array_equal(loaded_as(models, "onnx", precision).encode_texts(["dog"]), exact.encode_texts(["dog"]))


def test_bf16_is_near_enough_to_be_searched_by_fp32(models: Path, gpu: Callable[..., None]) -> None:
    """As on a GPU, but by the processor, which rounds the same way."""
    gpu(False)
    encoder, exact = loaded_as(models, "torch", "bf16"), loaded_as(models, "onnx", "bf16")
    photos, words = [encoder.prepare(photo) for photo in example_photos(4)], EXAMPLE_TEXTS[:4]
    images, texts = exact.encode_images(photos), exact.encode_texts(words)
    assert encoder.lower is None  # without a GPU nothing is rounded
    assert (encoder.encode_images(photos) * images).sum(1).min() >= 0.9999
    encoder.lower = torch.bfloat16
    for cosine in ((encoder.encode_images(photos) * images).sum(1).min(), (encoder.encode_texts(words) * texts).sum(1).min()):
        assert 0.99 < cosine < 0.999999


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu(models: Path) -> None:
    encoder, exact = loaded_as(models, "auto"), loaded_as(models, "onnx")
    assert kind(encoder) == "TorchEncoder"
    assert encoder.recipe.precision in ("bf16", "fp16")
    ready = [encoder.prepare(photo) for photo in example_photos()]
    assert (encoder.encode_images(ready) * exact.encode_images(ready)).sum(1).min() >= 0.995
    assert (encoder.encode_texts(EXAMPLE_TEXTS) * exact.encode_texts(EXAMPLE_TEXTS)).sum(1).min() >= 0.995
    same = loaded_as(models, "torch", "fp32")
    assert (same.encode_images(ready) * exact.encode_images(ready)).sum(1).min() >= 0.9999


def test_errors_say_what_to_do(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: Callable[..., None]) -> None:
    gpu(False)
    with pytest.raises(
        WeightsError,
        match=r"has no model\.safetensors.*pellucid models add path:random --arch ViT-B-32-two --name graphs --runtime torch --force",
    ):
        loaded_as(models, "torch", name="graphs")
    with pytest.raises(InputError, match=r"torch runtime has no precision 'int8'\. Use fp32, bf16 or fp16, or --runtime onnx"):
        loaded_as(models, "torch", "int8")
    with pytest.raises(UnknownName, match=r"No runtime named 'onxx'\. Did you mean 'onnx'\? Known: auto, onnx, torch"):
        loaded_as(models, "onxx")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pellucid\[torch\]'"):
        loaded_as(models, "torch")


def test_damaged_weights_are_named(models: Path, tmp_path: Path, gpu: Callable[..., None]) -> None:
    import shutil

    gpu(False)
    shutil.copytree(models / "both", tmp_path / "both")
    file = tmp_path / "both" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"model\.safetensors is not in the format safetensors, or is damaged"):
        loaded_as(tmp_path, "torch").encode_texts(["dog"])


def test_the_graphs_need_no_torch(models: Path) -> None:
    """Search and index by the ONNX runtime, also by "auto" for a model without weights for torch, in a process that cannot import it."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['open_clip'] = sys.modules['transformers'] = None\n"
        "from pathlib import Path\nfrom search import EncoderOptions, load_encoder\nfrom preprocess import example_photos\n"
        "for name, runtime in (('graphs', 'auto'), ('both', 'onnx')):\n"
        "    encoder = load_encoder(name, EncoderOptions(models=Path(sys.argv[1]), runtime=runtime))\n"
        "    encoder.encode_images([encoder.prepare(example_photos(1)[0])]), encoder.encode_texts(['dog'])\n"
        "    print(type(encoder).__name__)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(models)], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["OnnxEncoder", "OnnxEncoder"], ran.stderr
