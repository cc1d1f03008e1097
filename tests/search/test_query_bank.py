from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search import Encoder, bank_queries, bank_vectors
from search.query_bank import bank_file, kept_bank


class Counting:
    """An encoder that says how many texts it was given."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.recipe, self.texts = encoder, encoder.recipe, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def encode_texts(self, texts: Any) -> Any:
        self.texts += len(texts)
        return self.encoder.encode_texts(texts)


def test_a_few_hundred_queries_each_once() -> None:
    queries = bank_queries()
    assert 200 < len(queries) < 1000
    assert len(set(queries)) == len(queries)
    assert all(query == query.strip() and not query.startswith("#") for query in queries)


def test_they_are_encoded_once(tmp_path: Path, encoder: Encoder) -> None:
    counting: Any = Counting(encoder)
    first = bank_vectors(counting, tmp_path / "cache")
    assert counting.texts == len(bank_queries())
    np.testing.assert_array_equal(bank_vectors(counting, tmp_path / "cache"), first)
    assert counting.texts == len(bank_queries())
    np.testing.assert_allclose(first, encoder.encode_texts(bank_queries()), atol=1e-3)


@pytest.mark.parametrize("content", [b"", b"damaged", b"\x93NUMPY\x01\x00"])
def test_a_damaged_file_is_made_anew(content: bytes, tmp_path: Path, encoder: Encoder) -> None:
    rows = bank_vectors(encoder, tmp_path)
    file = bank_file(tmp_path, encoder.recipe.id)
    file.write_bytes(content)
    assert kept_bank(tmp_path, encoder.recipe.id) is None
    np.testing.assert_array_equal(bank_vectors(encoder, tmp_path), rows)
    assert kept_bank(tmp_path, encoder.recipe.id) is not None


def test_an_earlier_banks_file_goes_and_anothers_stays(tmp_path: Path, encoder: Encoder) -> None:
    old, other = tmp_path / f"bank-{encoder.recipe.id}-0123456789ab.npy", tmp_path / "bank-ffffffffffff-0123456789ab.npy"
    old.write_bytes(b"old")
    other.write_bytes(b"other")
    bank_vectors(encoder, tmp_path)
    assert not old.exists()
    assert other.exists()


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert bank_vectors(encoder, tmp_path / "file" / "cache").shape == (len(bank_queries()), encoder.recipe.dim)
