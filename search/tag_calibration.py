"""What people said of tags, as corrections of the precision that is expected: of all tags together, and of each one that enough was said of.

From the first label on, a logistic curve (Platt, "Probabilistic outputs for support vector machines", 1999), p = σ(slope · l + bias) of the log odds l: its
parameters are the likeliest ones under normal distributions around those of all tags, and these around 1 and 0. From `ENOUGH` labels of a tag on, with both
verdicts among them, the isotonic curve (pool adjacent violators; Zadrozny, Elkan, "Transforming classifier scores into accurate multiclass probability
estimates", KDD 2002) joins it with the weight n / (n + ENOUGH).
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import InputError

from .vocabulary import tag_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors
    from .tag_statistics import TaggerStatistics
    from .tagger import Tagger

ENOUGH = 20
SLOPE, BIAS = 0.25, 0.75  # deviations of the normal distributions around what ships: a bias of 0.75 makes 0.5 to 0.32 or 0.68
OWN_SLOPE, OWN_BIAS = 0.25, 1.0  # of a tag around all tags
_LEAST_SLOPE = 0.05  # more similar photos are never less likely


@dataclass(frozen=True, slots=True)
class Curve:
    """A tag's correction: `slope` and `bias` of its log odds, and steps of the isotonic curve (log odds from which on a share holds), which count `weight`."""

    slope: float = 1.0
    bias: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()
    weight: float = 0.0
    labels: int = 0

    def apply(self, odds: Vectors) -> Vectors:
        """Corrected log odds, Float32["pair"]."""
        straight = self.slope * np.asarray(odds, np.float32) + self.bias
        if not self.steps:
            return np.asarray(straight, np.float32)
        at, shares = np.array(self.steps).T
        known = shares[np.clip(np.searchsorted(at, odds, "right") - 1, 0, len(at) - 1)]
        share = np.clip((1 - self.weight) / (1 + np.exp(-straight.astype(np.float64))) + self.weight * known, 1e-13, 1 - 1e-13)
        return np.asarray(np.log(share / (1 - share)), np.float32)


@dataclass(frozen=True, slots=True)
class TagCalibration:
    """Corrections: `everywhere` for tags of which nothing was said, `tags` by name for the others. An empty one changes nothing."""

    everywhere: Curve = field(default_factory=Curve)
    tags: Mapping[str, Curve] = field(default_factory=dict)

    def curve(self, tag: str) -> Curve:
        """The correction of a tag."""
        return self.tags.get(tag, self.everywhere)

    def threshold(self, tag: str, precision: float) -> float:
        """The precision that would have to be expected of a tag before any label, so that it is `precision` with them: what labels moved its threshold to.

        >>> round(TagCalibration().threshold("dog", 0.5), 3)
        0.5
        """
        return 1 / (1 + math.exp(-self.reach([tag], precision)[0]))

    def reach(self, names: Sequence[str], precision: float) -> Vectors:
        """Log odds before correction from which on each tag has the precision, Float32["tag"]."""
        wanted = math.log(precision / (1 - precision))
        plain = np.full(len(names), (wanted - self.everywhere.bias) / self.everywhere.slope, np.float32)
        grid = np.linspace(-30, 30, 6001, dtype=np.float32)
        for at, name in enumerate(names):
            if (curve := self.tags.get(name)) is not None:
                found = np.flatnonzero(curve.apply(grid) >= wanted)
                plain[at] = grid[max(found[0] - 1, 0)] if len(found) else np.inf
        return plain

    def refine(self, names: Sequence[str]) -> Callable[[NDArray[np.int64], Vectors], Vectors] | None:
        """A function from numbers among `names` and their log odds to corrected ones; none where there is nothing to correct."""
        if self == TagCalibration():
            return None
        own = {at: self.tags[name] for at, name in enumerate(names) if name in self.tags}

        def refined(tag: NDArray[np.int64], odds: Vectors) -> Vectors:
            better = self.everywhere.apply(odds)
            for at in np.intersect1d(tag, list(own)).tolist():
                mine = tag == at
                better[mine] = own[at].apply(odds[mine])
            return better

        return refined

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: a run keeps them, so that it can be said why it wrote a tag."""

        def plain(curve: Curve) -> dict[str, Any]:
            return {
                "slope": curve.slope, "bias": curve.bias, "steps": [list(step) for step in curve.steps], "weight": curve.weight, "labels": curve.labels,
            }  # fmt: skip

        return {"everywhere": plain(self.everywhere), "tags": {name: plain(curve) for name, curve in self.tags.items()}}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> TagCalibration:
        """From what `as_dict` gave.

        Raises:
            InputError: it is something else.
        """

        def curve(row: Mapping[str, Any]) -> Curve:
            steps = tuple((float(at), float(share)) for at, share in row["steps"])
            return Curve(float(row["slope"]), float(row["bias"]), steps, float(row["weight"]), int(row["labels"]))

        try:
            return cls(curve(facts["everywhere"]), {str(name): curve(row) for name, row in facts["tags"].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"These are no corrections of tags: {error}. Fit them again from the labels.") from error


def calibrate(labelled: Mapping[str, Sequence[tuple[float, bool]]]) -> TagCalibration:
    """Corrections from labels: by tag, the log odds of each labelled photo before any correction, and whether people say that the tag is right.

    >>> calibrate({"dog": [(1.0, False)] * 8}).threshold("dog", 0.5) > 0.7
    True
    """
    rows = {
        tag: (np.array([odds for odds, _ in pairs], np.float64), np.array([right for _, right in pairs]))
        for tag, pairs in labelled.items()
        if pairs
    }
    if not rows:
        return TagCalibration()
    every, rights = (np.concatenate(values) for values in zip(*rows.values(), strict=True))
    # One tag that is always wrong says little of the others: its labels count like five at most.
    weights = np.concatenate([np.full(len(odds), min(1.0, 5 / len(odds))) for odds, _ in rows.values()])
    slope, bias = platt(every, rights, (1.0, 0.0), (SLOPE, BIAS), weights)
    curves = {}
    for tag, (odds, right) in rows.items():
        own = platt(odds, right, (slope, bias), (OWN_SLOPE, OWN_BIAS))
        enough = len(odds) >= ENOUGH and right.any() and not right.all()
        steps, weight = (isotonic(odds, right), len(odds) / (len(odds) + ENOUGH)) if enough else ((), 0.0)
        curves[tag] = Curve(*own, steps, weight, len(odds))
    return TagCalibration(Curve(slope, bias, labels=len(every)), curves)


def learn(
    tagger: Tagger, statistics: TaggerStatistics, labels: Mapping[str, Mapping[str, str]], digests: Sequence[str], vectors: Vectors
) -> TagCalibration:
    """Corrections from a store's labels (tag -> digest -> "confirmed" or "rejected"); `vectors` are unit rows of photos with these digests, Float32["photo dim"].

    Labels of other photos and of words that are not in the vocabulary are left out; case, hyphens and underscores make no difference.
    """
    row = {digest: at for at, digest in enumerate(digests)}
    names = {tag_key(tag.name): tag.name for tag in tagger.vocabulary}
    number = {tag.name: at for at, tag in enumerate(tagger.vocabulary)}
    pairs = [
        (names[tag_key(tag)], row[digest], verdict == "confirmed")
        for tag, said in labels.items() if tag_key(tag) in names
        for digest, verdict in said.items() if digest in row
    ]  # fmt: skip
    rows = np.array([at for _, at, _ in pairs], np.int64)
    odds = tagger.judge(statistics).pair_odds(
        np.asarray(vectors, np.float32)[rows], np.array([number[tag] for tag, _, _ in pairs], np.int64)
    )
    labelled: dict[str, list[tuple[float, bool]]] = {}
    for (tag, _, right), value in zip(pairs, odds.tolist(), strict=True):
        labelled.setdefault(tag, []).append((value, right))
    return calibrate(labelled)


def platt(
    odds: NDArray[np.float64],
    right: NDArray[np.bool_],
    around: tuple[float, float],
    deviations: tuple[float, float],
    weights: NDArray[np.float64] | None = None,
) -> tuple[float, float]:
    """Slope and bias of the likeliest logistic curve under normal distributions around some; by Newton's method."""
    given = np.stack([odds, np.ones(len(odds))], 1)
    weights = np.ones(len(odds)) if weights is None else weights
    centre, precision = np.array(around), 1 / np.square(deviations)
    found = centre.copy()
    for _ in range(25):
        share = 1 / (1 + np.exp(-np.clip(given @ found, -30, 30)))
        slope = given.T @ (weights * (share - right)) + precision * (found - centre)
        step = np.linalg.solve((given.T * (weights * share * (1 - share))) @ given + np.diag(precision), slope)
        found = found - np.clip(step, -1, 1)
        if float(np.abs(step).max()) < 1e-6:
            break
    return max(float(found[0]), _LEAST_SLOPE), float(found[1])


