from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import InputError
from search import Library, Store, StoredTag, TagRows, TagRun, TagStore, new_run_id

RUN = TagRun("20260101-000000-aaaa", "recipe", "encoder", "photo", "0123", "photo-3", {"cut": 0.5, "where": "iso > 100"})


def found(tag: str, precision: float = 0.75, region: int | None = None) -> StoredTag:
    return StoredTag(tag, precision, 0.25, 2.5, region)


@pytest.fixture
def marks(library: Library) -> TagStore:
    return Store(library).marks


def written(marks: TagStore, name: str, rows: dict[str, list[Any]], **facts: Any) -> TagRun:
    """A whole run; tags are names, or whole tags."""
    run = replace(RUN, id=name, **facts)
    marks.begin(run)
    marks.put(run.id, {digest: [one if isinstance(one, StoredTag) else found(one) for one in tags] for digest, tags in rows.items()})
    return marks.finish(run.id)


def names(marks: TagStore, **which: Any) -> dict[str, list[str]]:
    return {digest: sorted(one.tag for one in tags) for digest, tags in marks.tags(**which).items()}


def test_a_run_and_its_tags_come_back(library: Library, marks: TagStore) -> None:
    done = written(marks, "one", {"aa": [found("beach", 0.5), found("it's a dog", 0.875, 3)], "bb": []})
    again = Store(library).marks
    assert again.runs() == [done] == [again.run("one")]
    assert done == replace(RUN, id="one", at=done.at, photos=2, tags=2, state="written")
    assert done.at > RUN.at
    assert again.tags() == {
        "aa": (StoredTag("it's a dog", 0.875, 0.25, 2.5, 3, "one"), StoredTag("beach", 0.5, 0.25, 2.5, None, "one")),
    }
    assert again.tags(["bb"]) == {} == again.tags([])
    assert again.looked_at("one") == {"aa", "bb"}


def test_a_library_that_was_never_tagged_answers(marks: TagStore) -> None:
    assert (marks.tags(), marks.runs(), marks.labels(), marks.absent(set()), marks.left({"aa"})) == ({}, [], {}, [], set())
    assert marks.sweep(set()) == 0
    marks.without({"aa"})
    marks.label("aa", "beach", None)
    assert marks.tables.names() == []
    with pytest.raises(InputError, match="was not tagged yet"):
        marks.run("latest")


def test_a_run_counts_when_it_is_finished_and_can_be_resumed(library: Library, marks: TagStore) -> None:
    written(marks, "old", {"aa": ["beach"], "bb": ["beach"], "cc": ["beach"]})
    marks.begin(replace(RUN, id="new"))
    marks.put("new", {"aa": [found("sea")], "bb": []})
    resumed = Store(library).marks  # the process was killed here
    assert names(resumed) == {"aa": ["beach"], "bb": ["beach"], "cc": ["beach"]}
    assert resumed.run("new").state == "running"
    assert resumed.looked_at("new") == {"aa", "bb"}
    with pytest.raises(InputError, match="has been through a photo already"):
        resumed.put("new", {"bb": [found("sea")]})
    resumed.put("new", {"cc": [found("ship")]})
    assert resumed.finish("new").tags == 2
    assert resumed.finish("new").photos == 3  # twice does no harm
    assert names(resumed) == {"aa": ["sea"], "cc": ["ship"]}
    with pytest.raises(InputError, match="is written; it cannot be written to"):
        resumed.put("new", {"dd": []})


def test_a_stricter_run_takes_back_what_a_looser_one_wrote_on_the_photos_it_saw(marks: TagStore) -> None:
    written(marks, "loose", {"aa": ["beach", "sea"], "bb": ["beach"], "cc": ["sea"]})
    written(marks, "strict", {"aa": ["sea"], "bb": [], "dd": ["Sea", "ship"]}, stricter_than="loose")
    assert names(marks) == {"aa": ["sea"], "cc": ["sea"], "dd": ["Sea", "ship"]}
    assert names(marks, digests=["aa", "bb", "cc"]) == {"aa": ["sea"], "cc": ["sea"]}
    assert names(marks, run="loose") == {"aa": ["beach", "sea"], "bb": ["beach"], "cc": ["sea"]}
    diff = marks.diff("loose", "strict")
    assert diff.removed == {"aa": ("beach",), "bb": ("beach",)}
    assert diff.added == {"dd": ("sea", "ship")}  # as it was written first
    assert marks.retract("strict") == 3
    assert names(marks) == {"aa": ["beach", "sea"], "bb": ["beach"], "cc": ["sea"]}
    with pytest.raises(InputError, match="was retracted already"):
        marks.retract("strict")
    with pytest.raises(InputError, match="its tags are gone"):
        marks.diff("loose", "strict")


