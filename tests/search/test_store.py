from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from preprocess import LibraryBusy, LibraryDamaged, LibraryNotFound, LibraryTooNew
from search import (
    IMAGE_COLUMNS,
    INDEXES,
    SCHEMA_VERSION,
    Failure,
    Library,
    Recipe,
    Store,
    StoredTag,
    TagRun,
    image_row,
    matching_vectors,
    normalize,
    open_derived,
)
from search import library as library_module
from search import store as store_module

RECIPE = Recipe("rows", "0" * 64, "fp32", "none", 8)


def rows(count: int, dim: int = 8, seed: int = 1) -> np.ndarray:
    return normalize(np.random.default_rng(seed).normal(size=(count, dim)))


def row(path: str, digest: str = "aa", **values: object) -> dict[str, object]:
    return image_row(root="/photos", path=path, digest=digest, **values)


def test_rows_come_back_with_every_column(library: Library) -> None:
    values = {"text": "it's ünï", "integer": 1 << 60, "real": -0.125}
    full = {column.name: values[column.kind] for column in IMAGE_COLUMNS}
    store = Store(library)
    store.put_images([full, row("b.jpg")])
    assert Store(library).images().to_pylist() == [full, row("b.jpg")]
    assert store.images(["path", "iso"]).column_names == ["path", "iso"]


def test_an_empty_store_answers(library: Library) -> None:
    store = Store(library)
    assert store.images().num_rows == 0
    assert store.images(["root", "path"]).column_names == ["root", "path"]
    assert store.failures() == []
    assert store.digests("none") == set()
    assert store.vectors("none")[0] == []
    assert store.orphans("none") == []
    assert store.sweep() == 0
    store.put_images([])
    store.add_vectors(RECIPE, [], rows(0))
    store.drop_images([])
    store.clear_failures([("/photos", "x")])
    store.compact()


def test_an_upsert_replaces_by_root_and_path(library: Library) -> None:
    store = Store(library)
    store.put_images([row("a.jpg", "old"), row("b.jpg", "kept"), {**row("a.jpg", "elsewhere"), "root": "/other"}])
    store.put_images([row("a.jpg", "new"), row("c.jpg", "fresh")], known={("/photos", "a.jpg"), ("/photos", "b.jpg")})
    found = {(r["root"], r["path"]): r["digest"] for r in store.images().to_pylist()}
    assert store.images().num_rows == 4
    assert found == {
        ("/photos", "a.jpg"): "new", ("/photos", "b.jpg"): "kept", ("/photos", "c.jpg"): "fresh", ("/other", "a.jpg"): "elsewhere",
    }  # fmt: skip


HOSTILE = [
    "it's.jpg",
    "'; DROP TABLE images; --.jpg",
    '"double".jpg',
    "back\\slash.jpg",
    "new\nline.jpg",
    "été/海.jpg",
    "%_.jpg",
    "a" * 4000,
]


@pytest.mark.parametrize("path", HOSTILE)
def test_rows_of_hostile_names_are_dropped_alone(path: str, library: Library) -> None:
    store = Store(library)
    store.put_images([row(path), row("other.jpg")])
    store.drop_images([("/photos", path)])
    assert store.images(["path"])["path"].to_pylist() == ["other.jpg"]


def test_more_keys_than_fit_in_one_condition_are_dropped(library: Library) -> None:
    store = Store(library)
    store.put_images([row(f"{at}.jpg") for at in range(1203)])
    store.drop_images([("/photos", f"{at}.jpg") for at in range(1201)])
    assert sorted(store.images(["path"])["path"].to_pylist()) == ["1201.jpg", "1202.jpg"]


def test_vectors_come_back_sorted_by_digest_and_once(library: Library) -> None:
    store, vectors = Store(library), rows(4)
    store.use(RECIPE)
    store.add_vectors(RECIPE, ["dd", "aa", "cc"], vectors[:3])
    store.add_vectors(RECIPE, ["aa", "bb"], vectors[[1, 3]])  # `aa` again, as after a kill
    digests, found = Store(library).vectors(RECIPE.id)
    assert digests == ["aa", "bb", "cc", "dd"]
    np.testing.assert_array_equal(found, vectors[[1, 3, 2, 0]].astype(np.float16))
    assert store.digests(RECIPE.id) == {"aa", "bb", "cc", "dd"}


def test_recipes_do_not_mix(library: Library) -> None:
    store, other = Store(library), replace(RECIPE, precision="int8")
    store.add_vectors(RECIPE, ["aa"], rows(1))
    store.add_vectors(other, ["bb"], rows(1))
    assert store.digests(RECIPE.id) == {"aa"}
    assert store.digests(other.id) == {"bb"}


