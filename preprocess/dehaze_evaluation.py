"""Dehazers measured on hazy photos with their clear counterparts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .choose import choose
from .dehaze import Dehazer, load_dehazer
from .errors import InputError
from .formats import is_photo
from .image import Limits, RgbImage, read_image
from .metrics import Likeness, Reference

METHODS: Mapping[str, tuple[str, str]] = {
    "dark-channel": ("dark-channel", "default"),
    "dark-channel-paper": ("dark-channel", "paper"),
    "dehazenet": ("dehazenet", "default"),
    "aod-net": ("aod-net", "default"),
    "auto": ("auto", "default"),
}
"""What is measured, by name: a dehazer and its preset."""

HAZY = "hazy (as it is)"
"""The name of the row without any dehazing."""

PUBLISHED: Mapping[str, tuple[float, float]] = {"DCP": (18.00, 0.8579), "DehazeNet": (24.48, 0.9153), "AOD-Net": (21.08, 0.8787)}
"""PSNR in dB and SSIM that others published for the 1,000 pictures of RESIDE SOTS, here only to compare with; not measured by us."""

PUBLISHED_ON = "RESIDE SOTS, 1,000 pictures"
_CLEAR_FOLDERS = ("clear", "gt", "GT")
_MOST_BORDER = 64  # pixels on one side; RESIDE's indoor pictures have 10 around what was hazed


@dataclass(frozen=True, slots=True)
class Pair:
    """A hazy photo and the clear one of the same view."""

    hazy: Path
    clear: Path


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """Means over the pairs; `seconds` are of the dehazer alone, for one picture, and none where nothing ran."""

    method: str
    psnr: float
    ssim: float
    ciede2000: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class DehazeFigures:
    """What was measured on how many pairs; the first row is the hazy photos as they are."""

    pairs: int
    rows: tuple[MethodFigures, ...]


def find_pairs(folder: Path, limit: int | None = None) -> list[Pair]:
    """The photos of `folder/hazy`, in the order of their names, each with that of `folder/clear` or `folder/gt` whose name begins alike.

    Of `1400_3.png` and `0001_0.8_0.2.jpg`, what counts is the part before the first underscore. With a `limit`, that many, evenly spread.

    Raises:
        InputError: a folder is missing or empty, a hazy photo has no clear one, or several.
    """
    hazy = _photos(folder / "hazy", folder)
    places = [folder / name for name in _CLEAR_FOLDERS if (folder / name).is_dir()]
    if not places:
        raise InputError(
            f"{folder} has no folder clear or gt with the clear photos. The layout is that of RESIDE SOTS: DIR/hazy and DIR/gt."
        )
    clear: dict[str, Path] = {}
    for photo in _photos(places[0], folder):
        key = _key(photo)
        if key in clear:
            raise InputError(f"{clear[key]} and {photo} both begin with {key!r}: which is the clear one of the hazy photos of that name?")
        clear[key] = photo
    lone = [photo for photo in hazy if _key(photo) not in clear]
    if lone:
        raise InputError(
            f"{len(lone)} of {len(hazy)} hazy photos have no clear one, such as {lone[0]}: {places[0]} has no photo named {_key(lone[0])}.*."
        )
    pairs = [Pair(photo, clear[_key(photo)]) for photo in hazy]
    if limit is None or limit >= len(pairs):
        return pairs
    return [pairs[index * len(pairs) // limit] for index in range(limit)]


def evaluate_dehazers(
    pairs: Sequence[Pair],
    methods: Sequence[str] | None = None,
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> DehazeFigures:
    """Mean PSNR, SSIM, CIEDE2000 and seconds of each of the methods (all, without names) over the pairs.

    A clear photo that is larger than its hazy one by the same even number of pixels in width and height loses that border: RESIDE's indoor clear
    photos are 640×480, of which the inner 620×460 were hazed. Pictures are dehazed one at a time, on the thread that calls.

    Raises:
        InputError: no pairs, or sizes that do not fit.
        UnknownName: there is no such method.
        ImageError: a photo cannot be read.
        MissingExtra: scikit-image is not installed.
        WeightsError: the file of a learned dehazer is missing or damaged.
    """
    if not pairs:
        raise InputError("There are no pairs to measure. Give a folder with hazy and clear photos.")
    dehazers: dict[str, Dehazer] = {name: load_dehazer(*choose(METHODS, name, "method")) for name in dict.fromkeys(methods or METHODS)}
    likenesses: dict[str, list[Likeness]] = {name: [] for name in (HAZY, *dehazers)}
    seconds = dict.fromkeys(dehazers, 0.0)
    for done, (hazy, clear) in enumerate(_read(pairs, limits)):
        reference = Reference(clear)
        likenesses[HAZY].append(reference.compare(hazy))
        for name, dehazer in dehazers.items():
            if done == 0:
                dehazer(hazy)  # once to warm up: the first call of a model makes its buffers
            start = time.perf_counter()
            dehazed = dehazer(hazy)
            seconds[name] += time.perf_counter() - start
            likenesses[name].append(reference.compare(dehazed))
        on_progress(done + 1, len(pairs))
    rows = [_means(name, found, seconds[name] / len(pairs) if name in seconds else None) for name, found in likenesses.items()]
    return DehazeFigures(len(pairs), tuple(rows))


def _means(name: str, found: Sequence[Likeness], seconds: float | None) -> MethodFigures:
    count = len(found)
    return MethodFigures(
        name, sum(f.psnr for f in found) / count, sum(f.ssim for f in found) / count, sum(f.ciede2000 for f in found) / count, seconds
    )


def _read(pairs: Sequence[Pair], limits: Limits | None) -> Iterator[tuple[RgbImage, RgbImage]]:
    """Hazy and clear pixels of one size."""
    for pair in pairs:
        hazy, clear = read_image(pair.hazy, limits).pixels, read_image(pair.clear, limits).pixels
        taller, wider = clear.shape[0] - hazy.shape[0], clear.shape[1] - hazy.shape[1]
        if taller != wider or taller % 2 or not 0 <= taller <= 2 * _MOST_BORDER:
            raise InputError(
                f"{pair.hazy} is {hazy.shape[1]}×{hazy.shape[0]} and {pair.clear} is {clear.shape[1]}×{clear.shape[0]}: they do not show the "
                "same view. Clear photos have the size of the hazy ones, or a border of up to 64 pixels on every side."
            )
        border = taller // 2
        yield hazy, clear[border : clear.shape[0] - border, border : clear.shape[1] - border]


def _photos(place: Path, folder: Path) -> list[Path]:
    try:
        photos = sorted(file for file in place.iterdir() if is_photo(file.name) and not file.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"{folder} has no folder {place.name}: {error.strerror}. The layout is that of RESIDE SOTS: DIR/hazy and DIR/gt."
        ) from error
    if not photos:
        raise InputError(f"{place} has no photos. The layout is that of RESIDE SOTS: DIR/hazy and DIR/gt.")
    return photos


def _key(photo: Path) -> str:
    return photo.stem.split("_", 1)[0]
