"""A run of tagging over a library's stored vectors: what it writes, that it goes on after an interrupt, and that it opens no photo."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import BuildOptions, build
from preprocess import FilterError, StorageFull
from search import Library, LibraryVectors, Store, Tag, TagOptions, TagRequest, Vocabulary, load_tagger, open_derived, run_tagging
from search import tag_run as module
from search.vocabulary import Group

COLOURS = ("red", "green", "blue", "yellow", "cyan", "magenta", "orange", "black", "white")
LOOSE = TagOptions(precision=0.02, most=3)


@pytest.fixture
def place(library: Library, photos: Path, encoder: Any) -> Library:
    """Photos of one colour each, one of them twice."""
    shutil.copyfile(photos / "red.png", photos / "copy of red.png")
    build(library, [photos], encoder)
    return library


@pytest.fixture
def tagger(encoder: Any) -> Any:
    return load_tagger(encoder, Vocabulary("colours", (Group("tags"),), tuple(Tag(name, form="mass") for name in COLOURS)), "plain")


def tag(
    library: Library, tagger: Any, options: TagOptions = LOOSE, *, on_progress: Any = lambda _done, _total: None, **request: Any
) -> Any:
    with library.locked("test"):
        return run_tagging(Store(library), tagger, TagRequest("colours", "mean-colour", **request), options, on_progress)


def words(library: Library) -> dict[str, list[str]]:
    """The tags of each photo that has some, by the photo's name."""
    store = Store(library)
    names = {row["digest"]: row["path"] for row in store.images(["path", "digest"]).to_pylist()}
    return {
        names[digest].removeprefix("copy of ").removesuffix(".png"): [tag.tag for tag in tags]
        for digest, tags in store.marks.tags().items()
    }


def test_colours_are_called_by_their_names(place: Library, tagger: Any) -> None:
    report = tag(place, tagger)
    found = words(place)
    assert [found[name][0] for name in ("red", "green", "blue", "black")] == [
        "red",
        "green",
        "blue",
        "black",
    ]  # words lie nearer together than colours
    assert (report.photos, report.total, report.missing, report.resumed) == (10, 10, 0, 0)  # a copy has the photo's vector
    assert report.tags == sum(map(len, found.values())) == report.by_tag.total()
    assert report.without == 10 - len(found)
    run = Store(place).marks.run(report.run)
    assert (run.state, run.photos, run.tags, run.vocabulary, run.vocabulary_hash) == (
        "written",
        10,
        report.tags,
        "colours",
        tagger.vocabulary.hash,
    )
    assert (run.encoder, run.recipe, run.templates, run.settings["precision"]) == ("mean-colour", tagger.recipe.id, tagger.ensemble, 0.02)
    stored = [tag.precision for tags in Store(place).marks.tags().values() for tag in tags]
    assert report.expected == pytest.approx(sum(stored), rel=1e-5)
    assert all(tag.run == report.run for tags in Store(place).marks.tags().values() for tag in tags)


def test_no_photo_is_opened(place: Library, photos: Path, tagger: Any) -> None:
    shutil.rmtree(photos)
    assert tag(place, tagger).photos == 10


def test_a_dry_run_says_the_same_and_writes_nothing(place: Library, tagger: Any) -> None:
    before = sorted(file.name for file in place.store.iterdir())
    dry = run_tagging(Store(place), tagger, TagRequest("colours", "mean-colour", dry_run=True), LOOSE)
    assert sorted(file.name for file in place.store.iterdir()) == before
    assert (dry.run, Store(place).marks.runs()) == ("", [])
    real = tag(place, tagger)
    assert (dry.tags, dry.by_tag, dry.without, dry.expected) == (real.tags, real.by_tag, real.without, real.expected)


def test_only_some_photos_by_the_statistics_of_all(place: Library, tagger: Any) -> None:
    tag(place, tagger)
    before = Store(place).marks.tags()
    report = tag(place, tagger, where="path = 'red.png'")
    assert report.photos == 1
    after = Store(place).marks.tags()
    assert after.keys() == before.keys()
    for digest, tags in after.items():
        assert {one.run for one in tags} == {report.run if names_red(place, digest) else before[digest][0].run}
        assert [(one.tag, round(one.similarity or 0, 4)) for one in tags] == [
            (one.tag, round(one.similarity or 0, 4)) for one in before[digest]
        ]
    with pytest.raises(FilterError, match="no column"):
        tag(place, tagger, where="colour = 'red'")


def names_red(library: Library, digest: str) -> bool:
    rows = Store(library).images(["path", "digest"]).to_pylist()
    return any(row["digest"] == digest and row["path"] == "red.png" for row in rows)


def test_a_stricter_run_takes_back_what_a_looser_one_wrote(place: Library, tagger: Any) -> None:
    loose = tag(place, tagger)
    strict = tag(place, tagger, TagOptions(precision=0.99, most=1))
    assert strict.stricter_than == loose.run
    assert strict.tags < loose.tags
    assert sum(map(len, words(place).values())) == strict.tags
    with place.locked("test"):
        Store(place).marks.retract(strict.run)
    assert sum(map(len, words(place).values())) == loose.tags


# Interrupts


