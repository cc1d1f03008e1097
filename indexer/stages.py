"""The pipeline's stages: generators, in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
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

from .report import Report
from .walk import Found

if TYPE_CHECKING:
    from preprocess import DehazeRule, RgbImage
    from search import Encoder, Prepared, Vectors

Source = tuple[str, str]  # enhancer, digest

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was read. `row` is its future row of the images table; `prepared` holds what must be encoded, by enhancer.

    `error` says why there is no dehazed version where there should be one: the photo is found as it is, and the next build tries again.
    """

    found: Found
    row: dict[str, Any]
    prepared: Mapping[str, Prepared]
    error: PellucidError | None = None

    @property
    def digest(self) -> str:
        """Sha256 of the bytes that were read."""
        return str(self.row["digest"])


@dataclass(frozen=True, slots=True)
class Embedded:
    """A batch in columns; `vectors` has a row for each of the `sources`, Float32["source dim"]: an enhancer and a digest."""

    items: list[Loaded]
    sources: list[Source]
    vectors: Vectors

    def of(self, enhancer: str) -> tuple[list[str], Vectors]:
        """The digests whose pixels went through this enhancer, and their rows."""
        at = [number for number, source in enumerate(self.sources) if source[0] == enhancer]
        return [self.sources[number][1] for number in at], self.vectors[at]


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
    """Reads one file: bytes, digest, pixels, facts, haze. Safe to call from many threads. Without a rule, haze is not looked at."""

    def __init__(self, encoder: Encoder, limits: Limits, known: RowsByDigest, rule: DehazeRule | None = None) -> None:
        self.encoder, self.limits, self.known, self.rule = encoder, limits, known, rule

    def __call__(self, found: Found) -> Loaded | tuple[Found, PellucidError]:
        """The loaded file, or the file with the error that stopped it."""
        try:
            return self.load(found)
        except PellucidError as error:
            return found, error
        except Exception as error:
            # One strange file must never end a build of a million.
            return found, ImageError(f"{found.file} could not be read: {type(error).__name__}: {error}")

    def load(self, found: Found) -> Loaded:
        """Read, and decode only what lacks a vector or was not judged by the rule yet.

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
        sidecar = sidecar_keywords(found.file)
        known, complete = self.known(place["digest"])
        if known is not None and complete and known["keywords"] is None and not sidecar:  # keywords may be of the other file's sidecar
            return Loaded(found, {**known, **place}, {})
        photo = decode(data, str(found.file), self.limits, self.encoder.side)
        words = dict.fromkeys((*photo.facts.keywords, *sidecar))
        facts = {name: getattr(photo.facts, name) for name in FACT_COLUMNS}
        row = image_row(**place, **facts, format=photo.format, width=photo.width, height=photo.height, keywords="; ".join(words) or None)
        haze = {} if known is None else {name: known[name] for name in ("haze", "dehazed", "dehaze_rule")}
        versions = {PLAIN: photo.pixels}
        failed = None
        try:
            haze, dehazed = self._dehazed(photo.pixels, haze)
            versions |= dehazed
        except Exception as error:  # what is there only to help never costs the photo
            failed = ImageError(f"{found.file} could not be dehazed: {type(error).__name__}: {error}. It can be found as it is.")
        return Loaded(found, row | haze, {enhancer: self.encoder.prepare(pixels) for enhancer, pixels in versions.items()}, failed)

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


def embed(items: Iterable[Loaded], encoder: Encoder, embedded: set[Source], report: Report) -> Iterator[Embedded]:
    """Batches with the vectors that are not `embedded` yet; a batch that fails in the encoder is tried again photo by photo.

    Raises:
        WeightsError: the encoder fails on every photo of a batch: that is no photo's fault.
    """
    batch: list[Loaded] = []
    fresh: dict[Source, Prepared] = {}
    for item in items:
        batch.append(item)
        sources = {(enhancer, item.digest): prepared for enhancer, prepared in item.prepared.items()}
        fresh.update({source: prepared for source, prepared in sources.items() if source not in embedded})
        if len(fresh) >= encoder.batch_size or len(batch) >= 256:
            yield _encoded(batch, fresh, encoder, embedded, report)
            batch, fresh = [], {}
    if batch:
        yield _encoded(batch, fresh, encoder, embedded, report)


def _encoded(batch: list[Loaded], fresh: dict[Source, Prepared], encoder: Encoder, embedded: set[Source], report: Report) -> Embedded:
    import numpy as np

    with report.timed("encode"):
        sources = list(fresh)
        try:
            vectors = encoder.encode_images(list(fresh.values()))
        except WeightsError:
            raise
        except Exception:
            rows, sources, broken = [], [], {}
            for source, prepared in fresh.items():
                try:
                    rows.append(encoder.encode_images([prepared]))
                    sources.append(source)
                except Exception as error:
                    broken[source[1]] = error
            if len(broken) > 1 and not rows:
                said = next(iter(broken.values()))
                raise WeightsError(
                    f"The encoder {encoder.recipe.encoder!r} fails on every photo: {type(said).__name__}: {said}. What was done before is kept. "
                    f"See that its memory suffices, and that its files are whole: pellucid models verify {encoder.recipe.encoder}"
                ) from said
            for item in batch:
                if item.digest in broken:
                    report.fail(item.found, ImageError(f"{item.found.file} could not be encoded: {broken[item.digest]}"))
            batch = [item for item in batch if item.digest not in broken]
            vectors = np.concatenate(rows) if rows else np.zeros((0, encoder.recipe.dim), np.float32)
    embedded.update(sources)
    # Without the pixels: those of a thousand photos that wait for a commit would take 20 MB.
    return Embedded([replace(item, prepared={}) for item in batch], sources, vectors)
