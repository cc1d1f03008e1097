"""`pellucid tag` and `pellucid eval tags` as people and programs run them, with a tiny encoder that knows colours."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from indexer import build
from preprocess import sidecar_keywords
from search import Library, Store, load_vocabulary, tag_run

WORDS = """tags:
  red: {parents: [warm], form: mass}
  orange: {parents: [warm], form: mass}
  blue: {parents: [cold], form: mass, synonyms: [azure]}
  green: {parents: [cold], form: mass}
  black: {form: mass}
"""


@dataclass
class Place:
    """A library of a photo of each colour, and a vocabulary of some colours in a file."""

    folder: Path
    pellucid: Callable[..., Any]

    @property
    def words(self) -> Path:
        return self.folder / "mes couleurs.yaml"

    @property
    def store(self) -> Store:
        return Store(Library(self.folder / "library"))

    def run(self, *arguments: object) -> Any:
        return self.pellucid(*arguments, "--library", self.folder / "library")

    def tag(self, *arguments: object, vocabulary: object = None) -> Any:
        return self.run("tag", "--vocabulary", vocabulary or self.words, "--precision", 0.02, "--templates", "plain", *arguments)

    def json(self, *arguments: object) -> Any:
        ran = self.tag("--json", *arguments)
        assert ran.code == 0, ran.err
        return ran.json

    def has(self, name: str) -> list[str]:
        return [tag["tag"] for tag in self.run("tags", "show", self.folder / "photos" / name, "--json").json["tags"]]


@pytest.fixture
def place(tmp_path: Path, photos: Path, encoder: Any, mean_colour_listed: str, pellucid: Callable[..., Any]) -> Place:
    build(Library(tmp_path / "library", create=True), [photos], encoder)
    made = Place(tmp_path, pellucid)
    made.words.write_text(WORDS, encoding="utf-8")
    assert mean_colour_listed == "mean-colour"
    return made


def test_what_a_run_did_is_said(place: Place) -> None:
    told = place.json()
    assert (told["photos"], told["words"], told["missing"], told["dry_run"], told["encoder"]) == (10, 5, 0, False, "mean-colour")
    assert told["vocabulary"] == str(place.words.resolve())
    assert told["tags"] == sum(told["by_tag"].values()) > 0
    assert 0 < told["expected_precision"] < 1
    assert place.has("red.png")[0] == "red"
    assert all(Path(example["file"]).parent == place.folder / "photos" for example in told["examples"])
    (run,) = place.run("tags", "runs", "--json").json["runs"]
    assert (run["run"], run["state"], run["photos"], run["tags"]) == (told["run"], "written", 10, told["tags"])
    out = place.tag().out
    assert f"Wrote {told['tags']} tags" in out
    assert "To take it back: pellucid tags retract 20" in out
    assert place.store.marks.runs()[-1].vocabulary_hash == run["vocabulary_hash"]


def test_where_may_ask_for_tags(place: Place) -> None:
    place.json()
    ran = place.run("search", "red", "--where", "tag('RED')", "--paths")
    assert ran.code == 0, ran.err
    tagged = {digest for digest, tags in place.store.marks.tags().items() if any(tag.tag == "red" for tag in tags)}
    rows = place.store.images(["path", "digest"]).to_pylist()
    assert set(ran.out.split()) == {str(place.folder / "photos" / row["path"]) for row in rows if row["digest"] in tagged}
    assert str(place.folder / "photos/red.png") in ran.out
    assert place.json("--where", "tag('red') and path = 'red.png'")["photos"] == 1


def test_a_dry_run_writes_nothing(place: Place) -> None:
    dry = place.json("--dry-run")
    assert (dry["run"], place.store.marks.runs()) == (None, [])
    assert place.has("red.png") == []
    real = place.json()
    assert {key: dry[key] for key in ("photos", "tags", "by_tag", "without")} == {
        key: real[key] for key in ("photos", "tags", "by_tag", "without")
    }
    with Library(place.folder / "library").locked("test"):
        assert place.json("--dry-run")["tags"] == real["tags"]  # it needs no lock
        assert place.tag().code == 5


def test_an_interrupt_is_said_and_the_same_command_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from search.tagger import Tagger

    columns, calls = Tagger.columns, []

    def stop(self: Tagger, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return columns(self, *arguments)

    monkeypatch.setattr(tag_run, "AT_ONCE", 2)
    monkeypatch.setattr(Tagger, "columns", stop)
    ran = place.tag()
    assert ran.code == 130
    assert "Run the same command to go on" in ran.out
    assert place.has("red.png") == []
    told = place.json()
    assert (told["resumed"], told["photos"]) == (4, 10)
    assert place.has("red.png")[0] == "red"


def test_photos_without_a_vector_are_counted(place: Place, paint: Any) -> None:
    from search import image_row

    library = Library(place.folder / "library")
    paint(place.folder / "photos/new.png", "red", seed=1)
    with library.locked("test"):
        Store(library).put_images([image_row(root=str(place.folder / "photos"), path="new.png", digest="f" * 64)])
    told = place.json()
    assert (told["photos"], told["missing"]) == (10, 1)
    assert "1 photo without a vector by 'mean-colour' got no tags. Make them: pellucid index" in place.tag().out


WRONG = {
    ("--vocabulary", "colour"): "No vocabulary named 'colour'",
    ("--vocabulary", "nothing.yaml"): "There is no file nothing.yaml",
    ("--templates", "clip-8"): "clip-80",
    ("--precision", "1.5"): "lies above 0 and below 1",
    ("--precision", "nan"): "lies above 0 and below 1",
    ("--most", "0"): "at least 1",
    ("--where", "colour = 1"): "no column",
}


def test_wrong_words(place: Place) -> None:
    for arguments, words in WRONG.items():
        ran = place.run("tag", "--vocabulary", place.words, "--templates", "plain", *arguments)  # of two, the last counts
        assert ran.code == 2
        assert words in ran.err
    assert place.store.marks.runs() == []


def test_a_library_without_vectors_says_how_to_make_them(place: Place) -> None:
    ran = place.run("tag", "--encoder", "builtin")
    assert ran.code == 6
    assert "pellucid index" in ran.err
    nothing = place.pellucid("tag", "--library", place.folder / "nowhere")
    assert (nothing.code, "Index a folder first" in nothing.err) == (4, True)


def test_where_there_is_no_photo_no_run_begins(place: Place, tmp_path: Path) -> None:
    ran = place.tag("--where", "width > 9999")
    assert (ran.code, ran.out.strip()) == (0, "No photo with a vector meets 'width > 9999': nothing was tagged.")
    assert place.json("--where", "width > 9999")["run"] is None
    (tmp_path / "empty").mkdir()
    assert place.pellucid("index", tmp_path / "empty", "--library", tmp_path / "none").code == 0
    nothing = place.pellucid("tag", "--library", tmp_path / "none")
    assert (nothing.code, "The library has no photos. Index a folder first" in nothing.out) == (0, True)
    assert place.store.marks.runs() == Store(Library(tmp_path / "none")).marks.runs() == []


def test_a_vocabulary_can_be_written_changed_and_used(place: Place, tmp_path: Path) -> None:
    mine = tmp_path / "my weather.yaml"
    ran = place.pellucid("tags", "vocabulary", "weather", mine)
    assert ran.code == 0, ran.err
    assert ran.out.endswith(f"pellucid tag --vocabulary '{mine}'\n")
    assert (
        place.pellucid("tags", "vocabulary", "scenes", mine)
        .err.strip()
        .endswith("is there already. Name another file, or move this one away.")
    )
    mine.write_text(mine.read_text(encoding="utf-8") + '  "mine":\n    tags: [blue]\n', encoding="utf-8")
    assert place.run("tag", "--vocabulary", mine, "--dry-run", "--json").json["words"] == len(load_vocabulary("weather")) + 1
    assert "Write a .yaml" in place.pellucid("tags", "vocabulary", "weather", tmp_path / "weather.txt").err


def test_vocabularies_are_listed(place: Place) -> None:
    out = place.pellucid("tag", "--list").out
    assert out.startswith("photo")
    assert "weather" in out


def test_tags_go_to_sidecars_with_their_kinds(place: Place) -> None:
    place.json()
    place.run("xmp", "write", "--where", "path = 'red.png'", "--prefix", "auto|")
    text = (place.folder / "photos/red.xmp").read_text()
    assert "<rdf:li>auto|warm|red</rdf:li>" in text
    assert "red" in sidecar_keywords(place.folder / "photos/red.png")
    place.words.unlink()  # then nobody knows any more what they are a kind of
    place.run("xmp", "write", "--where", "path = 'blue.png'", "--prefix", "auto|")
    assert "<rdf:li>auto|blue</rdf:li>" in (place.folder / "photos/blue.xmp").read_text()


# pellucid eval tags


@pytest.fixture
def classes(tmp_path: Path, paint: Any) -> Path:
    for name in ("red", "blue", "green"):
        for seed in range(3):
            paint(tmp_path / "classes" / name / f"{seed}.png", name, seed=seed)
    return tmp_path / "classes"


def test_tags_are_measured_on_classes(place: Place, classes: Path) -> None:
    ran = place.pellucid(
        "eval",
        "tags",
        classes,
        "--encoder",
        "mean-colour",
        "--vocabulary",
        place.words,
        "--templates",
        "plain",
        "--precision",
        0.02,
        "--json",
    )
    assert ran.code == 0, ran.err
    figures = ran.json
    assert (figures["photos"], figures["tags"]) == (9, 3)
    assert figures["mean_average_precision"] > 2 * figures["by_chance"]
    shown = place.pellucid(
        "eval", "tags", classes, "--encoder", "mean-colour", "--vocabulary", place.words, "--templates", "plain", "--precision", 0.02
    )
    assert f"Mean average precision: {figures['mean_average_precision']:.3f}" in shown.out
    assert "At the cut of 0.02:" in shown.out


def test_classes_that_no_tag_names_are_refused(place: Place, classes: Path) -> None:
    for name in ("red", "blue", "green"):
        shutil.move(classes / name, classes / f"{name}ish")
    ran = place.pellucid("eval", "tags", classes, "--encoder", "mean-colour", "--vocabulary", place.words)
    assert ran.code == 2
    assert "names a tag of the vocabulary" in ran.err
