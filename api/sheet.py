"""A contact sheet: searches with pictures of their hits, in one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import PellucidError, read_image

if TYPE_CHECKING:
    from search import Hit

THUMBNAIL_PIXELS = 320

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --accent: #0072b2; }
* { box-sizing: border-box } body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem }
h1 { font-size: 1.6rem; margin: 0 } header p { margin: .25rem 0 0; opacity: .75 }
section { border-top: 1px solid var(--line); margin-top: 1.75rem; padding-top: 1rem }
h2 { font-size: 1.1rem; margin: 0 0 .75rem; display: flex; gap: .75rem; align-items: center } h2 img { height: 4.5rem; border-radius: 6px }
.hits { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)) }
figure { margin: 0 } figure img, .missing { width: 100%; aspect-ratio: 4/3; object-fit: cover; border-radius: 6px; background: var(--line) }
.missing { display: grid; place-items: center; padding: .5rem; font-size: .8rem; text-align: center }
figcaption { font-size: .8rem; overflow-wrap: anywhere; margin-top: .3rem }
.bar { height: 4px; border-radius: 2px; background: var(--line); margin-top: .35rem } .bar i { display: block; height: 100%; border-radius: 2px; background: var(--accent) }
.through { border: 1px solid var(--line); border-radius: 4px; padding: 0 .3rem }
.number { font-variant-numeric: tabular-nums; opacity: .75 } footer { margin-top: 2.5rem; font-size: .85rem; opacity: .7 }
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """One search on the sheet; `picture` is the file that was asked with, if any."""

    title: str
    hits: Sequence[Hit]
    picture: Path | None = None


def contact_sheet(title: str, subtitle: str, answers: Sequence[Answered]) -> str:
    """The page. A photo that no longer opens is named, not shown."""
    files = dict.fromkeys([*(a.picture for a in answers if a.picture), *(Path(hit.file) for a in answers for hit in a.hits)])
    with ThreadPoolExecutor() as pool:
        pictures = dict(zip(files, pool.map(thumbnail, files), strict=True))
    sections = "".join(_section(answer, pictures) for answer in answers)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>"
        f"{sections}<footer>Numbers are cosine similarities and, behind the sign, deviations above the library's mean. Made by Pellucid.</footer>"
        f"</body></html>\n"
    )


def thumbnail(file: Path) -> str | None:
    """A small JPEG as a data address; none where the photo does not open."""
    from PIL import Image

    try:
        photo = read_image(file, side=THUMBNAIL_PIXELS // 2)
    except PellucidError:
        return None
    image = Image.fromarray(photo.pixels)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _section(answer: Answered, pictures: dict[Path, str | None]) -> str:
    asked = pictures.get(answer.picture) if answer.picture else None
    image = f'<img src="{asked}" alt="">' if asked else ""
    figures = "".join(_figure(hit, pictures) for hit in answer.hits) or "<p>No photos.</p>"
    return f'<section><h2>{image}{escape(answer.title)}</h2><div class="hits">{figures}</div></section>'


def _figure(hit: Hit, pictures: dict[Path, str | None]) -> str:
    picture = pictures[Path(hit.file)]
    shown = f'<img src="{picture}" alt="{escape(hit.path)}" loading="lazy">' if picture else '<div class="missing">cannot be opened</div>'
    width = max(0.0, min(1.0, hit.similarity)) * 100
    through = "" if hit.enhancer == "none" else ' <span class="through" title="its dehazed version matched best">dehazed</span>'
    taken = f" · {escape(str(hit.columns['taken_at'])[:10])}" if hit.columns.get("taken_at") else ""
    return (
        f'<figure>{shown}<div class="bar"><i style="width:{width:.0f}%"></i></div>'
        f'<figcaption><span class="number">{hit.similarity:.3f} {hit.z:+.1f}</span> {escape(hit.path)}{taken}{through}</figcaption></figure>'
    )
