from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from indexer import Found, Report
from indexer.encoding import embed
from indexer.stages import Loaded, map_ahead
from preprocess import WeightsError
from search import PLAIN, Encoder


def test_the_order_is_that_of_the_items() -> None:
    def slow(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * 10

    with ThreadPoolExecutor(4) as pool:
        assert list(map_ahead(slow, range(40), pool, ahead=7)) == [item * 10 for item in range(40)]


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_no_more_than_ahead_are_taken(ahead: int) -> None:
    taken, most = 0, 0
    given = 0
    lock = threading.Lock()

    def items() -> Iterator[int]:
        nonlocal taken, most
        for item in range(30):
            taken += 1
            with lock:
                most = max(most, taken - given)
            yield item

    with ThreadPoolExecutor(4) as pool:
        for _ in map_ahead(lambda item: item, items(), pool, ahead):
            given += 1
    assert given == 30
    assert most == ahead


def test_an_endless_source_can_be_left() -> None:
    def endless() -> Iterator[int]:
        item = 0
        while True:
            yield item
            item += 1

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(lambda item: item, endless(), pool, ahead=4)
        assert [next(results) for _ in range(10)] == list(range(10))
        results.close()  # type: ignore[attr-defined]


def test_an_error_comes_where_its_item_was() -> None:
    def fail(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(fail, range(10), pool, ahead=4)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="three"):
            next(results)


def loaded(name: str, digest: str, value: int | None = 100) -> Loaded:
    prepared = {} if value is None else {PLAIN: np.full((16, 16, 3), value, np.uint8)}
    return Loaded(Found("/photos", name, 1, 1), {"root": "/photos", "path": name, "digest": digest}, prepared)


def test_batches_hold_every_photo_and_each_digest_once(encoder: Encoder) -> None:
    items = [loaded(f"{at}.jpg", f"d{at % 7}", at) for at in range(20)] + [loaded("known.jpg", "known", None)]
    embedded: set[tuple[str, str]] = set()
    batches = list(embed(items, encoder, embedded, Report()))
    assert [item.found.path for batch in batches for item in batch.items] == [item.found.path for item in items]
    assert [source for batch in batches for source in batch.sources] == [(PLAIN, f"d{at}") for at in range(7)]
    assert embedded == {(PLAIN, f"d{at}") for at in range(7)}
    assert [len(batch.sources) for batch in batches] == [encoder.batch_size, 3]
    for batch in batches:
        assert batch.vectors.shape == (len(batch.sources), encoder.recipe.dim)


def test_versions_of_a_photo_are_told_apart(encoder: Encoder) -> None:
    pixels = {PLAIN: np.full((16, 16, 3), 200, np.uint8), "dehazer-1": np.full((16, 16, 3), 20, np.uint8)}
    both = replace(loaded("hazy.jpg", "h"), prepared=pixels)
    (batch,) = embed([loaded("clear.jpg", "c"), both, replace(both)], encoder, {(PLAIN, "h")}, Report())
    assert batch.sources == [(PLAIN, "c"), ("dehazer-1", "h")]
    assert len(batch.items) == 3
    digests, vectors = batch.of("dehazer-1")
    assert digests == ["h"]
    np.testing.assert_array_equal(vectors, encoder.encode_images([pixels["dehazer-1"]]))
    assert batch.of("another") == ([], pytest.approx(np.zeros((0, encoder.recipe.dim))))


class Picky:
    """Refuses bright photos; like a model that runs out of memory on one of a batch."""

    def __init__(self, encoder: Encoder, error: type[Exception] = MemoryError) -> None:
        self.inner, self.error, self.calls = encoder, error, 0
        self.recipe, self.side, self.batch_size, self.prepare = encoder.recipe, encoder.side, encoder.batch_size, encoder.prepare

    def encode_images(self, prepared: Any) -> Any:
        self.calls += 1
        if any(photo.mean() > 200 for photo in prepared):
            raise self.error("too bright")
        return self.inner.encode_images(prepared)


def test_a_batch_that_fails_is_tried_photo_by_photo(encoder: Encoder) -> None:
    items = [
        loaded("a.jpg", "a"),
        loaded("bright.jpg", "x", 250),
        loaded("b.jpg", "b", 50),
        loaded("c.jpg", "c"),
        loaded("copy.jpg", "x", 250),
    ]
    report = Report()
    batches = list(embed(items, Picky(encoder), set(), report))  # type: ignore[arg-type]
    assert [digest for batch in batches for _, digest in batch.sources] == ["a", "b", "c"]
    assert [item.found.path for batch in batches for item in batch.items] == ["a.jpg", "b.jpg", "c.jpg"]
    assert set(report.failed) == {"/photos/bright.jpg", "/photos/copy.jpg"}
    assert all("could not be encoded: too bright" in message for message in report.failed.values())


def test_a_batch_in_which_all_fail_gives_no_rows(encoder: Encoder) -> None:
    (batch,) = embed([loaded("x.jpg", "x", 250)], Picky(encoder), set(), Report())  # type: ignore[arg-type]
    assert batch.items == batch.sources == []
    assert batch.vectors.shape == (0, encoder.recipe.dim)


def test_broken_weights_end_the_build_at_once(encoder: Encoder) -> None:
    picky = Picky(encoder, WeightsError)
    with pytest.raises(WeightsError):
        list(embed([loaded("x.jpg", "x", 250)], picky, set(), Report()))  # type: ignore[arg-type]
    assert picky.calls == 1


def test_importing_the_package_loads_neither_opencv_nor_a_runtime() -> None:
    code = "import indexer, sys; print([name for name in ('cv2', 'onnxruntime', 'faiss', 'lancedb') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
