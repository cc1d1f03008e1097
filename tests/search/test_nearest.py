"""The contract of every nearest index in `INDEXES`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from preprocess import LibraryDamaged
from search import INDEXES, NearestIndex, normalize

TOLERANCE = 2e-3  # rows are kept as float16

pytestmark = pytest.mark.parametrize("name", list(INDEXES))


def index_of(name: str, rows: np.ndarray, file: Path) -> NearestIndex:
    kind = INDEXES[name]()
    kind.write(rows, file)
    return kind.read(file)


def random_rows(count: int, dim: int = 64, seed: int = 5) -> np.ndarray:
    return normalize(np.random.default_rng(seed).normal(size=(count, dim)))


def stored(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.float16).astype(np.float32)


def test_it_is_exact(name: str, tmp_path: Path) -> None:
    rows, queries = random_rows(1000), random_rows(20, seed=6)
    index = index_of(name, rows, tmp_path / "i")
    exact = queries @ stored(rows).T
    for query, (similarities, numbers) in zip(exact, index.search(queries, 10), strict=True):
        best = np.sort(query)[::-1][:10]
        np.testing.assert_allclose(similarities, best, atol=1e-5)
        np.testing.assert_allclose(query[numbers], best, atol=1e-5)


def test_rows_may_come_in_parts(name: str, tmp_path: Path) -> None:
    rows = random_rows(5000)
    kind = INDEXES[name]()
    kind.write(rows[:3000], tmp_path / "parts", rows[3000:3000], rows[3000:])
    kind.write(rows, tmp_path / "whole")
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_similarity_is_cosine_and_falls(name: str, tmp_path: Path) -> None:
    rows = normalize(np.array([[1, 0], [1, 1], [0, 1], [-1, 0]]))
    similarities, numbers = index_of(name, rows, tmp_path / "i").search(rows[:1], 4)[0]
    assert numbers.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(similarities, [1, 0.7071, 0, -1], atol=TOLERANCE)


def test_each_row_is_its_own_nearest(name: str, tmp_path: Path) -> None:
    rows = random_rows(200)
    found = index_of(name, rows, tmp_path / "i").search(rows, 1)
    assert [int(numbers[0]) for _, numbers in found] == list(range(200))
    np.testing.assert_allclose([similarities[0] for similarities, _ in found], 1, atol=TOLERANCE)


@pytest.mark.parametrize("k", [3, 4, 1000])
def test_k_may_exceed_the_rows(name: str, k: int, tmp_path: Path) -> None:
    similarities, numbers = index_of(name, random_rows(3), tmp_path / "i").search(random_rows(1, seed=9), k)[0]
    assert sorted(numbers.tolist()) == [0, 1, 2]
    assert len(similarities) == 3
    assert np.isfinite(similarities).all()


def test_no_rows_and_no_queries_give_nothing(name: str, tmp_path: Path) -> None:
    empty = index_of(name, random_rows(3)[:0], tmp_path / "empty")
    assert len(empty) == 0
    assert [len(numbers) for _, numbers in empty.search(random_rows(2), 5)] == [0, 0]
    assert index_of(name, random_rows(3), tmp_path / "full").search(random_rows(2)[:0], 5) == []


@pytest.mark.parametrize("among", [[], [7], [0, 1, 2], [5, 400, 999], list(range(0, 1000, 3))])
def test_among_is_applied_before_the_search(name: str, among: list[int], tmp_path: Path) -> None:
    rows, query = random_rows(1000), random_rows(1, seed=8)
    exact = stored(rows) @ query[0]
    wanted = sorted(among, key=lambda number: -exact[number])[:5]
    similarities, numbers = index_of(name, rows, tmp_path / "i").search(query, 5, np.array(among, np.int64))[0]
    assert numbers.tolist() == wanted
    np.testing.assert_allclose(similarities, exact[wanted], atol=1e-5)


@pytest.mark.parametrize("k", [1, 7, 150, 299])
def test_ties_come_by_row_number(name: str, k: int, tmp_path: Path) -> None:
    rows = np.zeros((300, 8), np.float32)
    rows[:, 0] = 1
    near = np.arange(300) % 3 == 1
    rows[near, 0], rows[near, 1] = 0, 1
    query = normalize(np.array([[0.2, 1] + [0] * 6]))
    numbers = index_of(name, rows, tmp_path / "i").search(query, k)[0][1]
    expected = [*np.flatnonzero(near), *np.flatnonzero(~near)]
    assert numbers.tolist() == [int(number) for number in expected[:k]]


def test_reopened_it_answers_the_same(name: str, tmp_path: Path) -> None:
    rows, queries = random_rows(500), random_rows(5, seed=7)
    first = index_of(name, rows, tmp_path / "i").search(queries, 20)
    again = INDEXES[name]().read(tmp_path / "i").search(queries, 20)
    for (a, b), (c, d) in zip(first, again, strict=True):
        assert a.tolist() == c.tolist()
        assert b.tolist() == d.tolist()


def test_rows_come_back(name: str, tmp_path: Path) -> None:
    rows = random_rows(50)
    index = index_of(name, rows, tmp_path / "i")
    np.testing.assert_array_equal(index.rows(np.array([49, 0, 7])), stored(rows)[[49, 0, 7]])
    assert index.rows(np.array([], np.int64)).shape == (0, 64)


@pytest.mark.parametrize("content", [b"", b"no index at all" * 20])
def test_a_damaged_file_is_named_with_the_remedy(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.faiss").write_bytes(content)
    with pytest.raises(LibraryDamaged, match=r"broken\.faiss does not open.*pellucid compact"):
        INDEXES[name]().read(tmp_path / "broken.faiss")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=arrays.arrays(np.int8, st.tuples(st.integers(1, 40), st.just(6)), elements=st.integers(-3, 3)),
    query=arrays.arrays(np.int8, 6, elements=st.integers(-3, 3)),
    k=st.integers(1, 60),
    data=st.data(),
)
def test_any_rows_any_question(name: str, rows: np.ndarray, query: np.ndarray, k: int, data: st.DataObject, tmp_path: Path) -> None:
    """Never a padding row, never one that is not among, never fewer than there are, and never a worse one before a better one."""
    units = normalize(rows)
    among = data.draw(st.none() | st.lists(st.integers(0, len(rows) - 1), unique=True))
    allowed = range(len(rows)) if among is None else among
    index = index_of(name, units, tmp_path / "i")
    similarities, numbers = index.search(normalize(query[None]), k, None if among is None else np.array(among, np.int64))[0]
    assert len(numbers) == len(set(numbers.tolist())) == min(k, len(allowed))
    assert set(numbers.tolist()) <= set(allowed)
    exact = stored(units) @ normalize(query[None])[0]
    np.testing.assert_allclose(similarities, np.sort(exact[list(allowed)])[::-1][:k], atol=1e-5)
    pairs = list(zip((-similarities).tolist(), numbers.tolist(), strict=True))
    assert pairs == sorted(pairs)
