"""How much more a search of regions finds for want of an answer, against the same by single searches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from annotate import Annotation, Region
from search import Derived, Library, Query, Recipe, Store, Term, Vectors, make_derived, normalize, open_derived
from search.evidence import Evidence
from search.judging import judge, null_of
from search.null_model import TOP, NullModel, Shift, level
from search.null_shift import measure_null, measure_shifts
from search.query import Within
from search.query_bank import bank_file, bank_queries

DIM = 16
Fill = Callable[..., Store]


@pytest.fixture
def filled(library: Library, fill: Fill) -> Callable[..., Derived]:
    """A cache of random photos with random regions, up to five each."""

    def make(photos: int = 150, most: int = 5) -> Derived:
        random = np.random.default_rng(3)
        vectors = random.normal(size=(photos, DIM))
        store = fill([f"{at:04}" for at in range(photos)], vectors)
        kept, keys, rows = {}, [], []
        for at in range(photos):
            count = int(random.integers(0, most + 1))
            regions = tuple(Region((float(n), 0.0, n + 1.0, 1.0), "part", 0.8, area=0.1) for n in range(count))
            kept[f"{at:04}"] = Annotation((100, 100), regions, "random-1")
            keys += [(f"{at:04}", "random-1", n) for n in range(count)]
            rows += list(random.normal(size=(count, DIM)))
        with library.locked("test"):
            store.regions.put_vectors(Recipe("rows", "0" * 64, "fp32", "none", DIM), keys, normalize(np.array(rows)))
            store.regions.put(kept)
            make_derived(store)
        return open_derived(Library(library.folder))

    return make


def bank(count: int = 60) -> Vectors:
    return normalize(np.random.default_rng(9).normal(size=(count, DIM)))


def levels(derived: Derived, within: Within, kind: str, rows: Vectors, itself: bool) -> list[float]:
    """By one search after another, as verdicts are made of it."""
    found = []
    for at, row in enumerate(rows):
        evidence = Evidence(derived, row, kind)
        among = np.setdiff1d(np.arange(derived.photos), [at]) if itself else None
        ranked = evidence.ranked(derived.photos, among, within)
        similar = ranked.region_similarities if within == "regions" else evidence.mean + ranked.evidence * evidence.deviation
        found.append(float(level(np.asarray(similar[:TOP]))))
    return found


@pytest.mark.parametrize(("at", "within"), [(0, "both"), (3, "regions")])
def test_it_is_the_difference_between_searches(filled: Callable[..., Derived], at: int, within: Within) -> None:
    derived = filled()
    shifts = measure_shifts(bank(), derived)
    assert len(shifts) == 6
    pictures = derived.nearest.rows(np.arange(derived.photos))
    for kind, rows, place in (("text", bank(), at), ("image", pictures, at + 1)):
        own, images = (np.array(levels(derived, way, kind, rows, kind == "image")) for way in (within, "images"))  # type: ignore[arg-type]
        assert shifts[place].mean == pytest.approx(own.mean() - images.mean(), abs=2e-3)
        assert shifts[place].ratio == pytest.approx(own.std() / images.std(), rel=0.05)


def test_generic_queries_are_as_usual_in_both_as_in_photos(filled: Callable[..., Derived]) -> None:
    """What the shift is for: probabilities of queries without an answer do not depend on what is searched."""
    derived = filled()

    class Unknown:
        recipe = Recipe("nobody", "0", "fp32", "none", DIM)
        model = None

    null = measure_null(bank(), derived)
    queries = normalize(np.random.default_rng(10).normal(size=(80, DIM)))
    for terms in ((Term("x"),), (Term("x"), Term("y"))):
        means = {}
        for within in ("images", "both", "regions"):
            query = Query(terms, within=within)
            judged = [
                judge(evidence, evidence.ranked(10, None, within), query, null, Unknown(), derived.photos, within)  # type: ignore[arg-type]
                for evidence in (Evidence(derived, row) for row in queries)
            ]
            means[within] = np.mean([sentence.unusual for sentence in judged])
        assert means["both"] == pytest.approx(means["images"], abs=0.12)
        assert means["regions"] == pytest.approx(means["images"], abs=0.35)


def test_none_where_no_region_tells_it(library: Library, fill: Fill) -> None:
    fill([f"{at}" for at in range(40)], np.random.default_rng(0).normal(size=(40, DIM)))
    assert measure_null(bank(), open_derived(library)).shifts == ()
    assert NullModel(1, *[0.0] * 6).shift("both", "words") == Shift()


def test_none_of_a_handful_of_photos(filled: Callable[..., Derived]) -> None:
    assert measure_shifts(bank(), filled(photos=TOP)) == ()
    assert len(measure_shifts(bank(), filled(photos=TOP + 1))) == 6


def test_few_regions(filled: Callable[..., Derived]) -> None:
    """Of forty photos some have one region: what lacks is no region at minus infinity."""
    shifts = measure_shifts(bank(), filled(photos=40, most=1))
    assert len(shifts) == 6
    assert np.isfinite([(shift.mean, shift.ratio) for shift in shifts]).all()


def test_it_is_measured_with_the_rest_and_kept(library: Library, filled: Callable[..., Derived]) -> None:
    """At the end of a build where the bank's vectors are at hand, else by the first search."""
    derived = filled()

    class Words:
        recipe = Recipe("rows", "0" * 64, "fp32", "none", DIM)

        def encode_texts(self, texts: list[str]) -> Vectors:
            return bank(len(texts))

    first = null_of(derived, library, Words())  # type: ignore[arg-type]
    assert len(first.shifts) == 6
    assert NullModel.load(derived.folder) == first
    assert bank_file(library.cache, Words.recipe.id).is_file()
    store = Store(library)
    store.drop_images([("/photos", "0149.jpg")])
    built = NullModel.load(make_derived(store))
    assert built is not None
    assert built.count == 149
    assert len(built.shifts) == 6
    assert len(bank_queries()) > 100
