from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from preprocess import QueryError
from search import Hit, normalize
from search.arrange import NEARLY_EQUAL, arranged, collapse, diverse


def hit(name: str, similarity: float = 0.5, **columns: Any) -> Hit:
    return Hit("/photos", name, name, similarity, similarity * 10, columns)


def names(hits: list[Hit]) -> list[str]:
    return [one.path for one in hits]


def turned(*degrees: float) -> Any:
    return [np.array([np.cos(np.radians(at)), np.sin(np.radians(at))], np.float32) for at in degrees]


def test_what_looks_the_same_counts_once() -> None:
    limit = float(np.degrees(np.arccos(NEARLY_EQUAL)))
    vectors = dict(zip("abcd", turned(0, limit - 0.5, limit + 0.5, 90), strict=True))
    found = collapse([hit(name) for name in "abcd"], vectors)
    assert names(found) == ["a", "c", "d"]
    assert [one.also for one in found] == [("/photos/b",), (), ()]
    assert found[0].as_dict()["also"] == ["/photos/b"]
    assert "also" not in found[1].as_dict()


def test_each_is_with_the_one_it_is_most_like() -> None:
    vectors = dict(zip("abc", turned(0, 20, 12), strict=True))
    found = collapse([hit(name) for name in "abc"], vectors)
    assert [one.also for one in found] == [(), ("/photos/c",)]


def test_thousands_collapse_as_one_by_one() -> None:
    """In parts of some hundreds, each hit still goes to the most alike of all that lead before it."""
    random = np.random.default_rng(5)
    kinds = random.normal(size=(400, 8))
    rows = normalize(kinds[random.integers(0, 400, 1500)] + 0.25 * random.normal(size=(1500, 8)))
    hits = [hit(str(at)) for at in range(len(rows))]
    leaders: dict[int, list[str]] = {}
    for at, row in enumerate(rows):
        near = {leader: float(rows[leader] @ row) for leader in leaders}
        best = max(near, key=lambda leader: near[leader], default=None)
        if best is not None and near[best] >= NEARLY_EQUAL:
            leaders[best].append(f"/photos/{at}")
        else:
            leaders[at] = []
    found = collapse(hits, {str(at): row for at, row in enumerate(rows)})
    assert {int(one.path): list(one.also) for one in found} == leaders
    assert 500 < len(leaders) < 1400


def test_copies_collapse() -> None:
    row = turned(0)[0]
    assert [len(one.also) for one in collapse([hit("a"), hit("a"), hit("a")], {"a": row})] == [2]
    assert collapse([], {}) == []


def test_diverse_hits_are_unlike_each_other() -> None:
    hits = [hit("a", 0.50), hit("b", 0.49), hit("c", 0.48), hit("d", 0.40), hit("far", 0.10)]
    vectors = dict(zip(("a", "b", "c", "d", "far"), turned(0, 1, 2, 90, 180), strict=True))
    assert names(diverse(hits, vectors, 2)) == ["a", "d"]
    assert names(diverse(hits, vectors, 9))[0] == "a"
    assert sorted(names(diverse(hits, vectors, 9))) == sorted(names(hits))
    assert diverse([], {}, 3) == []


def test_diverse_of_photos_that_are_unlike_is_by_relevance() -> None:
    vectors = dict(zip("abcde", np.eye(5, dtype=np.float32), strict=True))
    hits = [hit(name, 0.5 - at / 10) for at, name in enumerate("abcde")]
    assert names(diverse(hits, vectors, 5)) == list("abcde")


def test_diverse_lowers_the_likeness_of_what_is_chosen() -> None:
    random = np.random.default_rng(3)
    rows = normalize(np.repeat(random.normal(size=(5, 16)), 8, axis=0) + 0.1 * random.normal(size=(40, 16)))
    query = normalize(rows.mean(0)[None])[0]
    hits = sorted((hit(str(at), float(row @ query)) for at, row in enumerate(rows)), key=lambda one: -one.similarity)
    vectors = {str(at): row for at, row in enumerate(rows)}

    def likeness(chosen: list[Hit]) -> float:
        own = np.array([vectors[one.digest] for one in chosen])
        return float((own @ own.T)[np.triu_indices(len(own), 1)].mean())

    assert likeness(diverse(hits, vectors, 5)) < likeness(hits[:5]) - 0.3


def test_orders() -> None:
    hits = [
        hit("a", 0.3, taken_at="2020-01-01"),
        hit("b", 0.9),
        hit("c", 0.5, taken_at="2024-05-01", quality=0.2),
        hit("d", 0.4, quality=0.9),
    ]
    assert names(arranged(hits, "relevance")) == ["a", "b", "c", "d"]
    assert names(arranged(hits, "date")) == ["c", "a", "b", "d"]
    assert names(arranged(hits, "similarity")) == ["b", "c", "d", "a"]
    assert names(arranged(hits, "quality")) == ["d", "c", "a", "b"]
    assert names(arranged([*hits, hit("e", rating=0.1)], "quality"))[0] == "e"  # what people would say counts, where it is known
    assert arranged([], "quality") == []
    with pytest.raises(QueryError, match="pellucid score"):
        arranged(hits[:2], "quality")
