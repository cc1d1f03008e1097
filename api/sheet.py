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
FRAME_WH = (4, 3)  # the shape that thumbnails are cut to, as in STYLE

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --accent: #0072b2; --mark: #f0e442; }
* { box-sizing: border-box } body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem }
h1 { font-size: 1.6rem; margin: 0 } header p { margin: .25rem 0 0; opacity: .75 }
section { border-top: 1px solid var(--line); margin-top: 1.75rem; padding-top: 1rem }
h2 { font-size: 1.1rem; margin: 0 0 .75rem; display: flex; gap: .75rem; align-items: center } h2 img { height: 4.5rem; border-radius: 6px }
.hits { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)) }
figure { margin: 0 } figure img, .missing { display: block; width: 100%; aspect-ratio: 4/3; object-fit: cover; border-radius: 6px; background: var(--line) }
.framed { display: block; position: relative }
.box { position: absolute; border: 2px solid var(--mark); border-radius: 2px; outline: 1px solid #000b; box-shadow: inset 0 0 0 1px #000b; min-width: 6px; min-height: 6px }
.missing { display: grid; place-items: center; padding: .5rem; font-size: .8rem; text-align: center }
figcaption { font-size: .8rem; overflow-wrap: anywhere; margin-top: .3rem }
.bar { height: 4px; border-radius: 2px; background: var(--line); margin-top: .35rem } .bar i { display: block; height: 100%; border-radius: 2px; background: var(--accent) }
.region { border: 1px solid var(--line); border-left: 4px solid var(--mark); border-radius: 4px; padding: 0 .3rem }
.verdict { border: 1px solid var(--line); border-radius: 4px; padding: 0 .3rem } .verdict.strong { border-color: #0072b2; font-weight: 600 }
.verdict.weak, .verdict.none { border-style: dashed; opacity: .8 } .miss { grid-column: 1 / -1; margin: 0 }
.through { border: 1px solid var(--line); border-radius: 4px; padding: 0 .3rem }
.number { font-variant-numeric: tabular-nums; opacity: .75 } footer { margin-top: 2.5rem; font-size: .85rem; opacity: .7 }
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """One search on the sheet; `picture` is the file that was asked with, if any, `nearest_miss` the photo that came nearest where nothing matched."""

    title: str
    hits: Sequence[Hit]
    picture: Path | None = None
    nearest_miss: Hit | None = None


def contact_sheet(title: str, subtitle: str, answers: Sequence[Answered]) -> str:
    """The page. A photo that no longer opens is named, not shown."""
    files = dict.fromkeys([*(a.picture for a in answers if a.picture), *(Path(hit.file) for a in answers for hit in shown(a))])
    with ThreadPoolExecutor() as pool:
        pictures = dict(zip(files, pool.map(thumbnail, files), strict=True))
    sections = "".join(_section(answer, pictures) for answer in answers)
    boxes = (
        " A yellow box marks the part that matched, with its own numbers beside its name and the photo's in parentheses."
        if any(hit.matched == "region" for a in answers for hit in shown(a))
        else ""
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>"
        f"{sections}<footer>Numbers are cosine similarities and, behind the sign, deviations above the library's mean.{boxes} Made by Pellucid.</footer>"
        f"</body></html>\n"
    )


def shown(answer: Answered) -> list[Hit]:
    """All photos of one search that are on the sheet."""
    return [*answer.hits, *([answer.nearest_miss] if answer.nearest_miss is not None else [])]


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
    if answer.nearest_miss is not None and not answer.hits:
        figures = f'<p class="miss">Nothing here matches. The nearest miss:</p>{_figure(answer.nearest_miss, pictures)}'
    return f'<section><h2>{image}{escape(answer.title)}</h2><div class="hits">{figures}</div></section>'


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a box lies in a thumbnail that fills the frame, in percent of the frame: `left`, `top`, `width`, `height`; and the `position_xy`, as CSS's
    object-position has it, at which the frame shows it."""

    left: float
    top: float
    width: float
    height: float
    position_xy: tuple[float, float]


def placed(box_xyxy: tuple[float, float, float, float], size_wh: tuple[float, float]) -> Placed:
    """The place of a box, in pixels of a photo of this size, once the photo is cut to the frame: as near to the box's middle as the photo's edges allow.

    What of a box lies outside even so is cut away.
    """
    zoom = max(frame / side for frame, side in zip(FRAME_WH, size_wh, strict=True))
    starts, sizes, positions = [], [], []
    for axis, frame in enumerate(FRAME_WH):
        shown = size_wh[axis] * zoom
        low, high = (min(max(box_xyxy[at], 0.0), size_wh[axis]) * zoom for at in (axis, axis + 2))
        spare = max(shown - frame, 0.0)
        cut = min(max((low + high - frame) / 2, 0.0), spare)
        low, high = max(low - cut, 0.0), min(high - cut, frame)
        starts.append(100 * low / frame)
        sizes.append(100 * (high - low) / frame)
        positions.append(100 * cut / spare if spare > 1e-9 * frame else 50.0)
    return Placed(starts[0], starts[1], sizes[0], sizes[1], (positions[0], positions[1]))


def _whereabouts(box_xyxy: tuple[float, float, float, float], size_wh: tuple[float, float]) -> str:
    """In which ninth of the photo a box has its middle, in words."""
    across, down = ((box_xyxy[at] + box_xyxy[at + 2]) / 2 / size_wh[at] for at in (0, 1))
    words = [("top", "", "bottom")[min(max(int(down * 3), 0), 2)], ("left", "", "right")[min(max(int(across * 3), 0), 2)]]
    return " ".join(word for word in words if word) or "centre"


def _figure(hit: Hit, pictures: dict[Path, str | None]) -> str:
    region = hit.region if hit.matched == "region" else None
    similarity, z = (region.similarity, region.z) if region else (hit.similarity, hit.z)
    width = max(0.0, min(1.0, similarity)) * 100
    matched = f'<span class="region">{escape(region.label)}</span> ' if region else ""
    own = f' <span class="number">(photo {hit.similarity:.3f} {hit.z:+.1f})</span>' if region else ""
    through = "" if hit.enhancer == "none" else ' <span class="through" title="its dehazed version matched best">dehazed</span>'
    taken = f" · {escape(str(hit.columns['taken_at'])[:10])}" if hit.columns.get("taken_at") else ""
    sure = f'<span class="verdict {hit.verdict}" title="probability {hit.probability:.0%}">{hit.verdict}</span> '
    also = f' <span class="number" title="{escape(chr(10).join(hit.also))}">and {len(hit.also)} alike</span>' if hit.also else ""
    return (
        f'<figure>{_shown(hit, pictures[Path(hit.file)])}<div class="bar"><i style="width:{width:.0f}%"></i></div>'
        f'<figcaption>{sure}{matched}<span class="number">{similarity:.3f} {z:+.1f}</span>{own} {escape(hit.path)}{taken}{through}{also}</figcaption></figure>'
    )


def _shown(hit: Hit, picture: str | None) -> str:
    """The thumbnail, with a box around the region by which the hit is ranked."""
    if picture is None:
        return '<div class="missing">cannot be opened</div>'
    size_wh = (hit.columns.get("width") or 0, hit.columns.get("height") or 0)
    if hit.region is None or hit.matched != "region" or not all(size_wh):
        return f'<img src="{picture}" alt="{escape(hit.path)}" loading="lazy">'
    at = placed(hit.region.box_xyxy, size_wh)
    alt = escape(f"{hit.path}; a box marks: {hit.region.label}, {_whereabouts(hit.region.box_xyxy, size_wh)}")
    x, y = at.position_xy
    return (
        f'<span class="framed"><img src="{picture}" alt="{alt}" loading="lazy" style="object-position:{x:.2f}% {y:.2f}%">'
        f'<span class="box" style="left:{at.left:.2f}%;top:{at.top:.2f}%;width:{at.width:.2f}%;height:{at.height:.2f}%"></span></span>'
    )
