"""The file of a photo, opened once and for reading: only within an indexed root, and only as long as its bytes are those that were indexed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import HTTPException

from preprocess import Limits

from .photo_rows import Place

_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)
_STEPS = os.open in os.supports_dir_fd
_PART = 1 << 20


@dataclass(frozen=True, slots=True)
class OriginalFile:
    """An open file of a photo, whose bytes are those that were indexed. `descriptor` is its number; who opened it closes it."""

    descriptor: int
    place: Place
    size: int

    def read(self, limits: Limits) -> bytes:
        """The whole file.

        Raises:
            HTTPException: 409 where it changed while it was read, 413 where it is larger than photos may be.
        """
        if self.size > limits.max_bytes:
            raise HTTPException(413, f"{self.place.path} has {self.size / 1e6:,.1f} MB, more than this service reads.")
        before = os.fstat(self.descriptor)
        data = b"".join(_parts(self.descriptor, self.size))
        after = os.fstat(self.descriptor)
        if len(data) != self.size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise _changed(self.place)
        return data

    def close(self) -> None:
        """Let the file go."""
        os.close(self.descriptor)


def open_original(roots: Collection[str], places: Sequence[Place], digest: str) -> OriginalFile:
    """The first of a photo's places that still holds its bytes, open.

    Size and time of modification tell whether it may have changed; where they differ from those that were indexed, the digest of its bytes decides.

    Raises:
        HTTPException: 404 where there is no such photo, 403 where it lies outside of the indexed roots, 409 where the file has changed, 410 where it is gone.
    """
    if not places:
        raise HTTPException(404, f"The library has no photo with the digest {digest}.")
    refused: list[HTTPException] = []
    for place in places:
        try:
            return _opened(roots, place, digest)
        except HTTPException as error:
            refused.append(error)
    raise min(refused, key=lambda error: (409, 403, 410).index(error.status_code))


@contextmanager
def original(roots: Collection[str], places: Sequence[Place], digest: str) -> Iterator[OriginalFile]:
    """`open_original`, closed in the end."""
    file = open_original(roots, places, digest)
    try:
        yield file
    finally:
        file.close()


def is_there(roots: Collection[str], place: Place) -> bool:
    """Whether there is a file now where a photo was indexed."""
    return place.root in roots and Path(place.root, place.path).is_file()


def _opened(roots: Collection[str], place: Place, digest: str) -> OriginalFile:
    if place.root not in roots:
        raise _outside(place)
    try:
        descriptor = open_inside(Path(place.root), place.path)
    except PermissionError as error:
        if isinstance(error, OutsideRoot):
            raise _outside(place) from error
        raise HTTPException(403, f"{place.path} cannot be read by this service. Check its permissions.") from error
    except (OSError, ValueError) as error:
        raise _gone(place, "is not there any more") from error
    kept = False
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _gone(place, "is no file any more")
        same_time = status.st_mtime_ns == place.modified_ns
        if status.st_size != place.byte_size or (not same_time and _digest_of(descriptor, status.st_size) != digest):
            raise _changed(place)
        kept = True
        return OriginalFile(descriptor, place, status.st_size)
    finally:
        if not kept:
            os.close(descriptor)


class OutsideRoot(PermissionError):
    """A name that leads out of its root, by its parts or by a link."""


def open_inside(root: Path, path: str) -> int:
    """The descriptor of a file below a root, open for reading. Links are followed as long as they stay inside.

    The name is resolved first, and then opened folder by folder without following links: one that is put there in between is refused, not followed.

    Raises:
        OutsideRoot: it leads out of the root.
        OSError: there is no such file, or it cannot be read.
    """
    home = root.resolve(strict=True)
    target = home.joinpath(path).resolve(strict=True)
    if not target.is_relative_to(home) or target == home:
        raise OutsideRoot(errno.EACCES, "it leads out of its root", path)
    if not _STEPS:  # Windows
        return os.open(target, _FLAGS)
    folder = os.open(home, os.O_RDONLY | _DIRECTORY | os.O_CLOEXEC)
    try:
        *folders, name = target.relative_to(home).parts
        for part in folders:
            inner = os.open(part, _FLAGS | _DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _FLAGS, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OutsideRoot(errno.EACCES, "a link was put in its way", path) from error
        raise
    finally:
        os.close(folder)


def _digest_of(descriptor: int, size: int) -> str:
    digest = hashlib.sha256()
    for part in _parts(descriptor, size):
        digest.update(part)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return digest.hexdigest()


def _parts(descriptor: int, size: int) -> Iterator[bytes]:
    left = size
    while left and (part := os.read(descriptor, min(_PART, left))):
        yield part
        left -= len(part)


def _changed(place: Place) -> HTTPException:
    return HTTPException(409, f"{place.path} has changed since it was indexed. Index its folder again.")


def _gone(place: Place, why: str) -> HTTPException:
    return HTTPException(410, f"{place.path} {why}. Put it back, or index its folder again to bring the library up to date.")


def _outside(place: Place) -> HTTPException:
    return HTTPException(403, f"{place.path} lies outside of the folders that were indexed, by a link. Index the folder that it lies in.")
