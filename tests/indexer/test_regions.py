"""Regions in a build: found once, embedded for each encoder, replaced with their maker, never those that people drew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotate import Annotation, Region
from indexer import BuildOptions, Report, build
from indexer.regions import averaged
from preprocess import QueryError, UnknownName, WeightsError
from search import Derived, Encoder, Hit, Library, Query, Store, Term, answer, make_derived, open_derived, search
from search.evidence import Evidence
from search.hits import hits_of
from tests.conftest import COLOURS, Halves
from tests.indexer.test_build import assert_sound, counts

WITH = BuildOptions(regions="halves", dehaze="none")
AGAIN = BuildOptions(dehaze="none")


def two(file: Path, left: str, right: str) -> Path:
    """A photo of two halves."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = COLOURS[left], COLOURS[right]
    Image.fromarray(pixels).save(file)
    return file


@pytest.fixture
def mixed(photos: Path) -> Path:
    """Ten photos of one colour, and two of two."""
    two(photos / "red and blue.png", "red", "blue")
    two(photos / "green and white.png", "green", "white")
    return photos


def ask(library: Library, encoder: Encoder, words: str, k: int = 20, where: str | None = None, within: str | None = None) -> list[Hit]:
    return search(Library(library.folder), Query((Term(words),), k, where, within), encoder)


def kept(library: Library) -> dict[str, list[tuple[str, str]]]:
    """Labels and sources of the regions of each path."""
    store = Store(Library(library.folder))
    regions = store.regions.regions()
    images = store.images(["path", "digest"]).to_pylist()
    return {row["path"]: [(region.label, region.source) for region in regions.get(row["digest"], ())] for row in images}


def vectored(library: Library) -> set[tuple[str, str, int]]:
    """Keys of all region vectors of the current recipe, each once."""
    batches = Store(library).regions.key_batches(str(library.file.current))
    return {key for digests, makers, numbers in batches for key in zip(digests, makers, numbers.tolist(), strict=True)}


