from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import RecipeMismatch, UnknownName, WeightsError
from search import (
    ENCODERS,
    Coverage,
    Encoder,
    EncoderOptions,
    Failure,
    Library,
    Query,
    Recipe,
    Store,
    Term,
    answer,
    check_recipe,
    coverage,
    coverages,
    encoder_of,
    image_row,
    index_command,
    made_by,
    make_derived,
    normalize,
    open_derived,
    recipes_of,
)
from search import derived as derived_module

ONE, OTHER = Recipe("one", "1" * 64, "fp32", "none", 2), Recipe("other", "2" * 64, "int8", "none", 3)


@pytest.fixture
def two(library: Library) -> Store:
    """Three photos; the first recipe knows all of them and is in use, the second one of them."""
    store = Store(library)
    store.use(ONE)
    store.register(OTHER)
    store.put_images([image_row(root="/photos", path=f"{digest}.jpg", digest=digest) for digest in ("aa", "bb", "cc")])
    store.add_vectors(ONE, ["aa", "bb", "cc"], normalize(np.eye(3, 2) + 0.1))
    store.add_vectors(OTHER, ["bb"], normalize(np.eye(1, 3)))
    return store


def test_coverage_counts_what_lacks_and_what_cannot_be_had(two: Store) -> None:
    assert coverages(two, [ONE.id, OTHER.id, "none"]) == {ONE.id: Coverage(3, 0), OTHER.id: Coverage(3, 2), "none": Coverage(3, 3)}
    two.record_failures([Failure("/photos", "cc.jpg", 1, 1, "ImageCorrupt", "damaged")])
    assert coverage(two, OTHER.id) == Coverage(3, 1, 1)
    assert (Coverage(3, 1, 1).complete, Coverage(3, 0, 1).complete) == (False, True)
    assert Coverage(3, 1, 1).found == 1
    two.put_images([image_row(root="/photos", path="copy of cc.jpg", digest="cc")])  # which can be read
    assert coverage(two, OTHER.id) == Coverage(3, 2)


def test_an_empty_library_is_complete(library: Library) -> None:
    assert coverage(Store(library), "none") == Coverage(0, 0)


def test_recipes_by_name_start_with_the_one_in_use(library: Library) -> None:
    store = Store(library)
    versions = [replace(ONE, weights=digit * 64) for digit in "345"]
    for recipe in (OTHER, *versions):
        store.register(recipe)
    assert recipes_of(library.file, "one") == [recipe.id for recipe in versions]
    store.use(versions[1])
    assert recipes_of(library.file, "one") == [versions[1].id, versions[0].id, versions[2].id]
    assert recipes_of(library.file, "none") == []


