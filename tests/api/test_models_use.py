"""Several encoders in one library, as people meet them: index with another, compare, switch, remove."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import search
from search import ENCODERS, EncoderOptions, Library, Model, Store
from search.precision import Decision

Command = Callable[..., Any]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELLUCID_LIBRARY", str(tmp_path / "library"))
    return tmp_path / "library"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELLUCID_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, make_encoder: Callable[..., Any], models: Path) -> None:
    """Two encoders that the command line finds."""
    for name in ("plain", "finer"):
        monkeypatch.setitem(ENCODERS, name, lambda _options, name=name: make_encoder(name))  # type: ignore[misc]


@pytest.fixture
def colours(photos: Path, library: Path, tiny: None, pellucid: Command) -> Path:
    """Ten photos, indexed with `plain`."""
    assert pellucid("index", photos, "--encoder", "plain").code == 0
    return photos


@pytest.fixture
def half(colours: Path, pellucid: Command, make_encoder: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with `finer` interrupted after four."""

    class Interrupted(make_encoder):  # type: ignore[misc]
        done = 0

        def encode_images(self, prepared: Any) -> Any:
            if type(self).done >= 4:
                raise KeyboardInterrupt
            type(self).done += len(prepared)
            return super().encode_images(prepared)

    with monkeypatch.context() as patch:
        patch.setitem(ENCODERS, "finer", lambda _options: Interrupted("finer"))
        ran = pellucid("index", "--encoder", "finer")
    assert ran.code == 130
    assert "Interrupted." in ran.out
    assert "6 of 10 photos have no vector by the encoder 'finer' yet." in ran.out
    assert "Searches use the encoder 'plain' until then." in ran.out
    return colours


def names(ran: Any) -> list[str]:
    return [Path(hit["file"]).name for hit in ran.json["hits"]]


def test_from_one_encoder_to_another_and_back(pellucid: Command, colours: Path, library: Path) -> None:
    ran = pellucid("index", "--encoder", "finer")
    assert ran.code == 0
    assert f"The vectors by 'finer' are complete; switch with: pellucid models use finer --library {library}" in ran.out
    assert "Searches use the encoder 'plain' until then." in ran.out
    assert pellucid("search", "red", "--json").json["encoder"] == "plain"
    chosen = pellucid("search", "red", "--encoder", "finer", "--json")
    assert (chosen.json["encoder"], chosen.json["missing"], chosen.err, names(chosen)[0]) == ("finer", 0, "", "red.png")
    used = pellucid("models", "use", "finer")
    assert (used.code, used.out) == (0, f"Searches in {library} use the encoder 'finer', no longer 'plain'.\n")
    assert pellucid("search", "red", "--json").json["encoder"] == "finer"
    again = pellucid("index", "--json").json
    assert (again["same"], again["recipe"]["encoder"], again["switch"]) == (10, "finer", None)  # the encoder in use goes on
    back = pellucid("models", "use", "plain", "--json").json
    assert (back["encoder"], back["was"], back["missing"], back["photos"]) == ("plain", "finer", 0, 10)
    assert pellucid("models", "use", "plain", "--json").json["was"] == "plain"


def test_switching_makes_no_cache_anew(pellucid: Command, colours: Path, library: Path) -> None:
    pellucid("index", "--encoder", "finer")
    for name in ("plain", "finer"):
        pellucid("search", "red", "--encoder", name)
    before = {file: file.stat().st_mtime_ns for file in (library / "cache").rglob("*") if file.is_file()}
    assert len({file.parent for file in before} - {library / "cache"}) == 2
    for name in ("finer", "plain", "finer"):
        assert pellucid("models", "use", name).code == 0
        assert pellucid("search", "red").code == 0
    assert {file: file.stat().st_mtime_ns for file in (library / "cache").rglob("*") if file.is_file()} == before


