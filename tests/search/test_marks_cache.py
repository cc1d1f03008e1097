from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import LibraryDamaged
from search import Derived, Library, Store, StoredTag, TagRun, make_derived, make_marks, marks_of, matching_vectors, open_derived
from search import marks_cache as module
from search.marks_cache import Marks, attach_marks
from search.schema import SCORE_COLUMNS

RUN = TagRun("one", "recipe", "encoder", "photo", "0123", "photo-3")


@pytest.fixture
def store(library: Library, fill: Callable[..., Store]) -> Store:
    """Four photos, of whose digests the order is that of their numbers."""
    return fill(["aa", "bb", "cc", "dd"], [[1, 0], [0, 1], [1, 1], [-1, 0]])


def tag(store: Store, name: str, rows: Mapping[str, Mapping[str, float]], **facts: Any) -> None:
    store.marks.begin(replace(RUN, id=name, **facts))
    store.marks.put(
        name, {digest: [StoredTag(one, precision, 0.5, 1.0) for one, precision in tags.items()] for digest, tags in rows.items()}
    )
    store.marks.finish(name)


@pytest.fixture
def marked(library: Library) -> Iterator[Callable[[], dict[str, Marks]]]:
    """The marks of all photos in the cache of the present state."""
    opened: list[Derived] = []

    def read() -> dict[str, Marks]:
        opened.append(open_derived(Library(library.folder)))
        return marks_of(opened[-1].database, ["aa", "bb", "cc", "dd", "ee"])

    yield read
    for derived in opened:
        derived.close()


def files(library: Library) -> list[str]:
    return sorted(file.name for file in library.cache.glob("marks-*"))


def test_a_library_without_scores_and_tags_needs_no_file(library: Library, store: Store, marked: Callable[[], dict[str, Marks]]) -> None:
    assert marked() == {}
    assert files(library) == []


def test_marks_are_what_the_store_says(store: Store, marked: Callable[[], dict[str, Marks]]) -> None:
    store.scores.put({"aa": {"quality": 0.7, "warm": 0.125}, "bb": {"quality": 0.1}, "ee": {"measured_sharpness": 0.5}}, "old")
    store.scores.put({"bb": {"quality": 0.25, "warm": 0.5}}, "new")
    tag(store, "one", {"aa": {"beach": 0.5, "sea": 0.75}, "bb": {"sea": 0.5}, "cc": {"ship": 0.5}})
    tag(store, "two", {"bb": {}, "cc": {"Ship": 0.25}})
    tag(store, "three", {"aa": {"SEA": 0.875}}, vocabulary="mine")
    store.marks.label("aa", "beach", "confirmed")
    store.marks.label("cc", "ship", "rejected")
    store.marks.label("dd", "it's mine", "confirmed")
    found = marked()
    assert found == {
        "aa": Marks({"quality": 0.7, "warm": 0.125}, (("beach", 1.0), ("sea", 0.875))),
        "bb": Marks({"quality": 0.25, "warm": 0.5}),
        "cc": Marks(),
        "dd": Marks({}, (("it's mine", 1.0),)),
        "ee": Marks({"measured_sharpness": 0.5}),
    }
    stored = store.marks.tags()
    assert {digest: {(name.lower(), precision) for name, precision in marks.tags} for digest, marks in found.items() if marks.tags} == {
        digest: {(one.tag.lower(), one.precision) for one in tags} for digest, tags in stored.items()
    }


def test_the_views_say_the_same(library: Library, store: Store) -> None:
    store.scores.put({"aa": {"quality": 0.7, "warm": 0.125}, "bb": {"rating": 0.5}}, "x")
    tag(store, "one", {"aa": {"beach": 0.5}, "bb": {"beach": 0.75}})
    store.marks.label("bb", "beach", "confirmed")
    derived = open_derived(library)
    scores = derived.database.execute("SELECT digest, axis, value FROM marks.scores").fetchall()
    tags = derived.database.execute("SELECT digest, precision, human FROM marks.tags WHERE tag = 'BEACH' COLLATE NOCASE").fetchall()
    derived.close()
    assert sorted(scores) == [("aa", "quality", 0.7), ("aa", "warm", 0.125), ("bb", "rating", 0.5)]
    assert sorted(tags) == [("aa", 0.5, 0), ("bb", 1.0, 1)]


