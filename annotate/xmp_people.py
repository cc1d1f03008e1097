"""Keywords in sidecars that people gave: all but those that we wrote there ourselves, so that our own tags do not come back as the photographer's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from preprocess import InputError, PellucidError, sidecar_keywords

from .xmp_document import XmpDocument
from .xmp_event import adds_of
from .xmp_file import read_sidecar, sidecar_paths
from .xmp_items import XmpItems, fold
from .xmp_journal import JOURNAL, XmpJournal, journal_held
from .xmp_moved import digests_of, origin_of

_MOST_LETTERS = 200  # of a word that `sidecar_keywords` gives


class PeopleKeywords:
    """`sidecar_keywords` of a photo without what the journal in a folder says is ours; all of them where there is no journal.

    The journal is read once, when this is made, by who holds the library; after that, many threads may ask. Where a sidecar of ours was moved or copied, the journal
    follows it, so that it is known in its new place even when another program has written there since.

    A word stays where somebody else has written it too: as a keyword of its own, or as a level of a hierarchy. It goes also from lists that we do not write,
    such as digiKam's, because programs copy keywords from one list into the others.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = XmpJournal(folder) if (folder / JOURNAL).is_file() else None
        self._one = threading.Lock()

    def __call__(self, photo: Path) -> tuple[str, ...]:
        """The words, in their order. Never raises for what is in the sidecars."""
        words = sidecar_keywords(photo)
        if self._journal is None:
            return words
        ours: set[str] = set()
        theirs: set[str] = set()
        for sidecar in sidecar_paths(photo, "both"):
            data = _bytes_of(sidecar)
            with self._one:
                written = self._written(self._journal, photo, sidecar, data)
            ours.update(_words(written))
            theirs.update(_words(_items(data).minus(written)))
        return tuple(word for word in words if _key(word) not in ours - theirs)

    def _written(self, journal: XmpJournal, photo: Path, sidecar: Path, data: bytes | None) -> XmpItems:
        if data is None or journal.events(sidecar):
            return journal.written(sidecar)
        photos = cache(lambda: digests_of(photo))
        origin = origin_of(journal, sidecar, data, photos)
        if origin:
            try:
                with journal_held(self._folder):
                    journal.follow(sidecar, data, photos)
            except PellucidError:  # nobody's keywords hang on whether the library's disk is full
                pass
        return adds_of(origin)


def _bytes_of(sidecar: Path) -> bytes | None:
    try:
        return read_sidecar(sidecar)
    except InputError:
        return None


def _items(data: bytes | None) -> XmpItems:
    """What is in them; nothing where they cannot be understood."""
    try:
        return XmpItems() if data is None else XmpDocument(data).items()
    except InputError:
        return XmpItems()


def _words(items: XmpItems) -> Iterator[str]:
    for text in (*items.subjects, *(level for path in items.paths for level in path.split("|"))):
        yield _key(text)


def _key(word: str) -> str:
    return fold(" ".join(word.split())[:_MOST_LETTERS])