def test_an_incomplete_encoder_answers_and_says_what_lacks(pellucid: Command, half: Path, library: Path) -> None:
    ran = pellucid("search", "red", "--strictness", 0, "-k", 50, "--encoder", "finer", "--json")
    assert (ran.code, ran.json["missing"], len(ran.json["hits"])) == (0, 6, 4)
    command = f"pellucid index --library {library} --encoder finer"
    assert ran.err == f"6 of 10 photos have no vector by the encoder 'finer' yet, so they cannot be found. To finish: {command}\n"
    whole = pellucid("search", "red", "--strictness", 0, "-k", 50, "--json")
    assert (whole.json["missing"], whole.err, len(whole.json["hits"])) == (0, "", 10)
    refused = pellucid("models", "use", "finer")
    assert (refused.code, refused.out) == (6, "")
    assert (
        f"6 of 10 photos have no vector by the encoder 'finer' yet. Finish: {command}; or switch all the same, with --force." in refused.err
    )
    forced = pellucid("models", "use", "finer", "--force")
    assert (forced.code, "6 of 10 photos have no vector by it yet" in forced.out) == (0, True)
    now = pellucid("search", "red", "--strictness", 0, "-k", 50, "--paths")
    assert (len(now.out.splitlines()), now.err) == (4, ran.err)
    assert pellucid("index", "--json").json["reembedded"] == 6
    assert pellucid("search", "red").err == ""


def test_stats_and_doctor_list_every_encoder(pellucid: Command, half: Path, library: Path) -> None:
    plain, finer = pellucid("stats", "--json").json["recipes"]
    assert {key: plain[key] for key in ("encoder", "precision", "dim", "current", "photos", "with_vector", "missing")} == {
        "encoder": "plain", "precision": "fp32", "dim": 49, "current": True, "photos": 10, "with_vector": 10, "missing": 0,
    }  # fmt: skip
    assert (finer["encoder"], finer["current"], finer["with_vector"], finer["missing"]) == ("finer", False, 4, 6)
    assert plain["bytes"] > 1000
    shown = pellucid("stats").out
    assert "  plain: fp32, 49 numbers a vector, 10 of 10 photos" in shown
    assert "  finer: fp32, 49 numbers a vector, 4 of 10 photos" in shown
    seen = pellucid("doctor")
    assert (seen.code, "All is well." in seen.out) == (0, True)  # one that is not in use is no problem
    assert f"6 photos have no vector by 'finer'. Remedy: pellucid index --library {library} --encoder finer" in seen.out
    pellucid("models", "use", "finer", "--force")
    ill = pellucid("doctor", "--json")
    assert ill.code == 1
    assert [recipe["state"] for recipe in ill.json["recipes"]] == ["complete", ill.json["problems"][0]]


def test_doctor_on_damaged_lost_and_changed_encoders(
    pellucid: Command, colours: Path, library: Path, monkeypatch: pytest.MonkeyPatch, make_encoder: Any
) -> None:
    class Damaged(make_encoder):  # type: ignore[misc]
        folder = library / "finer"

        def verify(self) -> list[str]:
            return ["text.onnx"]

    pellucid("index", "--encoder", "finer")
    monkeypatch.setitem(ENCODERS, "finer", lambda _options: Damaged("finer"))
    ran = pellucid("doctor", "--json")
    assert (ran.code, len(ran.json["problems"])) == (1, 1)
    again = "Add it again in its place: pellucid models add SOURCE --name finer --force"  # `models remove` would take its vectors
    assert ran.json["problems"][0] == f"Files of the encoder 'finer' are damaged: text.onnx. {again}"
    monkeypatch.delitem(ENCODERS, "finer")
    ran = pellucid("doctor", "--json")
    assert (ran.code, "by the encoder 'finer', whose files are not in" in ran.json["recipes"][1]["state"]) == (0, True)
    monkeypatch.setitem(ENCODERS, "plain", lambda _options: make_encoder("plain", precision="int8"))
    ran = pellucid("doctor", "--json")
    assert (ran.code, ran.json["encoder"]) == (1, "needs care")
    assert "'plain' has other weights now than when it made these vectors" in ran.json["problems"][0]
    monkeypatch.setenv("PELLUCID_ENCODER", "builtin")
    assert "The settings ask for the encoder 'builtin', by which the library has no vectors." in pellucid("doctor").out


