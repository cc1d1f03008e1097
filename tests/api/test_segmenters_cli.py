"""`pellucid segmenters` and `pellucid eval segmentation`, as people and programs use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Command = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELLUCID_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def added(ran: Any) -> list[str]:
    return [row["name"] for row in ran.json["segmenters"] if row["name"] != "builtin"]


def test_a_segmenter_is_added_listed_verified_and_removed(models: Path, write_segmenter: Write, tmp_path: Path, pellucid: Command) -> None:
    folder = write_segmenter(tmp_path / "colours")
    ran = pellucid("segmenters", "add", folder, "--licence", "MIT", "--json")
    assert ran.code == 0
    assert (ran.json["name"], ran.json["labels"], ran.json["licence"]) == ("colours", ["red", "green", "blue"], "MIT")
    assert ran.json["path"] == str(models / "colours")
    again = pellucid("segmenters", "add", folder)
    assert (again.code, "--force" in again.err) == (2, True)
    told = pellucid("segmenters", "add", folder, "--name", "mine", "--short", "32")
    assert told.code == 0
    assert "pellucid index --regions mine" in told.out
    assert "copy segment.onnx" in told.err
    listed = pellucid("segmenters", "list", "--json")
    assert added(listed) == ["colours", "mine"]
    assert listed.json["segmenters"][-1]["short"] == 32
    shown = pellucid("segmenters", "list").out
    assert "red, green, blue" in shown
    assert str(models) in shown
    verified = pellucid("segmenters", "verify", "mine")
    assert (verified.code, verified.out) == (0, "mine: whole, and it answers.\n")
    removed = pellucid("segmenters", "remove", "mine")
    assert (removed.code, str(models / "mine") in removed.out) == (0, True)
    assert sorted(entry.name for entry in models.iterdir()) == ["colours"]


def test_a_library_whose_segmenter_is_gone_says_so(
    models: Path, write_segmenter: Write, paint: Callable[..., Path], tmp_path: Path, pellucid: Command
) -> None:
    paint(tmp_path / "photos/a.png")
    library = ("--library", tmp_path / "library")
    assert pellucid("segmenters", "add", write_segmenter(tmp_path / "colours")).code == 0
    assert pellucid("index", tmp_path / "photos", "--regions", "colours", *library).code == 0
    assert pellucid("doctor", *library).code == 0
    ran = pellucid("search", "red", "--where", "left_of('dog', 'car')", *library)  # labels that no region has
    assert (ran.code, ran.err) == (0, "No photo meets the condition. Labels of regions here: red.\n")
    assert pellucid("search", "red", "--where", "iso > 1", *library).err == "No photo meets the condition.\n"
    assert pellucid("segmenters", "remove", "colours").code == 0
    for ran in (pellucid("index", *library), pellucid("index", "--dry-run", *library)):
        assert ran.code == 2
        assert f"regions with 'colours', which is not in {models} any more" in ran.err
        assert f"pellucid index --library {tmp_path / 'library'} --regions builtin" in ran.err
    ill = pellucid("doctor", "--json", *library)
    assert ill.code == 1
    assert ["'colours', which is not in" in problem for problem in ill.json["problems"]] == [True]
    assert pellucid("index", "--regions", "none", *library).code == 0
    assert pellucid("doctor", *library).code == 0


def test_encoders_and_segmenters_lie_side_by_side(
    models: Path, write_segmenter: Write, immich: Callable[..., Path], tmp_path: Path, pellucid: Command
) -> None:
    assert pellucid("segmenters", "add", write_segmenter(tmp_path / "colours")).code == 0
    assert pellucid("models", "add", f"path:{immich(tmp_path / 'clip')}").code == 0
    assert [row["name"] for row in pellucid("models", "list", "--json").json["models"]] == ["builtin", "clip"]
    assert added(pellucid("segmenters", "list", "--json")) == ["colours"]
    assert [row["name"] for row in pellucid("models", "verify", "--json").json["models"]] == ["builtin", "clip"]
    for arguments in (
        ("segmenters", "verify", "clip"),
        ("segmenters", "remove", "clip"),
        ("models", "verify", "colours"),
        ("models", "remove", "colours"),
    ):
        ran = pellucid(*arguments)
        assert (ran.code, "named" in ran.err) == (2, True), arguments
    taken = pellucid("models", "add", f"path:{tmp_path / 'clip'}", "--name", "colours", "--force")
    assert (taken.code, "of the kind 'segmenter', not 'encoder'" in taken.err) == (2, True)
    assert sorted(entry.name for entry in models.iterdir()) == ["clip", "colours"]
    (models / "colours" / "weights.json").write_text("{", encoding="utf-8")  # still a segmenter, by its graph
    assert [row["name"] for row in pellucid("models", "list", "--json").json["models"]] == ["builtin", "clip"]
    assert "error" in pellucid("segmenters", "list", "--json").json["segmenters"][-1]
    assert "damaged" in pellucid("segmenters", "list").out


def test_damage_is_named_with_its_remedy(models: Path, write_segmenter: Write, tmp_path: Path, pellucid: Command) -> None:
    assert pellucid("segmenters", "add", write_segmenter(tmp_path / "colours")).code == 0
    (models / "colours" / "segment.onnx").write_bytes(b"damaged")
    ran = pellucid("segmenters", "verify", "colours")
    assert ran.code == 1
    assert f"{models / 'colours' / 'segment.onnx'}: has another sha256" in ran.out
    assert "pellucid segmenters add SOURCE --name colours --force" in ran.out
    assert pellucid("segmenters", "verify", "colours", "--json").json["segmenters"][0]["faults"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add", "nothing"], 2, "no file or folder"),
        (["add", "odd"], 8, "was not added"),
        (["add", "good", "--arch", "pspnet"], 2, "Leave out --arch"),
        (["add", "good", "--name", "none"], 2, "without any segmenter"),
        (["add", "good", "--short", "-3"], 2, "--short is -3"),
        (["remove", "builtn"], 2, "No segmenter named 'builtn'"),
        (["verify", "builtn"], 2, "No segmenter named 'builtn'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    models: Path, write_segmenter: Write, pellucid: Command, arguments: list[str], code: int, said: str
) -> None:
    write_segmenter(Path("good"))
    write_segmenter(Path("odd"), labels=("a", "b", "c", "d"))
    ran = pellucid("segmenters", *arguments)
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert ran.err.splitlines()[-1].startswith("pellucid: ")
    assert not models.exists() or not list(models.iterdir())


def test_a_checkpoint_without_torch_says_what_to_install(
    models: Path, tmp_path: Path, pellucid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    for name in [name for name in sys.modules if name.startswith(("annotate._smp", "annotate._torchvision", "annotate._segmenter_export"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    ran = pellucid("segmenters", "add", tmp_path / "model.pt", "--labels", "voc")
    assert (ran.code, "pip install 'pellucid[torch]'" in ran.err) == (8, True)
    assert not list(models.iterdir())


@pytest.mark.parametrize(
    "arguments", [["segmenters", "list"], ["segmenters", "--help"], ["segmenters", "add", "nothing"], ["eval", "segmentation", "x"]]
)
def test_listing_and_help_import_nothing_heavy(models: Path, arguments: list[str]) -> None:
    code = (
        f"import sys\nsys.argv = {['pellucid', *arguments]!r}\nfrom api.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [name for name in ('torch', 'onnxruntime', 'onnx', 'segmentation_models_pytorch', 'lancedb') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ})
    assert ran.stdout.decode().rstrip().endswith("HEAVY []")


# pellucid eval segmentation


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Photos of one colour each, and what they are; the violet ones are called blue by whoever knows three colours."""
    folder = tmp_path / "set"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number, (name, colour) in enumerate(
        {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250), "violet": (120, 0, 250)}.items()
    ):
        Image.new("RGB", (20, 10), colour).save(folder / "images" / f"{name}.png")
        Image.new("L", (20, 10), number).save(folder / "masks" / f"{name}.png")
    (folder / "labels.txt").write_text("red\ngreen\nblue\nviolet\n", encoding="utf-8")
    return folder


