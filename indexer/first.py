"""The first photos of the roots: what a choice is measured on before anything is stored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import PellucidError, read_image, reduced
from search import Library

from .roots import chosen_roots
from .stages import map_ahead
from .walk import Found, Passed, walk

if TYPE_CHECKING:
    from preprocess import RgbImage

    from .build import BuildOptions


def first_photos(library: Library, roots: Sequence[Path], side: int, options: BuildOptions, count: int = 64) -> list[RgbImage]:
    """Pixels of the first `count` photos that can be read, for an encoder that needs `side` pixels; fewer where there are no more.

    Large ones are reduced to no less than twice that side, so that 64 of them fit in memory.

    Raises:
        InputError: a root is not a folder, or none is given or known.
    """
    chosen = chosen_roots(library, roots)
    every = {*library.file.roots, *chosen}

    def pixels(found: Found) -> RgbImage | None:
        try:
            return reduced(read_image(found.file, options.limits, side).pixels, 2 * side)
        except PellucidError:
            return None

    found = (
        file
        for root in chosen
        if Path(root).is_dir()
        for file in walk(Path(root), options.walk, Passed(), [Path(other) for other in every if other != root] + [library.folder])
    )
    threads = options.jobs or os.cpu_count() or 1
    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        read = map_ahead(pixels, found, pool, ahead=2 * threads)
        return list(islice((photo for photo in read if photo is not None), count))
