"""Which photos `pellucid annotate` and `pellucid segment` take, and where the drawn copy of each goes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer import Passed, WalkOptions, walk
from preprocess import ImageVanished, InputError, PellucidError, jpeg_bytes, png_bytes

DRAWN = "*.regions.jpg"
"""A glob of the copies that are drawn into folders: no photos, where such a folder is given again."""
WRITERS = {".png": png_bytes, ".jpg": jpeg_bytes, ".jpeg": jpeg_bytes}
"""What makes the bytes of a drawn copy, by its ending."""


@dataclass(frozen=True, slots=True)
class FoundPhoto:
    """A photo, and its POSIX path below the folder that was named; the file's own name where the file was `named` itself."""

    file: Path
    name: str
    named: bool


def photos_of(paths: Sequence[Path], options: WalkOptions | None = None) -> tuple[list[FoundPhoto], dict[str, PellucidError]]:
    """The photos that `paths` name, files and folders with all below them, each once and in order; and what could not be looked at, by name.

    Raises:
        InputError: there is no such file or folder.
    """
    found: dict[Path, FoundPhoto] = {}
    failed: dict[str, PellucidError] = {}
    for path in (path.expanduser() for path in paths):
        if not path.is_dir():
            if not path.exists():
                raise InputError(f"There is no file or folder {path}. Check the name, or mount the disk it is on.")
            found.setdefault(path.parent.resolve() / path.name, FoundPhoto(path, path.name, named=True))
            continue
        passed = Passed()
        for photo in walk(path, options or WalkOptions(), passed):
            found.setdefault(photo.file.parent.resolve() / photo.file.name, FoundPhoto(photo.file, photo.path, named=False))
        failed |= {f"{root}/{name}": ImageVanished(f"{root}/{name} {reason}.") for (root, name), reason in passed.broken.items()}
        failed |= {folder: InputError(f"{folder} could not be listed: {reason}.") for folder, reason in passed.unlisted.items()}
    return list(found.values()), failed


def targets(photos: Sequence[FoundPhoto], out: Path | None, *, force: bool = True) -> list[Path | None]:
    """Where the drawn copy of each photo goes; none where `out` is none.

    `out` is a file for one photo, ending in .jpg or .png, or a folder: one that exists, or any name where there are several photos or a folder of them was
    named. In it, the copy of `sub/a.webp` is `sub/a.webp.regions.jpg`. Without `force`, a file that exists is refused here, before any work; what exists in
    a folder is not, so that a run can go on where it ended.

    Raises:
        InputError: a copy would lie on one of the photos, whatever `force` says; two would have one name; the file exists; or the ending is another.
    """
    if out is None:
        return [None] * len(photos)
    out = out.expanduser()
    known = out.suffix.lower() in WRITERS
    folder = len(photos) != 1 or out.is_dir() or (not known and not photos[0].named)
    if not folder and not known:
        raise InputError(
            f"{out} ends in neither .jpg nor .png, and is no folder that exists. Name a drawn copy so, or make the folder first."
        )
    if folder and os.path.lexists(out) and not out.is_dir():
        raise InputError(
            f"{out} is a file, and {len(photos):,} {'photo needs' if len(photos) == 1 else 'photos need'} a folder. Name a folder."
        )
    files = [out / f"{photo.name}.regions.jpg" if folder else out for photo in photos]
    originals = {_place(photo.file) for photo in photos} | {_identity(photo.file) for photo in photos} - {None}
    owners: dict[str, Path] = {}
    for photo, file in zip(photos, files, strict=True):
        if _place(file) in originals or _identity(file) in originals:
            raise InputError(f"{file} is one of the photos themselves, and originals are never written to. Name another file or folder.")
        other = owners.setdefault(_place(file), photo.file)
        if other != photo.file:
            raise InputError(f"{other} and {photo.file} would both be drawn as {file}. Run them apart, each with its own folder.")
        if not folder and not force and os.path.lexists(file):
            raise InputError(f"{file} exists already. To make it anew: --force")
    return list(files)


def _place(path: Path) -> str:
    """The file's own place, without regard to case, which some disks do not keep."""
    return os.path.realpath(path).casefold()


def _identity(path: Path) -> tuple[int, int] | None:
    """What a name stands for on disk, links followed; none where nothing is there."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
