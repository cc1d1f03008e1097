"""Keywords in sidecars that people gave: all but those that we wrote there ourselves, so that our own tags do not come back as the photographer's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from preprocess import InputError, sidecar_keywords

from .xmp_document import XmpDocument
from .xmp_file import read_sidecar, sidecar_paths
from .xmp_items import XmpItems, fold
from .xmp_journal import JOURNAL, XmpJournal

_MOST_LETTERS = 200  # of a word that `sidecar_keywords` gives


class PeopleKeywords:
    """`sidecar_keywords` of a photo without what the journal in a folder says is ours; all of them where there is no journal.

    The journal is read once, when this is made, by who holds the library; after that, many threads may ask.

    A word stays where somebody else has written it too: as a keyword of its own, or as a level of a hierarchy. It goes also from lists that we do not write,
    such as digiKam's, because programs copy keywords from one list into the others.
    """

    def __init__(self, folder: Path) -> None:
        self._journal = XmpJournal(folder) if (folder / JOURNAL).is_file() else None

    def __call__(self, photo: Path) -> tuple[str, ...]:
        """The words, in their order. Never raises for what is in the sidecars."""
        words = sidecar_keywords(photo)
        if self._journal is None or not words:
            return words
        ours: set[str] = set()
        theirs: set[str] = set()
        for sidecar in sidecar_paths(photo, "both"):
            written = self._journal.written(sidecar)
            ours.update(_words(written))
            theirs.update(_words(_items(sidecar).minus(written)))
        return tuple(word for word in words if _key(word) not in ours - theirs)


def _items(sidecar: Path) -> XmpItems:
    """What is in it; nothing where it is not there or cannot be understood."""
    try:
        data = read_sidecar(sidecar)
        return XmpItems() if data is None else XmpDocument(data).items()
    except InputError:
        return XmpItems()


def _words(items: XmpItems) -> Iterator[str]:
    for text in (*items.subjects, *(level for path in items.paths for level in path.split("|"))):
        yield _key(text)


def _key(word: str) -> str:
    return fold(" ".join(word.split())[:_MOST_LETTERS])