def interrupted_after(photos: int) -> Callable[[int, int], None]:
    def stop(done: int, _total: int) -> None:
        if done >= photos:
            raise KeyboardInterrupt

    return stop


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    monkeypatch.setattr(module, "WRITE_PHOTOS", 4)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("after", [2, 10])
def test_an_interrupted_run_goes_on(after: int, place: Library, tagger: Any) -> None:
    wanted = run_tagging(Store(place), tagger, TagRequest("colours", "mean-colour", dry_run=True), LOOSE)
    first = tag(place, tagger, on_progress=interrupted_after(after))
    assert first.interrupted
    assert words(place) == {}  # nothing counts yet
    second = tag(place, tagger)
    assert (second.run, second.resumed, second.interrupted) == (first.run, after, False)
    assert (second.photos, second.tags, second.without, second.by_tag) == (10, wanted.tags, wanted.without, wanted.by_tag)
    assert second.expected == pytest.approx(wanted.expected, rel=1e-5)
    assert [run.state for run in Store(place).marks.runs()] == ["written"]
    assert sum(map(len, words(place).values())) == wanted.tags


@pytest.mark.usefixtures("small_steps")
def test_another_run_gives_an_interrupted_one_up(place: Library, tagger: Any) -> None:
    first = tag(place, tagger, on_progress=interrupted_after(4))
    second = tag(place, tagger, TagOptions(precision=0.5))
    assert second.run != first.run
    assert {run.id: run.state for run in Store(place).marks.runs()} == {first.run: "retracted", second.run: "written"}


@pytest.mark.usefixtures("small_steps")
def test_new_photos_begin_a_run_anew(place: Library, photos: Path, paint: Any, tagger: Any, encoder: Any) -> None:
    first = tag(place, tagger, on_progress=interrupted_after(4))
    paint(photos / "more.png", (10, 200, 100))
    build(place, [], encoder, BuildOptions())
    second = tag(place, tagger)
    assert second.run != first.run  # its numbers were those of another library
    assert second.photos == 11


@pytest.mark.usefixtures("small_steps")
def test_a_full_disk_loses_nothing_that_was_written(place: Library, tagger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from search.tag_store import TagStore

    put, calls = TagStore.put, []

    def full(self: TagStore, run: str, rows: Any) -> None:
        calls.append(run)
        if len(calls) == 2:
            raise StorageFull("full")
        put(self, run, rows)

    monkeypatch.setattr(TagStore, "put", full)
    with pytest.raises(StorageFull):
        tag(place, tagger)
    assert len(calls) == 2  # and not a third time
    monkeypatch.undo()
    again = tag(place, tagger)
    assert (again.run, again.photos) == (calls[0], 10)
    assert again.resumed == 4


# What people said


def test_what_people_say_corrects_the_next_run(place: Library, tagger: Any) -> None:
    first = tag(place, tagger)
    rows = {row["path"]: row["digest"] for row in Store(place).images(["path", "digest"]).to_pylist()}
    before = {digest: {tag.tag: tag.precision for tag in tags} for digest, tags in Store(place).marks.tags().items()}
    assert "red" in before[rows["red.png"]]
    with place.locked("test"):
        Store(place).marks.label_all([(rows[f"{name}.png"], "red", "rejected") for name in COLOURS if name != "red"])
    second = tag(place, tagger)
    assert (first.labels, second.labels) == (0, 8)
    after = {digest: {tag.tag: tag.precision for tag in tags} for digest, tags in Store(place).marks.tags().items()}
    assert after[rows["red.png"]].get("red", 0.0) < before[rows["red.png"]]["red"]
    assert all("red" not in after.get(rows[f"{name}.png"], {}) for name in COLOURS if name != "red")
    assert Store(place).marks.run(second.run).settings["calibration"]["tags"]["red"]["labels"] == 8


# Regions


def test_a_region_is_evidence_with_its_number(library: Library, tmp_path: Path, encoder: Any, halves: Any) -> None:
    from PIL import Image

    from search import normalize

    assert halves.id == "halves-1"
    folder = tmp_path / "two"
    folder.mkdir()
    for at, (left, right) in enumerate([((220, 30, 30), (30, 50, 220)), ((30, 190, 40), (240, 220, 40))]):
        pixels = np.zeros((16, 24, 3), np.uint8)
        pixels[:, :12], pixels[:, 12:] = left, right
        Image.fromarray(pixels).save(folder / f"{at}.png")
    build(library, [folder], encoder, BuildOptions(regions="halves"))
    derived = open_derived(library)
    try:
        vectors = LibraryVectors(derived)
        numbers = vectors.numbers[::-1].copy()
        regions = vectors.regions(numbers)
        assert regions is not None
        assert regions.photo.tolist() == [0, 0, 1, 1]
        assert regions.number.tolist() == [0, 1, 0, 1]
        stored = {(digest, number): row for digests, _, each, rows in Store(library).regions.vector_batches(encoder.recipe.id, encoder.recipe.dim)
                  for digest, number, row in zip(digests, each.tolist(), rows, strict=True)}  # fmt: skip
        digests = vectors.digests(numbers)
        for row, photo, number in zip(regions.vectors, regions.photo.tolist(), regions.number.tolist(), strict=True):
            np.testing.assert_allclose(row, normalize(stored[digests[photo], number].astype(np.float32)[None])[0], atol=2e-3)
        only = LibraryVectors(derived, "path = '1.png'")
        assert len(only) == 1
        some = only.regions(only.numbers)
        assert some is not None
        assert len(some.photo) == 2
    finally:
        derived.close()
    things = Vocabulary("things", (Group("tags"),), tuple(Tag(name, form="mass") for name in COLOURS))
    tag(library, load_tagger(encoder, things, "plain"), TagOptions(precision=0.001, most=9))
    found = [one for tags in Store(library).marks.tags().values() for one in tags]
    assert {one.region for one in found} & {0, 1}
