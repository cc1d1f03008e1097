"""Small pictures on disk, made once: at most so many bytes of them, those that nobody looks at going first. What is here can be deleted at any time."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from pathlib import Path

MOST_BYTES = 2_000_000_000
"""Of all pictures: about 100,000 thumbnails of 320 pixels, or 12,000 previews."""
KEPT_SHARE = 0.9
"""What is left after a clearance, so that it is not needed again at once."""
_SEEN_S = 3600  # a picture that is looked at is noted as young so often


class PictureCache:
    """Files by name below a folder, in one of 256 folders by the first two letters. A file appears whole or not at all; several makers may write the same one.

    Where nothing can be written, nothing is kept, and the pictures are made again each time.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self._lock = threading.Lock()
        self._bytes: int | None = None  # not counted yet

    def get(self, name: str) -> bytes | None:
        """The picture of that name, if it is here."""
        file = self._file(name)
        try:
            data = file.read_bytes()
            if time.time() - file.stat().st_mtime > _SEEN_S:
                os.utime(file)
        except OSError:
            return None
        return data or None

    def put(self, name: str, data: bytes) -> None:
        """Keep a picture."""
        file = self._file(name)
        fresh = file.with_name(f".{secrets.token_hex(8)}.new")  # process ids are the same in each container
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(data)
            fresh.replace(file)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            return
        self._count(len(data))

    def drop(self, digest: str) -> None:
        """Remove all pictures of a photo."""
        for file in self._file(digest).parent.glob(f"{digest}-*"):
            with contextlib.suppress(OSError):
                file.unlink()

    def _file(self, name: str) -> Path:
        return self.folder / name[:2] / name

    def _count(self, more: int) -> None:
        """Note so many more bytes; where they are too many, clear. One thread counts or clears at a time, and others go on."""
        if not self._lock.acquire(blocking=False):
            return  # what it wrote is met when they are counted next
        try:
            self._bytes = sum(size for _, size, _ in self._files()) if self._bytes is None else self._bytes + more
            if self._bytes > self.most_bytes:
                self._bytes = self._clear()
        finally:
            self._lock.release()

    def _files(self) -> list[tuple[float, int, str]]:
        """Time, size and name of each."""
        found = []
        with contextlib.suppress(OSError):
            for folder in os.scandir(self.folder):
                with contextlib.suppress(OSError):
                    for entry in os.scandir(folder.path):
                        with contextlib.suppress(OSError):
                            facts = entry.stat(follow_symlinks=False)
                            found.append((facts.st_mtime, facts.st_size, entry.path))
        return found

    def _clear(self) -> int:
        """Remove those that were not looked at for longest; the bytes that are left."""
        files = self._files()
        left = sum(size for _, size, _ in files)
        for _, size, name in sorted(files):
            if left <= KEPT_SHARE * self.most_bytes:
                break
            with contextlib.suppress(OSError):
                Path(name).unlink()
                left -= size
        return left
