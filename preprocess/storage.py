"""What keeps folders of ours whole: the system's refusals as errors with a remedy, and a lock that goes with its process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import LibraryDamaged, PellucidError, StorageFull


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
        import errno

        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFull(f"The disk of {folder} is full. What was written is kept; free some space and run again.") from error
        raise LibraryDamaged(f"{folder} cannot be written: {error.strerror or error}. Name another folder with --library.") from error