def test_regions_are_found_embedded_and_searched(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    report = build(library, [mixed], encoder, WITH)
    assert (report.new, report.annotated, report.regions) == (12, 12, 22)  # a grey photo has none
    assert halves.seen == 12
    assert_sound(library)
    assert kept(library)["red and blue.png"] == [("red", "machine"), ("blue", "machine")]
    assert kept(library)["grey.png"] == []
    assert len(vectored(library)) == 22
    hits = ask(library, encoder, "blue", within="regions")
    assert [hit.path for hit in hits[:2]] in (["blue.png", "red and blue.png"], ["red and blue.png", "blue.png"])
    assert len(hits) == len({hit.path for hit in hits}) == 11  # each photo that has regions, once
    by_path = {hit.path: hit for hit in hits}
    region = by_path["red and blue.png"].region
    assert region is not None
    assert (region.label, region.box_xyxy, region.number) == ("blue", (32.0, 0.0, 64.0, 32.0), 1)
    assert region.similarity > by_path["red and blue.png"].similarity + 0.2  # the photo's own stands beside it
    as_json = by_path["red and blue.png"].as_dict()
    assert as_json["matched"] == "region"
    assert as_json["region"]["box_xyxy"] == [32.0, 0.0, 64.0, 32.0]


def test_both_is_the_default_where_there_are_regions(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    build(library, [mixed], encoder, AGAIN)
    query = Query((Term("blue"),), 12)
    before = answer(Library(library.folder), query, encoder)
    assert (before.within, before.hits[0].region, before.hits[0].matched) == ("images", None, "image")
    build(library, [mixed], encoder, WITH)
    after = answer(Library(library.folder), query, encoder)
    assert after.within == "both"
    rank = {hit.path: at for at, hit in enumerate(after.hits)}
    assert rank["red and blue.png"] <= 1 < {hit.path: at for at, hit in enumerate(before.hits)}["red and blue.png"]
    assert {hit.path: hit.similarity for hit in after.hits} == pytest.approx({hit.path: hit.similarity for hit in before.hits}, abs=1e-6)
    images = answer(Library(library.folder), replace(query, within="images"), encoder)
    assert [hit.path for hit in images.hits] == [hit.path for hit in before.hits]


def test_few_hits_are_the_first_of_many(
    library: Library, mixed: Path, encoder: Encoder, halves: Halves, paint: Callable[..., Path]
) -> None:
    for number in range(60):
        shutil.copyfile(mixed / "red and blue.png", mixed / f"copy {number:02}.png")
        paint(mixed / f"near {number:02}.png", (30 + number, 50, 220), seed=number)
    build(library, [mixed], encoder, WITH)
    for within in ("regions", "both"):
        every = [hit.path for hit in ask(library, encoder, "blue", k=200, within=within)]
        assert len(every) == len(set(every)) == (131 if within == "regions" else 132)
        for k in (1, 3, 30, 70):
            assert [hit.path for hit in ask(library, encoder, "blue", k=k, within=within)] == every[:k]


def test_conditions_hold_for_regions_too(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    build(library, [mixed], encoder, WITH)
    for within in ("regions", "both", "images"):
        assert {hit.path for hit in ask(library, encoder, "blue", where="path like '%and%'", within=within)} == {
            "red and blue.png",
            "green and white.png",
        }


def test_nothing_is_done_twice(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    build(library, [mixed], encoder, WITH)
    shutil.copyfile(mixed / "red.png", mixed / "red again.png")
    report = build(library, [mixed], encoder, AGAIN)  # the maker sticks
    assert (counts(report), report.annotated, halves.seen) == ({"copied": 1, "same": 12}, 0, 12)
    assert kept(library)["red again.png"] == kept(library)["red.png"]
    assert_sound(library)


def test_another_maker_replaces_the_regions_of_every_root(
    library: Library, mixed: Path, tmp_path: Path, encoder: Encoder, halves: Halves
) -> None:
    (tmp_path / "other").mkdir()
    two(tmp_path / "other" / "cyan and black.png", "cyan", "black")
    build(library, [mixed, tmp_path / "other"], encoder, WITH)
    halves.id = "halves-2"
    report = build(library, [mixed], encoder, AGAIN)
    assert (report.reembedded, report.annotated) == (13, 13)
    assert {maker for _, maker, _ in vectored(library)} == {"halves-2"}  # the older ones were swept
    assert {annotated.maker for annotated in Store(library).regions.annotations().values()} == {"halves-2"}
    assert library.file.regions_maker == "halves-2"
    assert build(library, [], encoder, AGAIN).annotated == 0


def test_without_a_maker_machine_regions_go(
    library: Library, mixed: Path, encoder: Encoder, halves: Halves, no_decoding: Callable[[], None]
) -> None:
    build(library, [mixed], encoder, WITH)
    no_decoding()
    report = build(library, [mixed], encoder, replace(AGAIN, regions="none"))
    assert (counts(report), report.regions_gone) == ({"same": 12}, 22)
    assert (Store(library).regions.annotations(), vectored(library), kept(library)["red.png"]) == ({}, set(), [])
    assert open_derived(library).regions is None
    assert ask(library, encoder, "blue")[0].region is None


def test_what_people_drew_stays(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    build(library, [mixed], encoder, WITH)
    store = Store(library)
    digest = {row["path"]: row["digest"] for row in store.images(["path", "digest"]).to_pylist()}["red and blue.png"]
    drawn = Annotation((64, 32), (Region((0.0, 0.0, 32.0, 32.0), "my barn", source="human"),), "human-1")
    with library.locked("import"):
        Store(library).regions.put({digest: drawn})
    report = build(library, [mixed], encoder, AGAIN)  # makes its vector
    assert (report.reembedded, report.annotated, halves.seen) == (1, 0, 12)
    assert {key for key in vectored(library) if key[0] == digest} == {(digest, "human-1", 0)}
    halves.id = "halves-2"
    build(library, [mixed], encoder, AGAIN)
    build(library, [mixed], encoder, replace(AGAIN, regions="none"))
    assert kept(library)["red and blue.png"] == [("my barn", "human")]
    (first, *_) = ask(library, encoder, "red", within="regions")
    assert (first.path, first.region and first.region.label) == ("red and blue.png", "my barn")


def digest_of(library: Library, path: str) -> str:
    return str({row["path"]: row["digest"] for row in Store(library).images(["path", "digest"]).to_pylist()}[path])


@pytest.mark.parametrize("maker", ["halves", "none"])
def test_what_people_drew_stays_where_a_file_changes_but_not_its_size(
    library: Library, mixed: Path, encoder: Encoder, halves: Halves, maker: str
) -> None:
    build(library, [mixed], encoder, replace(WITH, regions=maker))
    before = digest_of(library, "red and blue.png")
    drawn = Annotation((64, 32), (Region((0.0, 0.0, 32.0, 32.0), "my barn", source="human"),), "human-1")
    with library.locked("import"):
        Store(library).regions.put({before: drawn})
    (mixed / "red and blue.png").write_bytes((mixed / "red and blue.png").read_bytes() + b"new keywords")
    report = build(library, [mixed], encoder, AGAIN)
    after = digest_of(library, "red and blue.png")
    assert (report.changed, after != before) == (1, True)
    assert kept(library)["red and blue.png"] == [("my barn", "human")]
    assert {key for key in vectored(library) if key[0] in (before, after)} == {(after, "human-1", 0)}
    assert build(library, [mixed], encoder, AGAIN).total == 0
    with Image.open(mixed / "red and blue.png") as photo:
        photo.resize((32, 16)).save(mixed / "red and blue.png")  # of another size, boxes would lie elsewhere
    build(library, [mixed], encoder, AGAIN)
    assert kept(library)["red and blue.png"] == ([("red", "machine"), ("blue", "machine")] if maker == "halves" else [])


def test_a_segmenter_of_humans_is_no_human(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    halves.id = "human-parsing-0123456789ab"
    build(library, [mixed], encoder, WITH)
    halves.id = "halves-2"
    assert build(library, [mixed], encoder, AGAIN).annotated == 12
    halves.id = "human-parsing-0123456789ab"
    build(library, [mixed], encoder, AGAIN)
    build(library, [mixed], encoder, replace(AGAIN, regions="none"))
    assert Store(library).regions.annotations() == {}


def test_rows_that_a_killed_build_left_of_the_same_maker_do_not_count(
    library: Library, mixed: Path, encoder: Encoder, halves: Halves
) -> None:
    """Found in the photo with its haze, which is not swept yet, and again in the dehazed one: fewer, and elsewhere."""
    build(library, [mixed], encoder, WITH)
    digest = digest_of(library, "red and blue.png")
    with library.locked("test"):
        store = Store(library)
        store.regions.put({digest: Annotation((64, 32), (), "other-1")})
        store.regions.put({digest: Annotation((64, 32), (Region((1.0, 2.0, 3.0, 4.0), "barn"),), halves.id)})
    (region,) = store.regions.regions({digest})[digest]
    assert (region.label, region.box_xyxy) == ("barn", (1.0, 2.0, 3.0, 4.0))
    np.testing.assert_array_equal(store.regions.boxes({digest})[digest], [[1, 2, 3, 4]])
    rows = open_derived(library).database.execute(
        "SELECT label, x1 FROM regions JOIN images ON photo = images.vector WHERE digest = ?", (digest,)
    )
    assert rows.fetchall() == [("barn", 1.0)]


def test_a_search_says_which_regions_have_no_vector_yet(
    library: Library, mixed: Path, encoder: Encoder, halves: Halves, make_encoder: Callable[..., Encoder]
) -> None:
    other = make_encoder("other-colour")
    build(library, [mixed], encoder, AGAIN)
    build(library, [mixed], other, AGAIN)
    build(library, [mixed], encoder, WITH)
    query = Query((Term("red"),))
    assert answer(Library(library.folder), query, encoder).note is None
    found = answer(Library(library.folder), query, other)
    assert found.within == "images"
    assert found.note is not None
    assert "The regions have no vector by the encoder 'other-colour' yet" in found.note
    assert answer(Library(library.folder), replace(query, within="images"), other).note is None
    with pytest.raises(
        QueryError, match=r"No region has a vector by the encoder 'other-colour' yet\. Make them: pellucid index .*other-colour"
    ):
        answer(Library(library.folder), replace(query, within="regions"), other)
    drawn = Annotation((64, 32), (Region((0.0, 0.0, 32.0, 32.0), "my barn", source="human"),), "human-1")
    with library.locked("import"):
        Store(library).regions.put({digest_of(library, "red and blue.png"): drawn})
    note = answer(Library(library.folder), query, encoder).note
    assert note is not None
    assert "Some regions have no vector" in note


def test_a_cache_that_is_written_while_a_build_sweeps_is_searched(
    library: Library, mixed: Path, tmp_path: Path, encoder: Encoder, halves: Halves
) -> None:
    build(library, [mixed], encoder, WITH)
    reader = Store(Library(library.folder))
    reader.regions.annotations()
    list(reader.regions.key_batches(str(library.file.current)))  # both tables are open at this version now, that of regions is not
    halves.id = "halves-2"
    build(library, [mixed], encoder, AGAIN)
    derived = Derived(make_derived(reader, cache=tmp_path))
    ranked = Evidence(derived, encoder.encode_texts(["red"])[0]).ranked(20, None, "both")
    assert len(hits_of(derived, ranked, Query((Term("red"),), 20), "both", 20)) == 12


def test_another_encoder_gets_the_same_regions(
    library: Library, mixed: Path, encoder: Encoder, halves: Halves, make_encoder: Callable[..., Encoder]
) -> None:  # fmt: skip
    build(library, [mixed], encoder, WITH)
    first = library.file.current
    other = make_encoder("other-colour")
    report = build(library, [mixed], other, AGAIN)
    assert (report.reembedded, report.annotated, halves.seen) == (12, 0, 12)
    store = Store(library)
    every = store.regions.embedded(other.recipe.id)
    assert every == store.regions.embedded(str(first)) == {row["digest"] for row in store.images(["digest"]).to_pylist()}
    found = search(Library(library.folder), Query((Term("blue"),), 2, None, "regions"), other)
    assert {hit.path for hit in found} == {"blue.png", "red and blue.png"}


def test_a_photo_whose_regions_fail_is_found_as_a_whole(
    library: Library, mixed: Path, encoder: Encoder, halves: Halves, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Halves.__call__

    def stumble(self: Halves, pixels: Any, size_wh: tuple[int, int]) -> Annotation:
        if pixels[0, 0, 0] == COLOURS["red"][0] and pixels[0, -1, 2] == COLOURS["blue"][2]:
            raise MemoryError("too much")
        return work(self, pixels, size_wh)

    monkeypatch.setattr(Halves, "__call__", stumble)
    report = build(library, [mixed], encoder, WITH)
    (said,) = report.failed.values()
    assert "The regions of" in said
    assert "red and blue.png could not be found: MemoryError: too much" in said
    assert "red and blue.png" in {hit.path for hit in ask(library, encoder, "red")}
    monkeypatch.setattr(Halves, "__call__", work)
    report = build(library, [mixed], encoder, AGAIN)
    assert (report.annotated, report.failed) == (1, {})


def test_a_damaged_segmenter_ends_the_build(
    library: Library, mixed: Path, encoder: Encoder, halves: Halves, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Halves, _pixels: Any, _size_wh: tuple[int, int]) -> Annotation:
        raise WeightsError("the segmenter is damaged")

    monkeypatch.setattr(Halves, "__call__", fail)
    with pytest.raises(WeightsError, match="is damaged"):
        build(library, [mixed], encoder, WITH)
    assert Store(library).failures() == []  # no photo's fault


def test_an_unknown_maker_is_refused_before_anything_is_written(library: Library, mixed: Path, encoder: Encoder) -> None:
    with pytest.raises(UnknownName, match=r"No maker of regions named 'buitlin'\. Did you mean 'builtin'"):
        build(library, [mixed], encoder, BuildOptions(regions="buitlin"))
    assert library.file.roots == ()


def test_forgotten_photos_lose_their_regions(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    build(library, [mixed], encoder, WITH)
    with library.locked("forget"):
        store = Store(library)
        root = library.file.roots[0]
        _, digests = store.rewrite_without([(root, "red and blue.png")])
        assert store.regions.left(set(digests)) == set()
    assert len(vectored(library)) == 20
    assert all(hit.path != "red and blue.png" for hit in ask(library, encoder, "blue", within="regions"))


def test_what_people_drew_waits_for_a_photo_that_is_gone(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    build(library, [mixed], encoder, WITH)
    digest = {row["path"]: row["digest"] for row in Store(library).images(["path", "digest"]).to_pylist()}["red and blue.png"]
    drawn = Annotation((64, 32), (Region((0.0, 0.0, 32.0, 32.0), "my barn", source="human"),), "human-0123456789ab")
    with library.locked("import"):
        Store(library).regions.put({digest: drawn})
    build(library, [mixed], encoder, AGAIN)
    elsewhere = mixed.parent / "kept.png"
    (mixed / "red and blue.png").rename(elsewhere)
    build(library, [mixed], encoder, AGAIN)
    assert all(key[0] != digest for key in vectored(library))
    assert open_derived(library).database.execute("SELECT count(*) FROM regions WHERE label = 'my barn'").fetchone() == (0,)
    elsewhere.rename(mixed / "red and blue.png")
    build(library, [mixed], encoder, AGAIN)
    assert kept(library)["red and blue.png"] == [("my barn", "human")]
    assert (digest, "human-0123456789ab", 0) in vectored(library)
    (mixed / "red and blue.png").unlink()
    build(library, [mixed], encoder, AGAIN)
    with library.locked("forget"):
        store = Store(library)
        store.rewrite_without([])
        assert store.regions.left({digest}) == {digest}
        store.rewrite_without([], absent=True)
        assert store.regions.left({digest}) == set()


def test_photos_that_are_gone_lose_their_regions(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    build(library, [mixed], encoder, WITH)
    (mixed / "red and blue.png").unlink()
    build(library, [mixed], encoder, AGAIN)
    assert (len(vectored(library)), len(Store(library).regions.annotations())) == (20, 11)
    assert len(Store(library).tables.read("regions")) == 20


def test_an_interrupted_build_goes_on(library: Library, mixed: Path, encoder: Encoder, halves: Halves) -> None:
    def stop(report: Report) -> None:
        if report.done >= 6:
            raise KeyboardInterrupt

    assert build(library, [mixed], encoder, WITH, stop).interrupted
    first = len(Store(library).regions.annotations())
    assert 0 < first < 12
    answered = answer(Library(library.folder), Query((Term("red"),)), encoder)
    assert answered.note is not None
    report = build(library, [mixed], encoder, AGAIN)
    assert report.annotated == 12 - first
    assert_sound(library)
    assert len(vectored(library)) == 22


def test_regions_are_found_in_the_dehazed_photo(
    library: Library, photos: Path, encoder: Encoder, halves: Halves, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    work = Halves.__call__
    monkeypatch.setattr(Halves, "__call__", lambda self, pixels, size_wh: (seen.append(pixels.copy()), work(self, pixels, size_wh))[1])
    build(library, [photos], encoder, BuildOptions(regions="halves", dehaze="dark-channel"))
    as_they_are = {tuple(colour) for colour in COLOURS.values()}
    assert any(tuple(pixels[0, 0]) not in as_they_are for pixels in seen)


def test_rows_of_crops_are_averaged_to_unit_rows() -> None:
    crops = [("a", "m", 0, 0), ("a", "m", 0, 1), ("b", "m", 3, 0)]
    keys, rows = averaged(crops, np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32))
    assert keys == [("a", "m", 0), ("b", "m", 3)]
    np.testing.assert_allclose(rows, [[0.5**0.5, 0.5**0.5], [0.6, 0.8]], atol=1e-6)
