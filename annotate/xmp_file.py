"""The sidecar as a file: its name beside the photo, read without following links, and replaced whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import secrets
import stat
import time
from pathlib import Path
from typing import Literal, get_args

from preprocess import InputError, StorageFull, UnknownName

from .xmp_tree import MAX_BYTES

SidecarStyle = Literal["adobe", "darktable", "both"]
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK, errno.EXDEV})
_TEMPORARY = re.compile(r"\.pellucid-(?P<process>\d+)-\d+(?P<sidecar>-[0-9a-f]{8})?\.new")
_STALE_S, _DEAD_S = 3600, 60  # a sidecar takes milliseconds; the minute is for one by another computer, whose processes we do not see
_serial = itertools.count()


def sidecar_paths(photo: Path, style: SidecarStyle) -> tuple[Path, ...]:
    """Where a photo's sidecars are: `IMG_1.xmp` (adobe, also Capture One), `IMG_1.jpg.xmp` (darktable, digiKam), or both.

    `IMG_1.jpg` and `IMG_1.dng` share adobe's. Where there is only one in capitals, `IMG_1.XMP`, that is the one.

    Raises:
        UnknownName: there is no such style.
    """
    if style not in get_args(SidecarStyle):
        raise UnknownName(f"No sidecar style named {style!r}. Known: {', '.join(get_args(SidecarStyle))}.")
    adobe, darktable = photo.with_suffix(".xmp"), photo.with_name(photo.name + ".xmp")
    places = {"adobe": (adobe,), "darktable": (darktable,), "both": (adobe, darktable)}[style]
    return tuple(dict.fromkeys(_as_there(place) for place in places))


def read_sidecar(sidecar: Path) -> bytes | None:
    """Its bytes, or None where there is none.

    Raises:
        InputError: it is a link, a folder or a device, is over 32 MB, or cannot be read; or the name is no sidecar's.
    """
    if sidecar.suffix.lower() != ".xmp":
        raise InputError(f"{sidecar} is no sidecar: only files named .xmp are written, never a photo.")
    try:
        status = sidecar.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise InputError(f"{sidecar} is a link, and links are not written through. Put the file itself there.")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{sidecar} is not a file. Move it away.")
        if status.st_size > MAX_BYTES:
            raise InputError(f"{sidecar} has {status.st_size / 1e6:.0f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB. It is left as it is.")
        with os.fdopen(os.open(sidecar, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)), "rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{sidecar} cannot be read: {getattr(error, 'strerror', None) or error}. Check its name and its permissions."
        ) from error


def replace_sidecar(sidecar: Path, expected: bytes | None, data: bytes | None) -> bool:
    """Make the file have these bytes, or be gone; false where it has not the expected ones any more, and then nothing was done.

    It is written under a temporary name in its folder and moved, so that a kill leaves the old file or the new one. It keeps its permissions.
    The last look is right before the move: other programs take no lock, so a moment remains in which one could write unseen.

    Raises:
        InputError: the folder cannot be written, or the file has become a link.
        StorageFull: the disk took no more; the file is as it was.
    """
    if data == expected:
        return read_sidecar(sidecar) == expected
    fresh = sidecar.with_name(f".pellucid-{os.getpid()}-{next(_serial)}-{secrets.token_hex(4)}.new")
    try:
        if data is None:
            if read_sidecar(sidecar) != expected:
                return False
            sidecar.unlink(missing_ok=True)
            return True
        try:
            with fresh.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if expected is not None:
                with contextlib.suppress(FileNotFoundError):
                    fresh.chmod(stat.S_IMODE(sidecar.lstat().st_mode))
            if read_sidecar(sidecar) != expected:
                return False
            return _move(fresh, sidecar, new=expected is None)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(
                f"{sidecar} could not be written: {error.strerror}. Free some space and run the same command again."
            ) from error
        raise InputError(f"{sidecar} cannot be written: {error.strerror or error}. Make its folder writable.") from error


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed runs have left in a folder: of sidecars those whose process has ended, or that are an hour old; of other files,
    which may take longer, those to which both applies.

    Never raises: what cannot be removed does no harm.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.fullmatch(entry.name)
            if found and entry.is_file(follow_symlinks=False):
                age_s = time.time() - entry.stat(follow_symlinks=False).st_mtime
                ended, old = not _runs(int(found["process"])), age_s > _STALE_S
                if (age_s > _DEAD_S and ended) or old if found["sidecar"] else ended and old:
                    with contextlib.suppress(OSError):
                        Path(entry.path).unlink()


def _runs(process: int) -> bool:
    """Whether a process of that number may run here."""
    if os.name == "nt":  # where signal 0 is no question
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _move(fresh: Path, sidecar: Path, *, new: bool) -> bool:
    if new:
        try:
            sidecar.hardlink_to(fresh)  # unlike a rename, this never replaces what somebody else has put there
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            return True
    fresh.replace(sidecar)
    return True


def _as_there(sidecar: Path) -> Path:
    capitals = sidecar.with_suffix(".XMP")
    return capitals if not os.path.lexists(sidecar) and capitals.is_file() else sidecar