def test_a_difference_of_runs_without_any_tags(marks: TagStore) -> None:
    written(marks, "none", {"aa": [], "bb": []})
    written(marks, "some", {"aa": ["beach"], "cc": ["sea"]})
    assert (marks.diff("none", "some").added, marks.diff("none", "some").removed) == ({"aa": ("beach",), "cc": ("sea",)}, {})
    assert (marks.diff("some", "none").added, marks.diff("some", "none").removed) == ({}, {"aa": ("beach",)})
    assert marks.diff("some", "some").added == marks.diff("some", "some").removed == {}


def test_the_run_that_was_finished_last_counts_even_if_it_began_first(marks: TagStore) -> None:
    marks.begin(replace(RUN, id="first"))
    marks.put("first", {"aa": [found("sea")]})
    written(marks, "second", {"aa": ["beach"]})
    assert names(marks) == {"aa": ["beach"]}
    marks.finish("first")
    assert names(marks) == {"aa": ["sea"]}
    assert [run.id for run in marks.runs()] == ["second", "first"]
    assert marks.run("latest").id == "first"


def test_runs_with_other_words_or_vectors_add_their_tags(marks: TagStore) -> None:
    written(marks, "one", {"aa": [found("beach", 0.5), found("sea", 0.75)]})
    written(marks, "two", {"aa": [found("Beach", 0.875)]}, vocabulary="mine")
    written(marks, "three", {"aa": [found("sea", 0.625), found("ship", 0.25)]}, recipe="other")
    written(marks, "four", {"aa": []}, vocabulary="mine", recipe="other")
    assert [(one.tag, one.precision, one.run) for one in marks.tags()["aa"]] == [
        ("Beach", 0.875, "two"), ("sea", 0.75, "one"), ("ship", 0.25, "three"),
    ]  # fmt: skip
    written(marks, "five", {"aa": []}, vocabulary="mine")
    assert [(one.tag, one.run) for one in marks.tags()["aa"]] == [("sea", "one"), ("beach", "one"), ("ship", "three")]


def test_what_people_say_stands_whatever_runs_write(library: Library, marks: TagStore) -> None:
    written(marks, "one", {"aa": [found("beach", 0.5, 2), "sea"], "bb": ["beach"]})
    marks.label("aa", "Sea", "rejected")
    marks.label("aa", "beach", "confirmed")
    marks.label("cc", "my dog", "confirmed")
    marks.label("bb", "ship", "rejected")
    assert marks.tags() == {
        "aa": (StoredTag("beach", 1.0, 0.25, 2.5, 2, "one", human=True),),
        "bb": (StoredTag("beach", 0.75, 0.25, 2.5, None, "one"),),
        "cc": (StoredTag("my dog", 1.0, human=True),),
    }
    written(marks, "two", {"aa": ["sea"], "bb": ["ship"], "cc": []})
    assert names(marks) == {"aa": ["beach"], "cc": ["my dog"]}
    marks.retract("two")
    marks.retract("one")
    assert names(Store(library).marks) == {"aa": ["beach"], "cc": ["my dog"]}
    assert marks.labels() == {
        "Sea": {"aa": "rejected"}, "beach": {"aa": "confirmed"}, "my dog": {"cc": "confirmed"}, "ship": {"bb": "rejected"},
    }  # fmt: skip


