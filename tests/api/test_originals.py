"""Originals are never written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.wiring import write_text
from preprocess import InputError


@pytest.mark.parametrize("name", ["photo.jpg", "Photo.PNG", "photo.heic", "photo.nef"])
def test_a_page_is_not_written_over_a_photo(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"original")
    with pytest.raises(InputError, match=r"\.html"):
        write_text(tmp_path / name, "<html>")
    assert (tmp_path / name).read_bytes() == b"original"
