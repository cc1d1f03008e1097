"""What keeps folders of ours whole: the system's refusals as errors with a remedy, and a lock that goes with its process."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import LibraryDamaged, PellucidError, StorageFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where the disk takes no more."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK, errno.EXDEV})
_serial = itertools.count()


def temporary_beside(place: Path) -> Path:
    """A name in the same folder that nothing else has, for what takes this place once it is whole."""
    return place.with_name(f".pellucid-{os.getpid()}-{next(_serial)}.new")


def move_to_new(fresh: Path, file: Path) -> None:
    """Rename, unless there is a file of that name: `rename` alone would replace it.

    Raises:
        FileExistsError: there is one.
    """
    try:
        file.hardlink_to(fresh)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(file):  # exFAT and some network disks have no hard links
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file)) from error
        fresh.rename(file)


def try_lock(handle: Any) -> bool:
    """Lock an open file for this process alone; false where another one holds it. The lock goes when the file is closed, or the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            handle.seek(1 << 20)  # a byte beyond the text, which others may still read
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn the system's refusals to write into errors with a remedy."""
    try:
        yield
    except PellucidError:
        raise
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(f"The disk of {folder} is full. What was written is kept; free some space and run again.") from error
        raise LibraryDamaged(f"{folder} cannot be written: {error.strerror or error}. Name another folder with --library.") from error