def test_what_was_said_last_counts_and_can_be_taken_back(marks: TagStore) -> None:
    written(marks, "one", {"aa": ["beach"]})
    marks.label("aa", "beach", "rejected")
    marks.label("aa", "BEACH", "confirmed")  # written otherwise, so another row
    assert [(one.tag, one.human) for one in marks.tags()["aa"]] == [("beach", True)]
    marks.label("aa", "beach", "rejected")
    assert marks.tags() == {}
    assert [list(said.values()) for said in marks.labels().values()] == [["rejected"]]
    marks.label("aa", "Beach", None)
    assert marks.labels() == {}
    assert [(one.tag, one.human) for one in marks.tags()["aa"]] == [("beach", False)]


def test_promoting_makes_a_run_peoples_but_for_what_they_said(library: Library, marks: TagStore, monkeypatch: pytest.MonkeyPatch) -> None:
    written(marks, "one", {"aa": ["beach", "sea"], "bb": ["Sea", "ship"], "cc": []})
    marks.label("bb", "sea", "rejected")
    marks.label("aa", "sea", "confirmed")
    before = marks.tables.upsert

    def stop(name: str, *_: Any) -> None:
        if name == "tag_runs":
            raise KeyboardInterrupt

    monkeypatch.setattr(marks.tables, "upsert", stop)
    with pytest.raises(KeyboardInterrupt):
        marks.promote("one")
    monkeypatch.setattr(marks.tables, "upsert", before)
    again = Store(library).marks
    assert again.run("one").state == "written"
    assert again.promote("one") == 0  # the killed try had written them all
    assert again.tables.count("tag_labels") == 4
    assert again.run("one").state == "promoted"
    assert again.promote("one") == 0
    written(again, "two", {"aa": [], "bb": []})
    assert names(again) == {"aa": ["beach", "sea"], "bb": ["ship"]}
    assert all(one.human for tags in again.tags().values() for one in tags)
    with pytest.raises(InputError, match="were promoted: they are people's now"):
        again.retract("one")
    again.retract("two")
    with pytest.raises(InputError, match="is retracted; it cannot be promoted"):
        again.promote("two")


def test_promoting_counts_what_was_not_confirmed_before(marks: TagStore) -> None:
    written(marks, "one", {"aa": ["beach", "sea"], "bb": ["ship"]})
    marks.label("aa", "sea", "rejected")
    assert marks.promote("one") == 2


def test_a_run_is_found_by_the_beginning_of_its_id(marks: TagStore) -> None:
    for name in ("20260101-000000-aaaa", "20260101-000000-aabb", "20260202-000000-cccc"):
        written(marks, name, {"aa": []})
    assert marks.run("20260202").id == "20260202-000000-cccc"
    assert marks.run("latest").id == "20260202-000000-cccc"
    with pytest.raises(InputError, match="2 tagging runs are called '20260101'"):
        marks.run("20260101")
    for name in ("nothing", "", "'; DROP TABLE tags"):
        with pytest.raises(InputError, match=r"The last are 20260101-000000-aaaa, .*pellucid tags runs"):
            marks.run(name)
    with pytest.raises(InputError, match="There is a tagging run"):
        marks.begin(replace(RUN, id="20260101-000000-aaaa"))
    assert new_run_id() != new_run_id()


HOSTILE = [
    "it's",
    'a "quoted" word',
    "100% wool",
    "under_score",
    "back\\slash",
    "'; DROP TABLE tag_labels; --",
    "Ünïcode 海",
    "x" * 200,
    "like 'a%'",
]


@pytest.mark.parametrize("tag", HOSTILE)
def test_any_word_can_be_a_tag(library: Library, marks: TagStore, tag: str) -> None:
    tag = unicodedata.normalize("NFC", tag).replace(";", "")
    written(marks, "it's one", {"a'a": [tag], "bb": [tag]})
    marks.label("a'a", tag, "rejected")
    assert names(marks) == {"bb": [tag]}
    marks.label("a'a", tag.upper(), None)
    assert names(marks, digests=["a'a"]) == {"a'a": [tag]}
    assert Store(library).marks.labels() == {}


