from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexer import BuildOptions, WalkOptions, first_photos
from preprocess import InputError
from search import Library

Paint = Callable[..., Path]


def test_the_first_photos_that_can_be_read(library: Library, photos: Path) -> None:
    (photos / "a broken one.png").write_bytes(b"damaged")
    (photos / "notes.txt").write_text("not a photo")
    found = first_photos(library, [photos], 16, BuildOptions(), 4)
    assert [photo.shape for photo in found] == [(16, 24, 3)] * 4
    assert [tuple(photo[0, 0].tolist()) for photo in found] == [
        (8, 8, 8),
        (30, 50, 220),
        (40, 210, 220),
        (30, 190, 40),
    ]  # black, blue, cyan, green
    assert len(first_photos(library, [photos], 16, BuildOptions())) == 10
    assert len(first_photos(library, [photos], 16, BuildOptions(walk=WalkOptions(exclude=("b*",))))) == 8


def test_no_more_is_read_than_needed(library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from indexer import first

    reads: list[Path] = []
    whole = first.read_image
    monkeypatch.setattr(first, "read_image", lambda file, *rest: (reads.append(file), whole(file, *rest))[1])
    assert len(first_photos(library, [photos], 16, BuildOptions(jobs=1), 2)) == 2
    assert len(reads) < 10


def test_large_photos_are_reduced(library: Library, paint: Paint, tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "large.png", "red", seed=1, size=(1000, 650))
    (photo,) = first_photos(library, [tmp_path / "photos"], 64, BuildOptions())
    assert photo.shape == (130, 200, 3)
    assert photo.dtype == np.uint8
    assert photo.reshape(-1, 3).std(0).max() < 5  # averaged: the grain had 12
    (same,) = first_photos(library, [tmp_path / "photos"], 200, BuildOptions())
    assert same.shape == (650, 1000, 3)


def test_roots_that_are_refused(library: Library, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        first_photos(library, [tmp_path / "none"], 16, BuildOptions())
    with pytest.raises(InputError, match="Give a folder to index"):
        first_photos(library, [], 16, BuildOptions())