def test_a_segmenter_is_measured(models: Path, write_segmenter: Write, tmp_path: Path, colours: Path, pellucid: Command) -> None:
    assert pellucid("segmenters", "add", write_segmenter(tmp_path / "rgb")).code == 0
    ran = pellucid("eval", "segmentation", colours, "--segmenter", "rgb", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["classes"] == {"red": 1.0, "green": 1.0, "blue": 0.5, "violet": 0.0}
    assert (ran.json["miou"], ran.json["miou_all"], ran.json["pixel_accuracy"]) == (0.8333, 0.625, 1.0)
    assert (ran.json["unknown"], ran.json["photos"]) == (["violet"], 4)
    shown = pellucid("eval", "segmentation", colours, "--segmenter", "rgb")
    assert "4 photos, segmenter rgb-" in shown.out
    assert "83.3%" in shown.out
    assert "does not name violet" in shown.out
    (colours / "words.json").write_text(json.dumps({"labels": [{"id": at, "name": name, "parent": "warm" if at == 0 else "cold"} for at, name in
                                                               enumerate(("red", "green", "blue", "violet"))]}), encoding="utf-8")  # fmt: skip
    ran = pellucid("eval", "segmentation", colours, "--segmenter", "rgb", "--labels", colours / "words.json", "--json")
    assert ran.json["categories"] == {"warm": 1.0, "cold": 1.0}
    assert "category" in pellucid("eval", "segmentation", colours, "--segmenter", "rgb", "--labels", colours / "words.json").out


@pytest.mark.parametrize(
    ("change", "arguments", "code", "said"),
    [
        (lambda folder: (folder / "masks" / "red.png").unlink(), [], 2, "have no mask"),
        (lambda folder: (folder / "labels.txt").unlink(), [], 2, "--labels FILE"),
        (lambda folder: None, ["--labels", "camvit"], 2, "Did you mean 'camvid'"),
        (lambda folder: None, ["--segmenter", "rbg"], 2, "Did you mean 'rgb'"),
        (lambda folder: (folder / "images" / "red.png").write_bytes(b"x"), [], 3, "red.png"),
        (lambda folder: None, ["--labels", "voc"], 2, "names none of the set's classes"),
    ],
)
def test_a_set_that_is_not_whole_is_told_in_one_line(
    models: Path,
    write_segmenter: Write,
    tmp_path: Path,
    colours: Path,
    pellucid: Command,
    change: Any,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    assert pellucid("segmenters", "add", write_segmenter(tmp_path / "rgb")).code == 0
    change(colours)
    ran = pellucid("eval", "segmentation", colours, "--segmenter", "rgb", *arguments)
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert ran.err.splitlines()[-1].startswith("pellucid: ")
