"""Models from this machine, and what is left when adding one goes wrong: nothing."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import InputError, PellucidError, StorageFull, UnknownName, WeightsError, remove_model, staged
from preprocess.staging import sweep
from search import EncoderOptions, Model, add_model, find_faults, load_encoder

Immich = Callable[..., Path]
needs_open_clip = pytest.mark.skipif(importlib.util.find_spec("open_clip") is None, reason="open_clip is not installed")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def names(models: Path) -> list[str]:
    return sorted(entry.name for entry in models.iterdir()) if models.is_dir() else []


def refused(models: Path, source: object, match: str, kind: type[PellucidError] = WeightsError, **options: Any) -> None:
    before = names(models)
    with pytest.raises(kind, match=match):
        add_model(f"path:{source}", models, **options)
    assert names(models) == before


def change(file: Path, **facts: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | facts), encoding="utf-8")


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(("ids", "batch"), [("int32", "batch"), ("int64", 1), ("int32", 3)])
def test_immichs_layout_becomes_ours(immich: Immich, tmp_path: Path, models: Path, beside: bool, ids: str, batch: int | str) -> None:
    """The towers give what the graphs themselves give for normalised pixels and ids, made unit rows; a fixed number of rows too."""
    import onnxruntime

    source = immich(tmp_path / "ViT-Tiny__ours", beside=beside, ids=ids, batch=batch)
    model = add_model(f"path:{source}", models)
    assert (model.name, model.arch, model.dim) == ("ViT-Tiny__ours", "ViT-Tiny", 8)
    assert (model.image.layout, model.image.tensor, model.image.mean) == ("floats", "image", (0.5, 0.5, 0.5))
    assert (model.text.dtype, model.text.tensor, model.text.length, model.text.pad, model.text.clean) == (ids, "text", 12, 0, "lower")
    encoder = load_encoder(model.name, EncoderOptions(models=models, threads=1))
    photos = [np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8) for seed in range(5)]
    session = onnxruntime.InferenceSession(str(source / "visual" / "model.onnx"))
    fed = (np.stack(photos).astype(np.float32).transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5
    step = batch if isinstance(batch, int) else 5
    full = np.concatenate([fed, fed[: -len(fed) % step]])
    rows = np.concatenate([session.run(None, {"image": full[at : at + step]})[0] for at in range(0, len(full), step)])[:5]
    found = encoder.encode_images([encoder.prepare(photo) for photo in photos])
    assert np.allclose(found, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)
    session = onnxruntime.InferenceSession(str(source / "textual" / "model.onnx"))
    wanted = np.array([[2, 4, 5, 6, 4, 7, 3, 0, 0, 0, 0, 0]], ids)  # <s> a photo of a dog </s>, and padding
    (row,) = session.run(None, {"text": np.repeat(wanted, step, 0)})[0][:1]
    assert np.allclose(encoder.encode_texts([" A photo  of a DOG "])[0], row / np.linalg.norm(row), atol=1e-5)


@pytest.mark.parametrize(
    ("text_cfg", "clean", "pad"),
    [
        ({}, "lower", 0),
        ({"pad_id": 5}, "lower", 5),
        ({"hf_tokenizer_name": "some/tokenizer"}, "whitespace", 3),
        ({"hf_tokenizer_name": "some/tokenizer", "tokenizer_kwargs": {"clean": "canonicalize"}}, "canonicalize", 3),
        ({"hf_tokenizer_name": "some/tokenizer", "tokenizer_kwargs": None}, "whitespace", 3),
    ],
)
def test_words_are_cleaned_and_padded_as_the_architecture_says(
    immich: Immich, tmp_path: Path, models: Path, text_cfg: dict[str, Any], clean: str, pad: int
) -> None:
    text = add_model(f"path:{immich(tmp_path / 'm', text_cfg=text_cfg)}", models).text
    assert (text.clean, text.pad) == (clean, pad)


@pytest.mark.parametrize(
    ("said", "image"),
    [
        ({"resize_mode": "squash", "interpolation": "bilinear"}, {"resize": "squash", "interpolation": "bilinear"}),
        ({"resize_mode": "longest", "fill_color": [7, 7, 7]}, {"resize": "longest", "fill": 7}),
        ({"size": 16, "mean": [0, 0, 0], "std": [1, 1, 1]}, {"side": 16, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}),
    ],
)
def test_photos_are_fed_as_the_preprocessing_says(
    immich: Immich, tmp_path: Path, models: Path, said: dict[str, Any], image: dict[str, Any]
) -> None:
    found = add_model(f"path:{immich(tmp_path / 'm', preprocess=said)}", models).image
    assert {name: getattr(found, name) for name in image} == image


@pytest.mark.parametrize(
    ("file", "facts", "match"),
    [
        ("visual/preprocess_cfg.json", {"size": 32}, "16 and 32 pixels"),
        ("visual/preprocess_cfg.json", {"resize_mode": "random"}, "'random' resizing"),
        ("visual/preprocess_cfg.json", {"mean": [0.5]}, "not what Immich publishes"),
        ("config.json", {"text_cfg": None}, "not what Immich publishes"),
        ("textual/tokenizer_config.json", {"pad_token": "<nothing>"}, "padding token '<nothing>'"),
    ],
)
def test_facts_that_do_not_fit_are_refused(immich: Immich, tmp_path: Path, models: Path, file: str, facts: Any, match: str) -> None:
    source = immich(tmp_path / "m", text_cfg={"hf_tokenizer_name": "some/tokenizer"})
    change(source / file, **facts)
    refused(models, source, match)


@pytest.mark.parametrize("file", ["config.json", "visual/preprocess_cfg.json", "textual/tokenizer.json", "textual/tokenizer_config.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_folder_with_a_missing_or_damaged_file_is_refused(
    immich: Immich, tmp_path: Path, models: Path, file: str, content: bytes | None
) -> None:
    source = immich(tmp_path / "m")
    (source / file).unlink() if content is None else (source / file).write_bytes(content)
    refused(models, source, r"has no|damaged|not what|does not load|was not added")


@pytest.mark.parametrize("graph", ["visual/model.onnx", "textual/model.onnx"])
@pytest.mark.parametrize("content", [b"", b"not a graph", bytes(1000)])
def test_a_corrupt_graph_is_refused(immich: Immich, tmp_path: Path, models: Path, graph: str, content: bytes) -> None:
    source = immich(tmp_path / "m")
    (source / graph).write_bytes(content)
    refused(models, source, r"damaged|does not load")


def test_weights_beside_a_graph_that_are_missing_cut_or_elsewhere_are_refused(immich: Immich, tmp_path: Path, models: Path) -> None:
    import onnx

    source = immich(tmp_path / "m", beside=True)
    data = source / "visual" / "model.onnx_data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    refused(models, source, r"model\.onnx_data is too short")
    data.unlink()
    refused(models, source, r"model\.onnx_data is missing")
    data.write_bytes(whole)
    proto = onnx.load(str(source / "visual" / "model.onnx"), load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../secret" if entry.key == "location" else entry.value
    (source / "visual" / "model.onnx").write_bytes(proto.SerializeToString())
    refused(models, source, r"looks for its weights in '\.\./secret'")


def test_a_tower_of_two_inputs_is_refused(immich: Immich, tmp_path: Path, models: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    source = immich(tmp_path / "m")
    proto = onnx.load(str(source / "textual" / "model.onnx"))
    proto.graph.input.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT32, ["batch", 12]))
    onnx.save_model(proto, str(source / "textual" / "model.onnx"))
    refused(models, source, "2 inputs.*'attention_mask'")


def test_vectors_that_are_no_vectors_are_refused(immich: Immich, tmp_path: Path, models: Path) -> None:
    import onnx
    from onnx import numpy_helper

    source = immich(tmp_path / "m")
    proto = onnx.load(str(source / "textual" / "model.onnx"))
    for tensor in proto.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), np.nan), tensor.name))
    onnx.save_model(proto, str(source / "textual" / "model.onnx"))
    refused(models, source, "cannot be made unit rows")
    shutil.copyfile(immich(tmp_path / "other", dim=4) / "textual" / "model.onnx", source / "textual" / "model.onnx")
    refused(models, source, "dimension 4 instead of 8")


def test_a_name_of_its_own_and_a_folder_in_another_script(immich: Immich, tmp_path: Path, models: Path) -> None:
    source = immich(tmp_path / "模型 ü")
    refused(models, source, "name", InputError, name="../up")
    refused(models, source, "ships with Pellucid", InputError, name="builtin")
    assert add_model(f"path:{source}", models / "ünder", name="mine").name == "mine"
    assert names(models / "ünder") == ["mine"]
    assert find_faults(models / "ünder" / "mine") == []


@pytest.mark.parametrize(
    ("source", "kind", "match"),
    [
        ("nothing here", InputError, "no file or folder"),
        ("empty folder", WeightsError, r"neither weights\.json .* nor visual/model\.onnx"),
        ("empty.pt", WeightsError, "is empty"),
        ("notes.txt", InputError, "no checkpoint by its name"),
        ("image.onnx", InputError, "one graph of two"),
        ("weights.pt", InputError, "--arch"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, models: Path, source: str, kind: type[PellucidError], match: str) -> None:
    (tmp_path / "empty folder").mkdir()
    (tmp_path / "empty.pt").touch()
    for name in ("notes.txt", "image.onnx", "weights.pt"):
        (tmp_path / name).write_bytes(b"something")
    refused(models, tmp_path / source, match, kind)


def test_our_own_folder_keeps_its_name_facts_and_vectors(immich: Immich, tmp_path: Path, models: Path) -> None:
    first = add_model(f"path:{immich(tmp_path / 'm')}", models, name="first")
    moved = tmp_path / "on a stick"
    shutil.copytree(models / "first", moved)
    (moved / "bench.json").write_text("{}")  # measured on another machine
    again = add_model(f"path:{moved}", tmp_path / "other machine")
    assert again == first
    assert not (tmp_path / "other machine" / "first" / "bench.json").exists()
    assert add_model(f"path:{moved}", models, name="second").identity("fp32") == first.identity("fp32")
    (moved / "text.onnx").write_bytes(b"damaged")
    refused(models, moved, r"text\.onnx is missing, or is not the file", name="third")
    (moved / "weights.json").write_text("{")
    refused(models, moved, r"weights\.json is damaged .*Copy the folder again")


def test_a_folder_that_names_files_elsewhere_is_refused(immich: Immich, tmp_path: Path, models: Path) -> None:
    add_model(f"path:{immich(tmp_path / 'm')}", models, name="first")
    (tmp_path / "secret").write_text("x")
    facts = json.loads((models / "first" / "weights.json").read_text())
    change(models / "first" / "weights.json", files=facts["files"] | {"../../secret": "0" * 64})
    refused(models, models / "first", "secret is missing, or is not", name="second")


def test_a_model_is_replaced_only_when_asked_and_kept_until_the_new_one_is_checked(immich: Immich, tmp_path: Path, models: Path) -> None:
    first = add_model(f"path:{immich(tmp_path / 'a')}", models, name="m")
    refused(models, immich(tmp_path / "b", seed=1), r"a model named m already.*--force", InputError, name="m")
    broken = immich(tmp_path / "c")
    (broken / "visual" / "model.onnx").write_bytes(b"")
    refused(models, broken, "damaged|does not load", name="m", force=True)
    assert Model.read(models / "m") == first
    second = add_model(f"path:{tmp_path / 'b'}", models, name="m", force=True)
    assert second.files != first.files
    assert (names(models), find_faults(models / "m")) == (["m"], [])


def test_an_interrupt_leaves_nothing(immich: Immich, tmp_path: Path, models: Path) -> None:
    def interrupt(step: str, _share: float | None) -> None:
        if step == "check":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_model(f"path:{immich(tmp_path / 'm')}", models, on_progress=interrupt)
    assert names(models) == []


def test_what_a_killed_run_left_is_swept(immich: Immich, tmp_path: Path, models: Path) -> None:
    add_model(f"path:{immich(tmp_path / 'm')}", models, name="kept")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom preprocess import staged\n"
        "with staged(Path(sys.argv[1]), 'kept', replace=True) as folder:\n    (folder / 'text.onnx').write_bytes(b'x')\n    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, models], check=False).returncode == 9
    left = [name for name in names(models) if name.endswith(".new")]
    assert len(left) == 1
    gone = int(left[0].split(".")[-2])
    shutil.move(models / "kept", models / f".kept.{gone}.old")  # as if it had been killed between its two renames
    with staged(models, "other") as folder:  # a run that goes on
        (folder / "weights.json").write_text("{}")
        sweep(models)
        assert (folder / "weights.json").is_file()
        assert find_faults(models / "kept") == []
    assert names(models) == ["kept", "other"]


def test_of_two_that_add_the_same_name_one_is_told(immich: Immich, tmp_path: Path, models: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom preprocess import staged\n"
        "with staged(Path(sys.argv[1]), 'm') as folder:\n    (folder / 'weights.json').write_text('{}')\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code, models], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        refused(models, immich(tmp_path / "m"), f"m in .* is being added or removed by process {other.pid}")
        with pytest.raises(WeightsError, match=f"m in .* is being added or removed by process {other.pid}"):
            remove_model(models / "m")
        other.stdin.close()
    assert names(models) == ["m"]
    remove_model(models / "m")
    remove_model(models / "m")  # as by another process that was a moment later
    assert list(models.iterdir()) == []


def test_a_name_that_was_taken_meanwhile_is_left_alone(models: Path) -> None:
    with pytest.raises(InputError, match="a model named m already"), staged(models, "m") as folder:  # noqa: PT012
        (folder / "weights.json").write_text("{}")
        (models / "m").mkdir()
        (models / "m" / "weights.json").write_text("theirs")
    assert (models / "m" / "weights.json").read_text() == "theirs"
    assert names(models) == ["m"]


@pytest.mark.parametrize(
    ("number", "kind", "match"), [(errno.ENOSPC, StorageFull, "disk of .* is full"), (errno.EROFS, WeightsError, "PELLUCID_MODELS")]
)
def test_a_disk_that_takes_no_more(
    immich: Immich, tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[PellucidError], match: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    source = immich(tmp_path / "m")
    monkeypatch.setattr("search.immich.shutil.copyfile", full)
    refused(models, source, match, kind)


def test_a_folder_that_cannot_be_made(immich: Immich, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="PELLUCID_MODELS"):
        add_model(f"path:{immich(tmp_path / 'm')}", tmp_path / "file" / "models")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read and write everything")
def test_a_source_that_may_not_be_read(immich: Immich, tmp_path: Path, models: Path) -> None:
    source = immich(tmp_path / "m")
    (source / "config.json").chmod(0)
    refused(models, source, "cannot be read|damaged")


def test_damage_is_found_by_name(immich: Immich, tmp_path: Path, models: Path) -> None:
    add_model(f"path:{immich(tmp_path / 'm', beside=True)}", models, name="m")
    folder = models / "m"
    kept = {file.name: file.read_bytes() for file in folder.iterdir()}
    for name in kept:
        for content in (None, kept[name][:-7] + b"damaged"):
            (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
            (fault, *_) = find_faults(folder)
            assert fault.file == folder / name
            assert "pellucid models add " in str(fault)
            assert "--name m --force" in str(fault)
            (folder / name).write_bytes(kept[name])
    assert find_faults(folder) == []


def test_another_way_of_feeding_is_found_by_the_probe(immich: Immich, tmp_path: Path, models: Path) -> None:
    model = add_model(f"path:{immich(tmp_path / 'm')}", models, name="m")
    assert set(model.measured["probe"]) == {"image", "text"}
    facts = json.loads((models / "m" / "weights.json").read_text())
    change(models / "m" / "weights.json", image=facts["image"] | {"mean": [0.1, 0.2, 0.9]})
    (fault,) = find_faults(models / "m")
    assert "differ by" in fault.what


class _Code:
    """A pickle that makes a file where it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (open, (str(self.file), "w"))


@needs_open_clip
@pytest.mark.parametrize("name", ["evil.pt", "evil.bin", "evil.safetensors"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_checkpoint_with_code_in_it_is_refused_and_the_code_is_not_run(tmp_path: Path, models: Path, name: str, zipped: bool) -> None:
    made = tmp_path / "made by the pickle"
    content = pickle.dumps({"visual.proj": _Code(made)})
    with pickle.loads(content)["visual.proj"]:
        made.unlink()  # so it does what we fear
    (tmp_path / name).write_bytes(content)
    if zipped:
        import torch

        torch.save({"visual.proj": _Code(made)}, tmp_path / name)
    refused(models, tmp_path / name, r"evil\.(pt|bin|safetensors)", arch="ViT-B-32")
    assert not made.exists()


@needs_open_clip
def test_an_unknown_architecture_is_met_with_a_near_one_before_torch_is_imported(tmp_path: Path, models: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"x")
    start = time.monotonic()
    refused(models, tmp_path / "w.pt", "Did you mean 'ViT-B-32-256'", UnknownName, arch="ViT-B-23-256")
    assert time.monotonic() - start < 5
