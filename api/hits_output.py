"""Hits as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .output import console, plain

if TYPE_CHECKING:
    from search import Hit, RegionHit


def hits_table(hits: Sequence[Hit], title: str | None = None) -> None:
    """Similarity, date and path of each hit, best first; beside the photo's own similarity its best region, in brackets where the photo as a whole matched better."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from search import PLAIN

    table = Table(title=title and Text(plain(title)), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("similarity", justify="right")
    table.add_column("z", justify="right")
    table.add_column("taken")
    several = any(hit.enhancer != PLAIN for hit in hits)  # most searches find no dehazed version
    if several:
        table.add_column("version")
    by_region = any(hit.region is not None for hit in hits)
    if by_region:
        table.add_column("best region")
    table.add_column("photo", overflow="fold")
    for hit in hits:
        taken = str(hit.columns.get("taken_at") or "")[:10]
        version = ["dehazed" if hit.enhancer != PLAIN else ""] if several else []
        words = _region_words(hit.region)
        region = [Text(words if hit.matched == "region" or not words else f"({words})")] if by_region else []
        table.add_row(f"{hit.similarity:.3f}", f"{hit.z:+.1f}", taken, *version, *region, Text(plain(hit.file)))
    console().print(table)


def _region_words(region: RegionHit | None) -> str:
    """Its label, similarity, z and box: `dog 0.312 +2.4 at 120,40 300×220`."""
    if region is None:
        return ""
    x1, y1, x2, y2 = (round(value) for value in region.box_xyxy)
    return f"{plain(region.label)} {region.similarity:.3f} {region.z:+.1f} at {x1},{y1} {x2 - x1}×{y2 - y1}"
