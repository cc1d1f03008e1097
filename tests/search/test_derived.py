from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from preprocess import LibraryDamaged, LibraryNotFound
from search import Derived, EncoderOptions, Hit, Library, Recipe, Store, image_row, make_derived, normalize, open_derived
from search import derived_files as module
from search.query import Query, Term

Fill = Callable[..., Store]
Nearest = Callable[..., list[Hit]]


def test_it_holds_the_store(library: Library, fill: Fill) -> None:
    vectors = normalize(np.random.default_rng(1).normal(size=(5, 8)))
    store = fill(["dd", "aa", "cc", "bb", "ee"], vectors, iso=[1, 2, 3, 4, 5])
    derived = open_derived(library)
    assert len(derived.nearest) == derived.spread.count == 5
    rows = derived.database.execute("SELECT vector, digest, path, iso FROM images ORDER BY vector").fetchall()
    assert rows == [(0, "aa", "aa.jpg", 2), (1, "bb", "bb.jpg", 4), (2, "cc", "cc.jpg", 3), (3, "dd", "dd.jpg", 1), (4, "ee", "ee.jpg", 5)]
    np.testing.assert_allclose(derived.nearest.rows(np.arange(5)), vectors[[1, 3, 2, 0, 4]], atol=1e-3)
    derived.close()
    assert make_derived(store) == library.cache_of()
    assert (derived.coverage.photos, derived.coverage.missing) == (5, 0)


def test_a_library_without_vectors_has_none(library: Library) -> None:
    with pytest.raises(LibraryNotFound, match="Index a folder first"):
        open_derived(library)


def test_an_empty_index_answers_nothing(library: Library, fill: Fill, nearest_hits: Nearest) -> None:
    store = fill(["aa"], [[1, 0]])
    store.drop_images([("/photos", "aa.jpg")])
    store.sweep()
    derived = open_derived(library)
    assert nearest_hits(derived, np.array([1, 0], np.float32), Query((Term("x"),))) == []
    derived.close()


def test_vectors_without_photos_and_photos_without_vectors_stay_out(library: Library, fill: Fill) -> None:
    store = fill(["aa", "bb"], [[1, 0], [0, 1]])
    store.put_images([image_row(root="/photos", path="c.jpg", digest="cc")])
    store.drop_images([("/photos", "bb.jpg")])
    derived = open_derived(library)
    assert len(derived.nearest) == 1
    assert derived.database.execute("SELECT path, vector FROM images").fetchall() == [("aa.jpg", 0)]
    derived.close()


def test_a_stale_one_is_not_found_and_goes(library: Library, fill: Fill) -> None:
    store = fill(["aa"], [[1, 0]])
    old = make_derived(store)
    assert open_derived(library).folder == old
    store.add_vectors(Recipe("rows", "0" * 64, "fp32", "none", 2), ["bb"], normalize(np.array([[0.0, 1]])))
    store.put_images([image_row(root="/photos", path="b.jpg", digest="bb")])
    new = open_derived(library)
    assert new.folder != old
    assert len(new.nearest) == 2


@pytest.mark.parametrize("name", ["spread.npz", "rows.sqlite", "nearest.faiss"])
@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_lost_or_damaged_one_costs_nothing(name: str, content: bytes, library: Library, fill: Fill) -> None:
    folder = make_derived(fill(["aa"], [[1, 0]]))
    shutil.rmtree(library.cache)
    assert open_derived(library).folder == folder
    (folder / name).write_bytes(content)
    with pytest.raises(LibraryDamaged, match="pellucid compact"):
        Derived(folder)
    derived = open_derived(library)
    assert len(derived.nearest) == 1
    assert derived.database.execute("SELECT digest FROM images").fetchall() == [("aa",)]


def test_one_that_was_cut_short_is_not_taken(library: Library, fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill(["aa"], [[1, 0]])

    def cut(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write_rows", cut)
    with pytest.raises(KeyboardInterrupt):
        make_derived(store)
    assert list(library.cache.iterdir()) == []
    monkeypatch.undo()
    assert len(open_derived(library).nearest) == 1


def test_many_may_make_it_at_once(library: Library, fill: Fill) -> None:
    count = 300
    fill([f"{at:03}" for at in range(count)], np.random.default_rng(1).normal(size=(count, 8)))

    def make(_at: int) -> tuple[Path, int]:
        derived = open_derived(Library(library.folder))
        try:
            return derived.folder, len(derived.nearest)
        finally:
            derived.close()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(make, range(6))) == {(library.cache_of(), count)}
    assert [entry.name for entry in library.cache.iterdir()] == [library.cache_of().name]


def test_hits_do_not_depend_on_the_order_of_insertion(tmp_path: Path, nearest_hits: Nearest) -> None:
    rng = random.Random(4)
    vectors = normalize(np.random.default_rng(2).integers(-1, 2, size=(60, 4)) + np.array([0.1, 0, 0, 0]))  # many equal ones
    names = [f"{at:02}" for at in range(60)]
    recipe = Recipe("rows", "0" * 64, "fp32", "none", 4)
    answers = []
    for turn in range(4):
        order = list(range(60))
        rng.shuffle(order)
        library = Library(tmp_path / str(turn), create=True)
        store = Store(library)
        for part in (order[:25], order[25:]):
            store.add_vectors(recipe, [names[at] for at in part], vectors[part])
            store.put_images([image_row(root="/photos", path=f"{names[at]}.jpg", digest=names[at]) for at in part])
        store.use(recipe)
        derived = open_derived(library)
        answers.append([(hit.path, hit.similarity) for hit in nearest_hits(derived, vectors[7], Query((Term("x"),), k=20))])
        derived.close()
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert len(answers[0]) == 20


def loaded_by(arguments: list[str]) -> tuple[list[str], str]:
    """Heavy modules that a run of the command line leaves in `sys.modules`, and what it printed."""
    code = (
        "import atexit, json, sys; from api.cli import main; sys.argv = ['pellucid', *json.loads(sys.argv[1])]\n"
        "heavy = ('lancedb', 'pyarrow', 'cv2', 'torch', 'pandas')\n"
        "atexit.register(lambda: sys.stderr.write('LOADED ' + json.dumps([m for m in heavy if m in sys.modules])))\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.rpartition("LOADED ")[2]), done.stdout


def test_a_search_with_a_fresh_cache_does_not_open_the_store(tmp_path: Path, library: Library, skimage_photos: Path) -> None:
    from indexer import build
    from search import load_encoder

    build(library, [skimage_photos], load_encoder("builtin", EncoderOptions(threads=1)))
    arguments = ["search", "a cat", "--where", "width > 100", "--library", str(library.folder), "--json"]
    heavy, fresh = loaded_by(arguments)
    assert heavy == []
    assert len(json.loads(fresh)["hits"]) == len(list(skimage_photos.iterdir()))
    shutil.rmtree(library.cache)
    heavy, remade = loaded_by(arguments)
    assert "lancedb" in heavy  # so the first half can fail
    assert remade == fresh