class Made:
    """Loads an encoder with the precisions that its files have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, make_encoder: Callable[..., Any]) -> None:
        self.asked: list[str | None] = []
        self.precisions = ["fp32", "int8"]

        def load(options: EncoderOptions) -> Encoder:
            self.asked.append(options.precision)
            if options.precision not in (None, *self.precisions):
                raise WeightsError("no such graph")
            encoder: Encoder = make_encoder("tiny", precision=options.precision or "fp32")
            return encoder

        monkeypatch.setitem(ENCODERS, "tiny", load)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, make_encoder: Callable[..., Any]) -> Made:
    return Made(monkeypatch, make_encoder)


def test_an_encoder_comes_in_the_precision_of_the_library(library: Library, made: Made, make_encoder: Callable[..., Any]) -> None:
    store, options = Store(library), EncoderOptions()
    assert encoder_of(library, "tiny", options).recipe.precision == "fp32"
    store.register(make_encoder("tiny", precision="int8").recipe)
    assert encoder_of(library, "tiny", options).recipe.precision == "int8"
    assert made.asked == [None, "int8"]
    made.precisions.remove("int8")
    assert encoder_of(library, "tiny", options).recipe.precision == "fp32"  # without that graph, what its files have


def test_other_weights_are_another_recipe(library: Library, made: Made, make_encoder: Callable[..., Any]) -> None:
    old = replace(make_encoder("tiny").recipe, weights="9" * 64)
    Store(library).use(old)
    assert made_by(library, old.id, EncoderOptions()) is None
    assert encoder_of(library, "tiny", EncoderOptions()).recipe.id not in library.file.recipes


def test_an_encoder_that_is_not_here_any_more(two: Store) -> None:
    two.register(replace(ONE, encoder="gone", weights="7" * 64))
    with pytest.raises(
        WeightsError, match=r"has vectors by the encoder 'gone', whose files are not in .*pellucid models use one --library"
    ):
        encoder_of(two.library, "gone", EncoderOptions())
    with pytest.raises(UnknownName, match="No encoder named 'gon'"):
        encoder_of(two.library, "gon", EncoderOptions())


def test_the_command_names_a_precision_only_where_there_are_several(library: Library) -> None:
    store = Store(library)
    store.use(ONE)
    assert index_command(library, ONE.id) == f"pellucid index --library {library.folder} --encoder one"
    store.register(replace(ONE, precision="int8"))
    assert index_command(library, ONE.id) == f"pellucid index --library {library.folder} --encoder one --precision fp32"
    odd = Library(library.folder.with_name("it's mine"), create=True)
    Store(odd).use(ONE)
    assert (
        index_command(odd, ONE.id)
        == f"pellucid index --library '{str(odd.folder).replace(chr(39), chr(39) + chr(34) + chr(39) + chr(34) + chr(39))}' --encoder one"
    )


# Caches side by side


def test_each_recipe_has_its_own_cache_and_none_costs_another_its(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    library = two.library
    folders = [make_derived(two, recipe.id) for recipe in (ONE, OTHER)]
    assert sorted(library.cache.iterdir()) == sorted(folders)

    def forbidden(*_args: object) -> None:
        raise AssertionError("a cache was made anew")

    monkeypatch.setattr(derived_module, "_made", forbidden)
    for turn in range(3):
        two.use((ONE, OTHER)[turn % 2])
        for recipe, count in ((ONE, 3), (OTHER, 1)):
            derived = open_derived(Library(library.folder), recipe.id)
            assert (len(derived.nearest), derived.coverage.missing) == (count, 3 - count)
            derived.close()


def test_a_write_to_one_recipe_leaves_the_cache_of_the_other(two: Store) -> None:
    library = two.library
    one, other = (make_derived(two, recipe.id) for recipe in (ONE, OTHER))
    two.add_vectors(OTHER, ["cc"], normalize(np.eye(1, 3)))
    assert library.cache_of(ONE.id) == one
    fresh = make_derived(two, OTHER.id)
    assert fresh != other
    assert sorted(library.cache.iterdir()) == sorted([one, fresh])


def test_stale_caches_of_any_recipe_go(two: Store) -> None:
    library = two.library
    (library.cache / "0123456789abcdef").mkdir(parents=True)  # of an earlier Pellucid
    for recipe in (ONE, OTHER):
        make_derived(two, recipe.id)
    two.drop_images([("/photos", "aa.jpg")])
    fresh = make_derived(two, ONE.id)
    assert list(library.cache.iterdir()) == [fresh]


def test_a_recipe_that_is_dropped_takes_its_vectors_and_its_cache_along(two: Store) -> None:
    kept = make_derived(two, ONE.id)
    make_derived(two, OTHER.id)
    two.drop_recipe(OTHER.id)
    assert list(two.library.file.recipes) == [ONE.id]
    assert two.tables.names() == ["images", f"vectors-{ONE.id}"]
    assert list(two.library.cache.iterdir()) == [kept]
    assert two.library.cache_of(ONE.id) == kept


def test_a_kill_amid_dropping_a_recipe_leaves_no_half_table(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = two.library.file.recipes
    digests = two.digests(first)

    def killed(folder: Path, **_: Any) -> None:
        next((folder / "data").iterdir()).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patch.setattr("search._lance.shutil.rmtree", killed)
        two.drop_recipe(second)
    again = Store(Library(two.library.folder))
    assert again.digests(second) == set()
    assert coverages(again, again.library.file.recipes)[first].complete
    assert again.sweep() == 0
    again.compact()
    assert not list(again.library.store.glob("*.dropped"))
    again.drop_recipe(second)
    assert (list(again.library.file.recipes), again.digests(first)) == ([first], digests)


def test_housekeeping_reaches_every_recipe(two: Store) -> None:
    two.add_vectors(OTHER, ["aa"], normalize(np.eye(1, 3)))
    assert two.rewrite_without([("/photos", "aa.jpg")]) == (["/photos/aa.jpg"], ["aa"])
    assert (two.digests(ONE.id), two.digests(OTHER.id)) == ({"bb", "cc"}, {"bb"})
    two.drop_images([("/photos", "bb.jpg")])
    assert two.sweep() == 2
    assert (two.digests(ONE.id), two.digests(OTHER.id)) == ({"cc"}, set())


def test_some_vectors(two: Store) -> None:
    found = two.vectors_of(ONE.id, {"bb", "cc", "none"})
    assert set(found) == {"bb", "cc"}
    digests, rows = two.vectors(ONE.id)
    for digest, vector in found.items():
        np.testing.assert_array_equal(vector, rows[digests.index(digest)])
    assert two.vectors_of("none", {"aa"}) == {}


# Answers


def question() -> Query:
    return Query((Term("red"),), k=50)


@pytest.fixture
def indexed(library: Library, photos: Path, encoder: Encoder) -> Library:
    from indexer import build

    build(library, [photos], encoder)
    return library


def test_an_answer_says_how_much_of_the_library_it_looked_at(indexed: Library, encoder: Encoder, make_encoder: Callable[..., Any]) -> None:
    whole = answer(indexed, question(), encoder)
    assert (whole.encoder, whole.coverage, whole.note, len(whole.hits)) == ("mean-colour", Coverage(10, 0), None, 10)
    finer = make_encoder("finer")
    with pytest.raises(
        RecipeMismatch, match=r"no vectors by the encoder 'finer' .*all 10 photos lack one\. Make them: pellucid index --library"
    ):
        check_recipe(indexed, finer)
    store = Store(indexed)
    store.register(finer.recipe)
    check_recipe(indexed, finer)
    with pytest.raises(RecipeMismatch, match=r"all 10 photos lack one"):  # it was begun, but nothing was committed
        answer(indexed, question(), finer)
    digests, _ = store.vectors(encoder.recipe.id)
    store.add_vectors(finer.recipe, digests[:4], np.eye(4, finer.recipe.dim, dtype=np.float32))
    part = answer(indexed, question(), finer)
    assert (part.coverage, len(part.hits)) == (Coverage(10, 6), 4)
    assert part.note == (
        "6 of 10 photos have no vector by the encoder 'finer' yet, so they cannot be found. "
        f"To finish: pellucid index --library {indexed.folder} --encoder finer"
    )


def test_after_an_upgrade_the_error_says_what_lacks_and_what_to_run(indexed: Library, make_encoder: Callable[..., Any]) -> None:
    later = make_encoder()
    later.recipe = replace(later.recipe, weights="1" * 64)
    with pytest.raises(RecipeMismatch) as caught:
        answer(indexed, question(), later)
    assert "all 10 photos lack one" in str(caught.value)
    assert f"Those by 'mean-colour' ({indexed.file.current}) were made with other weights" in str(caught.value)
    assert str(caught.value).endswith(f"pellucid index --library {indexed.folder} --encoder mean-colour")


def test_a_reader_sees_a_recipe_that_was_begun_after_it_opened_the_library(
    indexed: Library, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    reader, finer = Library(indexed.folder), make_encoder("finer")
    store = Store(indexed)
    store.register(finer.recipe)
    store.add_vectors(finer.recipe, store.vectors(encoder.recipe.id)[0][:1], np.eye(1, finer.recipe.dim, dtype=np.float32))
    assert len(answer(reader, question(), finer).hits) == 1


OF_VERSION_1 = {
    "schema": 1,
    "roots": ["/photos"],
    "recipes": {ONE.id: {"encoder": "one", "weights": "1" * 64, "precision": "fp32", "enhancer": "none", "dim": 2}},
    "current": ONE.id,
}


def test_a_library_of_version_1_opens(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    (folder / "store").mkdir(parents=True)
    (folder / "library.json").write_text(json.dumps(OF_VERSION_1, indent=1))
    library = Library(folder)
    store = Store(library)
    store.put_images([image_row(root="/photos", path="a.jpg", digest="aa")])
    store.add_vectors(ONE, ["aa"], normalize(np.eye(1, 2)))
    store.register(OTHER)
    derived = open_derived(Library(folder))
    assert derived.coverage == Coverage(1, 0)
    derived.close()
    written = json.loads((folder / "library.json").read_text())
    assert {name: type(value) for name, value in written.items() if name not in ("dehaze", "dehaze_rule", "regions", "regions_maker")} == {
        name: type(value) for name, value in OF_VERSION_1.items()
    }
    assert {written[name] for name in ("dehaze", "dehaze_rule", "regions", "regions_maker")} == {None}
    assert list(written["recipes"]) == [ONE.id, OTHER.id]