def test_sweep_removes_vectors_without_photos_of_every_recipe(library: Library) -> None:
    store, other = Store(library), replace(RECIPE, precision="int8")
    for recipe in (RECIPE, other):
        store.add_vectors(recipe, ["aa", "bb", "it's"], rows(3))
        store.use(recipe)
    store.put_images([row("a.jpg", "aa"), row("copy of a.jpg", "aa")])
    assert store.orphans(RECIPE.id) == ["bb", "it's"]
    assert store.sweep() == 4
    assert store.digests(RECIPE.id) == store.digests(other.id) == {"aa"}
    assert store.sweep() == 0


def failure(path: str, message: str = "it is damaged", at: int = 1) -> Failure:
    return Failure("/photos", path, 10, at, "ImageCorrupt", message)


def test_failures_are_recorded_replaced_and_cleared(library: Library) -> None:
    store = Store(library)
    store.record_failures([failure("b.jpg"), failure("a'.jpg"), failure("c.jpg")])
    store.record_failures([failure("b.jpg", "still damaged", 2)])
    assert Store(library).failures() == [failure("a'.jpg"), failure("b.jpg", "still damaged", 2), failure("c.jpg")]
    store.clear_failures([("/photos", "a'.jpg"), ("/other", "c.jpg")])
    assert [f.path for f in store.failures()] == ["b.jpg", "c.jpg"]


def test_compact_keeps_every_row_and_drops_versions(library: Library) -> None:
    store = Store(library)
    store.use(RECIPE)
    for at in range(6):
        store.put_images([row(f"{at}.jpg", f"d{at}")])
        store.add_vectors(RECIPE, [f"d{at}"], rows(1, seed=at))
    before = len(list(library.store.rglob("*.lance")))
    store.compact(timedelta(0))
    assert len(list(library.store.rglob("*.lance"))) < before
    assert sorted(store.images(["path"])["path"].to_pylist()) == [f"{at}.jpg" for at in range(6)]
    assert len(store.vectors(RECIPE.id)[0]) == 6


def test_rewriting_without_rows_erases_their_vectors_but_keeps_shared_ones(library: Library) -> None:
    store = Store(library)
    store.add_vectors(RECIPE, ["aa", "bb"], rows(2))
    store.use(RECIPE)
    store.put_images([row("a.jpg", "aa"), row("copy.jpg", "aa"), row("b.jpg", "bb")])
    store.record_failures([failure("x.jpg")])
    assert store.rewrite_without([("/photos", "a.jpg"), ("/photos", "b.jpg"), ("/photos", "x.jpg")]) == (
        ["/photos/a.jpg", "/photos/b.jpg"],
        ["bb"],
    )
    assert store.images(["path"])["path"].to_pylist() == ["copy.jpg"]
    assert store.digests(RECIPE.id) == {"aa"}
    assert store.failures() == []


def test_half_precision_costs_no_recall(tmp_path: Path, library: Library) -> None:
    """float16 in the store and in the index: recall@10 against float32 stays at 0.99 or more, on random rows, the hardest case."""
    vectors, queries = rows(5000, 256), rows(100, 256, seed=2)
    store = Store(library)
    recipe = replace(RECIPE, dim=256)
    store.use(recipe)
    digests = [f"{at:05}" for at in range(5000)]
    store.add_vectors(recipe, digests, vectors)
    INDEXES["flat"]().write(store.vectors(recipe.id)[1], tmp_path / "i")
    found = INDEXES["flat"]().read(tmp_path / "i").search(queries, 10)
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    recall = np.mean([len(set(numbers.tolist()) & set(best.tolist())) / 10 for (_, numbers), best in zip(found, exact, strict=True)])
    assert recall >= 0.99


# The library file


def test_a_library_of_a_newer_program_is_refused(library: Library) -> None:
    library.write(replace(library.file, schema=SCHEMA_VERSION + 1))
    with pytest.raises(LibraryTooNew, match=rf"schema {SCHEMA_VERSION + 1}; this Pellucid reads up to {SCHEMA_VERSION}\. Upgrade"):
        Library(library.folder)
    with pytest.raises(LibraryTooNew):
        Library(library.folder, create=True)