def test_what_is_said_of_tags_changes_a_copy(
    library: Library, store: Store, marked: Callable[[], dict[str, Marks]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tag(store, "one", {"aa": {"beach": 0.5, "sea": 0.75}, "bb": {"sea": 0.25}})
    assert marked()["aa"].tags == (("sea", 0.75), ("beach", 0.5))
    (first,) = files(library)
    monkeypatch.setattr(module, "_write", None)  # what gathers all from the store
    steps: list[tuple[str, str, Any, tuple[Any, ...]]] = [
        ("aa", "beach", "rejected", (("sea", 0.75),)),
        ("aa", "Beach", "confirmed", (("beach", 1.0), ("sea", 0.75))),
        ("aa", "sea", "rejected", (("beach", 1.0),)),
        ("aa", "dog", "confirmed", (("beach", 1.0), ("dog", 1.0))),
        ("aa", "beach", None, (("dog", 1.0), ("beach", 0.5))),
        ("aa", "sea", None, (("dog", 1.0), ("sea", 0.75), ("beach", 0.5))),
        ("aa", "dog", None, (("sea", 0.75), ("beach", 0.5))),
        ("ee", "dog", "confirmed", (("sea", 0.75), ("beach", 0.5))),
    ]
    for digest, name, verdict, expected in steps:
        store.marks.label(digest, name, verdict)
        assert marked()["aa"].tags == expected, (digest, name, verdict)
    assert marked()["ee"].tags == (("dog", 1.0),)
    assert marked()["bb"].tags == (("sea", 0.25),)
    (last,) = files(library)
    assert last != first
    assert last.split("-")[1] == first.split("-")[1]


def test_a_copy_equals_what_is_gathered_anew(library: Library, store: Store) -> None:
    tag(store, "one", {"aa": {"beach": 0.5, "sea": 0.75}, "bb": {"sea": 0.25}})
    make_marks(store)
    random = np.random.default_rng(0)
    for _ in range(12):
        digest, name = random.choice(["aa", "bb", "cc"]), random.choice(["beach", "sea", "SEA", "dog"])
        store.marks.label(str(digest), str(name), [None, "confirmed", "rejected"][int(random.integers(3))])  # type: ignore[arg-type]
        copied = rows(make_marks(store))
        make_marks(store).unlink()
        assert rows(make_marks(store)) == copied


def rows(file: Path) -> tuple[list[Any], list[Any]]:
    database = sqlite3.connect(file)
    tags = database.execute("SELECT digest, lower(tag), precision, human FROM tags").fetchall()
    said = database.execute(
        "SELECT digest, lower(name), confirmed, machine FROM said JOIN photos USING (photo) JOIN names USING (tag)"
    ).fetchall()
    database.close()
    return sorted(tags), sorted(said, key=repr)


def test_scores_and_tags_leave_the_nearest_index_alone(library: Library, store: Store, marked: Callable[[], dict[str, Marks]]) -> None:
    folder = make_derived(store)
    seen = [library.marks_stamp()]
    for change in (
        lambda: store.scores.put({"aa": {"quality": 0.5}}, "x"),
        lambda: tag(store, "one", {"aa": {"beach": 0.5}}),
        lambda: store.marks.retract("one"),
        lambda: store.marks.label("aa", "sea", "confirmed"),
        lambda: store.sweep(),
    ):
        change()
        assert library.marks_stamp() not in seen
        seen.append(library.marks_stamp())
        marked()
        assert make_derived(store) == folder
        assert len(files(library)) == 1  # the stale one is gone
    store.scores.axes()
    assert Library(library.folder).marks_stamp() == seen[-1]


@pytest.mark.parametrize("content", [b"", b"not a database at all, whatever it is called" * 100])
def test_a_damaged_cache_is_made_anew(library: Library, store: Store, marked: Callable[[], dict[str, Marks]], content: bytes) -> None:
    store.scores.put({"aa": {"quality": 0.5}}, "x")
    tag(store, "one", {"aa": {"beach": 0.5}})
    expected = marked()
    (library.cache / files(library)[0]).write_bytes(content)
    assert marked() == expected == {"aa": Marks({"quality": 0.5}, (("beach", 0.5),))}
    (library.cache / files(library)[0]).write_bytes(content)
    store.marks.label("aa", "beach", "rejected")  # now it would be copied
    assert marked() == {"aa": Marks({"quality": 0.5})}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the system lets everybody write here")
def test_a_library_that_cannot_be_written_is_read_by_anybody(
    library: Library, store: Store, marked: Callable[[], dict[str, Marks]]
) -> None:
    store.scores.put({"aa": {"quality": 0.5}}, "x")
    library.cache.mkdir(exist_ok=True)
    library.cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert marked() == {"aa": Marks({"quality": 0.5})}
    finally:
        library.cache.chmod(stat.S_IRWXU)


def test_where_no_file_can_be_made_the_marks_are_there_all_the_same(
    library: Library, store: Store, marked: Callable[[], dict[str, Marks]], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_derived(store)
    store.scores.put({"aa": {"quality": 0.5, "warm": 0.25}}, "x")
    store.marks.label("bb", "sea", "confirmed")

    def full(_store: Store) -> Path:
        raise LibraryDamaged("it cannot be written")

    monkeypatch.setattr(module, "make_marks", full)
    assert marked() == {"aa": Marks({"quality": 0.5, "warm": 0.25}), "bb": Marks({}, (("sea", 1.0),))}
    assert files(library) == []


def test_many_may_make_it_at_once(library: Library, store: Store) -> None:
    make_derived(store)
    store.scores.put({"aa": {"quality": 0.5}}, "x")
    found: list[Any] = []

    def read() -> None:
        derived = open_derived(Library(library.folder))
        found.append(matching_vectors(derived.database, "quality = 0.5").tolist())
        derived.close()

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[0]] * 6
    assert len(files(library)) == 1


def test_a_killed_writer_leaves_nothing_that_is_found(library: Library, store: Store, marked: Callable[[], dict[str, Marks]]) -> None:
    store.scores.put({"aa": {"quality": 0.5}}, "x")
    library.cache.mkdir(exist_ok=True)
    left = library.cache / "marks-0123-4567.sqlite.1.1.new"
    left.write_bytes(b"half a cache")
    os.utime(left, (0, 0))
    assert marked() == {"aa": Marks({"quality": 0.5})}
    assert not left.exists()


def test_more_photos_and_tags_than_are_written_at_once(library: Library, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from search import marks_rows

    monkeypatch.setattr(marks_rows, "_PART", 7)
    digests = [f"{number * 7919 % 1000:03}" for number in range(50)]
    values = np.arange(50) / 64
    store.scores.put_columns(digests[25:], {"quality": values[25:], "warm": values[25:]}, "x")
    store.scores.put_columns(digests[:25], {"warm": values[:25]}, "x")
    tag(store, "one", {digest: {f"tag {number % 3}": 0.5, "all": 0.25} for number, digest in enumerate(digests)})
    database = sqlite3.connect(":memory:")
    attach_marks(library, database)
    found = marks_of(database, digests)
    database.close()
    for number, digest in enumerate(digests):
        scores = {"warm": values[number]} | ({"quality": values[number]} if number >= 25 else {})
        assert found[digest] == Marks(scores, ((f"tag {number % 3}", 0.5), ("all", 0.25)))


def test_score_columns_are_named_once() -> None:
    from preprocess.build_measures import MEASURED
    from search import IMAGE_COLUMNS, PAIRS

    names = [column.name for column in SCORE_COLUMNS]
    assert names == [*PAIRS, "rating", *(f"measured_{name}" for name in MEASURED)]
    assert not {column.name for column in IMAGE_COLUMNS} & set(names)
