"""`pellucid tags` as people and programs run it: what they say stays, whatever machines write, and runs go and come back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search import FoundTag, Library, Recipe, Store, TagRun, image_row, new_run_id, normalize


@dataclass
class Place:
    """A library of a.png, b.png, "été 1.png" and copy.png, which is a copy of a.png; digests are the first letters."""

    folder: Path
    pellucid: Callable[..., Any]

    @property
    def store(self) -> Store:
        return Store(Library(self.folder / "library"))

    def tags(self, *arguments: object, code: int = 0) -> Any:
        ran = self.pellucid("tags", *arguments, "--library", self.folder / "library")
        assert ran.code == code, ran.err
        return ran

    def json(self, *arguments: object) -> Any:
        return self.tags(*arguments, "--json").json

    def wrote(self, tags: dict[str, Iterable[str | FoundTag]], vocabulary: str = "photo", **settings: Any) -> str:
        library = Library(self.folder / "library")
        with library.locked("test"):
            marks = Store(library).marks
            run = TagRun(new_run_id(), "r", "mean-colour", vocabulary, "0" * 12, "one", settings)
            marks.begin(run)
            marks.put(
                run.id,
                {
                    digest: [FoundTag(tag, 0.8, 0.3, 3.0) if isinstance(tag, str) else tag for tag in names]
                    for digest, names in tags.items()
                },
            )
            marks.finish(run.id)
        return run.id

    def has(self, name: str = "a.png") -> set[str]:
        return {tag["tag"] for tag in self.json("show", self.folder / "photos" / name)["tags"]}


@pytest.fixture
def place(tmp_path: Path, paint: Any, pellucid: Callable[..., Any]) -> Place:
    root = tmp_path / "photos"
    files = {"a": ["a.png", "copy.png"], "b": ["b.png"], "c": ["été 1.png"]}
    for at, (digest, names) in enumerate(files.items()):
        paint(root / names[0], seed=at)
        for name in names[1:]:
            shutil.copyfile(root / names[0], root / name)
        assert digest
    library = Library(tmp_path / "library", create=True)
    with library.locked("test"):
        store, recipe = Store(library), Recipe("rows", "0" * 64, "fp32", "none", 4)
        library.write(library.file.with_root(str(root)))
        store.add_vectors(recipe, list(files), normalize(np.eye(4, dtype=np.float32)[:3]))
        store.put_images([image_row(root=str(root), path=name, digest=digest) for digest, names in files.items() for name in names])
        store.use(recipe)
    return Place(tmp_path, pellucid)


def test_what_people_say_counts(place: Place) -> None:
    place.wrote({"a": ["dog", "cat"]})
    told = place.json("confirm", place.folder / "photos/a.png", "beach", "DOG")
    assert (told["said"], told["tags"], told["not_in_vocabularies"]) == ("confirmed", ["beach", "dog"], [])
    place.json("reject", place.folder / "photos/copy.png", "cat")  # a copy is the photo
    assert place.has() == place.has("copy.png") == {"beach", "dog"}
    shown = place.json("show", place.folder / "photos/a.png")
    assert shown["rejected"] == ["cat"]
    assert [(tag["tag"], tag["human"], tag["precision"]) for tag in shown["tags"]] == [("beach", True, 1), ("dog", True, 1)]
    out = place.tags("show", place.folder / "photos/a.png").out
    assert "a person" in out
    assert "Rejected: cat" in out
    place.json("reject", place.folder / "photos/a.png", "cat", "--undo")
    assert place.has() == {"beach", "dog", "cat"}


def test_synonyms_are_the_tag_and_own_words_are_taken_as_written(place: Place) -> None:
    told = place.json("confirm", place.folder / "photos/été 1.png", "puppies and Grandma's  house", "photo of  Ünsal")
    assert told["tags"] == ["puppies and Grandma's house", "photo of Ünsal"]
    assert place.has("été 1.png") == set(told["tags"])
    assert "taken as written" in place.tags("confirm", place.folder / "photos/b.png", "Grandma").out
    from search import load_vocabulary

    tag = next(tag for tag in load_vocabulary("photo") if tag.synonyms)
    assert place.json("confirm", place.folder / "photos/b.png", tag.synonyms[0].upper())["tags"] == [tag.name]


WRONG = {
    ("confirm", "nowhere.png", "dog"): "Index its folder first",
    ("reject", "PHOTOS", "dog"): "is a folder. Name a photo",
    ("confirm", "PHOTOS/a.png", "a|b"): "holds '|', which a tag cannot",
    ("confirm", "PHOTOS/a.png", " "): "no word",
    ("show", "nowhere.png"): "Index its folder first",
    ("retract", "2026"): "was not tagged yet",
    ("promote", "latest"): "was not tagged yet",
    ("diff", "a", "b"): "was not tagged yet",
    ("review", "--where", "nothing = 1"): "no column",
}


def test_wrong_words(place: Place) -> None:
    for arguments, words in WRONG.items():
        named = [argument.replace("PHOTOS", str(place.folder / "photos")) for argument in arguments]
        assert words in place.tags(*named, code=2).err
    assert place.json("runs") == {"runs": []}
    assert place.has() == set()


def test_a_photo_that_is_gone_from_disk_still_has_its_tags(place: Place) -> None:
    place.wrote({"a": ["dog"]})
    for name in ("a.png", "copy.png"):
        (place.folder / "photos" / name).unlink()
    assert place.has() == {"dog"}


def test_runs_replace_each_other_and_come_back(place: Place) -> None:
    loose = place.wrote({"a": ["dog", "cat"], "b": ["beach"]}, precision=0.3, most=20)
    strict = place.wrote({"a": ["dog"], "b": []}, precision=0.9, most=20, where="iso < 400")
    assert place.has() == {"dog"}
    assert place.has("b.png") == set()
    told = place.json("diff", loose, strict)
    assert (told["added"], sorted(map(tuple, told["removed"].values()))) == ({}, [("beach",), ("cat",)])
    out = place.tags("diff", loose, "latest").out
    assert "0 added, 2 removed" in out
    assert "- beach 1, cat 1" in out
    assert "neither replaces" not in out
    other = place.wrote({"a": ["sunny"]}, vocabulary="weather")
    assert "1 added, 1 removed" in place.tags("diff", strict, other).out
    assert "so neither replaces the other" in place.tags("diff", strict, other).out
    place.json("retract", other)
    listed = place.tags("runs").out
    assert "precision 0.9, most 20, where iso < 400" in listed
    assert [run["run"] for run in place.json("runs")["runs"] if run["state"] == "written"] == [loose, strict]
    told = place.json("retract", strict)
    assert (told["run"], told["tags"]) == (strict, 1)
    assert place.has() == {"dog", "cat"}
    assert place.has("b.png") == {"beach"}
    again = place.tags("retract", strict, code=2)
    assert "retracted already" in again.err


def test_no_machine_touches_what_people_said(place: Place) -> None:
    first = place.wrote({"a": ["dog", "cat"]})
    place.json("confirm", place.folder / "photos/a.png", "dog", "sunset")
    place.json("reject", place.folder / "photos/a.png", "cat")
    before = place.store.marks.labels()
    second = place.wrote({"a": ["cat"]})
    assert place.has() == {"dog", "sunset"}
    place.json("retract", second)
    place.json("retract", first)
    assert place.has() == {"dog", "sunset"}
    assert place.store.marks.labels() == before


def test_what_is_promoted_is_people_s(place: Place) -> None:
    run = place.wrote({"a": ["dog", "cat"]})
    place.json("reject", place.folder / "photos/a.png", "cat")
    assert place.json("promote", run[:15])["tags"] == 1
    assert f"The tags of {run} were people's own already." in place.tags("promote", run).out
    assert place.has() == {"dog"}
    place.wrote({"a": []})
    assert place.has() == {"dog"}
    refused = place.tags("retract", run, code=2)
    assert "people's now" in refused.err
    assert place.has() == {"dog"}
    other = place.wrote({"b": ["beach"]})
    place.json("retract", other)
    assert place.tags("promote", other, code=2).err
    assert place.has("b.png") == set()


def test_the_most_uncertain_come_first(place: Place) -> None:
    place.wrote(
        {
            "a": [FoundTag("dog", 0.95, 0.3, 3.0), FoundTag("cat", 0.55, 0.3, 3.0)],
            "b": [FoundTag("beach", 0.62, 0.3, 3.0)],
            "c": [FoundTag("cat", 0.7, 0.3, 3.0)],
        }
    )
    told = place.json("review")
    assert told["open"] == 4
    assert next((tag["tag"], tag["precision"]) for tag in told["tags"]) == ("cat", 0.55)
    assert [tag["tag"] for tag in told["tags"]][-1] == "dog"
    place.json("confirm", place.folder / "photos/copy.png", "cat")
    left = place.json("review", "-k", 1)
    assert (left["open"], len(left["tags"])) == (3, 1)
    assert left["tags"][0]["tag"] == "beach"
    assert [tag["file"] for tag in place.json("review", "--tag", "Cat")["tags"]] == [str(place.folder / "photos/été 1.png")]
    assert place.json("review", "--where", "path = 'b.png'")["open"] == 1
    out = place.tags("review").out
    assert re.search(r"0\.62 +beach", out)
    assert "3 of 3 tags" in out


def test_a_page_to_review(place: Place) -> None:
    place.wrote({"a": [FoundTag("Tom & Jerry", 0.5, 0.3, 3.0)], "c": [FoundTag("Ünsal's", 0.6, 0.3, 3.0, region=2)]}, vocabulary="mine")
    (place.folder / "photos/a.png").write_bytes(b"not a photo any more")
    page = place.folder / "review.html"
    place.tags("review", "--html", page)
    text = page.read_text()
    assert "Tom &amp; Jerry" in text
    assert text.count("data:image/jpeg") == 1
    assert "cannot be opened" in text
    assert "region 2" in text
    assert text.count("pellucid tags confirm") == text.count("pellucid tags reject") == 2
    refused = place.tags("review", "--html", place.folder / "photos/b.png", code=2)
    assert "name of a photo" in refused.err


def test_nothing_to_review(place: Place) -> None:
    assert "nobody has confirmed or rejected" in place.tags("review").out
    assert place.json("review") == {"open": 0, "tags": []}


def test_a_library_in_use_is_left_alone(place: Place) -> None:
    with Library(place.folder / "library").locked("test"):
        assert place.tags("confirm", place.folder / "photos/a.png", "dog", code=5).err
    assert place.has() == set()