def test_after_an_upgrade_a_search_says_what_to_run(
    pellucid: Command, colours: Path, library: Path, monkeypatch: pytest.MonkeyPatch, make_encoder: Any
) -> None:
    later = make_encoder("plain")
    later.recipe = replace(later.recipe, weights="1" * 64)
    monkeypatch.setitem(ENCODERS, "plain", lambda _options: later)
    ran = pellucid("search", "red")
    assert (ran.code, ran.out) == (6, "")
    assert "all 10 photos lack one" in ran.err
    assert ran.err.endswith(f"Make them: pellucid index --library {library} --encoder plain\n")
    done = pellucid("index")
    assert "10 made anew" in done.out
    assert "They replace those of an earlier version of it." in done.out
    assert pellucid("search", "red", "-k", 1, "--json").json["encoder"] == "plain"
    assert len(Library(library).file.recipes) == 1


def test_an_encoder_in_use_whose_files_are_gone(pellucid: Command, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pellucid("index", "--encoder", "finer")
    monkeypatch.delitem(ENCODERS, "plain")
    for command in (["search", "red"], ["index"]):
        ran = pellucid(*command)
        assert ran.code == 8
        assert "has vectors by the encoder 'plain', whose files are not in" in ran.err
        assert "pellucid models use finer --library" in ran.err
    assert pellucid("models", "use", "finer").code == 0
    assert pellucid("search", "red").code == 0


# Remove


def test_remove_takes_vectors_and_cache(pellucid: Command, colours: Path, library: Path) -> None:
    before = {file.relative_to(library) for file in library.rglob("*") if file.is_file()}
    pellucid("index", "--encoder", "finer")
    recipe = pellucid("stats", "--json").json["recipes"][1]["id"]
    ran = pellucid("models", "remove", "finer", "--json")
    assert (ran.code, ran.json["vectors"], ran.json["recipes"], ran.json["folder"]) == (0, 10, [recipe], None)
    assert ran.json["vectors_bytes"] > 1000
    assert not [file for file in library.rglob("*") if recipe in file.name]
    assert {file.parts[0] for file in before} == {file.name for file in library.iterdir()}
    assert pellucid("search", "red", "--json").json["encoder"] == "plain"
    again = pellucid("models", "remove", "finer")
    assert (again.code, "There is nothing to remove: the encoder 'finer' has no vectors in" in again.err) == (2, True)


def test_what_searches_need_is_not_removed(pellucid: Command, half: Path, library: Path) -> None:
    ran = pellucid("models", "remove", "plain")
    assert (ran.code, ran.out) == (2, "")
    assert "use the encoder 'plain'. No other encoder's vectors are complete. First: pellucid index" in ran.err
    assert f"--encoder finer; then: pellucid models use finer --library {library}" in ran.err
    pellucid("models", "use", "finer", "--force")
    ran = pellucid("models", "remove", "plain")
    assert (ran.code, "'plain' is the only encoder whose vectors are complete" in ran.err) == (2, True)
    assert len(Library(library).file.recipes) == 2
    assert pellucid("index").code == 0
    assert "Switch first: pellucid models use plain" in pellucid("models", "remove", "finer").err
    assert pellucid("models", "remove", "plain").code == 0
    assert [recipe["encoder"] for recipe in Library(library).file.recipes.values()] == ["finer"]
    assert "--encoder OTHER" in pellucid("models", "remove", "finer").err


def add_folder(models: Path, name: str, text: str = "{ damaged") -> Path:
    folder = models / name
    folder.mkdir(parents=True)
    (folder / "weights.json").write_text(text)
    (folder / "image.onnx").write_bytes(b"x" * 5000)
    return folder


def test_a_damaged_model_can_be_removed_with_or_without_a_library(pellucid: Command, models: Path, library: Path) -> None:
    kept = add_folder(models, "kept")
    folder = add_folder(models, "broken")
    ran = pellucid("models", "remove", "broken", "--json")
    assert (ran.code, ran.json["folder"], ran.json["model_bytes"], ran.json["library"]) == (0, str(folder), 5009, None)
    assert list(models.iterdir()) == [kept]
    headless = add_folder(models, "headless")
    (headless / "weights.json").unlink()
    assert f"Removed {headless}: 0.0 MB." in pellucid("models", "remove", "headless").out
    assert list(models.iterdir()) == [kept]


def test_remove_takes_the_files_of_an_added_model_unless_told_not_to(
    pellucid: Command, colours: Path, library: Path, models: Path, monkeypatch: pytest.MonkeyPatch, make_encoder: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(ENCODERS, "added", lambda _options: make_encoder("added"))
        pellucid("index", "--encoder", "added")
    folder = add_folder(models, "added")
    some = pellucid("models", "remove", "added", "--vectors-only", "--json").json
    assert (some["vectors"], some["folder"], folder.is_dir()) == (10, None, True)
    ran = pellucid("models", "remove", "added", "--vectors-only")
    assert (ran.code, f"its files are in {folder}" in ran.err) == (2, True)
    rest = pellucid("models", "remove", "added", "--json").json
    assert (rest["vectors"], rest["folder"], folder.exists()) == (0, str(folder), False)


@pytest.mark.parametrize(
    "name", ["..", ".", "../victim", "/", "", "victim/..", ".hidden", "plain file", "not a model", "*", "builtin/../x"]
)
def test_nothing_else_can_be_removed(name: str, pellucid: Command, models: Path, library: Path, tmp_path: Path) -> None:
    add_folder(tmp_path, "victim")
    add_folder(models, ".hidden")
    (models / "plain file").write_text("mine")
    (models / "not a model").mkdir()
    (models / "not a model" / "diary.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    ran = pellucid("models", "remove", "--", name)
    assert (ran.code, ran.out) == (2, "")
    assert f"No encoder named {name!r}" in ran.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_linked_model_loses_only_its_link(pellucid: Command, models: Path, library: Path, tmp_path: Path) -> None:
    folder = add_folder(tmp_path, "elsewhere")
    (models / "linked").symlink_to(folder)
    assert pellucid("models", "remove", "linked").code == 0
    assert list(models.iterdir()) == []
    assert (folder / "image.onnx").is_file()
    (models / "lost").symlink_to(tmp_path / "nowhere")
    assert pellucid("models", "remove", "lost").code == 0
    assert list(models.iterdir()) == []


def test_the_encoder_that_ships_loses_only_its_vectors(pellucid: Command, models: Path, library: Path) -> None:
    ran = pellucid("models", "remove", "builtin")
    assert (ran.code, "it ships with Pellucid" in ran.err) == (2, True)
    folder = add_folder(models, "builtin")
    assert pellucid("models", "remove", "builtin").code == 2
    assert folder.is_dir()


# Compare


def test_compare(pellucid: Command, colours: Path, paint: Callable[..., Path]) -> None:
    for at in range(10):
        paint(colours / "more" / f"{at}.png", "red", seed=at)
    pellucid("index")
    ran = pellucid("models", "compare", "plain", "finer", "--sample", "15", "--json")
    assert (ran.code, ran.json["overlap"], ran.json["sample"], ran.json["photos"]) == (0, 1.0, 15, 20)
    assert [entry["encoder"] for entry in ran.json["encoders"]] == ["plain", "finer"]
    shown = pellucid("models", "compare", "plain", "finer").out
    assert "20 of 20 photos compared; 0 left out." in shown
    assert "Of the 10 nearest neighbours, plain and finer share 100% on average." in shown
    assert "20 photos to go, about " in shown
    assert pellucid("stats", "--json").json["recipes"][1:] == []


BAD = [
    (["use"], 2, "NAME"),
    (["use", "plian"], 2, "Did you mean 'plain'"),
    (["use", "finer"], 6, "all 10 photos lack one. Make them: pellucid index --library"),
    (["use", "finer", "--force"], 6, "all 10 photos lack one"),
    (["remove", "finre"], 2, "Did you mean 'finer'"),
    (["compare", "plain"], 2, "B"),
    (["compare", "plain", "plain"], 2, "Both names are 'plain'"),
    (["compare", "plain", "none"], 2, "No encoder named 'none'"),
    (["compare", "none", "plain"], 2, "No encoder named 'none'"),
    (["compare", "plain", "finer", "--sample", "10"], 2, "--sample 11 or more"),
    (["compare", "plain", "finer", "--sample", "x"], 2, "--sample"),
    (["compare", "plain", "finer"], 2, "has 10 different photos"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD, ids=[" ".join(arguments) for arguments, _, _ in BAD])
def test_bad_input(arguments: list[str], code: int, message: str, pellucid: Command, colours: Path) -> None:
    ran = pellucid("models", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("arguments", [["use", "builtin"], ["compare", "builtin", "finer"]])
def test_without_a_library(arguments: list[str], pellucid: Command, library: Path, tiny: None) -> None:
    ran = pellucid("models", *arguments)
    assert (ran.code, "Nothing is indexed in" in ran.err) == (4, True)
    assert not library.exists()


def test_one_writer_at_a_time(pellucid: Command, colours: Path, library: Path) -> None:
    pellucid("index", "--encoder", "finer")
    with Library(library).locked("index"):
        for command in ("use", "remove"):
            assert pellucid("models", command, "finer").code == 5


# Housekeeping


def test_forget_and_compact_reach_every_encoder(pellucid: Command, colours: Path, library: Path) -> None:
    pellucid("index", "--encoder", "finer")
    assert pellucid("forget", colours / "red.png").code == 0
    store = Store(Library(library))
    assert [len(store.digests(recipe)) for recipe in store.library.file.recipes] == [9, 9]
    assert pellucid("compact").code == 0
    for name in ("plain", "finer"):
        ran = pellucid("search", "red", "--strictness", 0, "--encoder", name, "-k", 50, "--json")
        assert (len(ran.json["hits"]), "red.png" in names(ran)) == (9, False)
    assert sum(entry.is_dir() for entry in (library / "cache").iterdir()) == 2
    for table in (library / "store").glob("*.lance"):
        assert len(list((table / "_versions").glob("*.manifest"))) == 1


# An added model, through everything


@pytest.fixture
def second(models: Path) -> str:
    """The shipped model, added under another name."""
    from search._onnx_clip import builtin_folder

    folder = models / "second"
    folder.mkdir()
    for file in builtin_folder().iterdir():
        if file.suffix not in (".json", ".md", ".py") or file.name == "tokenizer.json":
            (folder / file.name).symlink_to(file)
    replace(Model.read(builtin_folder()), name="second").write(folder)
    return "second"


def loaded_by(arguments: list[str]) -> tuple[list[str], str, str]:
    """Heavy modules that a run of the command line leaves in `sys.modules`, and what it printed."""
    code = (
        "import atexit, json, sys; from api.cli import main; sys.argv = ['pellucid', *json.loads(sys.argv[1])]\n"
        "heavy = ('lancedb', 'pyarrow', 'cv2', 'torch', 'open_clip', 'pandas')\n"
        "atexit.register(lambda: sys.stderr.write('LOADED ' + json.dumps([m for m in heavy if m in sys.modules])))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)], capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    said, _, loaded = done.stderr.rpartition("LOADED ")
    return json.loads(loaded), done.stdout, said


def test_an_added_model_through_everything(pellucid: Command, skimage_photos: Path, library: Path, second: str, tmp_path: Path) -> None:
    photos = tmp_path / "real"
    shutil.copytree(skimage_photos, photos)
    assert pellucid("index", photos).code == 0
    ran = pellucid("index", "--encoder", second)
    assert (ran.code, "switch with: pellucid models use second" in ran.out) == (0, True)
    heavy, out, said = loaded_by(["search", "a cat", "--encoder", second, "--json"])
    assert (heavy, said) == ([], "")
    assert json.loads(out)["encoder"] == second
    assert pellucid("models", "use", second).code == 0
    heavy, out, said = loaded_by(["search", "a cat", "--json"])
    assert (heavy, json.loads(out)["encoder"], json.loads(out)["missing"]) == ([], second, 0)
    shutil.copyfile(photos / "coffee.png", photos / "copy.png")
    (photos / "new.jpg").write_bytes((photos / "rocket.jpg").read_bytes() + b"\0")
    assert pellucid("index", "--encoder", "builtin").code == 0
    heavy, out, said = loaded_by(["search", "a cat", "--json"])
    assert heavy == []  # what lacks is known without opening the store
    assert (json.loads(out)["missing"], "1 of 9 photos have no vector by the encoder 'second'" in said) == (1, True)
    assert pellucid("doctor").code == 1
    assert pellucid("index").code == 0
    assert pellucid("doctor").code == 0


def test_eval_with_an_added_model(pellucid: Command, skimage_photos: Path, library: Path, second: str, tmp_path: Path) -> None:
    for name in ("coffee", "rocket"):
        (tmp_path / "set" / name).mkdir(parents=True)
        file = next(skimage_photos.glob(f"{name}.*"))
        shutil.copyfile(file, tmp_path / "set" / name / file.name)
    figures, shipped = (pellucid("eval", "zeroshot", tmp_path / "set", "--encoder", name, "--json").json for name in (second, "builtin"))
    assert (figures["encoder"], figures["photos"]) == (second, 2)
    assert (figures["top_1"], figures["top_5"]) == (shipped["top_1"], 1.0)
    (tmp_path / "set" / "captions.jsonl").write_text(json.dumps({"image": "coffee/coffee.png", "captions": ["a cup of coffee"]}) + "\n")
    figures = pellucid("eval", "retrieval", tmp_path / "set", "--encoder", second, "--json").json
    assert (figures["encoder"], figures["text_to_image"]["recall_at_1"]) == (second, 1.0)


def test_the_precision_is_chosen_once_on_the_first_photos_and_said(
    pellucid: Command, photos: Path, library: Path, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []

    def chosen(name: str, pixels: Any, options: EncoderOptions) -> Decision:
        calls.append((name, len(pixels)))
        return Decision(options.precision or "int8", "int8: measured here; used.")

    monkeypatch.setattr(search, "choose_precision", chosen)
    dry = pellucid("index", photos, "--encoder", second, "--dry-run")
    assert (dry.code, dry.err, calls) == (0, "", [])
    first = pellucid("index", photos, "--encoder", second, "--json")
    assert (first.code, first.err, calls) == (0, "int8: measured here; used.\n", [(second, 10)])
    assert (first.json["precision_note"], first.json["recipe"]["precision"]) == ("int8: measured here; used.", "int8")
    again = pellucid("index", "--json")  # the library's vectors decide from now on
    assert (again.err, again.json["precision_note"], again.json["same"], len(calls)) == ("", None, 10, 1)
    asked = pellucid("index", "--precision", "int8", "--json")
    assert (asked.err, asked.json["same"], calls[1:]) == ("", 10, [(second, 0)])
    refused = pellucid("index", "--precision", "int4")
    assert (refused.code, "'precision' is 'int4'" in refused.err) == (2, True)
    assert (pellucid("index", "--runtime", "jax").code, pellucid("index", "--runtime", "onnx").code) == (2, 0)
    assert pellucid("index", photos, "--encoder", "builtin").err == ""  # it has one precision
    assert len(calls) == 2