def test_migrations_run_in_order_each_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    for module in (library_module, store_module):
        monkeypatch.setattr(module, "SCHEMA_VERSION", SCHEMA_VERSION + 3)
    for version in range(SCHEMA_VERSION, SCHEMA_VERSION + 3):
        monkeypatch.setitem(store_module.MIGRATIONS, version, lambda _tables, version=version: steps.append(version))
    Store(Library(library.folder))
    assert (steps, Library(library.folder).file.schema) == ([], SCHEMA_VERSION)  # who only reads changes nothing
    for _ in range(2):
        with library.locked("test"):
            Store(library)
        assert steps == [SCHEMA_VERSION, SCHEMA_VERSION + 1, SCHEMA_VERSION + 2]
        assert Library(library.folder).file.schema == SCHEMA_VERSION + 3


def test_a_migration_that_fails_is_tried_again_from_its_own_step(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def second(_tables: object) -> None:
        steps.append("second")
        if len(steps) == 2:
            raise RuntimeError("pulled the plug")

    for module in (library_module, store_module):
        monkeypatch.setattr(module, "SCHEMA_VERSION", SCHEMA_VERSION + 2)
    monkeypatch.setitem(store_module.MIGRATIONS, SCHEMA_VERSION, lambda _tables: steps.append("first"))
    monkeypatch.setitem(store_module.MIGRATIONS, SCHEMA_VERSION + 1, second)
    with pytest.raises(RuntimeError), library.locked("test"):
        Store(library)
    assert Library(library.folder).file.schema == SCHEMA_VERSION + 1
    with library.locked("test"):
        Store(library)
    assert steps == ["first", "second", "second"]


def test_an_old_library_without_a_migration_says_so(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.write(replace(library.file, schema=0))
    with pytest.raises(LibraryDamaged, match="Index into a new library"):
        Store(Library(library.folder))


DAMAGED: list[str | bytes] = [
    "",
    "{",
    "[]",
    "null",
    '{"schema": 1}',
    '{"schema": "x", "roots": [], "recipes": {}, "current": null}',
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_library_file_is_named(content: str | bytes, library: Library) -> None:
    (library.folder / "library.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LibraryDamaged, match=r"library\.json cannot be read"):
        Library(library.folder)


def test_a_damaged_table_is_said_to_be_so(library: Library) -> None:
    store = Store(library)
    store.put_images([row("a.jpg")])
    for manifest in library.store.rglob("*.manifest"):
        manifest.write_bytes(b"not a manifest")
    with pytest.raises(LibraryDamaged, match="does not answer"):
        Store(library).images()


def test_a_library_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFound, match="pellucid index FOLDER"):
        Library(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_folder_of_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LibraryDamaged, match="has files of something else in it"):
        Library(tmp_path, create=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(LibraryDamaged, match="is a file"):
        Library(tmp_path / "notes.txt", create=True)


def test_an_empty_folder_and_one_that_was_cut_short_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert Library(tmp_path / "empty", create=True).file.roots == ()
    (tmp_path / "cut" / "store").mkdir(parents=True)
    assert Library(tmp_path / "cut", create=True).file.current is None


@pytest.mark.parametrize("name", ["with space", "per%20cent", "hash#tag", "what?", "été", "it's", "semi;colon", "100%"])
def test_a_library_may_have_any_name(name: str, tmp_path: Path, fill: Callable[..., Store]) -> None:
    library = Library(tmp_path / name, create=True)
    store = Store(library)
    store.add_vectors(RECIPE, ["aa"], rows(1))
    store.put_images([row("a.jpg")])
    assert Store(Library(tmp_path / name)).images().num_rows == 1
    assert (tmp_path / name / "store" / "images.lance").is_dir()


def test_the_library_file_is_replaced_in_one_step(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (library.folder / "library.json").read_text()
    with (library.folder / "library.json").open() as reader:
        library.write(library.file.with_root("/first"))
        assert reader.read() == before  # whoever has begun to read sees no part of the new one
    before = (library.folder / "library.json").read_text()

    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(Exception, match="is full"):
        library.write(library.file.with_root("/new"))
    assert (library.folder / "library.json").read_text() == before


def test_roots_are_kept_once(library: Library) -> None:
    file = library.file.with_root("/a").with_root("/b").with_root("/a")
    library.write(file)
    assert Library(library.folder).file.roots == ("/a", "/b")


def test_one_writer_at_a_time(library: Library) -> None:
    assert not library.busy()
    with library.locked("index"):
        assert library.busy()
        with pytest.raises(LibraryBusy, match=r"is held by process \d+ on .* \(index, since "), Library(library.folder).locked("forget"):
            pass
    assert not library.busy()
    with library.locked("forget"):
        pass


def test_the_lock_goes_when_the_work_fails(library: Library) -> None:
    with pytest.raises(RuntimeError), library.locked("index"):
        raise RuntimeError
    assert not library.busy()


def test_the_stamp_changes_with_every_write_that_its_recipe_sees_and_only_then(library: Library) -> None:
    stamps = [library.stamp(RECIPE.id)]
    store = Store(library)
    store.put_images([row("a.jpg")])
    stamps.append(library.stamp(RECIPE.id))
    store.add_vectors(RECIPE, ["aa"], rows(1))
    stamps.append(library.stamp(RECIPE.id))
    store.record_failures([failure("b.jpg")])
    stamps.append(library.stamp(RECIPE.id))
    store.drop_images([("/photos", "a.jpg")])
    stamps.append(library.stamp(RECIPE.id))
    store.compact(timedelta(0))
    stamps.append(library.stamp(RECIPE.id))
    assert len(set(stamps)) == len(stamps)
    store.images()
    other = replace(RECIPE, precision="int8")
    store.add_vectors(other, ["aa"], rows(1))
    store.use(RECIPE)
    store.use(other)
    assert Library(library.folder).stamp(RECIPE.id) == stamps[-1]
    assert library.stamp() == library.stamp(other.id) != stamps[-1]


def test_an_erasure_that_was_interrupted_can_be_finished(
    library: Library, fill: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fill(["aa", "bb"], [[1, 0], [0, 1]], paths=["a.jpg", "b.jpg"])
    whole = store.tables.rewrite

    def stop(name: str, rows: object) -> None:
        if name == "images":
            raise KeyboardInterrupt
        whole(name, rows)

    monkeypatch.setattr(store.tables, "rewrite", stop)
    with pytest.raises(KeyboardInterrupt):
        store.rewrite_without([("/photos", "a.jpg")])
    again = Store(library)
    assert again.rewrite_without([("/photos", "a.jpg")]) == (["/photos/a.jpg"], ["aa"])
    assert again.images(["path"])["path"].to_pylist() == ["b.jpg"]


def marked(store: Store, *digests: str) -> None:
    """Scores, a machine's tag and a person's word for each of these photos."""
    store.scores.put({digest: {"quality": 0.5} for digest in digests}, "x")
    store.marks.begin(TagRun("one", "rows", "rows", "photo", "0", "one"))
    store.marks.put("one", {digest: [StoredTag("beach", 0.5, 0.25, 1.0)] for digest in digests})
    store.marks.finish("one")
    for digest in digests:
        store.marks.label(digest, "sea", "confirmed")


def test_sweeping_reaches_scores_and_tags_and_keeps_what_people_said(library: Library, fill: Callable[..., Store]) -> None:
    store = fill(["aa", "bb"], [[1, 0], [0, 1]])
    marked(store, "aa", "bb")
    store.drop_images([("/photos", "aa.jpg")])
    assert store.sweep() == 1
    assert store.scores.values("quality") == {"bb": 0.5}
    assert {digest: [one.tag for one in tags] for digest, tags in store.marks.tags().items()} == {"aa": ["sea"], "bb": ["sea", "beach"]}
    derived = open_derived(library)
    assert matching_vectors(derived.database, "tag('sea')").tolist() == [0]
    derived.close()


def test_an_erasure_reaches_scores_and_tags(library: Library, fill: Callable[..., Store]) -> None:
    store = fill(["aa", "bb"], [[1, 0], [0, 1]])
    marked(store, "aa", "bb", "gone")
    assert store.rewrite_without([("/photos", "aa.jpg")])[1] == ["aa"]
    assert (store.scores.left({"aa", "bb"}), store.marks.left({"aa", "bb", "gone"})) == ({"bb"}, {"bb", "gone"})
    store.rewrite_without([], absent=True)
    assert store.marks.left({"aa", "bb", "gone"}) == {"bb"}


def test_a_library_that_lacks_a_column_gets_it_with_the_next_row(library: Library) -> None:
    store = Store(library)
    store.put_images([row("a.jpg")])
    store.tables.table("images").drop_columns(["perceptual_hash"])
    older = Store(Library(library.folder))
    assert older.images(["path", "perceptual_hash"]).to_pylist() == [{"path": "a.jpg", "perceptual_hash": None}]
    older.put_images([row("b.jpg", perceptual_hash="00ff00ff00ff00ff")])
    assert set(older.images(["perceptual_hash"])["perceptual_hash"].to_pylist()) == {None, "00ff00ff00ff00ff"}
