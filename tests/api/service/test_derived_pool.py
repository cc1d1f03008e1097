"""Caches that stay open between requests, and what is computed once for each state."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import search
from api.service import derived_pool
from api.service.cursor import Cursor
from api.service.derived_pool import DerivedPool
from api.service.kept import Kept
from api.service.text_vectors import RememberingEncoder
from preprocess import FilterError, LibraryNotFound, QueryError, StorageFull
from search import Library, Store

Fill = Callable[..., Store]


@pytest.fixture
def opened_count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one entry with each cache that is opened."""
    counts: list[int] = []
    open_derived = search.open_derived

    def counted(*given: Any) -> Any:
        counts.append(1)
        return open_derived(*given)

    monkeypatch.setattr(search, "open_derived", counted)
    return counts


def test_a_cache_is_opened_once_for_requests_in_turn(library: Library, fill: Fill, opened_count: list[int]) -> None:
    fill(["a", "b"], np.eye(2))
    pool = DerivedPool()
    seen = set()
    for _ in range(5):
        with pool.borrowed(library) as opened:
            seen.add(id(opened.derived))
    assert len(seen) == len(opened_count) == len(pool.idle) == 1


def test_no_two_threads_hold_one(library: Library, fill: Fill, opened_count: list[int]) -> None:
    fill(["a", "b"], np.eye(2))
    pool = DerivedPool()
    held: set[int] = set()
    lock, meeting = threading.Lock(), threading.Barrier(4)

    def hold(_: int) -> None:
        with pool.borrowed(library) as opened:
            with lock:
                assert id(opened) not in held
                held.add(id(opened))
            meeting.wait(20)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(hold, range(4)))
    assert len(held) == len(opened_count) == len(pool.idle) == 4
    pool.close()
    assert pool.idle == []


def test_a_write_brings_the_next_request_a_fresh_one(library: Library, fill: Fill) -> None:
    fill(["a"], np.eye(2)[:1])
    pool = DerivedPool()
    with pool.borrowed(library) as before:
        assert before.derived.photos == 1
    fill(["b"], np.eye(2)[1:])
    with pool.borrowed(library) as after:
        assert after.derived.photos == 2
        assert after.state != before.state
    assert [opened.state for opened in pool.idle] == [after.state]
    with pytest.raises(sqlite3.ProgrammingError):
        before.derived.database.execute("SELECT 1")


def test_one_that_failed_is_not_handed_out_again(library: Library, fill: Fill) -> None:
    fill(["a"], np.eye(2)[:1])
    pool = DerivedPool()
    with pytest.raises(OSError, match="disk"), pool.borrowed(library):
        raise OSError("disk")
    assert pool.idle == []
    with pytest.raises(FilterError), pool.borrowed(library):
        raise FilterError("a wrong condition says nothing of the cache")
    assert len(pool.idle) == 1


def test_a_library_that_cannot_be_written_is_made_a_cache_once(
    library: Library, fill: Fill, opened_count: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    import search.derived as module

    fill(["a"], np.eye(2)[:1])
    make = module._made

    def read_only(library: Library, recipe_id: str | None, cache: Any = None) -> Any:
        if cache is None:
            raise StorageFull("no room")
        return make(library, recipe_id, cache)

    monkeypatch.setattr(module, "_made", read_only)
    pool = DerivedPool()
    for _ in range(3):
        with pool.borrowed(library) as opened:
            assert opened.derived.photos == 1
    (kept,) = pool.idle
    assert kept.derived.folder.is_dir()
    assert len(opened_count) == 1
    pool.close()
    assert not kept.derived.folder.exists()


def test_an_empty_library_says_so(library: Library) -> None:
    with pytest.raises(LibraryNotFound), DerivedPool().borrowed(library):
        pass


def test_while_a_build_writes_requests_do_not_wait_for_the_next_cache(
    library: Library, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(["a"], np.eye(2)[:1])
    pool = DerivedPool()
    with pool.borrowed(library):
        pass
    goes_on, begun = threading.Event(), threading.Event()
    open_derived = search.open_derived

    def slow(*given: Any) -> Any:
        begun.set()
        assert goes_on.wait(20)
        return open_derived(*given)

    monkeypatch.setattr(search, "open_derived", slow)
    writer = Library(library.folder)
    with writer.locked("test"):
        fill(["b"], np.eye(2)[1:])
        with pool.borrowed(library) as opened:
            assert opened.derived.photos == 1
        assert begun.wait(20)
        goes_on.set()
        deadline = time.monotonic() + 20
        while not any(opened.derived.photos == 2 for opened in pool.idle) and time.monotonic() < deadline:
            time.sleep(0.01)
        with pool.borrowed(library) as opened:
            assert opened.derived.photos == 2
        monkeypatch.setattr(derived_pool, "RENEWAL_S", 1e9)
        fill(["c"], np.eye(2)[:1])
        with pool.borrowed(library) as opened:
            assert opened.derived.photos == 2
    with pool.borrowed(library) as opened:  # nothing writes any more
        assert opened.derived.photos == 3


def test_a_value_is_made_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    assert monkeypatch is not None
    kept: Kept[int] = Kept(2)
    made: list[str] = []

    def make(name: str) -> int:
        made.append(name)
        time.sleep(0.05)
        return len(name)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: kept.get("one", lambda: make("one")), range(8))) == {3}
    assert made == ["one"]
    kept.get("two", lambda: make("two"))
    kept.get("three", lambda: make("three"))
    kept.get("one", lambda: make("one"))
    assert made == ["one", "two", "three", "one"]


def test_a_value_that_could_not_be_made_is_tried_again() -> None:
    kept: Kept[int] = Kept(2)
    with pytest.raises(ZeroDivisionError):
        kept.get("x", lambda: 1 // 0)
    assert kept.get("x", lambda: 7) == 7


def test_remembered_texts_have_the_rows_of_the_encoder(make_encoder: Any) -> None:
    encoder = make_encoder()
    remembering = RememberingEncoder(encoder, most=2)
    for texts in (["red", "blue"], ["blue", "red", "blue"], ["green"], ["red"], []):
        np.testing.assert_array_equal(remembering.encode_texts(texts), encoder.encode_texts(texts).reshape(-1, encoder.recipe.dim))
    assert remembering.recipe is encoder.recipe
    assert remembering.grid == encoder.grid  # whatever else it has


@pytest.mark.parametrize("at", [0, 1, 10**9])
def test_a_cursor_says_what_it_was_made_of(at: int) -> None:
    token = Cursor(at, "query", "state").token()
    assert Cursor.of(token, "query", "another state") == Cursor(at, "query", "state")
    assert token.replace("-", "").replace("_", "").isalnum()
    with pytest.raises(QueryError, match="another query"):
        Cursor.of(token, "another", "state")
    for damaged in (token[:-3], token + "!", "x" * 501, ""):
        with pytest.raises(QueryError, match="damaged"):
            Cursor.of(damaged, "query", "state")
