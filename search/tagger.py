"""Zero-shot tags: the words of a vocabulary, each with the precision to be expected, for photos that are known by their vectors alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from preprocess import InputError

from .tag_calibration import TagCalibration
from .tag_judge import Candidates, Judge, Kinship
from .tag_model import TagModel, generic_phrases, load_tag_model
from .tag_regions import TagColumns, crowding, found, of_parts
from .tag_statistics import TaggerStatistics, spread_of, statistics_of
from .tag_vectors import tag_vectors
from .templates import Ensemble, family_of, load_ensemble

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .derived import Spread
    from .encode import Encoder, Recipe, Vectors
    from .library_vectors import PhotoRegions
    from .vocabulary import Vocabulary

BLOCK = 1024  # rows judged at a time by one thread: 7 MB of similarities to 1,700 tags, which a processor's cache nearly holds
TYPICAL = {"builtin": 0.08, "clip": 0.025, "siglip": 0.025}
"""How much the similarity of a text differs from photo to photo. The first was measured. CLIP and SigLIP multiply similarities by about 100 before a softmax or
sigmoid, so that 0.025 is a factor of twelve in their odds; a library of some hundred photos says it itself."""


@dataclass(frozen=True, slots=True)
class TagOptions:
    """Tags with at least this expected `precision`, `most` of them a photo, as corrected by what people said (`calibration`).

    Raises:
        InputError: the precision is not above 0 and below 1, or the number not at least 1.
    """

    precision: float = 0.5
    most: int = 20
    calibration: TagCalibration = field(default_factory=TagCalibration)

    def __post_init__(self) -> None:
        if not 0 < self.precision < 1:
            raise InputError(f"An expected precision of {self.precision} cannot be asked for. It lies above 0 and below 1; 0.5 is usual.")
        if self.most < 1:
            raise InputError(f"At most {self.most} tags a photo are none. Ask for at least 1.")


@dataclass(frozen=True, slots=True)
class FoundTag:
    """A tag of a photo: how likely it is right, how similar it is (a cosine), by how many deviations more than to the library's photos, and the number of the
    region that is the evidence, none for the photo itself. A word that follows from another ("animal" from "dog") has that one's evidence."""

    tag: str
    precision: float
    similarity: float
    z: float
    region: int | None = None


