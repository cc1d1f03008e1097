"""Which photo an image of another tool's file is: by its digest, its name, or the end of its name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import unquote

_SERVED = "/data/local-files/?d="  # how Label Studio names files that it serves
_UPLOADED = re.compile("[0-9a-f]{8}-")  # what Label Studio puts before the names of files that were uploaded


@dataclass(frozen=True, slots=True)
class KnownPhoto:
    """A photo that a file may be about. `name` is its own, `others` are further ones; both are POSIX. `size_wh` is the upright photo's in pixels."""

    name: str
    digest: str
    size_wh: tuple[int, int]
    others: tuple[str, ...] = ()


class PhotoNames:
    """Known photos by everything that a file may call them."""

    def __init__(self, photos: Iterable[KnownPhoto]) -> None:
        self._own: dict[str, list[KnownPhoto]] = {}
        self._other: dict[str, list[KnownPhoto]] = {}
        self._base: dict[str, list[tuple[tuple[str, ...], KnownPhoto]]] = {}
        self._digest: dict[str, list[KnownPhoto]] = {}
        for photo in photos:
            self._digest.setdefault(photo.digest, []).append(photo)
            self._own.setdefault(_composed(photo.name), []).append(photo)
            for name in dict.fromkeys(map(_composed, photo.others)):
                self._other.setdefault(name, []).append(photo)
            parts = tuple(reversed(_composed(photo.name).split("/")))
            self._base.setdefault(parts[0], []).append((parts, photo))

    def find(self, names: Sequence[str], digest: object = None) -> tuple[KnownPhoto, ...]:
        """The photos that something with these names may be; several where it is ambiguous, or where copies of one photo lie at several places.

        A digest decides, also as the name of the file. Then come whole names, and then their ends: the photos with the same last part, and of these the
        ones that agree in the most parts before it. The first of the names that fits photos of one digest decides.
        """
        found = [self._find(name, digest) for name in names if name]
        return next((some for some in found if len({photo.digest for photo in some}) == 1), next((some for some in found if some), ()))

    def _find(self, name: str, digest: object) -> tuple[KnownPhoto, ...]:
        tries = list(dict.fromkeys(_composed(each) for each in (name, _plain(name), unquote(_plain(name)))))
        named = next((photos for names in (self._own, self._other) for each in tries if (photos := names.get(each))), [])
        last = tries[-1].rpartition("/")[2]
        same = self._digest.get(digest if isinstance(digest, str) else last.partition(".")[0], [])
        if same:
            return tuple([photo for photo in named if photo in same] or same)
        if named:
            return tuple(named)
        tries += [_UPLOADED.sub("", each.rpartition("/")[2], count=1) for each in tries]
        return next((some for each in tries if (some := self._ending(each))), ())

    def _ending(self, name: str) -> tuple[KnownPhoto, ...]:
        parts = tuple(reversed(name.split("/")))
        shared = [(_shared(parts, own), photo) for own, photo in self._base.get(parts[0], ())]
        most = max((count for count, _ in shared), default=0)
        return tuple(photo for count, photo in shared if count == most)


def _shared(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _plain(name: str) -> str:
    """The path that a tool's name means: with forward slashes, without what leads to it."""
    if _SERVED in name:
        name = unquote(name.partition(_SERVED)[2])
    parts = name.removeprefix("file://").replace("\\", "/").split("/")
    while len(parts) > 1 and parts[0] in (".", ".."):
        parts = parts[1:]
    return "/".join(parts)


def _composed(name: str) -> str:
    """With accents as macOS, Windows and Linux can agree on them."""
    return unicodedata.normalize("NFC", name)
