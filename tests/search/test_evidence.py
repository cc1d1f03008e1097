"""Photos ranked by themselves, by their regions, and by both, against the same in plain loops."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from annotate import Annotation, Region
from preprocess import FilterError, QueryError, UnknownName
from search import Derived, Hit, Library, Query, Recipe, Store, Term, make_derived, matching_vectors, normalize, open_derived
from search import filter as filter_module
from search.evidence import PRIOR_REGIONS, SHARPNESS, Evidence
from search.query import Within

DIM = 8
Nearest = Callable[..., list[Hit]]


@pytest.fixture
def filled(library: Library, fill: Callable[..., Store]) -> Callable[..., Derived]:
    """A cache of random photos, some with random regions, in it copies of one another."""

    def make(photos: int = 120, seed: int = 0, most: int = 5) -> Derived:
        random = np.random.default_rng(seed)
        digests = [f"{at:04}" for at in range(photos)]
        vectors = random.normal(size=(photos, DIM))
        vectors[10:14] = vectors[10]
        store = fill(digests, vectors)
        recipe = Recipe("rows", "0" * 64, "fp32", "none", DIM)
        kept, keys, rows = {}, [], []
        for digest in digests:
            count = int(random.integers(0, most + 1))
            regions = tuple(Region((float(n), 0.0, n + 1.0, 1.0), "dog" if n % 2 else "cat", 0.8, area=0.1) for n in range(count))
            kept[digest] = Annotation((100, 100), regions, "random-1")
            keys += [(digest, "random-1", n) for n in range(count)]
            rows += list(random.normal(size=(count, DIM)))
        with library.locked("test"):
            order = random.permutation(len(keys))
            store.regions.put_vectors(recipe, [keys[at] for at in order], normalize(np.array(rows)[order]))
            store.regions.put(kept)
            make_derived(store)
        return open_derived(Library(library.folder))

    return make


def naive(derived: Derived, evidence: Evidence, within: Within, photos: range | Any) -> list[tuple[float, int]]:
    """The evidence of each photo, and its number, best first."""
    assert derived.regions is not None
    out = []
    for photo in photos:
        own = (float((derived.nearest.rows(np.array([photo])) @ evidence.vector)[0]) - evidence.mean) / evidence.deviation
        rows = range(int(derived.regions.starts[photo]), int(derived.regions.starts[photo + 1]))
        best = max((float((derived.regions.nearest.rows(np.array([row])) @ evidence.vector)[0]) for row in rows), default=-np.inf)
        region = (best - evidence.region_mean) / evidence.region_deviation
        mixed = (len(rows) * region + PRIOR_REGIONS * own) / (len(rows) + PRIOR_REGIONS) if rows else -np.inf
        both = np.log(np.exp(SHARPNESS * own) + np.exp(SHARPNESS * mixed)) / SHARPNESS
        value = {"images": own, "regions": region, "both": both}[within]
        if value > -np.inf:
            out.append((value, photo))
    return sorted(out, key=lambda pair: (-pair[0], pair[1]))


@pytest.mark.parametrize("within", ["images", "regions", "both"])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_are_those_of_plain_loops(filled: Callable[..., Derived], within: Within, seed: int) -> None:
    derived = filled(seed=seed)
    random = np.random.default_rng(100 + seed)
    for k, among in ((1, None), (10, None), (50, None), (200, None), (5, np.arange(0, 120, 3)), (3, np.array([7]))):
        vector = normalize(random.normal(size=(1, DIM)))[0]
        evidence = Evidence(derived, vector)
        ranked = evidence.ranked(k, among, within)
        wanted = naive(derived, evidence, within, range(120) if among is None else among.tolist())[:k]
        found = [value for value, photo in zip(ranked.evidence.tolist(), ranked.photos.tolist(), strict=True) if np.isfinite(value)][:k]
        np.testing.assert_allclose(found, [value for value, _ in wanted], atol=1e-4)
        assert len(set(ranked.photos.tolist())) == len(ranked.photos)
        if among is not None:
            assert set(ranked.photos.tolist()) <= set(among.tolist())


def test_the_region_of_a_hit_is_its_most_similar_one(filled: Callable[..., Derived], nearest_hits: Nearest) -> None:
    derived = filled()
    assert derived.regions is not None
    vector = normalize(np.random.default_rng(5).normal(size=(1, DIM)))[0]
    for hit in nearest_hits(derived, vector, Query((Term("x"),), k=30), within="both"):
        photo = int(hit.digest)
        start, end = (int(derived.regions.starts[photo + at]) for at in (0, 1))
        if start == end:
            assert hit.region is None
            assert hit.matched == "image"
            continue
        similarities = derived.regions.nearest.rows(np.arange(start, end)) @ vector
        assert hit.region is not None
        assert hit.region.number == int(similarities.argmax())
        assert hit.region.similarity == pytest.approx(float(similarities.max()), abs=1e-6)
        assert hit.region.box_xyxy[0] == hit.region.number  # as they were made
        assert hit.matched == ("region" if hit.region.z > hit.z else "image")


def test_a_condition_on_regions_says_which_may_match(filled: Callable[..., Derived], nearest_hits: Nearest) -> None:
    derived = filled()
    database = derived.database
    dogs = np.array([row for (row,) in database.execute("SELECT region FROM regions WHERE label = 'dog' ORDER BY region")])
    with_dogs = np.array([photo for (photo,) in database.execute("SELECT DISTINCT photo FROM regions WHERE label = 'dog' ORDER BY photo")])
    vector = normalize(np.random.default_rng(6).normal(size=(1, DIM)))[0]
    for within in ("regions", "both"):
        hits = nearest_hits(derived, vector, Query((Term("x"),), k=200), with_dogs, within=within, regions_among=dogs)  # type: ignore[arg-type]
        assert len(hits) == len(with_dogs)
        assert {hit.region and hit.region.label for hit in hits} == {"dog"}


def test_the_null_is_that_of_the_best_regions(filled: Callable[..., Derived]) -> None:
    derived = filled()
    assert derived.regions is not None
    vector = normalize(np.random.default_rng(7).normal(size=(1, DIM)))[0]
    starts = derived.regions.starts
    best = [float((derived.regions.nearest.rows(np.arange(a, b)) @ vector).max()) for a, b in pairwise(starts.tolist()) if b > a]
    mean, deviation, count = derived.regions.null(vector)
    assert (mean, deviation, count) == (pytest.approx(np.mean(best), abs=1e-5), pytest.approx(np.std(best), abs=1e-5), len(best))


def test_regions_without_a_vector_are_known_and_not_searched(library: Library, fill: Callable[..., Store], nearest_hits: Nearest) -> None:
    store = fill(["a", "b"], np.eye(2, DIM))
    regions = (Region((0.0, 0.0, 5.0, 5.0), "dog"), Region((1.0, 1.0, 9.0, 9.0), "cat"))
    with library.locked("test"):
        store.regions.put({"a": Annotation((10, 10), regions, "human-1")})
        make_derived(store)
    derived = open_derived(Library(library.folder))
    assert derived.regions is None
    assert derived.database.execute("SELECT label, region, photo FROM regions ORDER BY number").fetchall() == [
        ("dog", None, 0),
        ("cat", None, 0),
    ]
    recipe = Recipe("rows", "0" * 64, "fp32", "none", DIM)
    with library.locked("test"):
        store.regions.put_vectors(recipe, [("a", "human-1", 1)], np.eye(1, DIM, dtype=np.float32))
        make_derived(store)
    derived = open_derived(Library(library.folder))
    assert derived.database.execute("SELECT label, region FROM regions ORDER BY number").fetchall() == [("dog", None), ("cat", 0)]
    (hit,) = nearest_hits(derived, np.eye(1, DIM, dtype=np.float32)[0], Query((Term("x"),), k=5), within="regions")
    assert (hit.digest, hit.region and hit.region.label) == ("a", "cat")


def test_what_to_search_in_is_checked(library: Library, fill: Callable[..., Store], encoder: Any) -> None:
    with pytest.raises(UnknownName, match=r"'region'.*Did you mean 'regions'"):
        Query((Term("x"),), within="region")
    from indexer import build
    from search import search

    (library.folder.parent / "photos").mkdir()
    build(library, [library.folder.parent / "photos"], encoder)
    with pytest.raises(QueryError, match=r"no regions\. Find them: pellucid index .* --regions builtin"):
        search(Library(library.folder), Query((Term("x"),), within="regions"), encoder)


def test_masks_stay_in_the_store(filled: Callable[..., Derived]) -> None:
    """A thousand times a thousand masks of 3 kB would be most of a cache."""
    derived = filled(photos=20)
    assert "mask" not in {row[1] for row in derived.database.execute("PRAGMA table_info(regions)")}
    with pytest.raises(FilterError, match=r"no column 'region\.mask'"):
        matching_vectors(derived.database, "region.mask is null")


def test_a_condition_on_regions_is_answered_from_one_index(filled: Callable[..., Derived], monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the index of row numbers, SQLite would read every row of a million."""
    derived, seen = filled(), []
    run = filter_module._run
    monkeypatch.setattr(
        filter_module, "_run", lambda database, statement, where: (seen.append(statement), run(database, statement, where))[1]
    )
    filter_module.matching_regions(derived.database, "region.label = 'dog' and region.area > 0.05")
    plan = " ".join(row[3] for row in derived.database.execute(f"EXPLAIN QUERY PLAN {seen[0]}"))
    assert "region USING COVERING INDEX regions_by_photo" in plan


