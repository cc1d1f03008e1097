"""The pipeline's stages: generators, in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from preprocess import ImageError, Limits, PellucidError, WeightsError, decode, read_bytes, sidecar_keywords
from search import FACT_COLUMNS, image_row

from .report import Report
from .walk import Found

if TYPE_CHECKING:
    from search import Encoder, Prepared, Vectors

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was read. `prepared` is none where its vector is known already; `row` is its future row of the images table."""

    found: Found
    row: dict[str, Any]
    prepared: Prepared | None

    @property
    def digest(self) -> str:
        """Sha256 of the bytes that were read."""
        return str(self.row["digest"])


@dataclass(frozen=True, slots=True)
class Embedded:
    """A batch in columns; `vectors` has a row for each digest, Float32["digest dim"]."""

    items: list[Loaded]
    digests: list[str]
    vectors: Vectors


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


class Loader:
    """Reads one file: bytes, digest, pixels, facts. Safe to call from many threads."""

    def __init__(self, encoder: Encoder, limits: Limits, rows_by_digest: Callable[[str], Mapping[str, Any] | None]) -> None:
        self.encoder, self.limits, self.rows_by_digest = encoder, limits, rows_by_digest

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
        """Read, and decode only what has no vector yet.

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
        known = self.rows_by_digest(place["digest"])
        if known is not None and known["keywords"] is None and not sidecar:  # keywords may be of the other file's sidecar
            return Loaded(found, {**known, **place}, None)
        photo = decode(data, str(found.file), self.limits, self.encoder.side)
        words = dict.fromkeys((*photo.facts.keywords, *sidecar))
        facts = {name: getattr(photo.facts, name) for name in FACT_COLUMNS}
        row = image_row(**place, **facts, format=photo.format, width=photo.width, height=photo.height, keywords="; ".join(words) or None)
        return Loaded(found, row, self.encoder.prepare(photo.pixels))


def read(items: Iterable[Found], loader: Loader, report: Report, pool: Executor, ahead: int) -> Iterator[Loaded]:
    """Files that could be read; the others go into the report."""
    for outcome in map_ahead(loader, items, pool, ahead):
        report.done += 1
        if isinstance(outcome, Loaded):
            yield outcome
        else:
            report.fail(*outcome)


def embed(items: Iterable[Loaded], encoder: Encoder, embedded: set[str], report: Report) -> Iterator[Embedded]:
    """Batches with the vectors that are new; a batch that fails in the encoder is tried again photo by photo.

    Raises:
        WeightsError: the encoder fails on every photo of a batch: that is no photo's fault.
    """
    batch: list[Loaded] = []
    fresh: dict[str, Prepared] = {}
    for item in items:
        batch.append(item)
        if item.prepared is not None and item.digest not in embedded:
            fresh[item.digest] = item.prepared
        if len(fresh) >= encoder.batch_size or len(batch) >= 256:
            yield _encoded(batch, fresh, encoder, embedded, report)
            batch, fresh = [], {}
    if batch:
        yield _encoded(batch, fresh, encoder, embedded, report)


def _encoded(batch: list[Loaded], fresh: dict[str, Prepared], encoder: Encoder, embedded: set[str], report: Report) -> Embedded:
    import numpy as np

    with report.timed("encode"):
        digests = list(fresh)
        try:
            vectors = encoder.encode_images(list(fresh.values()))
        except WeightsError:
            raise
        except Exception:
            rows, digests, broken = [], [], {}
            for digest, prepared in fresh.items():
                try:
                    rows.append(encoder.encode_images([prepared]))
                    digests.append(digest)
                except Exception as error:
                    broken[digest] = error
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
    embedded.update(digests)
    # Without the pixels: those of a thousand photos that wait for a commit would take 20 MB.
    return Embedded([replace(item, prepared=None) for item in batch], digests, vectors)
