"""Judging photos by all tags of a vocabulary: a matrix product, an early cut, and exact log odds of what is left.

A tag's log odds are w·(z, frequency, breadth, spread, ln σ((s - g) 2/u), kinds, 1), see `tag_model.Weights`; s is its similarity, u the unit of the statistics, and
g = u/2 ln mean exp(2 n/u) over the similarities n of the generic negatives. Within an exclusive group with log odds l they become p = exp(l) / (1 + Σ exp(l)):
one of them, or none. Of a closed group (`tag_model.Closed`) every photo has one: p is the softmax of slope · s/u + bias over its tags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .tag_model import Closed, Weights
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors
    from .tag_statistics import TaggerStatistics

LEAST_ODDS = -30.0  # a probability of 1e-13: below it nothing is told apart


@dataclass(frozen=True, slots=True, eq=False)
class Kinship:
    """What in a vocabulary is a kind of what, by numbers of tags.

    `kinds`: of each tag that has any, those that are directly a kind of it; such tags come before what they are a kind of. `above`: all that each tag is a kind
    of. `exclusive`: the tags of each exclusive group. `closed`: those of which every photo has one.
    """

    kinds: dict[int, NDArray[np.int64]]
    above: tuple[NDArray[np.int64], ...]
    exclusive: tuple[NDArray[np.int64], ...]
    closed: tuple[tuple[NDArray[np.int64], Closed], ...]

    @classmethod
    def of(cls, vocabulary: Vocabulary, closed: Sequence[Closed] = ()) -> Kinship:
        """That of a vocabulary; a group is closed if the vocabulary has an exclusive one of just these tags."""
        number = {tag.name: at for at, tag in enumerate(vocabulary)}
        above, direct = [], dict[int, list[int]]()
        for at, tag in enumerate(vocabulary):
            names = (vocabulary.find(name) for name in vocabulary.ancestors(tag.name))
            above.append(np.array([number[found.name] for found in names if found is not None], np.int64))
            for parent in {found.name for found in map(vocabulary.find, tag.parents) if found is not None}:
                direct.setdefault(number[parent], []).append(at)
        # What has more above it lies deeper; whoever is a kind of it has more still.
        order = sorted(direct, key=lambda at: -len(above[at]))
        groups = [frozenset(tag.name for tag in vocabulary.group(group.name)) for group in vocabulary.groups if group.exclusive]
        exclusive = tuple(np.array(sorted(number[name] for name in names), np.int64) for names in groups)
        whole = tuple((np.array([number[name] for name in row.tags], np.int64), row) for row in closed if frozenset(row.tags) in groups)
        return cls({at: np.array(direct[at], np.int64) for at in order}, tuple(above), exclusive, whole)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Tags that some rows may have: the `row`, Int64["pair"], the `tag`, Int64["pair"], its log `odds`, `z` and `similarity`, Float32["pair"]."""

    row: NDArray[np.int64]
    tag: NDArray[np.int64]
    odds: Vectors
    z: Vectors
    similarity: Vectors


Refine = Callable[["NDArray[np.int64]", "Vectors"], "Vectors"]
"""From tags and their log odds to log odds that people's labels have corrected; it must not reverse the order of a tag's."""


