"""How well the haze density tells hazy photos from clear ones, and what the gate does with each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dehaze import DEHAZED_SHORT, DehazeRule
from .errors import ImageError, InputError
from .formats import is_photo
from .gate import HAZE_THRESHOLD
from .image import Limits, read_image
from .resize import reduced

KINDS = ("hazy", "clear", "other")
_BATCH = 64


@dataclass(frozen=True, slots=True)
class PhotoSource:
    """Photos of one kind, under the name that they were asked for by."""

    kind: str
    name: str
    files: tuple[Path, ...]


def find_sources(**paths: Iterable[str]) -> list[PhotoSource]:
    """The photos of folders, with all below them but hidden ones, of files, and of patterns such as `DIR/foggy*`, by kind: hazy, clear or other.

    Raises:
        InputError: nothing is there, or no photo is among what is; there are no hazy or no clear photos.
    """
    sources = [PhotoSource(kind, path, _photos(path)) for kind in KINDS for path in paths.get(kind, ())]
    for kind in ("hazy", "clear"):
        if not any(source.kind == kind for source in sources):
            raise InputError(f"There are no {kind} photos to tell from the others. Name a folder or a pattern with --{kind}.")
    return sources


def evaluate_haze(
    sources: Sequence[PhotoSource],
    rule: DehazeRule,
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Area under the ROC curve of the haze density, over all photos and for each source alone against all of the other kind; for each source too,
    its median density, the share over the threshold, and the share that the rule keeps a dehazed version of.

    Photos that cannot be read are left out and named in `failed`. Sources of the kind other have no curve.

    Raises:
        InputError: no hazy or no clear photo could be read.
    """
    files = [file for source in sources for file in source.files]
    failed: dict[str, str] = {}
    rows: list[tuple[float, bool]] = []
    for done, outcome in enumerate(_judge(files, rule, limits or Limits()), 1):
        if isinstance(outcome, ImageError):
            failed[str(files[done - 1])] = str(outcome)
        rows.append((np.nan, False) if isinstance(outcome, ImageError) else outcome)
        on_progress(done, len(files))
    table = np.array(rows, np.float64).reshape(-1, 2)
    parts = np.split(table, np.cumsum([len(source.files) for source in sources])[:-1])
    parts = [part[~np.isnan(part[:, 0])] for part in parts]
    of = {kind: np.concatenate([np.zeros(0), *(p[:, 0] for s, p in zip(sources, parts, strict=True) if s.kind == kind)]) for kind in KINDS}
    if not len(of["hazy"]) or not len(of["clear"]):
        raise InputError("No hazy or no clear photo could be read. The first error: " + next(iter(failed.values()), "none"))
    return {
        "threshold": HAZE_THRESHOLD,
        "rule": rule.id,
        "dehazer": None if rule.dehazer is None else rule.dehazer.id,
        "auc": round(roc_auc(of["hazy"], of["clear"]), 4),
        "sources": [_figures(source, part, of) for source, part in zip(sources, parts, strict=True)],
        "all": {kind: _shares(np.concatenate([p for s, p in zip(sources, parts, strict=True) if s.kind == kind])) for kind in ("hazy", "clear")},
        "failed": failed,
    }  # fmt: skip


def roc_auc(hazy: NDArray[np.float64], clear: NDArray[np.float64]) -> float:
    """The chance that a hazy photo has a higher density than a clear one; an equal one counts half. Both must hold some."""
    ordered = np.sort(clear)
    below, at_most = np.searchsorted(ordered, hazy, "left"), np.searchsorted(ordered, hazy, "right")
    return float((below + at_most).sum() / (2 * len(hazy) * len(clear)))


def _photos(path: str) -> tuple[Path, ...]:
    place = Path(path).expanduser()
    files: list[Path] = []
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if _is_photo(file) and not _hidden(file.relative_to(place)))
    elif place.is_file():
        files = [place]
    else:
        with contextlib.suppress(ValueError):  # a pattern that cannot be one
            files = sorted(file for file in Path(place.anchor).glob(str(place.relative_to(place.anchor))) if _is_photo(file))
    if not files:
        raise InputError(f"There are no photos in or at {path}. Name a folder, a photo, or a pattern in quotes such as 'DIR/foggy*.jpg'.")
    return tuple(files)


def _is_photo(file: Path) -> bool:
    return is_photo(file.name) and file.is_file()


def _hidden(path: Path) -> bool:
    """Such as `._a.jpg`, which macOS puts beside a photo, and the small pictures of a file manager."""
    return any(part.startswith(".") for part in path.parts)


def _judge(files: Sequence[Path], rule: DehazeRule, limits: Limits) -> Iterator[tuple[float, bool] | ImageError]:
    def work(file: Path) -> tuple[float, bool] | ImageError:
        try:
            judged = rule.judge(reduced(read_image(file, limits, side=DEHAZED_SHORT // 2).pixels, DEHAZED_SHORT))
        except ImageError as error:
            return error
        return judged.haze, judged.pixels is not None

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), _BATCH):  # not all at once: the dehazed pictures would wait in memory
            yield from pool.map(work, files[start : start + _BATCH])


def _figures(source: PhotoSource, part: NDArray[np.float64], of: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    density, auc = part[:, 0], None
    if len(density) and source.kind != "other":
        auc = round(roc_auc(density, of["clear"]) if source.kind == "hazy" else roc_auc(of["hazy"], density), 4)
    return {"name": source.name, "kind": source.kind, "auc": auc} | _shares(part)


def _shares(part: NDArray[np.float64]) -> dict[str, Any]:
    """Of rows of density and kept."""
    if not len(part):
        return {"photos": 0, "median": None, "over": None, "kept": None}
    density = part[:, 0]
    return {"photos": len(part), "median": round(float(np.median(density)), 4), "over": round(float((density >= HAZE_THRESHOLD).mean()), 4),
            "kept": round(float(part[:, 1].mean()), 4)}  # fmt: skip
