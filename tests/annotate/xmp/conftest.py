"""Sidecars of several programs, a journal, and items to write."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotate.xmp_document import XmpDocument
from annotate.xmp_items import Keyword, NamedArea, XmpItems, keyword_items
from annotate.xmp_journal import XmpJournal, open_journal

SAMPLES = sorted(Path(__file__).parent.glob("*.xmp"))
DOG = NamedArea("dog", "Pet", 0.25, 0.75, 0.1, 0.2)


def items(*words: str, areas: tuple[NamedArea, ...] = (), size_wh: tuple[int, int] = (4000, 3000)) -> XmpItems:
    return keyword_items([Keyword(("things", word)) for word in words], "auto|").plus(XmpItems(areas=areas, size_wh=size_wh))


def there(sidecar: Path) -> set[str]:
    return set(XmpDocument(sidecar.read_bytes()).items().subjects)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[XmpJournal]:
    with open_journal(tmp_path / "library") as journal:
        yield journal


@pytest.fixture
def sidecar(tmp_path: Path) -> Path:
    return Path(shutil.copy(SAMPLES[-2], tmp_path / "IMG_1.xmp"))
