"""A page with the pictures of duplicates, in one HTML file that needs nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from .duplicates import likeness_words
from .output import megabytes
from .sheet import STYLE, thumbnail

if TYPE_CHECKING:
    from search import DuplicateGroup, Duplicates, Frame, Likeness

SHOWN_GROUPS, SHOWN_FRAMES = 200, 24
"""A thumbnail takes some 15 kB, so that a page of these stays under 75 MB."""

_MARKS = ".best img { outline: 3px solid var(--accent); outline-offset: 2px } .best strong { color: var(--accent) }"


def duplicates_page(found: Duplicates) -> str:
    """The page. A photo that no longer opens is named, not shown."""
    from search import spare_files

    groups = found.groups[:SHOWN_GROUPS]
    files = list(dict.fromkeys(Path(frame.file) for group in groups for frame in group.frames[:SHOWN_FRAMES]))
    with ThreadPoolExecutor() as pool:
        pictures = dict(zip(files, pool.map(thumbnail, files), strict=True))
    left = f" The first {len(groups):,} are shown." if len(groups) < len(found.groups) else ""
    words = f"{len(found.groups):,} groups among {found.photos:,} photos; {megabytes(sum(spare_files(found.groups).values()))} beside the best.{left}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>Duplicates</title><style>{STYLE}{_MARKS}</style></head><body><header><h1>Duplicates</h1><p>{escape(words)}</p></header>"
        f"{''.join(_section(group, pictures) for group in groups)}"
        f"<footer>The best of each group comes first, in a frame. Bits are those in which perceptual hashes of 64 differ. Nothing was deleted. Made by Pellucid.</footer>"
        f"</body></html>\n"
    )


def _section(group: DuplicateGroup, pictures: dict[Path, str | None]) -> str:
    pairs = list(zip(group.frames, group.likeness, strict=True))
    figures = "".join(_figure(group, at, frame, like, pictures) for at, (frame, like) in enumerate(pairs[:SHOWN_FRAMES]))
    more = f"<p>... and {len(pairs) - SHOWN_FRAMES:,} more.</p>" if len(pairs) > SHOWN_FRAMES else ""
    title = f"{group.kind}: {len(pairs)} photos, {megabytes(group.spare_bytes)} beside the best"
    return f'<section><h2>{escape(title)}</h2><div class="hits">{figures}</div>{more}</section>'


def _figure(group: DuplicateGroup, at: int, frame: Frame, like: Likeness, pictures: dict[Path, str | None]) -> str:
    picture = pictures[Path(frame.file)]
    shown = (
        f'<img src="{picture}" alt="{escape(frame.path)}" loading="lazy">'
        if picture is not None
        else '<div class="missing">cannot be opened</div>'
    )
    words = f"<strong>best</strong>: {escape(group.reason)}" if at == 0 else escape(likeness_words(like, group.kind))
    copies = "".join(f"<br>= {escape(name)}" for name in like.copies)
    return (
        f"<figure{' class=best' if at == 0 else ''}>{shown}<figcaption>{escape(frame.path)} · {frame.width}×{frame.height}<br>{words}{copies}"
        f"</figcaption></figure>"
    )
