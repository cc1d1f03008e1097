"""The pictures of a tar that somebody sent, packed by gzip or not."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from preprocess import InputError

from .dataset_entries import ArchiveLimits, Entry, PassedOver, bomb, large, many, most_of, reason_against

_MOST_HEADER = 1_000_000  # bytes of long names and PAX fields before an entry: tarfile takes them into memory, one in the other


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
            raise bomb(self.limits)
        return data


class _Info(tarfile.TarInfo):
    """A header of a tar whose long names and fields stay short enough to be held."""

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
        if not plain:
            archive.header_bytes = getattr(archive, "header_bytes", 0) + self.size
            if archive.header_bytes > _MOST_HEADER:
                raise tarfile.ReadError("a header is too long")
        return super()._proc_member(archive)  # type: ignore[misc]


def tar_entries(file: Path, limits: ArchiveLimits, passed: PassedOver, *, packed: bool) -> Iterator[Entry]:
    """Name and bytes of each picture, in the archive's order; `packed` where it went through gzip.

    Raises:
        InputError: the archive is damaged, or is over the limits.
    """
    count = 0
    with file.open("rb") as plain:
        stream: Any = gzip.GzipFile(fileobj=plain) if packed else plain
        counted: Any = _Counted(stream, most_of(file, limits), limits)
        try:
            with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Info, errorlevel=0) as archive:
                held: Any = archive
                for member in archive:
                    held.pax_headers = {}  # those for all entries say nothing that is asked for, and pile up
                    held.header_bytes = 0
                    held.members = []  # of a stream nothing can be asked for again, and a million of them are much
                    count += 1
                    if count > limits.entries:
                        raise many(limits)
                    if member.size > counted.left:  # tarfile would look for its end for hours, also where there is nothing
                        raise bomb(limits)
                    if member.isdir():
                        continue
                    if not member.isreg() or member.issparse():
                        passed.note(member.name, "is a link, a device or sparse")
                    elif (reason := reason_against(member.name)) is not None:
                        passed.note(member.name, reason)
                    elif member.size > limits.entry_bytes:
                        yield member.name, large(member.name, limits)
                    elif (taken := archive.extractfile(member)) is not None:
                        yield member.name, taken.read()
        except InputError:
            raise
        except Exception as error:  # what is damaged with care makes tarfile raise anything: RecursionError, KeyError, zlib.error, ...
            raise InputError(f"The archive is damaged behind entry {count:,}: {error}. Pack it again.") from error
