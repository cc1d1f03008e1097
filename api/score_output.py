"""Scores for people: a table of how they lie, the photos at both ends, and a page with their pictures."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .output import SHOWN_FAILURES, console, plain
from .scoring import SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SMALL = 0.001  # below it, three digits after the point would be noughts


def print_scored(outcome: Mapping[str, Any]) -> None:
    """What a run did, how the scores lie, and what failed."""
    from rich import box
    from rich.table import Table

    out = console()
    axes = {axis: facts for axis, facts in outcome["axes"].items() if facts["photos"]}
    if not outcome["photos"]:
        out.print("No photo meets the condition." if outcome["where"] else "The library has no photos.")
        return
    parts = [f"{outcome['scored']:,} of {_photos(outcome['photos'])} scored in {outcome['seconds']:,.1f} s"]
    if outcome["before"]:
        parts.append(f"{outcome['before']:,} had been")
    out.print(plain(f"{', '.join(parts)}. Mode {outcome['mode']}, encoder {outcome['encoder']!r}."))
    if outcome["missing"]:
        out.print(plain(f"{_photos(outcome['missing'])} have no vector by it yet: {outcome['index']}"))
    if axes:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("axis")
        for name in ("photos", "5%", "25%", "median", "75%", "95%"):
            table.add_column(name, justify="right")
        for axis, facts in axes.items():
            table.add_row(axis, f"{facts['photos']:,}", *(_number(value) for value in facts["quantiles"].values()))
        out.print(table)
        shown = "rating" if "rating" in axes else next(iter(axes))
        for name in ("best", "worst"):
            out.print(f"{name.capitalize()} by {shown}:")
            for photo in axes[shown][name][:SHOWN]:
                out.print(plain(f"  {_number(photo['score'])}  {photo['file']}"))
        out.print(outcome["note"])
    _failures(outcome["failed"])
    if outcome["interrupted"]:
        out.print("Interrupted. What was scored is kept; run the same command to go on.")


def _photos(count: int) -> str:
    return f"{count:,} {'photo' if count == 1 else 'photos'}"


def _number(value: float) -> str:
    return f"{value:.3f}" if value == 0 or abs(value) >= _SMALL else f"{value:.1e}"


def _failures(failed: Mapping[str, str]) -> None:
    out = console()
    if failed:
        out.print(f"{_photos(len(failed))} could not be scored; the same command tries them again:")
        for message in list(failed.values())[:SHOWN_FAILURES]:
            out.print(plain(f"  {message}"))
        if len(failed) > SHOWN_FAILURES:
            out.print(f"  ... and {len(failed) - SHOWN_FAILURES:,} more: --json names them all")


def score_page(outcome: Mapping[str, Any]) -> str:
    """An HTML page that needs nothing else: of each axis the photos at both ends. A photo that no longer opens is named, not shown."""
    from concurrent.futures import ThreadPoolExecutor

    from .sheet import STYLE, thumbnail

    axes = {axis: facts for axis, facts in outcome["axes"].items() if facts["photos"]}
    files = list(dict.fromkeys(photo["file"] for facts in axes.values() for name in ("best", "worst") for photo in facts[name]))
    with ThreadPoolExecutor() as pool:
        pictures = dict(zip(files, pool.map(thumbnail, map(Path, files)), strict=True))
    sections = "".join(
        f'<section><h2>{escape(axis)}: {"highest" if name == "best" else "lowest"}</h2><div class="hits">{_figures(facts[name], pictures)}</div></section>'
        for axis, facts in axes.items()
        for name in ("best", "worst")
    )
    title, subtitle = "Scores", f"{_photos(outcome['photos'])}, mode {outcome['mode']}, encoder {outcome['encoder']!r}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{STYLE}</style></head><body><header><h1>{title}</h1><p>{escape(subtitle)}</p></header>"
        f"{sections or '<p>No photos.</p>'}<footer>{escape(outcome['note'])} Made by Pellucid.</footer></body></html>\n"
    )


def _figures(photos: Sequence[Mapping[str, Any]], pictures: Mapping[str, str | None]) -> str:
    return "".join(
        f'<figure>{_picture(pictures[photo["file"]], photo["file"])}<figcaption><span class="number">{_number(photo["score"])}</span> '
        f"{escape(plain(Path(photo['file']).name))}</figcaption></figure>"
        for photo in photos
    )


def _picture(picture: str | None, file: str) -> str:
    if picture is None:
        return '<div class="missing">cannot be opened</div>'
    return f'<img src="{picture}" alt="{escape(plain(Path(file).name))}" loading="lazy">'