def test_a_region_that_answers_among_many_photos_is_judged_by_itself(filled: Callable[..., Derived]) -> None:
    """A search of regions alone takes each for a picture: one that is very near is strong, whatever its photo is like."""
    from types import SimpleNamespace

    from search.judging import judge
    from search.null_model import NullModel

    derived = filled()
    assert derived.regions is not None
    row = int(derived.regions.starts[derived.regions.photos[0]])
    encoder: Any = SimpleNamespace(recipe=SimpleNamespace(encoder="builtin"))
    query = Query((Term("x"),), within="regions", strictness=50)
    for vector, verdict in ((derived.regions.nearest.rows(np.array([row]))[0], "strong"), (np.zeros(DIM, np.float32), "none")):
        evidence = Evidence(derived, vector)
        ranked = evidence.ranked(5, None, "regions")
        sentence = judge(evidence, ranked, query, NullModel(0, *[0.0] * 6), encoder, derived.photos, "regions")
        assert sentence.verdict == verdict


def test_a_photo_that_a_condition_leaves_alone_is_no_better_for_it(filled: Callable[..., Derived]) -> None:
    from types import SimpleNamespace

    from search.judging import judge
    from search.null_model import NullModel

    derived, encoder = filled(), SimpleNamespace(recipe=SimpleNamespace(encoder="builtin"))
    evidence = Evidence(derived, normalize(np.ones((1, DIM), np.float32))[0])
    middling = np.array([evidence.ranked(derived.photos, None, "images").photos[30]])
    few = judge(evidence, evidence.ranked(5, middling, "images"), Query((Term("x"),)), NullModel(0, *[0.0] * 6), encoder, 120)  # type: ignore[arg-type]
    alone = float(evidence.ranked(5, middling, "images").similarities[0])
    assert few.unusual < (alone - 0.179 - 0.0303 * np.log(120)) / 0.0466  # what it would be without others behind it
