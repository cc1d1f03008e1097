"""What is taken of an archive that somebody sent: which entries, and how much of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from preprocess import ImageCorrupt, ImageTooLarge, InputError, is_photo

_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".cbz", ".jar"})


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may be. One that unpacks to more than `ratio` times its own size, and to more than `small_bytes`, is a bomb."""

    entries: int = 100_000
    total_bytes: int = 8_000_000_000
    entry_bytes: int = 256_000_000
    ratio: int = 100
    small_bytes: int = 200_000_000
    directory_bytes: int = 16_000_000


@dataclass(slots=True)
class PassedOver:
    """Entries that were not taken, with the reason; of many, the first."""

    reasons: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def note(self, name: str, reason: str) -> None:
        """Remember one."""
        self.count += 1
        if len(self.reasons) < 1_000:
            self.reasons[name.encode("utf-8", "backslashreplace").decode()[:500]] = reason


Entry: TypeAlias = tuple[str, bytes | ImageTooLarge | ImageCorrupt]


def reason_against(name: str) -> str | None:
    """Why a name is not taken, or none where it is a picture's."""
    path = PurePosixPath(name)
    if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        return "has an absolute name"
    if ".." in path.parts or "\\" in name or "\0" in name:
        return "has a name that leads out of the archive"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if path.suffix.lower() in _ARCHIVES:
        return "is an archive within the archive"
    if "__MACOSX" in path.parts or path.name.startswith("."):
        return "is hidden"
    return None if is_photo(name) else "is no photo by its name"


def bomb(limits: ArchiveLimits) -> InputError:
    """The error for an archive that unpacks to too much."""
    return InputError(
        f"The archive unpacks to more than {limits.ratio} times its size, or to more than {limits.total_bytes / 1e9:g} GB. Send the pictures in several archives."
    )


def many(limits: ArchiveLimits) -> InputError:
    """The error for an archive with too many entries."""
    return InputError(f"The archive has more than {limits.entries:,} entries. Send the pictures in several archives.")


def most_of(file: Path, limits: ArchiveLimits) -> int:
    """Bytes that the archive may unpack to."""
    return min(limits.total_bytes, max(limits.small_bytes, limits.ratio * file.stat().st_size))


def large(name: str, limits: ArchiveLimits) -> ImageTooLarge:
    """The error for an entry that is too large."""
    return ImageTooLarge(f"{name} has more than the {limits.entry_bytes / 1e6:,.0f} MB that one picture may have. Save it smaller.")
