"""What runs read and write: sidecars, and the bytes that they had before; or only thought, for a dry run."""

from __future__ import annotations

import os
from pathlib import Path

from preprocess import LibraryDamaged, storage_errors

from .xmp_event import digest_of_bytes
from .xmp_file import read_sidecar, replace_sidecar, sweep

BACKUPS = "xmp-backups"


class XmpDisk:
    """Sidecars where they are, and backups in a library's folder. What killed runs have left beside sidecars is removed, once in each folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._swept: set[Path] = set()

    def read(self, sidecar: Path) -> bytes | None:
        """As `read_sidecar`."""
        if sidecar.parent not in self._swept:
            self._swept.add(sidecar.parent)
            sweep(sidecar.parent)
        return read_sidecar(sidecar)

    def replace(self, sidecar: Path, expected: bytes | None, data: bytes | None) -> bool:
        """As `replace_sidecar`."""
        return replace_sidecar(sidecar, expected, data)

    def keep(self, data: bytes | None) -> str | None:
        """Keep bytes; the sha256 that `kept` finds them by."""
        digest = digest_of_bytes(data)
        if data is None or digest is None:
            return None
        file = self._file(digest)
        with storage_errors(self.folder):
            if not file.is_file() or file.stat().st_size != len(data):
                file.parent.mkdir(exist_ok=True)
                fresh = file.with_name(f".{digest}.{os.getpid()}.new")
                try:
                    _write(fresh, data)
                    fresh.replace(file)
                finally:
                    fresh.unlink(missing_ok=True)
        return digest

    def kept(self, digest: str | None) -> bytes | None:
        """The bytes that were kept.

        Raises:
            LibraryDamaged: they are not there any more, or not the same.
        """
        if digest is None:
            return None
        file = self._file(digest)
        try:
            data = file.read_bytes()
        except OSError as error:
            raise LibraryDamaged(
                f"The backup {file} cannot be read: {error.strerror or error}. Restore it from your own backup."
            ) from error
        if digest_of_bytes(data) != digest:
            raise LibraryDamaged(f"The backup {file} is not what was kept there. Restore it from your own backup.")
        return data

    def _file(self, digest: str) -> Path:
        return self.folder / BACKUPS / f"{digest}.xmp"


class DryDisk(XmpDisk):
    """The same without a trace: of one sidecar at a time it remembers what it would hold."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._at: Path | None = None
        self._data: bytes | None = None
        self._kept: dict[str, bytes] = {}

    def read(self, sidecar: Path) -> bytes | None:
        """As it is, or as it would be by now."""
        if sidecar != self._at:
            data = read_sidecar(sidecar)
            self._at, self._data, self._kept = sidecar, data, {}
        return self._data

    def replace(self, sidecar: Path, expected: bytes | None, data: bytes | None) -> bool:
        """What it is to hold from now on."""
        if self.read(sidecar) != expected:
            return False
        self._data = data
        return True

    def keep(self, data: bytes | None) -> str | None:
        """In memory, until another sidecar is read."""
        digest = digest_of_bytes(data)
        if data is not None and digest is not None:
            self._kept[digest] = data
        return digest

    def kept(self, digest: str | None) -> bytes | None:
        """From memory or the backups."""
        return self._kept[digest] if digest in self._kept else super().kept(digest)


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
