"""A page of doubtful tags with their photos, in one HTML file that needs nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from .library_tags import library_words
from .sheet import STYLE, thumbnail

if TYPE_CHECKING:
    from .library_tags import Doubt

_STYLE = "code { display: block; font-size: .7rem; user-select: all; overflow-wrap: anywhere; opacity: .8; margin-top: .2rem }"


def review_sheet(found: Sequence[Doubt], total: int, library: Path | None = None) -> str:
    """The page: a section for each tag, in the order of the most uncertain of it. A photo that no longer opens is named, not shown."""
    files = list(dict.fromkeys(Path(each.file) for each in found))
    with ThreadPoolExecutor() as pool:
        pictures = dict(zip(files, pool.map(thumbnail, files), strict=True))
    order = {tag: at for at, tag in enumerate(dict.fromkeys(each.tag.tag for each in found))}
    ranked = sorted(found, key=lambda each: order[each.tag.tag])
    sections = "".join(
        f'<section><h2>{escape(tag)}</h2><div class="hits">{"".join(_figure(each, pictures, library) for each in some)}</div></section>'
        for tag, some in groupby(ranked, key=lambda each: each.tag.tag)
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>Tags to review</title><style>{STYLE}{_STYLE}</style></head><body><header><h1>Tags to review</h1>"
        f"<p>{len(found):,} of {total:,} that nobody has judged, the most uncertain first.</p></header>{sections or '<p>None.</p>'}"
        f"<footer>Numbers say how likely each tag is right. Click a line below a photo to mark it, and copy it into a terminal. Made by Pellucid.</footer>"
        f"</body></html>\n"
    )


def _figure(each: Doubt, pictures: dict[Path, str | None], library: Path | None) -> str:
    picture = pictures[Path(each.file)]
    image = (
        f'<img src="{picture}" alt="{escape(each.file)}" loading="lazy">'
        if picture is not None
        else '<div class="missing">cannot be opened</div>'
    )
    region = f' <span class="region">region {each.tag.region}</span>' if each.tag.region is not None else ""
    words = f"{shlex.quote(each.file)} {shlex.quote(each.tag.tag)}{library_words(library)}"
    answers = "".join(f"<code>{escape(f'pellucid tags {what} {words}')}</code>" for what in ("confirm", "reject"))
    width = max(0.0, min(1.0, each.tag.precision)) * 100
    return (
        f'<figure>{image}<div class="bar"><i style="width:{width:.0f}%"></i></div><figcaption><span class="number">{each.tag.precision:.2f}</span>{region} '
        f"{escape(Path(each.file).name)}{answers}</figcaption></figure>"
    )
