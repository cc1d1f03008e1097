"""Photos and their regions to vectors: the stage in which the encoder runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from preprocess import ImageError, WeightsError

from .regions import Regions
from .report import Report

if TYPE_CHECKING:
    from search import Encoder, Prepared, Vectors

    from .regions import Crop, RegionStage
    from .stages import Loaded, Source


@dataclass(frozen=True, slots=True)
class Embedded:
    """A batch in columns; `vectors` has a row for each of the `sources`, Float32["source dim"]: an enhancer and a digest. `crop_vectors` has one for each
    of the `crops` of regions."""

    items: list[Loaded]
    sources: list[Source]
    vectors: Vectors
    crops: list[Crop]
    crop_vectors: Vectors

    def of(self, enhancer: str) -> tuple[list[str], Vectors]:
        """The digests whose pixels went through this enhancer, and their rows."""
        at = [number for number, source in enumerate(self.sources) if source[0] == enhancer]
        return [self.sources[number][1] for number in at], self.vectors[at]


def embed(
    items: Iterable[Loaded], encoder: Encoder, embedded: set[Source], report: Report, regions: RegionStage | None = None
) -> Iterator[Embedded]:
    """Batches with the vectors that are not `embedded` yet; a batch that fails in the encoder is tried again picture by picture.

    Raises:
        WeightsError: the encoder fails on every photo of a batch: that is no photo's fault.
    """
    batch: list[Loaded] = []
    fresh: dict[Source | Crop, Prepared] = {}
    for item in items:
        batch.append(item)
        sources = {(enhancer, item.digest): prepared for enhancer, prepared in item.prepared.items()}
        fresh.update({source: prepared for source, prepared in sources.items() if source not in embedded})
        if regions is not None and item.digest not in regions.done:
            fresh.update({crop: prepared for crop, prepared in item.regions.crops.items()})  # noqa: C416 (of another type of keys)
        if len(fresh) >= encoder.batch_size or len(batch) >= 256:
            yield _embedded(batch, fresh, encoder, embedded, report)
            batch, fresh = [], {}
    if batch:
        yield _embedded(batch, fresh, encoder, embedded, report)


def _embedded(
    batch: list[Loaded], fresh: Mapping[Source | Crop, Prepared], encoder: Encoder, embedded: set[Source], report: Report
) -> Embedded:
    with report.timed("encode"):
        keys, vectors, broken = _encoded(fresh, encoder)
    for item in batch:
        if item.digest in broken:
            report.fail(item.found, ImageError(f"{item.found.file} could not be encoded: {broken[item.digest]}"))
    whole = [at for at, key in enumerate(keys) if len(key) == 2]
    parts = [at for at, key in enumerate(keys) if len(key) == 4]
    sources: list[Source] = [keys[at] for at in whole]  # type: ignore[misc]
    crops: list[Crop] = [keys[at] for at in parts]  # type: ignore[misc]
    embedded.update(sources)
    # Without the pixels: those of a thousand photos that wait for a commit would take 20 MB.
    good = [replace(item, prepared={}, regions=Regions(item.regions.annotation)) for item in batch if item.digest not in broken]
    return Embedded(good, sources, vectors[whole], crops, vectors[parts])


def _encoded(fresh: Mapping[Source | Crop, Prepared], encoder: Encoder) -> tuple[list[Source | Crop], Vectors, dict[str, Exception]]:
    """What could be encoded, its rows, and why the photos with the other digests could not.

    Raises:
        WeightsError: nothing of several could.
    """
    import numpy as np

    try:
        return list(fresh), encoder.encode_images(list(fresh.values())), {}
    except WeightsError:
        raise
    except Exception:
        rows, keys, broken = [], [], {}
        for key, prepared in fresh.items():
            try:
                rows.append(encoder.encode_images([prepared]))
                keys.append(key)
            except Exception as error:
                broken[key[0] if len(key) == 4 else key[1]] = error
        if len(broken) > 1 and not rows:
            said = next(iter(broken.values()))
            raise WeightsError(
                f"The encoder {encoder.recipe.encoder!r} fails on every photo: {type(said).__name__}: {said}. What was done before is kept. "
                f"See that its memory suffices, and that its files are whole: pellucid models verify {encoder.recipe.encoder}"
            ) from said
        return keys, np.concatenate(rows) if rows else np.zeros((0, encoder.recipe.dim), np.float32), broken
