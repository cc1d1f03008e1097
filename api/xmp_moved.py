"""Sidecars that are not where a run wrote them: found in the library's folders, or told from those that somebody has deleted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from annotate import sidecar_paths
from preprocess import InputError

if TYPE_CHECKING:
    from annotate import XmpJournal
    from search import Library


def find_moved(journal: XmpJournal, library: Library) -> None:
    """Let the journal follow all its sidecars that lie beside photos in the library's folders now, wherever that is."""
    from indexer import Passed, WalkOptions, walk

    roots = [Path(root) for root in library.file.roots]
    for root in roots:
        others = [other for other in (*roots, library.folder) if other != root]
        for found in walk(root, WalkOptions(), Passed(), others):
            for sidecar in sidecar_paths(found.file, "both"):
                with contextlib.suppress(InputError):  # a link, or nothing that can be read: not ours
                    journal.find(sidecar, found.file)


def left_out_for(sidecar: Path, journal: XmpJournal) -> str | None:
    """Why a run cannot be taken back from a sidecar now: it is gone together with its photo, as from a disk that is not mounted, and may come back."""
    if not journal.deserted(sidecar):
        return None
    return (
        f"{sidecar} is not there, nor its photo, nor is it in another folder of the library. Mount its disk, or index the folder that it is in now, "
        "and run the same command again. If it is gone for good: --forget-gone"
    )
