"""Which folders a build visits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from preprocess import InputError
from search import Library

from .walk import is_text


def chosen_roots(library: Library, roots: Sequence[Path]) -> list[str]:
    """The roots to visit, absolute; a folder inside a known root stands for that root, and roots inside a folder come along.

    Raises:
        InputError: one is not a folder, or is the library, or none is given or known.
    """
    known = list(library.file.roots)
    chosen: dict[str, None] = {}
    for root in roots:
        place = root.expanduser()
        if not place.exists() and not {str(place.absolute()), str(place.resolve())} & set(known):
            raise InputError(f"There is no folder {root}. Check the name, or mount the disk it is on.")
        place = place.resolve()
        if not is_text(str(place)):
            raise InputError(f"The name of {root} is not UTF-8. Rename the folder, then index it.")
        if place.is_file():
            raise InputError(f"{root} is a file; give the folder that it is in: {place.parent}")
        inside = [k for k in known if place != Path(k) and place.is_relative_to(k)]
        chosen.update(dict.fromkeys(inside[:1] or [place.as_posix()]))
        chosen.update(dict.fromkeys(k for k in known if Path(k).is_relative_to(place)))
    if not roots:
        chosen = dict.fromkeys(known)
    if not chosen:
        raise InputError("Give a folder to index: pellucid index FOLDER")
    if library.folder.resolve().as_posix() in chosen:
        raise InputError(f"{library.folder} is the library itself; index the folder of your photos.")
    return list(chosen)