def isotonic(odds: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Steps of the rising curve with the least squared error: log odds from which on a share is right.

    >>> isotonic(np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, True, False, True]))
    ((0.0, 0.0), (1.0, 0.5), (3.0, 1.0))
    """
    values, at = np.unique(odds, return_inverse=True)
    rights, counts = np.bincount(at, right), np.bincount(at)
    blocks: list[list[float]] = []
    for value, good, count in zip(values.tolist(), rights.tolist(), counts.tolist(), strict=True):
        blocks.append([value, good, count])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            _, good_after, count_after = blocks.pop()
            blocks[-1][1] += good_after
            blocks[-1][2] += count_after
    return tuple((value, good / count) for value, good, count in blocks)


def uncertain(found: Iterable[tuple[str, str, float]], labels: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str, float]]:
    """Digest, tag and expected precision in the order in which a person's verdict tells most: nearest to one half first, and tags take turns, since the first
    verdict on a tag tells more than the tenth. What has a label already is left out.

    >>> uncertain([("a", "dog", 0.5), ("b", "dog", 0.55), ("c", "cat", 0.7), ("d", "sky", 0.5)], {"sky": {"d": "confirmed"}})
    [('a', 'dog', 0.5), ('c', 'cat', 0.7), ('b', 'dog', 0.55)]
    """
    waiting: dict[str, list[tuple[float, str, float]]] = {}
    for digest, tag, precision in found:
        if digest not in labels.get(tag, {}):
            waiting.setdefault(tag, []).append((-precision * (1 - precision), digest, precision))
    seen = Counter({tag: len(said) for tag, said in labels.items()})
    for rows in waiting.values():
        rows.sort(reverse=True)  # the last is the next
    heap = [(rows[-1][0] / (1 + seen[tag]), tag) for tag, rows in waiting.items()]
    heapq.heapify(heap)
    order: list[tuple[str, str, float]] = []
    while heap:
        _, tag = heapq.heappop(heap)
        _, digest, precision = waiting[tag].pop()
        order.append((digest, tag, precision))
        seen[tag] += 1
        if waiting[tag]:
            heapq.heappush(heap, (waiting[tag][-1][0] / (1 + seen[tag]), tag))
    return order
