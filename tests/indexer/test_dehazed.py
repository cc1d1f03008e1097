"""Photos that are found through a dehazed version too: which get one, when it is made, and when it goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from indexer import BuildOptions, Report, WalkOptions, build
from preprocess import Judged, UnknownName
from search import IMAGE_COLUMNS, PLAIN, SCHEMA_VERSION, Encoder, Hit, Library, Query, Store, Term, answer, open_derived, search
from tests.indexer.test_build import assert_sound, contents, counts

VEIL = 230
ALWAYS = BuildOptions(dehaze="dark-channel")
NEVER = BuildOptions(dehaze="none")


class Unveil:
    """Takes a known veil away, exactly: what a perfect dehazer would do to the photos of these tests."""

    id = "unveil-1"

    def __call__(self, pixels: Any) -> Any:
        return np.clip((pixels.astype(np.float32) - VEIL * 0.8) / 0.2, 0, 255).astype(np.uint8)


class UnveilTheVeiled:
    """A rule: photos without a dark pixel are veiled."""

    def __init__(self, version: int = 1) -> None:
        self.id, self.dehazer, self.judged = f"veiled-{version}", Unveil(), 0

    def judge(self, pixels: Any) -> Judged:
        self.judged += 1
        haze = float(pixels.min()) / 255
        return Judged(haze, self.dehazer(pixels), self.dehazer.id) if haze > 0.6 else Judged(haze, reason="clear")


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> UnveilTheVeiled:
    """The rule called `auto` in these tests."""
    from indexer import build as build_function

    rule, module = UnveilTheVeiled(), __import__("sys").modules[build_function.__module__]
    load = module.load_rule
    monkeypatch.setattr(module, "load_rule", lambda name: rule if name == "auto" else load(name))
    return rule


def veil(file: Path, colour: tuple[int, int, int]) -> Path:
    """A photo of one colour behind a veil, with grain, so that it is no constant."""
    pixels = np.broadcast_to(np.array(colour, np.float32), (48, 64, 3)) * 0.2 + VEIL * 0.8
    pixels = pixels + np.random.default_rng(sum(colour)).normal(0, 0.5, pixels.shape)
    Image.fromarray(np.rint(pixels.clip(185, 255)).astype(np.uint8)).save(file)
    return file


@pytest.fixture
def mixed(photos: Path) -> Path:
    """Nine clear photos, and two that are veiled so that their colour can hardly be told."""
    (photos / "white.png").unlink()  # no dark pixel in it either
    veil(photos / "veiled red.png", (250, 10, 10))
    veil(photos / "veiled blue.png", (10, 10, 250))
    return photos


def ask(library: Library, encoder: Encoder, words: str, k: int = 5, where: str | None = None) -> list[Hit]:
    return search(Library(library.folder), Query((Term(words),), k, where), encoder)


def test_a_hazy_photo_is_found_through_its_dehazed_version(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    report = build(library, [mixed], encoder)
    assert (report.new, report.dehazed) == (11, 2)
    assert rule.judged == 11
    assert_sound(library)
    hits = ask(library, encoder, "red", k=11)
    assert [hit.path for hit in hits[:2]] in (["red.png", "veiled red.png"], ["veiled red.png", "red.png"])
    assert len({hit.path for hit in hits}) == len(hits) == 11  # each photo once, by the better of its versions
    by_path = {hit.path: hit for hit in hits}
    assert (by_path["veiled red.png"].enhancer, by_path["red.png"].enhancer) == ("unveil-1", PLAIN)
    assert by_path["veiled red.png"].as_dict()["enhancer"] == "unveil-1"
    assert by_path["veiled red.png"].columns["dehazed"] == "unveil-1"
    build(library, [mixed], encoder, NEVER)
    as_they_are = {hit.path: hit.similarity for hit in ask(library, encoder, "red", k=11)}
    assert as_they_are["veiled red.png"] < by_path["veiled red.png"].similarity - 0.1
    assert as_they_are["red.png"] == pytest.approx(by_path["red.png"].similarity)


def test_a_photo_that_matches_better_as_it_is_says_so(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    build(library, [mixed], encoder)
    by_path = {hit.path: hit for hit in ask(library, encoder, "white", k=11)}
    assert by_path["veiled red.png"].enhancer == PLAIN


def test_a_condition_reaches_both_versions(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    build(library, [mixed], encoder)
    (only,) = ask(library, encoder, "red", where="haze > 0.6 and path like '%red%'")
    assert (only.path, only.enhancer) == ("veiled red.png", "unveil-1")
    assert {hit.path for hit in ask(library, encoder, "red", k=20, where="dehazed is not null")} == {"veiled red.png", "veiled blue.png"}
    clear = ask(library, encoder, "red", k=20, where="haze <= 0.6")
    assert len(clear) == 9
    assert {hit.enhancer for hit in clear} == {PLAIN}


def test_few_hits_are_the_first_of_many(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    """With copies, and versions that lie next to each other, no photo pushes another out."""
    for number in range(40):
        shutil.copyfile(mixed / "veiled red.png", mixed / f"copy {number:02}.png")
        veil(mixed / f"other {number:02}.png", (250 - number, 10, 10))
    build(library, [mixed], encoder)
    every = [hit.path for hit in ask(library, encoder, "red", k=100)]
    assert len(every) == 91
    for k in (1, 3, 30, 60):
        assert [hit.path for hit in ask(library, encoder, "red", k=k)] == every[:k]


def test_a_second_run_reads_nothing(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    build(library, [mixed], encoder)
    assert counts(build(library, [], encoder)) == {"same": 11}
    assert rule.judged == 11


def test_a_copy_and_a_move_are_not_judged_again(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    build(library, [mixed], encoder)
    shutil.copyfile(mixed / "veiled red.png", mixed / "copy.png")
    (mixed / "veiled blue.png").rename(mixed / "moved.png")
    assert counts(build(library, [], encoder)) == {"copied": 1, "moved": 1, "same": 10}
    assert rule.judged == 11
    assert {row["path"] for row in Store(library).images().to_pylist() if row["dehazed"]} == {"veiled red.png", "copy.png", "moved.png"}
    assert_sound(library)


def test_the_version_goes_with_the_photo(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    build(library, [mixed], encoder)
    (mixed / "veiled blue.png").unlink()
    shutil.copyfile(mixed / "red.png", mixed / "veiled red.png")
    report = build(library, [], encoder)
    assert counts(report) == {"changed": 1, "gone": 1, "same": 9}
    assert library.file.enhanced(encoder.recipe.id) == {}
    assert f"vectors-{encoder.recipe.through('unveil-1').id}" not in Store(library).tables.names()
    assert_sound(library)


def test_an_interrupted_build_goes_on(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled, tmp_path: Path) -> None:
    def interrupt(report: Report) -> None:
        if report.done >= 8:
            raise KeyboardInterrupt

    assert build(library, [mixed], encoder, on_progress=interrupt).interrupted
    build(library, [], encoder)
    assert_sound(library)
    whole = Library(tmp_path / "at once", create=True)
    build(whole, [mixed], encoder)
    assert contents(library) == contents(whole)


def test_vectors_of_a_commit_that_lost_its_rows_are_swept(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    """What a kill between the two writes of a commit leaves: a vector that no row asks for."""
    build(library, [mixed], encoder)
    store = Store(library)
    clear = next(row["digest"] for row in store.images().to_pylist() if row["dehazed"] is None)
    with library.locked("test"):
        store.add_vectors(encoder.recipe.through("unveil-1"), [clear], np.eye(1, encoder.recipe.dim, dtype=np.float32))
    derived = open_derived(library)
    assert len(derived.owners) == 2  # a search does not see it
    derived.close()
    build(library, [], encoder)
    assert_sound(library)


def test_another_rule_looks_at_every_photo_again(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    build(library, [mixed], encoder)
    rule.id = "veiled-2"
    assert counts(build(library, [], encoder)) == {"reembedded": 11}
    assert rule.judged == 22
    assert counts(build(library, [], encoder)) == {"same": 11}


def test_none_takes_the_versions_away_without_reading_a_photo(
    library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled
) -> None:
    build(library, [mixed], encoder)
    assert counts(build(library, [], encoder, NEVER)) == {"same": 11}
    assert library.file.enhanced(encoder.recipe.id) == {}
    assert {hit.enhancer for hit in ask(library, encoder, "red", k=11)} == {PLAIN}
    rows = Store(library).images().to_pylist()
    assert {(row["dehazed"], row["dehaze_rule"]) for row in rows} == {(None, "none-1")}
    assert all(row["haze"] is not None for row in rows)
    assert_sound(library)
    assert counts(build(library, [], encoder)) == {"same": 11}  # it stays so until somebody says otherwise
    assert library.file.dehaze == "none"
    assert build(library, [], encoder, BuildOptions(dehaze="auto")).dehazed == 2
    assert_sound(library)


def test_a_named_dehazer_is_for_every_photo_of_every_root(library: Library, mixed: Path, encoder: Encoder, tmp_path: Path) -> None:
    veil(tmp_path / "elsewhere.png", (10, 250, 10))
    (tmp_path / "other").mkdir()
    (tmp_path / "elsewhere.png").rename(tmp_path / "other" / "green.png")
    build(library, [mixed, tmp_path / "other"], encoder, NEVER)
    assert build(library, [mixed], encoder, ALWAYS).dehazed == 12
    assert_sound(library)


def test_a_change_of_rule_that_was_interrupted_goes_on_in_every_root(
    library: Library, mixed: Path, encoder: Encoder, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    veil(other / "green.png", (10, 250, 10))
    build(library, [mixed, other], encoder, NEVER)

    def interrupt(_report: Report) -> None:
        raise KeyboardInterrupt

    assert build(library, [mixed], encoder, ALWAYS, interrupt).interrupted
    build(library, [mixed], encoder, ALWAYS)
    assert all(row["dehazed"] for row in Store(library).images().to_pylist())
    assert build(library, [mixed], encoder, ALWAYS).found == 11  # the other root is left alone again
    assert_sound(library)


def test_a_copy_of_a_photo_that_is_out_of_reach_is_read_once(
    library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled
) -> None:
    """The rows of the one that is excluded, unreadable or on another disk keep the older rule; those of its copies must not wait for them."""
    shutil.copyfile(mixed / "veiled red.png", mixed / "excluded.png")
    build(library, [mixed], encoder)
    without = BuildOptions(walk=WalkOptions(exclude=("excluded.png",)))
    rule.id = "veiled-2"
    assert counts(build(library, [], encoder, without)) == {"reembedded": 11, "kept": 1}
    assert counts(build(library, [], encoder, without)) == {"same": 11, "kept": 1}
    assert_sound(library)


def test_versions_by_an_older_dehazer_stay_where_the_photo_is_out_of_reach(
    library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(library, [mixed], encoder)
    rule.id = "veiled-2"
    monkeypatch.setattr(rule.dehazer, "id", "unveil-2", raising=False)
    build(library, [], encoder, BuildOptions(walk=WalkOptions(exclude=("veiled blue.png",))))
    enhancers = {hit.path: hit.enhancer for words in ("red", "blue") for hit in ask(library, encoder, words, k=2)}
    assert enhancers == {"red.png": PLAIN, "blue.png": PLAIN, "veiled red.png": "unveil-2", "veiled blue.png": "unveil-1"}
    assert_sound(library)


def test_where_nothing_was_dehazed_none_writes_nothing(library: Library, mixed: Path, encoder: Encoder) -> None:
    build(library, [mixed], encoder, NEVER)
    stamp = library.stamp()
    build(library, [], encoder, NEVER)
    assert library.stamp() == stamp


def test_a_photo_that_cannot_be_dehazed_is_found_as_it_is(
    library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_pixels: Any) -> Any:
        raise ValueError("no light")

    with monkeypatch.context() as broken:
        broken.setattr(rule, "dehazer", fail)
        broken.setattr(fail, "id", "unveil-1", raising=False)
        for _ in range(2):
            report = build(library, [mixed], encoder)
            assert {Path(file).name for file in report.failed} == {"veiled red.png", "veiled blue.png"}
            assert "could not be dehazed: ValueError: no light. It can be found as it is." in report.failed[str(mixed / "veiled red.png")]
            assert (report.photos, report.without_vector, report.dehazed) == (11, 0, 0)
            assert {failure.path for failure in Store(library).failures()} == {"veiled red.png", "veiled blue.png"}
            assert len(ask(library, encoder, "red", k=20)) == 11
    assert counts(build(library, [], encoder)) == {"reembedded": 2, "same": 9}
    assert Store(library).failures() == []
    assert {row["dehazed"] for row in Store(library).images().to_pylist()} == {None, "unveil-1"}
    assert_sound(library)


def test_a_dehazer_that_fails_on_another_encoders_vectors_leaves_the_verdict(
    library: Library,
    mixed: Path,
    encoder: Encoder,
    make_encoder: Callable[..., Any],
    rule: UnveilTheVeiled,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build(library, [mixed], encoder)
    rows, finer = Store(library).images(), make_encoder("finer")

    def fail(_pixels: Any) -> Any:
        raise ValueError("no light")

    with monkeypatch.context() as broken:
        broken.setattr(rule, "dehazer", fail)
        assert len(build(library, [], finer).failed) == 2
    assert Store(library).images().equals(rows)
    assert counts(build(library, [], finer)) == {"reembedded": 2, "same": 9}
    assert [len(Store(library).digests(recipe)) for recipe in library.file.enhanced(finer.recipe.id).values()] == [2]


def test_an_unknown_rule_is_refused_before_anything_is_written(library: Library, mixed: Path, encoder: Encoder) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'dark-channel'"):
        build(library, [mixed], encoder, BuildOptions(dehaze="dark-chanel"))
    assert library.file.dehaze is None


def test_what_was_decided_stands_for_another_encoder(
    library: Library, mixed: Path, encoder: Encoder, make_encoder: Callable[..., Any], rule: UnveilTheVeiled
) -> None:
    finer = make_encoder("finer")
    build(library, [mixed], encoder)
    rows = Store(library).images()
    build(library, [], finer)
    assert rule.judged == 11
    assert Store(library).images().equals(rows)
    assert sorted(map(len, (library.file.enhanced(one.recipe.id) for one in (encoder, finer)))) == [1, 1]
    assert {hit.enhancer for hit in answer(library, Query((Term("red"),), 2), finer).hits} == {"unveil-1", PLAIN}
    with library.locked("test"):
        Store(library).drop_recipe(finer.recipe.id)
    assert set(library.file.recipes) == {encoder.recipe.id, encoder.recipe.through("unveil-1").id}


def test_a_later_version_of_the_encoder_takes_the_versions_over(
    library: Library, mixed: Path, encoder: Encoder, make_encoder: Callable[..., Any], rule: UnveilTheVeiled
) -> None:
    build(library, [mixed], encoder)
    later = make_encoder()
    later.recipe = replace(later.recipe, weights="f" * 64)
    assert build(library, [], later).replaced == [encoder.recipe.id]
    assert set(library.file.recipes) == {later.recipe.id, later.recipe.through("unveil-1").id}
    assert_sound(library)


def test_forgetting_takes_both_vectors(library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled) -> None:
    build(library, [mixed], encoder)
    with library.locked("test"):
        _, lost = Store(library).rewrite_without({(str(mixed), "veiled red.png")})
    for recipe in library.file.recipes:
        assert not Store(library).digests(recipe) & set(lost)
    derived = open_derived(library)
    assert (derived.photos, len(derived.owners)) == (10, 1)
    derived.close()


def as_version_1(library: Library) -> None:
    """Turn the library into what a program wrote that knew no haze: without the columns, the rule and the recipes."""
    columns = [column.name for column in IMAGE_COLUMNS if column.name not in ("haze", "dehazed", "dehaze_rule")]
    images = Store(library).images().select(columns)
    assert isinstance(images, pa.Table)
    lancedb.connect(str(library.store)).create_table("images", data=images, mode="overwrite")
    plain = {recipe: library.file.recipes[recipe] for recipe in library.file.plain_recipes()}
    library.write(replace(library.file, schema=1, recipes=plain, dehaze=None))
    shutil.rmtree(library.cache)


def files(library: Library) -> dict[str, bytes]:
    """What is in the store, without the caches and the lock."""
    every = [library.folder / "library.json", *library.store.rglob("*")]
    return {str(file): file.read_bytes() for file in every if file.is_file()}


def test_a_library_of_version_1_is_searched_and_brought_up_to_date(
    library: Library, mixed: Path, encoder: Encoder, rule: UnveilTheVeiled
) -> None:
    build(library, [mixed], encoder, NEVER)
    as_version_1(library)
    before = files(library)
    with library.locked("a build that runs elsewhere"):
        hits = ask(library, encoder, "red")
        assert hits[0].path == "red.png"
        assert hits[0].columns["haze"] is None
    assert ask(library, encoder, "red", where="haze is null")[0].path == "red.png"
    opened = Library(library.folder)
    assert counts(build(opened, [], encoder, BuildOptions(dry_run=True))) == {"reembedded": 11}
    assert files(library) == before  # who reads it changes nothing: an older program can still open it
    report = build(opened, [], encoder)
    assert counts(report) == {"reembedded": 11}
    assert (report.dehazed, opened.file.schema) == (2, SCHEMA_VERSION)
    assert_sound(opened)
    assert counts(build(opened, [], encoder)) == {"same": 11}