class Judge:
    """Ready to judge rows by one set of statistics; safe to call from many threads.

    `least`, Float32["tag"], are log odds below which a tag is of no interest; `reach` are those that it needs before `refine`, where people's labels correct it.
    """

    def __init__(
        self,
        tags: Vectors,
        negatives: Vectors,
        frequencies: Vectors,
        kinship: Kinship,
        weights: Weights,
        statistics: TaggerStatistics,
        least: Vectors,
        reach: Vectors | None = None,
    ) -> None:
        self._weights, self._kinship, self._negatives = weights, kinship, negatives
        self._mean, self._deviation, self._unit = statistics.mean, statistics.deviation, statistics.unit
        self._scaled = np.ascontiguousarray(tags / self._deviation[:, None], np.float32)
        self._offset = np.asarray(self._mean / self._deviation, np.float32)[:, None]
        breadth, spread = fixed_terms(statistics)
        w = weights
        self._fixed = np.asarray(w.frequency * frequencies + w.breadth * breadth + w.spread * spread + w.bias, np.float32)
        self._least, self._reach = least, least if reach is None else reach
        self._parents = np.array(list(kinship.kinds), np.int64)

    def odds(self, tag: NDArray[np.int64], z: Vectors, generic: Vectors, kinds: Vectors) -> Vectors:
        """Log odds of pairs, each Float32["pair"]; no group excludes anything here."""
        w = self._weights
        odds = self._fixed[tag] + w.z * z + w.negative * self.negative(tag, z, generic) + w.kinds * kinds
        return np.asarray(np.maximum(odds, LEAST_ODDS), np.float32)

    def negative(self, tag: NDArray[np.int64], z: Vectors, generic: Vectors) -> Vectors:
        """The logarithm of the pairwise softmax of pairs against the generic negatives, Float32["pair"]."""
        ahead = (z * self._deviation[tag] + self._mean[tag] - generic) * (2 / self._unit)
        return np.asarray(-np.logaddexp(np.float32(0), -ahead), np.float32)

    def generic(self, rows: Vectors) -> Vectors:
        """How similar rows are to the generic negatives, Float32["row"]: their smooth maximum."""
        similar = rows @ self._negatives.T * (2 / self._unit)
        top = similar.max(1)
        return np.asarray((top + np.log(np.exp(similar - top[:, None]).mean(1))) * (self._unit / 2), np.float32)

    def all_odds(self, rows: Vectors) -> Vectors:
        """Log odds of every pair, Float32["row tag"]; for a few thousand rows at most. No group excludes anything here."""
        z, kinds = self.terms(rows)
        odds = self.odds(np.arange(z.shape[1])[None, :], z, self.generic(rows)[:, None], kinds)
        for members, closed in self._kinship.closed:
            odds[:, members] = self._closed(members, closed, z.T).T
        return odds

    def terms(self, rows: Vectors) -> tuple[Vectors, Vectors]:
        """z, and the largest z of what is a kind of each tag, Float32["row tag"]."""
        z = self._z(rows)
        return z.T, self._kinds(z).T

    def pair_odds(self, rows: Vectors, tag: NDArray[np.int64]) -> Vectors:
        """Log odds of one tag for each row, Float32["row"]."""
        parts = [np.zeros(0, np.float32)]
        for at in range(0, len(rows), 1024):
            some = slice(at, at + 1024)
            parts.append(np.take_along_axis(self.all_odds(rows[some]), tag[some, None], 1)[:, 0])
        return np.concatenate(parts)

    def candidates(self, rows: Vectors, refine: Refine | None = None) -> Candidates:
        """Every pair whose log odds reach the least, after `refine`, with the rules of exclusive groups applied; in no order."""
        w, z, generic = self._weights, self._z(rows), self.generic(rows)
        kinds = self._kinds(z, only_parents=True)
        # ln σ(x) is below 0 and below x, so that z has to reach two bounds that are the same for all rows but for `generic`: its least will do.
        slope = w.negative * 2 / self._unit
        short = self._reach - self._fixed
        first = short / w.z
        second = (short - slope * (self._mean - generic.min(initial=1.0))) / (w.z + slope * self._deviation)
        bound = np.maximum(first, second)
        reached = z >= bound[:, None]
        if len(self._parents):
            p = self._parents
            room = w.kinds * kinds
            reached[p] = (z[p] >= (short[p, None] - room) / w.z) & (
                z[p] * (w.z + slope * self._deviation[p])[:, None] + room >= short[p, None] - slope * (self._mean[p, None] - generic)
            )
        for members, _ in self._kinship.closed:
            reached[members] = np.isfinite(self._reach[members])[:, None]
        tag, row = np.divmod(np.flatnonzero(reached.ravel()), max(len(rows), 1))
        below = np.zeros(len(tag), np.float32)
        place = np.full(len(z), -1)
        place[self._parents] = np.arange(len(self._parents))
        is_parent = place[tag] >= 0
        below[is_parent] = kinds[place[tag[is_parent]], row[is_parent]]
        value = z[tag, row]
        odds = self.odds(tag, value, generic[row], below)
        whole = np.zeros(len(z), np.bool_)
        for members, closed in self._kinship.closed:
            whole[members] = True
            full, at = self._closed(members, closed, z), np.full(len(z), -1)
            at[members] = np.arange(len(members))
            inside = at[tag] >= 0
            odds[inside] = full[at[tag[inside]], row[inside]]
        if refine is not None:
            odds = refine(tag, odds)
        for members in self._kinship.exclusive:
            if whole[members[0]]:
                continue
            inside = np.isin(tag, members)
            some, at = np.unique(row[inside], return_inverse=True)
            if len(some):
                odds[inside] -= self._rivals(members, some, at, tag[inside], z, generic, refine)
        kept = odds >= self._least[tag]
        similarity = value * self._deviation[tag] + self._mean[tag]
        return Candidates(row[kept], tag[kept], odds[kept], value[kept], similarity[kept])

    def _z(self, rows: Vectors) -> Vectors:
        z = self._scaled @ np.asarray(rows, np.float32).T  # tags are rows: all that holds for a tag is then one number for a contiguous row
        z -= self._offset
        return np.asarray(z, np.float32)

    def _kinds(self, z: Vectors, *, only_parents: bool = False) -> Vectors:
        """The largest z of what is a kind of a tag, by whichever way; Float32["parent row"], or of all tags, 0 for those without kinds."""
        place = {at: number for number, at in enumerate(self._kinship.kinds)}
        most = np.zeros((len(place), z.shape[1]), np.float32)
        for number, below in enumerate(self._kinship.kinds.values()):
            np.max(z[below], 0, out=most[number])
            for kind in below.tolist():
                if kind in place:
                    np.maximum(most[number], most[place[kind]], out=most[number])
        if only_parents:
            return most
        full = np.zeros_like(z)
        full[self._parents] = most
        return full

    def _closed(self, members: NDArray[np.int64], closed: Closed, z: Vectors) -> Vectors:
        """Log odds of a closed group's tags, Float32["member row"]."""
        similarity = z[members] * self._deviation[members, None] + self._mean[members, None]
        grown = closed.slope * similarity / self._unit + np.array(closed.biases)[:, None]
        grown = np.exp(grown - grown.max(0))
        rest = grown.sum(0) - grown
        return np.asarray(np.clip(np.log(np.maximum(grown, 1e-13)) - np.log(np.maximum(rest, 1e-13)), LEAST_ODDS, -LEAST_ODDS), np.float32)

    def _rivals(
        self,
        members: NDArray[np.int64],
        some: NDArray[np.int64],
        at: NDArray[np.int64],
        tag: NDArray[np.int64],
        z: Vectors,
        generic: Vectors,
        refine: Refine | None,
    ) -> Vectors:
        """By how much the others of an exclusive group lower log odds: ln(1 + Σ exp(l) over the others)."""
        wide = np.broadcast_to(members[:, None], (len(members), len(some)))
        odds = self.odds(wide, z[members[:, None], some[None, :]], generic[some][None, :], np.zeros((1, 1), np.float32))
        if refine is not None:
            odds = refine(wide.ravel(), odds.ravel()).reshape(odds.shape)
        grown = np.exp(np.clip(odds, -30, 30))
        order = {int(member): number for number, member in enumerate(members)}
        own = grown[np.array([order[int(one)] for one in tag]), at]
        return np.asarray(np.log1p(np.maximum(grown.sum(0)[at] - own, 0)), np.float32)


def fixed_terms(statistics: TaggerStatistics) -> tuple[Vectors, Vectors]:
    """`breadth` and `spread` of each tag, which no photo changes, Float32["tag"]; see `tag_model.Weights`."""
    return (statistics.mean - statistics.centre) / statistics.width, np.log(statistics.deviation / statistics.unit)
