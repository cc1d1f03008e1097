"""The regions of a library: whether what finds them is still there, and what they are called."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import PellucidError, UnknownName

if TYPE_CHECKING:
    from search import Library


_OF_REGIONS = re.compile(r"\bregion\s*\.|\b(count|left_of|right_of|above|below|inside|overlaps)\s*\(", re.IGNORECASE)
_SHOWN = 40  # labels in a message


def find_maker_fault(library: Library, models: Path) -> str | None:
    """What hinders the makers of regions that the library's builds use, with the remedy; none where they are there, or there are none."""
    from annotate import RegionMakerOptions, load_region_maker

    name = library.file.regions
    if name is None:
        return None
    try:
        load_region_maker(name, RegionMakerOptions(models))
    except UnknownName:
        return (
            f"Builds of this library find regions with {name!r}, which is not in {models} any more. Add it again under that name "
            f"(pellucid segmenters add), or choose another: pellucid index --library {shlex.quote(str(library.folder))} --regions builtin"
        )
    except PellucidError as error:
        return str(error)
    return None


def labels_asked_in_vain(library: Library, where: str) -> str:
    """For a condition on regions that no photo meets: the labels that there are, as a sentence; nothing for another condition."""
    from search import open_derived

    if not _OF_REGIONS.search(where):
        return ""
    try:
        derived = open_derived(library)
    except PellucidError:  # searches go by another encoder than the library's own, which has no vectors
        return ""
    try:
        labels = [row[0] for row in derived.database.execute('SELECT DISTINCT "label" FROM regions ORDER BY "label"')]
    finally:
        derived.close()
    return f" Labels of regions here: {', '.join(labels[:_SHOWN])}{', ...' if len(labels) > _SHOWN else ''}."


__all__ = ["find_maker_fault", "labels_asked_in_vain"]
