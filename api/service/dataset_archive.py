"""Pictures out of an archive that somebody sent: read one after the other, never unpacked to disk, and trusted in nothing.

Archives that would unpack to far more than they are, or hold too many entries, are refused whole. What is no picture's plain file is passed over with a
reason: names that lead out of the archive, links, devices, encrypted entries, archives in the archive.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from preprocess import ImageCorrupt, ImageTooLarge, InputError, is_photo

_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".cbz", ".jar"})
_END, _END64, _LOCATOR64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_MOST_HEADER = 1_000_000  # bytes of a long name or of PAX fields in a tar: tarfile takes them into memory
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


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


Entry = tuple[str, bytes | ImageTooLarge | ImageCorrupt]


def kind_of(file: Path) -> str:
    """zip, tar or gz, by content.

    Raises:
        InputError: it is none of them.
    """
    with file.open("rb") as stream:
        start = stream.read(512)
    if start.startswith((b"PK\3\4", _END)):
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
    walk = _zip(file, limits, passed) if kind == "zip" else _tar(file, limits, passed, packed=kind == "gz")
    for name, data in walk:
        if name in seen:
            passed.note(name, "comes twice in the archive; the first one counts")
            continue
        seen.add(name)
        yield name, data


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


def _bomb(limits: ArchiveLimits) -> InputError:
    return InputError(
        f"The archive unpacks to more than {limits.ratio} times its size, or to more than {limits.total_bytes / 1e9:g} GB. Send the pictures in several archives."
    )


def _many(limits: ArchiveLimits) -> InputError:
    return InputError(f"The archive has more than {limits.entries:,} entries. Send the pictures in several archives.")


def _most_of(file: Path, limits: ArchiveLimits) -> int:
    """Bytes that the archive may unpack to."""
    return min(limits.total_bytes, max(limits.small_bytes, limits.ratio * file.stat().st_size))


def _zip(file: Path, limits: ArchiveLimits, passed: PassedOver) -> Iterator[Entry]:
    if _directory_bytes(file) > limits.directory_bytes:
        raise _many(limits)
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # what is damaged with care makes zipfile raise anything
        raise InputError(f"The archive is damaged: {error}. Pack it again.") from error
    with archive:
        infos = archive.infolist()
        if len(infos) > limits.entries:
            raise _many(limits)
        left = _most_of(file, limits)
        for info in infos:
            mode = info.external_attr >> 16
            if info.is_dir():
                continue
            if info.create_system == 3 and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                passed.note(info.filename, "is a link or a device")
            elif (reason := reason_against(info.filename)) is not None:
                passed.note(info.filename, reason)
            elif info.flag_bits & 1:
                passed.note(info.filename, "is encrypted")
            elif info.compress_type not in _READABLE:
                passed.note(info.filename, "is packed in a way that is not read; use deflate")
            elif info.file_size > limits.entry_bytes:
                yield info.filename, _large(info.filename, limits)
            else:
                data = _read_zipped(archive, info)
                left -= info.file_size if isinstance(data, ImageCorrupt) else len(data)
                if left < 0:
                    raise _bomb(limits)
                yield info.filename, data


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | ImageCorrupt:
    """An entry's bytes: never more than its header says, which was looked at before."""
    try:
        with archive.open(info) as stream:
            return stream.read(info.file_size + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError, struct.error) as error:
        return ImageCorrupt(f"{info.filename} is damaged in the archive: {error}. Pack it again.")


def _directory_bytes(file: Path) -> int:
    """The size of a zip's directory as its end says, before zipfile takes all of it into memory."""
    with file.open("rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(max(0, size - (1 << 16) - 42))
        tail = stream.read()
        plain = len(tail) - 22
        at = plain if plain >= 0 and tail[plain : plain + 4] == _END and tail.endswith(b"\0\0") else tail.rfind(_END)
        if at < 0 or len(tail) < at + 22:
            return 0  # zipfile says what is wrong
        said = int(struct.unpack_from("<L", tail, at + 12)[0])
        if at >= 20 and tail[at - 20 : at - 16] == _LOCATOR64:
            (where,) = struct.unpack_from("<Q", tail, at - 20 + 8)
            stream.seek(min(where, size))
            record = stream.read(56)
            if record[:4] == _END64 and len(record) == 56:
                said = max(said if said != 0xFFFFFFFF else 0, int(struct.unpack_from("<Q", record, 40)[0]))
        return said


class _Counted(io.RawIOBase):
    """A stream that ends with an error once it gave more than it may."""

    def __init__(self, stream: IO[bytes], most: int, limits: ArchiveLimits) -> None:
        self.stream, self.left, self.limits = stream, most, limits

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size if 0 <= size <= 1 << 20 else 1 << 20)
        self.left -= len(data)
        if self.left < 0:
            raise _bomb(self.limits)
        return data


class _Info(tarfile.TarInfo):
    """A header of a tar whose long names stay short enough to be held."""

    def _proc_member(self, archive: Any) -> Any:
        plain = self.type in (
            *tarfile.REGULAR_TYPES,
            tarfile.LNKTYPE,
            tarfile.SYMTYPE,
            tarfile.CHRTYPE,
            tarfile.BLKTYPE,
            tarfile.DIRTYPE,
            tarfile.FIFOTYPE,
        )
        if not plain and self.size > _MOST_HEADER:
            raise tarfile.ReadError("a header is too long")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar(file: Path, limits: ArchiveLimits, passed: PassedOver, *, packed: bool) -> Iterator[Entry]:
    count = 0
    with file.open("rb") as plain:
        stream: Any = gzip.GzipFile(fileobj=plain) if packed else plain
        counted: Any = _Counted(stream, _most_of(file, limits), limits)
        try:
            with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Info, errorlevel=0) as archive:
                held: Any = archive
                for member in archive:
                    held.members = []  # of a stream nothing can be asked for again, and a million of them are much
                    count += 1
                    if count > limits.entries:
                        raise _many(limits)
                    if member.size > counted.left:  # tarfile would look for its end for hours, also where there is nothing
                        raise _bomb(limits)
                    if member.isdir():
                        continue
                    if not member.isreg() or member.issparse():
                        passed.note(member.name, "is a link, a device or sparse")
                    elif (reason := reason_against(member.name)) is not None:
                        passed.note(member.name, reason)
                    elif member.size > limits.entry_bytes:
                        yield member.name, _large(member.name, limits)
                    elif (taken := archive.extractfile(member)) is not None:
                        yield member.name, taken.read()
        except InputError:
            raise
        except Exception as error:  # what is damaged with care makes tarfile raise anything: RecursionError, KeyError, zlib.error, ...
            raise InputError(f"The archive is damaged behind entry {count:,}: {error}. Pack it again.") from error


def _large(name: str, limits: ArchiveLimits) -> ImageTooLarge:
    return ImageTooLarge(f"{name} has more than the {limits.entry_bytes / 1e6:,.0f} MB that one picture may have. Save it smaller.")