@pytest.mark.parametrize("tag", ["", " ", "a\0b", "a\nb", "x" * 201, "a;b", "two  spaces", "\ud800"])
def test_what_is_no_tag_is_refused(marks: TagStore, tag: str) -> None:
    marks.begin(RUN)
    with pytest.raises(InputError, match="no name for a tag"):
        marks.put(RUN.id, {"aa": [found(tag)]})
    with pytest.raises(InputError, match="no name for a tag"):
        marks.label("aa", tag, "confirmed")
    with pytest.raises(InputError, match="cannot be 'maybe'"):
        marks.label("aa", "beach", "maybe")  # type: ignore[arg-type]
    assert marks.looked_at(RUN.id) == set()


def rows(**changed: Any) -> TagRows:
    given = {
        "digests": ["aa", "bb"], "names": ["beach", "sea"], "photo": np.array([0, 1]), "tag": np.array([1, 0]), "precision": np.array([0.5, 1.0]),
        "similarity": np.zeros(2, np.float32), "z": np.zeros(2),
    }  # fmt: skip
    return TagRows(**{**given, **changed})


def test_columns_write_what_tags_write(marks: TagStore) -> None:
    marks.begin(RUN)
    marks.put(RUN.id, rows(digests=["aa", "bb", "cc"], region=np.array([-1, 4])))
    marks.finish(RUN.id)
    assert marks.tags() == {
        "aa": (StoredTag("sea", 0.5, 0.0, 0.0, None, RUN.id),), "bb": (StoredTag("beach", 1.0, 0.0, 0.0, 4, RUN.id),),
    }  # fmt: skip
    assert marks.looked_at(RUN.id) == {"aa", "bb", "cc"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"digests": ["aa", "aa"]}, "twice"),
        ({"photo": np.array([0, 2])}, "a photo beyond the 2"),
        ({"photo": np.array([0, -1])}, "a photo beyond the 2"),
        ({"tag": np.array([0, 2])}, "a name beyond the 2"),
        ({"precision": np.array([0.5, 1.5])}, "outside of"),
        ({"precision": np.array([0.5, np.nan])}, "outside of"),
        ({"photo": np.array([0, 0]), "tag": np.array([1, 1])}, "has a tag twice"),
        ({"z": np.zeros(3)}, "have 2 photos and 2, 2, 2, 3 values"),
        ({"names": ["beach", "a;b"]}, "no name for a tag"),
    ],
)
def test_columns_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows(**changed)


def test_sweeping_drops_what_machines_wrote_and_keeps_what_people_said(marks: TagStore) -> None:
    written(marks, "one", {"aa": ["beach"], "bb": ["sea"], "cc": []})
    written(marks, "two", {"aa": ["ship"]})
    marks.label("bb", "sea", "confirmed")
    marks.retract("two")
    assert marks.sweep({"aa"}) == 3  # bb and cc of one, aa of two
    assert marks.sweep({"aa"}) == 0
    assert names(marks) == {"aa": ["beach"], "bb": ["sea"]}
    assert [run.state for run in marks.runs()] == ["written", "retracted"]
    assert marks.absent({"aa"}) == ["bb"]
    assert marks.left({"aa", "bb", "cc"}) == {"aa", "bb"}


def files_with(library: Library, text: str) -> list[Path]:
    return [file for file in library.store.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


def test_what_is_erased_is_in_no_file(library: Library, marks: TagStore) -> None:
    secret = "5ec2e7" * 10
    written(marks, "one", {secret: ["beach"], "bb": ["sea"]})
    marks.label(secret, "beach", "confirmed")
    marks.label("bb", "ship", "confirmed")
    holding = files_with(library, secret)
    assert {file.relative_to(library.store).parts[0] for file in holding} == {"tags.lance", "tag_labels.lance"}
    marks.without({secret})
    assert names(marks) == {"bb": ["sea", "ship"]}
    assert files_with(library, secret) == []


def test_many_digests_give_what_few_give(marks: TagStore) -> None:
    digests = [f"{number:06}" for number in range(4500)]
    written(marks, "one", {digest: ["beach"] for digest in digests})
    written(marks, "two", {digest: [] for digest in digests[::2]})
    asked = digests[:3000]
    many = marks.tags(asked)
    assert set(many) == set(asked[1::2])
    assert {digest: many[digest] for digest in asked[1:100:2]} == marks.tags(asked[:100])
