"""`pellucid models list`, `add` and `verify`, as people and programs use them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.encode import RUNTIMES

Command = Callable[..., Any]
Immich = Callable[..., Path]
LIMIT_S = 5.0


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELLUCID_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_what_ships_and_what_is_recommended_are_listed(models: Path, pellucid: Command) -> None:
    ran = pellucid("models", "list", "--json")
    assert ran.code == 0
    (builtin,) = ran.json["models"]
    assert (builtin["name"], builtin["precisions"], builtin["licence"]) == ("builtin", ["int8"], "Apache-2.0")
    assert builtin["bytes"] > 1e6
    assert Path(builtin["path"], "weights.json").is_file()
    assert ran.json["folder"] == str(models)
    first = ran.json["recommended"][0]
    assert (first["source"], first["licence"], first["added"]) == ("open_clip:ViT-B-32-256/datacomp_s34b_b86k", "MIT", False)
    shown = pellucid("models", "list")
    for row in ran.json["recommended"]:
        assert row["source"] in shown.out
    assert "research only" in shown.out
    assert str(models) in shown.out


def test_a_recommended_model_that_is_here_is_marked(models: Path, immich: Immich, tmp_path: Path, hub: Any, pellucid: Command) -> None:
    hub.repositories["immich-app/ViT-B-16-SigLIP2__webli"] = immich(tmp_path / "m")
    ran = pellucid("models", "add", "hub:immich-app/ViT-B-16-SigLIP2__webli", "--json")
    assert (ran.code, ran.json["licence"]) == (0, "Apache-2.0")
    rows = pellucid("models", "list", "--json").json["recommended"]
    assert [row["source"] for row in rows if row["added"]] == ["open_clip:ViT-B-16-SigLIP2/webli"]
    assert "added: " in pellucid("models", "list").out


def test_a_model_is_added_listed_verified_and_answers(models: Path, immich: Immich, tmp_path: Path, pellucid: Command) -> None:
    source = immich(tmp_path / "ViT-Tiny__ours")
    added = pellucid("models", "add", f"path:{source}", "--json")
    assert added.code == 0
    assert "licence not stated" in added.err
    assert (added.json["name"], added.json["dim"], added.json["precisions"]) == ("ViT-Tiny__ours", 8, ["fp32"])
    again = pellucid("models", "add", f"path:{source}")
    assert (again.code, "--force" in again.err) == (2, True)
    told = pellucid("models", "add", f"path:{source}", "--force", "--name", "mine")
    assert told.code == 0
    assert "pellucid index --encoder mine" in told.out
    assert "check" in told.err
    listed = pellucid("models", "list", "--json").json["models"]
    assert [model["name"] for model in listed] == ["builtin", "ViT-Tiny__ours", "mine"]
    assert listed[2]["source"] == f"path:{source}"
    verified = pellucid("models", "verify")
    assert verified.code == 0
    assert verified.out.count("whole, and it answers") == 3
    assert all(not model["faults"] for model in pellucid("models", "verify", "mine", "--json").json["models"])


def test_a_search_does_not_ask_torch_whether_there_is_a_gpu(
    models: Path, immich: Immich, tmp_path: Path, photos: Path, pellucid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELLUCID_LIBRARY", str(tmp_path / "library"))
    assert pellucid("models", "add", f"path:{immich(tmp_path / 'm')}").code == 0
    assert pellucid("index", photos, "--encoder", "m", "--precision", "fp32").code == 0
    asked: list[str] = []
    for runtime in ("auto", "torch"):
        monkeypatch.setitem(
            RUNTIMES, runtime, lambda folder, options, name=runtime: asked.append(name) or RUNTIMES["onnx"](folder, options)
        )  # type: ignore[misc]
    assert len(pellucid("search", "red", "--json").json["hits"]) == 10
    assert asked == []
    monkeypatch.setenv("PELLUCID_RUNTIME", "torch")
    assert len(pellucid("search", "red", "--json").json["hits"]) == 10
    assert asked == ["torch"]
    monkeypatch.delenv("PELLUCID_RUNTIME")
    assert pellucid("index").code == 0
    assert "auto" in asked


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_precision_that_is_asked_for_is_made_where_it_lacks(
    precision: str,
    models: Path,
    immich: Immich,
    tmp_path: Path,
    photos: Path,
    paint: Callable[..., Path],
    pellucid: Command,
    monkeypatch: Any,
) -> None:
    monkeypatch.setenv("PELLUCID_LIBRARY", str(tmp_path / "library"))
    for seed in range(2):
        paint(photos / f"more{seed}.png", "red", seed=seed + 1)
    assert pellucid("models", "add", f"path:{immich(tmp_path / 'm')}").code == 0
    assert pellucid("index", photos).code == 0
    monkeypatch.setenv("PELLUCID_PRECISION", precision)
    compared = pellucid("models", "compare", "builtin", "m", "--json")
    assert (compared.code, compared.json["encoders"][1]["precision"]) == (0, precision)
    (models / "m" / "image.int8.onnx").unlink(missing_ok=True)
    for word in ("red", "blue"):
        (tmp_path / "set" / word).mkdir(parents=True)
        shutil.copyfile(photos / f"{word}.png", tmp_path / "set" / word / "a.png")
    figures = pellucid("eval", "zeroshot", tmp_path / "set", "--encoder", "m", "--json")
    assert (figures.code, figures.json["photos"]) == (0, 2)
    assert (models / "m" / "image.int8.onnx").is_file() == (precision == "int8")


def test_damage_is_named_with_its_remedy(models: Path, immich: Immich, tmp_path: Path, pellucid: Command) -> None:
    assert pellucid("models", "add", f"path:{immich(tmp_path / 'm')}").code == 0
    (models / "m" / "text.onnx").write_bytes(b"damaged")
    ran = pellucid("models", "verify", "m")
    assert ran.code == 1
    assert f"{models / 'm' / 'text.onnx'}: has another sha256" in ran.out
    assert f"Add it again in its place: pellucid models add path:{tmp_path / 'm'} --name m --force" in ran.out
    (models / "m" / "weights.json").write_text("{")
    ran = pellucid("models", "verify", "--json")
    assert ran.code == 1
    assert [bool(model["faults"]) for model in ran.json["models"]] == [False, True]
    listed = pellucid("models", "list")
    assert (listed.code, "damaged" in listed.out) == (0, True)
    assert "error" in pellucid("models", "list", "--json").json["models"][1]
    unknown = pellucid("models", "verify", "n")
    assert (unknown.code, "Known: builtin, m" in unknown.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["s3:bucket"], 2, "There is no source 's3'"),
        (["open_clip:ViT-B-32"], 2, "open_clip:ARCH/TAG"),
        (["hub:nothing"], 2, "hub:OWNER/NAME"),
        (["ViT-B-23-256"], 2, "Did you mean 'ViT-B-32-256'"),
        (["path:nothing/here"], 2, "no file or folder"),
        (["path:empty folder"], 8, "neither weights.json"),
        (["path:empty.pt", "--arch", "ViT-B-32"], 8, "is empty"),
        (["path:模型.pt"], 2, "--name"),
        (["path:模型.pt", "--name", "m"], 2, "--arch"),
        (["path:damaged", "--name", "m"], 8, "damaged"),
        (["path:good", "--name", "../m"], 2, "cannot name a model"),
        (["path:good", "--name", "builtin"], 2, "ships with Pellucid"),
        (["path:good", "--runtime", "tpu"], 2, "onnx or torch"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    models: Path, immich: Immich, pellucid: Command, arguments: list[str], code: int, said: str
) -> None:
    Path("empty folder").mkdir()
    Path("empty.pt").touch()
    Path("模型.pt").write_bytes(b"something")
    immich(Path("good"))
    (immich(Path("damaged")) / "visual" / "model.onnx").write_bytes(b"damaged")
    ran = pellucid("models", "add", *arguments)
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert [line.startswith("pellucid: ") for line in ran.err.splitlines()] in (
        [True],
        [False, True],
    )  # the licence, perhaps, and the error
    assert not models.exists() or not list(models.iterdir())


def test_research_only_terms_are_shown_and_want_the_option(
    models: Path, immich: Immich, tmp_path: Path, hub: Any, pellucid: Command
) -> None:
    hub.repositories["apple/tiny"] = immich(tmp_path / "m")
    hub.licences["apple/tiny"] = {"license": "apple-amlr"}
    ran = pellucid("models", "add", "hub:apple/tiny")
    assert ran.code == 2
    assert "licence apple-amlr (research only), https://huggingface.co/apple/tiny" in ran.err
    assert "--accept-licence" in ran.err
    assert not any("resolve" in asked for asked in hub.asked)
    ran = pellucid("models", "add", "hub:apple/tiny", "--accept-licence")
    assert ran.code == 0
    assert ran.err.index("apple-amlr") < ran.err.index("download")
    assert json.loads((models / "tiny" / "weights.json").read_text())["licence"] == "apple-amlr"


def test_without_network_the_answer_is_there_within_five_seconds(models: Path, installed: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        deaf = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for variables in (
            {"HF_ENDPOINT": "http://127.0.0.1:1"},
            {"HF_ENDPOINT": "http://hub.invalid"},
            {"HTTPS_PROXY": "http://127.0.0.1:1"},
            {"HTTPS_PROXY": deaf},
            {"HF_ENDPOINT": deaf},
            {"HF_HUB_OFFLINE": "1"},
        ):
            start = time.monotonic()
            ran = installed("models", "add", "hub:immich-app/ViT-B-32__openai", NO_PROXY="", **variables)
            assert time.monotonic() - start < LIMIT_S, variables
            assert ran.code == 8
            assert "path:FOLDER" in ran.err
            assert "Traceback" not in ran.err
    assert not list(models.iterdir())


@pytest.mark.parametrize("arguments", [["models", "list"], ["models", "--help"], ["models", "add", "--help"], ["models", "add", "s3:x"]])
def test_listing_and_help_import_nothing_heavy(models: Path, arguments: list[str]) -> None:
    code = (
        f"import sys\nsys.argv = {['pellucid', *arguments]!r}\nfrom api.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [name for name in ('torch', 'onnxruntime', 'onnx', 'huggingface_hub', 'open_clip', 'lancedb') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ})
    assert ran.stdout.decode().rstrip().endswith("HEAVY []")
