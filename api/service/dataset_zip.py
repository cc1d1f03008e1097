"""The pictures of a zip that somebody sent."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from preprocess import ImageCorrupt, InputError

from .dataset_entries import ArchiveLimits, Entry, PassedOver, bomb, large, many, most_of, reason_against

_END, _END64, _LOCATOR64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_RECORD64 = 56
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def zip_entries(file: Path, limits: ArchiveLimits, passed: PassedOver) -> Iterator[Entry]:
    """Name and bytes of each picture, in the archive's order.

    Raises:
        InputError: the archive is damaged as a whole, or is over the limits.
    """
    if _directory_bytes(file) > limits.directory_bytes:
        raise many(limits)
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # what is damaged with care makes zipfile raise anything
        raise InputError(f"The archive is damaged: {error}. Pack it again.") from error
    with archive:
        infos = archive.infolist()
        if len(infos) > limits.entries:
            raise many(limits)
        left = most_of(file, limits)
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
                yield info.filename, large(info.filename, limits)
            else:
                data = _read_zipped(archive, info)
                left -= info.file_size if isinstance(data, ImageCorrupt) else len(data)
                if left < 0:
                    raise bomb(limits)
                yield info.filename, data
                del data  # so that it is not kept while the next one is read


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | ImageCorrupt:
    """An entry's bytes: never more than its header says, which was looked at before."""
    try:
        with archive.open(info) as stream:
            return stream.read(info.file_size + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError, struct.error) as error:
        return ImageCorrupt(f"{info.filename} is damaged in the archive: {error}. Pack it again.")


def _directory_bytes(file: Path) -> int:
    """The size of a zip's directory as its end says, before zipfile takes all of it into memory; of several that say one, the largest."""
    with file.open("rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        start = max(0, size - (1 << 16) - 42 - _RECORD64)
        stream.seek(start)
        tail = stream.read()
        plain = len(tail) - 22
        at = plain if plain >= 0 and tail[plain : plain + 4] == _END and tail.endswith(b"\0\0") else tail.rfind(_END)
        if at < 0 or len(tail) < at + 22:
            return 0  # zipfile says what is wrong
        said = [int(struct.unpack_from("<L", tail, at + 12)[0])]
        if at >= 20 and tail[at - 20 : at - 16] == _LOCATOR64:
            (where,) = struct.unpack_from("<Q", tail, at - 20 + 8)
            records = []
            for place in (where, start + at - 20 - _RECORD64):  # where the locator says, and where Python looks, whatever it says
                stream.seek(min(max(0, place), size))
                record = stream.read(_RECORD64)
                if record[:4] == _END64 and len(record) == _RECORD64:
                    records.append(int(struct.unpack_from("<Q", record, 40)[0]))
            if records:
                said = [one for one in said if one != 0xFFFFFFFF] + records
        return max(said)
