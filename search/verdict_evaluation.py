"""How well verdicts tell queries that have an answer in a library from those that have none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import InputError

from .evaluate import TEMPLATE, encode_files, labelled_photos, read_captions
from .null_model import LEAST, TOP, NullModel, level, lower_half
from .query_bank import bank_vectors
from .verdict import STRICTNESS, Cuts, Judge, Kind, null_family

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Encoder, Vectors

BINS = 10
DRAWS = 10
"""Libraries of a tenth of the classes that are drawn, each asked for every class."""
LOOKED_AT = 10
"""Hits of a query whose own verdicts are measured."""
_LEFT = 20  # photos at least that stay where those that answer are taken out
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to and is are with his her their its it that this there some one two three four five by from for as up down out into over near next"
        " while being has have who what very other another off through around along front behind under above between them they he she him be or not no top side"
        " back looking look standing stand sitting sit sits stands",
    )
)
"""Words that say nothing of what is seen."""


def content_words(text: str) -> set[str]:
    """Words of a caption that say what is seen, without their endings.

    >>> sorted(content_words("Two dogs are running on the beach"))
    ['beach', 'dog', 'runn']
    """
    words = re.findall(r"[a-z]+", text.lower())
    return {re.sub(r"(?<=..)(es|s|ing)$", "", word) for word in words if word not in _COMMON and len(word) > 2}


@dataclass(frozen=True, slots=True)
class Library:
    """Photos as unit rows, Float32["photo dim"], and what the bank finds among them."""

    photos: Vectors
    null: NullModel
    family: str

    @classmethod
    def of(cls, photos: Vectors, bank: Vectors, family: str) -> Library:
        """A library of these photos."""
        return cls(photos, NullModel.measure(bank, Held(photos), len(photos)), family)

    def ask(self, query: Vectors, kind: Kind = "words", without: NDArray[np.int64] | None = None) -> Asked:
        """One query, Float32["dim"], with some photos taken out; what is expected of it stays, as if unrelated ones stood in their place, since a smaller library alone
        would make all that is left look nearer than expected."""
        similarities = self.photos @ query
        kept = np.setdiff1d(np.arange(len(self.photos)), without) if without is not None else np.arange(len(self.photos))
        order = kept[np.argsort(-similarities[kept], kind="stable")[: max(LOOKED_AT, TOP)]]
        middle, scale = lower_half(similarities[kept])
        judge = Judge(self.null, self.family, kind, len(self.photos), float(middle), max(float(scale), LEAST))
        near = level(similarities[order])
        probability = max(float(judge.answer(near)), float(judge.hits(similarities[order[:1]])[0]))
        return Asked(order, similarities[order], float(judge.unusual(near)), probability, judge)


@dataclass(frozen=True, slots=True)
class Asked:
    """The nearest photos to a query and what was made of them."""

    nearest: NDArray[np.int64]
    similarities: Vectors
    unusual: float
    probability: float
    judge: Judge


@dataclass(frozen=True, slots=True)
class Held:
    """Rows in memory."""

    vectors: Vectors

    def rows(self, numbers: NDArray[np.int64]) -> Vectors:
        """Those of these numbers."""
        return self.vectors[numbers]


def evaluate_verdicts(
    folder: Path, encoder: Encoder, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> dict[str, Any]:
    """Figures of verdicts at the default strictness.

    `folder` holds captions, as for `evaluate_retrieval`: each caption is asked of the library with its photo and without it ("photo_removed"), and without any photo
    that has a caption with one of its content words ("alike_removed"). Or it holds classes, as for `evaluate_zeroshot`: each class is asked of the library with
    and without it ("class_removed"), and of libraries of a tenth of the classes ("class_absent").

    Raises:
        InputError: the folder is neither, or has a single photo or class.
    """
    bank, family = bank_vectors(encoder), null_family(encoder)
    facts: dict[str, Any] = {"encoder": encoder.recipe.encoder, "recipe": encoder.recipe.id, "family": family, "strictness": STRICTNESS}
    if (folder / "captions.jsonl").is_file():
        names, captions = read_captions(folder)
        if len(names) < 2:
            raise InputError(f"{folder} has one photo with captions. Give at least two, so that one can be taken out.")
        library = Library.of(encode_files([folder / name for name in names], encoder), bank, family)
        texts = [text for row in captions for text in row]
        owners = np.array([at for at, row in enumerate(captions) for _ in row])
        return (
            facts
            | {"photos": len(names), "queries": len(texts)}
            | _of_captions(library, encoder.encode_texts(texts), texts, owners, on_progress)
        )
    labels, wanted, photos = labelled_photos(folder, encoder)
    if len(labels) < 2:
        raise InputError(f"{folder} has one class, {labels[0]!r}. Give photos of at least two, so that one can be taken out.")
    queries = encoder.encode_texts([TEMPLATE.format(label) for label in labels])
    return facts | {"photos": len(photos), "queries": len(labels)} | _of_classes(photos, wanted, queries, bank, family, on_progress)


def _of_captions(
    library: Library, queries: Vectors, texts: Sequence[str], owners: NDArray[np.int64], on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    full = [library.ask(query) for query in queries]
    out = {}
    protocols: dict[str, list[NDArray[np.int64]]] = {
        "photo_removed": list(owners[:, None]),
        "alike_removed": alike(texts, owners, len(library.photos)),
    }
    for turn, (name, removed) in enumerate(protocols.items()):
        without = [library.ask(query, without=gone) for query, gone in zip(queries, removed, strict=True)]
        out[name] = figures([*full, *without], np.repeat([True, False], len(full))) | _bound(full, removed)
        on_progress(turn + 1, 2)
    return out


def alike(texts: Sequence[str], owners: NDArray[np.int64], photos: int) -> list[NDArray[np.int64]]:
    """For each caption, the photos of which a caption shares a content word with it; the least number that leaves a library, where these are nearly all."""
    words: list[set[str]] = [set() for _ in range(photos)]
    for text, owner in zip(texts, owners.tolist(), strict=True):
        words[owner] |= content_words(text)
    out = []
    for text, owner in zip(texts, owners.tolist(), strict=True):
        own = content_words(text)
        shared = [(at == owner, len(words[at] & own), at) for at in range(photos)]
        found = sorted((entry for entry in shared if entry[0] or entry[1]), reverse=True)
        out.append(np.array([at for *_, at in found[: max(1, photos - _LEFT)]]))
    return out


def _of_classes(
    photos: Vectors, wanted: NDArray[np.int64], queries: Vectors, bank: Vectors, family: str, on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    library = Library.of(photos, bank, family)
    removed = [np.flatnonzero(wanted == at) for at in range(len(queries))]
    full = [library.ask(query) for query in queries]
    without = [library.ask(query, without=gone) for query, gone in zip(queries, removed, strict=True)]
    out = {"class_removed": figures([*full, *without], np.repeat([True, False], len(full))) | _bound(full, removed)}
    asked, present = list[Asked](), list[bool]()
    random = np.random.default_rng(0)
    for draw in range(DRAWS):
        drawn = random.choice(len(queries), max(2, len(queries) // 10), replace=False)
        part = Library.of(photos[np.isin(wanted, drawn)], bank, family)
        asked += [part.ask(query) for query in queries]
        present += np.isin(np.arange(len(queries)), drawn).tolist()
        on_progress(draw + 1, DRAWS)
    out["class_absent"] = figures(asked, np.array(present))
    relevant = np.concatenate([wanted[one.nearest[:LOOKED_AT]] == at for at, one in enumerate(full)])
    probabilities = np.concatenate([one.judge.hits(one.similarities[:LOOKED_AT]) for one in full])
    similarities = np.concatenate([one.similarities[:LOOKED_AT] for one in full])
    cuts = Cuts.at(STRICTNESS).of_hits()
    return out | {"hits": _told_apart(probabilities, similarities, relevant, np.ones(len(relevant)), cuts)}


def figures(asked: Sequence[Asked], answered: NDArray[np.bool_]) -> dict[str, float]:
    """Of queries with and without an answer, each half counting as much as the other."""
    weights = np.where(answered, 0.5 / max(answered.sum(), 1), 0.5 / max((~answered).sum(), 1))
    return _told_apart(
        np.array([one.probability for one in asked]),
        np.array([one.similarities[0] for one in asked]),
        answered,
        weights,
        Cuts.at(STRICTNESS),
    )


def _told_apart(probabilities: Any, similarities: Any, right: NDArray[np.bool_], weights: Any, cuts: Cuts) -> dict[str, float]:
    weak = cuts.weak
    best = max(f1(similarities >= cut, right, weights) for cut in np.unique(similarities))
    return {
        "auc": round(area(probabilities, right), 4),
        "auc_of_similarity": round(area(similarities, right), 4),
        "calibration_error": round(calibration_error(probabilities, right, weights), 4),
        "f1": round(f1(probabilities >= weak, right, weights), 4),
        "f1_of_strong": round(f1(probabilities >= cuts.strong, right, weights), 4),
        "f1_of_best_threshold": round(best, 4),
        "found": round(float((probabilities >= weak)[right].mean()), 4) if right.any() else 0.0,
        "false": round(float((probabilities >= weak)[~right].mean()), 4) if (~right).any() else 0.0,
    }


def _bound(full: Sequence[Asked], removed: Sequence[Any]) -> dict[str, float]:
    """The area that no rule by the nearest photos can pass: where none of those is removed, the query looks the same with and without its answer."""
    same = float(np.mean([not np.isin(one.nearest[:TOP], gone).any() for one, gone in zip(full, removed, strict=True)]))
    return {"unchanged": round(same, 4), "auc_bound": round(1 - same**2 / 2, 4)}


def area(values: Any, right: NDArray[np.bool_]) -> float:
    """The area under the ROC curve: how often a right one is larger than a wrong one; equal ones count half.

    >>> area([0.9, 0.5, 0.5, 0.1], np.array([True, True, False, False]))
    0.875
    """
    good, bad = np.asarray(values)[right], np.sort(np.asarray(values)[~right])
    if not len(good) or not len(bad):
        return 0.5
    below, upto = np.searchsorted(bad, good, "left"), np.searchsorted(bad, good, "right")
    return float((below + upto).sum() / (2 * len(good) * len(bad)))


def calibration_error(probabilities: Any, right: NDArray[np.bool_], weights: Any) -> float:
    """Expected calibration error in ten bins of equal width (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3)."""
    bins = np.minimum((np.asarray(probabilities) * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, np.asarray(weights) * (np.asarray(probabilities) - right), BINS)
    return float(np.abs(gaps).sum() / np.sum(weights))


def f1(taken: Any, right: NDArray[np.bool_], weights: Any) -> float:
    """The harmonic mean of precision and recall."""
    both = float((np.asarray(weights) * (taken & right)).sum())
    return 2 * both / max(float((np.asarray(weights) * taken).sum() + (np.asarray(weights) * right).sum()), 1e-12)