@dataclass(frozen=True, eq=False)
class Tagger:
    """A vocabulary as one encoder understands it: unit rows of its tags, of generic negatives and of reference words, Float32["row dim"]."""

    vocabulary: Vocabulary
    ensemble: str
    recipe: Recipe
    texts: Vectors
    negatives: Vectors
    references: Vectors
    model: TagModel
    typical: float

    @cached_property
    def kinship(self) -> Kinship:
        """What is a kind of what."""
        return Kinship.of(self.vocabulary, self.model.closed)

    @cached_property
    def frequencies(self) -> NDArray[np.float32]:
        """Logarithms of how often each tag is expected, Float32["tag"]."""
        return self.model.frequencies(self.vocabulary)

    @cached_property
    def _of_parts(self) -> NDArray[np.bool_]:
        return of_parts(self.vocabulary)

    def fit(self, batches: Iterable[Vectors], regions: Iterable[Vectors] | None = None) -> TaggerStatistics:
        """The statistics of a library out of its photos' unit rows, Float32["photo dim"] a batch, and those of its regions; memory does not grow with them."""
        dim = self.texts.shape[1]
        return self.statistics(spread_of(batches, dim), None if regions is None else spread_of(regions, dim))

    def statistics(self, spread: Spread, regions: Spread | None = None) -> TaggerStatistics:
        """The same where the spread of the vectors is known already, as an open cache knows it (`Derived.spread`): nothing is read."""
        prior = self.model.prior(self.recipe.weights)
        whole = statistics_of(spread, self.texts, self.references, self.typical, prior)
        parts = None if regions is None else statistics_of(regions, self.texts, self.references, self.typical, spread_or(spread, prior))
        return replace(whole, regions=parts)

    def judge(self, statistics: TaggerStatistics, least: Vectors | None = None, reach: Vectors | None = None) -> Judge:
        """For log odds of single pairs and of all; see `Judge` for the bounds of those that matter."""
        least = np.full(len(self.vocabulary), -np.inf, np.float32) if least is None else least
        return Judge(self.texts, self.negatives, self.frequencies, self.kinship, self.model.weights, statistics, least, reach)

    def tags(
        self, vectors: Vectors, statistics: TaggerStatistics, options: TagOptions | None = None, regions: PhotoRegions | None = None
    ) -> list[tuple[FoundTag, ...]]:
        """The tags of each photo, the most likely first; see `columns`."""
        columns = self.columns(vectors, statistics, options, regions)
        names = [tag.name for tag in self.vocabulary]
        photos: list[list[FoundTag]] = [[] for _ in range(len(vectors))]
        rows = zip(*(getattr(columns, name).tolist() for name in ("photo", "tag", "precision", "similarity", "z", "region")), strict=True)
        for photo, tag, precision, similarity, z, region in rows:
            photos[photo].append(FoundTag(names[tag], precision, similarity, z, None if region < 0 else region))
        return [tuple(row) for row in photos]

    def columns(
        self, vectors: Vectors, statistics: TaggerStatistics, options: TagOptions | None = None, regions: PhotoRegions | None = None
    ) -> TagColumns:
        """The tags of photos with these unit rows, Float32["photo dim"], and of their regions, in columns: any number of photos, at bounded memory beside the
        rows and what is found.

        A photo may have a tag by its regions: for words that are about parts of a photo, the better of the photo and its best region counts, see
        `tag_regions.crowding`. Regions are compared with other regions where the statistics know them.
        """
        options = options or TagOptions()
        names = [tag.name for tag in self.vocabulary]
        least = np.full(len(names), math.log(options.precision / (1 - options.precision)), np.float32)
        reach, refine = options.calibration.reach(names, options.precision), options.calibration.refine(names)
        judge, parts_judge = self.judge(statistics, least, reach), None
        if regions is not None:
            allowed = (np.where(self._of_parts, bound, np.float32(np.inf)) for bound in (least, reach))
            parts_judge = self.judge(statistics.regions or statistics, *allowed)

        def block(at: int) -> TagColumns:
            rows = vectors[at : at + BLOCK]
            parts = None
            if regions is not None and parts_judge is not None:
                first, last = np.searchsorted(regions.photo, [at, at + BLOCK])
                photo = regions.photo[first:last] - at
                some = _lowered(
                    parts_judge.candidates(regions.vectors[first:last], refine), np.bincount(photo, minlength=len(rows))[photo], least
                )
                parts = (some, photo, regions.number[first:last])
            columns = found(judge.candidates(rows, refine), parts, self.kinship, len(self.vocabulary), options.most)
            return replace(columns, photo=columns.photo + at)

        starts = range(0, len(vectors), BLOCK)
        # One thread of BLAS for each of ours: with its own on top they wait for each other, and a million rows take a third longer.
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cpu_count() or 1) as pool:
            blocks = list(pool.map(block, starts) if len(starts) > 1 else map(block, starts or (0,)))
        return TagColumns(*(np.concatenate([getattr(one, name) for one in blocks]) for name in TagColumns.__slots__))

    def stream(self, batches: Iterable[Vectors], statistics: TaggerStatistics, options: TagOptions | None = None) -> Iterator[TagColumns]:
        """`columns` of each batch of unit rows, while the next one is not yet read."""
        return (self.columns(batch, statistics, options) for batch in batches)


def spread_or(spread: Spread, prior: Spread | None) -> Spread | None:
    """What few regions are steadied by: the library's photos, where they are many enough to be a prior themselves."""
    return spread if spread.count >= 50 else prior


def _lowered(candidates: Candidates, counts: NDArray[np.int64], least: Vectors) -> Candidates:
    """Less what many regions cost; `counts` says of each row how many its photo has."""
    odds = candidates.odds - crowding(counts[candidates.row])
    kept = odds >= least[candidates.tag]
    return Candidates(candidates.row[kept], candidates.tag[kept], odds[kept], candidates.z[kept], candidates.similarity[kept])


def load_tagger(encoder: Encoder, vocabulary: Vocabulary, ensemble: str | Ensemble = "auto", cache_folder: Path | None = None) -> Tagger:
    """A tagger for an encoder's vectors, asked with the templates of an ensemble: "auto" is the one for the encoder's family (`templates.ENSEMBLES`).

    The words' vectors are kept in `cache_folder` by recipe, vocabulary and ensemble.

    Raises:
        UnknownName: there is no such ensemble.
    """
    chosen = ensemble if isinstance(ensemble, Ensemble) else load_ensemble(ensemble, encoder)
    family = family_of(encoder)
    model = load_tag_model(family)
    texts, negatives, references = tag_vectors(encoder, vocabulary, chosen, generic_phrases(), model.references, cache_folder)
    return Tagger(vocabulary, chosen.id, encoder.recipe, texts, negatives, references, model, TYPICAL[family])
