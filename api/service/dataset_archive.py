"""Pictures out of an archive that somebody sent: read one after the other, never unpacked to disk, and trusted in nothing.

Archives that would unpack to far more than they are, or hold too many entries, are refused whole. What is no picture's plain file is passed over with a
reason: names that lead out of the archive, links, devices, encrypted entries, archives in the archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from preprocess import InputError

from .dataset_entries import ArchiveLimits, Entry, PassedOver
from .dataset_tar import tar_entries
from .dataset_zip import zip_entries


def kind_of(file: Path) -> str:
    """zip, tar or gz, by content.

    Raises:
        InputError: it is none of them.
    """
    with file.open("rb") as stream:
        start = stream.read(512)
    if start.startswith((b"PK\3\4", b"PK\5\6")):
        return "zip"
    if start.startswith(b"\x1f\x8b"):
        return "gz"
    if start[257:262] == b"ustar":
        return "tar"
    raise InputError("What was sent is no archive that this reads. Send a .zip, .tar or .tar.gz of pictures.")


def entries_of(file: Path, limits: ArchiveLimits, passed: PassedOver) -> Iterator[Entry]:
    """Name and bytes of each picture, in the archive's order; an entry that is damaged or too large comes with the error in place of its bytes.

    Raises:
        InputError: it is no archive, is damaged as a whole, or is over the limits.
    """
    kind, seen = kind_of(file), set[str]()
    walk = zip_entries(file, limits, passed) if kind == "zip" else tar_entries(file, limits, passed, packed=kind == "gz")
    for name, data in walk:
        if name in seen:
            passed.note(name, "comes twice in the archive; the first one counts")
            continue
        seen.add(name)
        yield name, data
        del data  # so that it is not kept while the next one is read


__all__ = ["ArchiveLimits", "Entry", "PassedOver", "entries_of", "kind_of"]
