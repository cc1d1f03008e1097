"""The pipeline's stages: generators, in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from preprocess import (
    DEHAZED_PIXELS,
    DEHAZED_SHORT,
    ImageError,
    Limits,
    PellucidError,
    WeightsError,
    decode,
    read_bytes,
    reduced,
    sidecar_keywords,
)
from search import FACT_COLUMNS, PLAIN, image_row

from .regions import NO_REGIONS, Regions
from .report import Report
from .walk import Found

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess import DehazeRule, Photo, RgbImage
    from search import Encoder, Prepared

    from .regions import RegionStage

Source = tuple[str, str]  # enhancer, digest

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was read. `row` is its future row of the images table; `prepared` holds what must be encoded, by enhancer, `regions` what it got, and
    `measures` what was measured of its pixels, by axis.

    `error` says why there is no dehazed version, or no region, where there should be: the photo is found as it is, and the next build tries again.
    """

    found: Found
    row: dict[str, Any]
    prepared: Mapping[str, Prepared]
    error: PellucidError | None = None
    regions: Regions = NO_REGIONS
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Sha256 of the bytes that were read."""
        return str(self.row["digest"])


def map_ahead(function: Callable[[In], Out], items: Iterable[In], pool: Executor, ahead: int) -> Iterator[Out]:
    """`map` in the order of the items, with at most `ahead` calls in flight: order never depends on threads, and memory is bounded."""
    waiting: deque[Future[Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


RowsByDigest: TypeAlias = "Callable[[str], tuple[Mapping[str, Any] | None, bool]]"
"""Of a digest: the row of a photo with these bytes that was judged by the rule, if there is one, and whether all its vectors are there."""


class Loader:
    """Reads one file: bytes, digest, pixels, facts, haze, regions. Safe to call from many threads. Without a rule, haze is not looked at, and without a
    stage for them, neither are regions."""

    def __init__(
        self, encoder: Encoder, limits: Limits, known: RowsByDigest, rule: DehazeRule | None = None, regions: RegionStage | None = None,
        keywords: Callable[[Path], tuple[str, ...]] = sidecar_keywords,
    ) -> None:  # fmt: skip
        self.encoder, self.limits, self.known, self.rule, self.regions = encoder, limits, known, rule, regions
        self.keywords = keywords

    def __call__(self, found: Found) -> Loaded | tuple[Found, PellucidError]:
        """The loaded file, or the file with the error that stopped it."""
        try:
            return self.load(found)
        except WeightsError:
            raise  # no photo's fault
        except PellucidError as error:
            return found, error
        except Exception as error:
            # One strange file must never end a build of a million.
            return found, ImageError(f"{found.file} could not be read: {type(error).__name__}: {error}")

    def load(self, found: Found) -> Loaded:
        """Read, and decode only what lacks a vector or a hash, or was not judged by the rule yet.

        Raises:
            ImageError: the file cannot be used.
        """
        data = read_bytes(found.file, self.limits)
        place: dict[str, Any] = {
            "root": found.root,
            "path": found.path,
            "digest": sha256(data).hexdigest(),
            "byte_size": len(data),
            "modified_ns": found.modified_ns,
        }
        sidecar = self.keywords(found.file)
        known, complete = self.known(place["digest"])
        complete = complete and not self._lacks_regions(found, place["digest"])
        if known is not None and complete and known["keywords"] is None and not sidecar:  # keywords may be of the other file's sidecar
            return Loaded(found, {**known, **place}, {})
        photo = decode(data, str(found.file), self.limits, self.regions.side if self.regions is not None else self.encoder.side)
        words = dict.fromkeys((*photo.facts.keywords, *sidecar))
        facts = {name: getattr(photo.facts, name) for name in FACT_COLUMNS}
        row = image_row(**place, **facts, format=photo.format, width=photo.width, height=photo.height, keywords="; ".join(words) or None)
        haze = {} if known is None else {name: known[name] for name in ("haze", "dehazed", "dehaze_rule")}
        # What was measured once stands: another encoder may read the photo at another scale, and rows that change make the caches of all recipes stale.
        measures: dict[str, float] = {}
        failed = None
        if known is not None and known["perceptual_hash"] is not None:
            row["perceptual_hash"] = known["perceptual_hash"]
        else:
            try:
                from preprocess import hash_text, measure_for_build  # here, since they load OpenCV

                measured = measure_for_build(photo.pixels)
                row["perceptual_hash"], measures = hash_text(measured.hash), measured.scores
            except Exception as error:  # the next build tries again
                failed = ImageError(
                    f"{found.file} could not be measured: {type(error).__name__}: {error}. It can be found, but not as a duplicate."
                )
        versions = {PLAIN: photo.pixels}
        try:
            haze, dehazed = self._dehazed(photo.pixels, haze)
            versions |= dehazed
        except Exception as error:  # what is there only to help never costs the photo
            failed = ImageError(f"{found.file} could not be dehazed: {type(error).__name__}: {error}. It can be found as it is.")
        prepared = {enhancer: self.encoder.prepare(pixels) for enhancer, pixels in versions.items()}
        try:
            regions = self._regions(found, place["digest"], photo, len(versions) > 1)
        except WeightsError:
            raise
        except Exception as error:
            regions = NO_REGIONS
            failed = ImageError(
                f"The regions of {found.file} could not be found: {type(error).__name__}: {error}. The photo can be found as a whole."
            )
        return Loaded(found, row | haze, prepared, failed, regions, measures)

    def _lacks_regions(self, found: Found, digest: str) -> bool:
        stage = self.regions
        return stage is not None and (not stage.complete(digest) or stage.inherited(found.key, digest) is not None)

    def _regions(self, found: Found, digest: str, photo: Photo, hazy: bool) -> Regions:
        """The photo's regions, where it lacks some; seen through the haze, where it was dehazed."""
        if self.regions is None or not self._lacks_regions(found, digest):
            return NO_REGIONS
        size_wh = (photo.width, photo.height)
        drawn = self.regions.inherited(found.key, digest, size_wh)
        if drawn is None and self.regions.complete(digest):
            return NO_REGIONS
        pixels = photo.pixels
        if hazy and self.rule is not None and self.rule.dehazer is not None:
            pixels = self.rule.dehazer(reduced(pixels, self.regions.short, DEHAZED_PIXELS))
        return self.regions(digest, pixels, size_wh, drawn)

    def _dehazed(self, pixels: RgbImage, haze: dict[str, Any]) -> tuple[dict[str, Any], dict[str, RgbImage]]:
        """The columns about haze, and the dehazed version if there should be one. What was decided before stands, also for another encoder."""
        rule = self.rule
        if rule is None or (haze and (haze["dehazed"] is None or rule.dehazer is None)):
            return haze, {}
        small = reduced(pixels, max(2 * self.encoder.side, DEHAZED_SHORT), DEHAZED_PIXELS)
        if haze and rule.dehazer is not None:
            return haze, {str(haze["dehazed"]): rule.dehazer(small)}
        judged = rule.judge(small)
        versions = {judged.enhancer: judged.pixels} if judged.pixels is not None and judged.enhancer is not None else {}
        return {"haze": round(judged.haze, 4), "dehazed": judged.enhancer, "dehaze_rule": rule.id}, versions


def read(items: Iterable[Found], loader: Loader, report: Report, pool: Executor, ahead: int) -> Iterator[Loaded]:
    """Files that could be read; the others go into the report."""
    for outcome in map_ahead(loader, items, pool, ahead):
        report.done += 1
        if isinstance(outcome, Loaded):
            yield outcome
        else:
            report.fail(*outcome)
