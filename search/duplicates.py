"""Duplicates in a library: files with the same bytes, copies that were edited, and frames of a burst. Nothing is written, and no photo is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import TURNS, InputError

from .duplicate_groups import KINDS, DuplicateGroup, Frame, Kind, Likeness, best_frame, components, plainness
from .near_pairs import Pictures, mean_similarity, near_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .derived import Derived

BURST_ALIKE = 0.5
"""How alike the vectors of two neighbouring frames of a burst are: 0 as any two photos of the library are on average, 1 the same."""

_COLUMNS = ("root", "path", "digest", "width", "height", "byte_size", "taken_at", "camera", "perceptual_hash")


@dataclass(frozen=True, slots=True)
class DuplicateOptions:
    """What is looked for. Frames of a burst follow each other within `seconds`; a camera writes whole ones."""

    kinds: tuple[Kind, ...] = KINDS
    seconds: float = 2.0
    where: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= 3600:
            raise InputError(
                f"Frames of a burst lie at most an hour apart, and no less than 0 seconds; not {self.seconds:g}. Give --seconds 2"
            )


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found among `photos`; `unhashed` of them have no perceptual hash yet, so that only their bytes and times were compared."""

    photos: int
    unhashed: int
    groups: list[DuplicateGroup] = field(default_factory=list)


class _Scene:
    """The photos that are compared: by the number of their vector, their frames, in the order of names."""

    def __init__(self, derived: Derived, options: DuplicateOptions) -> None:
        self.derived = derived
        measured = {axis: _measures(derived, f"measured_{axis}") for axis in ("sharpness", "exposure")}
        self.frames: dict[int, list[Frame]] = {}
        self.hashes: dict[int, int] = {}
        for number, text, facts in _rows(derived, options.where):
            digest = facts["digest"]
            frame = Frame(number, **facts, sharpness=measured["sharpness"].get(digest), exposure=measured["exposure"].get(digest))
            self.frames.setdefault(number, []).append(frame)
            if text is not None:
                self.hashes[number] = int(text, 16)
        for frames in self.frames.values():
            frames.sort(key=plainness)
        self.numbers = np.array(sorted(self.hashes), np.int64)
        values = np.array([self.hashes[number] for number in self.numbers.tolist()], np.uint64)
        spread = derived.spread
        self.alike = mean_similarity(spread.count, spread.mean)
        dim = len(spread.mean)
        self.pictures = Pictures(values, lambda places: derived.nearest.rows(self.numbers[places]), dim, self.alike)

    def frame(self, number: int) -> Frame:
        return self.frames[number][0]

    def copies(self, number: int) -> tuple[str, ...]:
        return tuple(frame.file for frame in self.frames[number][1:])

    def similarities(self, number: int, others: Sequence[int]) -> list[float]:
        rows = self.derived.nearest.rows(np.array([number, *others], np.int64))
        return [float(value) for value in rows[1:] @ rows[0]]

    def alike_enough(self, number: int, other: int) -> bool:
        """Whether two frames can be of one burst."""
        similarity = self.similarities(number, [other])[0]
        return (similarity - self.alike) / (1 - self.alike) >= BURST_ALIKE


def find_duplicates(
    derived: Derived, options: DuplicateOptions | None = None, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Duplicates:
    """The groups of each kind, those with most spare bytes first.

    A burst is left out where a near group holds all of it already.

    Raises:
        FilterError: the condition is wrong.
    """
    options = options or DuplicateOptions()
    scene = _Scene(derived, options)
    groups: list[DuplicateGroup] = []
    near = _near(scene, on_progress) if "near" in options.kinds else []
    if "exact" in options.kinds:
        groups += _exact(scene)
    groups += near
    if "burst" in options.kinds:
        held = [{frame.number for frame in group.frames} for group in near]
        groups += [burst for burst in _bursts(scene, options.seconds) if not any({f.number for f in burst.frames} <= one for one in held)]
    groups.sort(key=lambda group: (KINDS.index(group.kind), -group.spare_bytes, group.best.file))
    photos = sum(map(len, scene.frames.values()))
    unhashed = sum(len(frames) for number, frames in scene.frames.items() if number not in scene.hashes)
    return Duplicates(photos, unhashed, groups)


def _exact(scene: _Scene) -> Iterator[DuplicateGroup]:
    for frames in scene.frames.values():
        if len(frames) > 1:
            best, reason = best_frame(frames, "exact")
            rest = [frame for frame in frames if frame is not best]
            yield DuplicateGroup("exact", (best, *rest), (Likeness(),) * len(frames), reason)


def _near(scene: _Scene, on_progress: Callable[[int, int], None]) -> list[DuplicateGroup]:
    """Every photo of a group agrees with its best, not only with some other photo: a chain of small changes is not one picture."""
    pairs = near_pairs(scene.pictures, on_progress)
    groups = []
    for component in components(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)):
        left = component
        while len(left) > 1:
            frames = {place: scene.frame(int(scene.numbers[place])) for place in left}
            best, _ = best_frame(list(frames.values()), "near")
            centre = next(place for place, frame in frames.items() if frame is best)
            others = np.array([place for place in left if place != centre], np.int64)
            compared = scene.pictures.compared(np.full(len(others), centre), others)
            agree = scene.pictures.agree(compared)
            if agree.any():
                groups.append(_near_group(scene, centre, others, compared, agree))
            left = others[~agree].tolist()
    return groups


def _near_group(scene: _Scene, centre: int, others: NDArray[np.int64], compared: Any, agree: NDArray[np.bool_]) -> DuplicateGroup:
    number = int(scene.numbers[centre])
    frames, likeness = [scene.frame(number)], [Likeness(copies=scene.copies(number))]
    for at in sorted(np.nonzero(agree)[0].tolist(), key=lambda at: (int(compared.bits[at]), -float(compared.similarity[at]))):
        other, turn = int(scene.numbers[others[at]]), int(compared.turn[at])
        frames.append(scene.frame(other))
        likeness.append(
            Likeness(
                int(compared.bits[at]), TURNS[turn] if turn else None, round(float(compared.similarity[at]), 4), None, scene.copies(other)
            )
        )
    _, reason = best_frame(frames, "near")
    return DuplicateGroup("near", tuple(frames), tuple(likeness), reason)


def _bursts(scene: _Scene, seconds: float) -> Iterator[DuplicateGroup]:
    """Runs of photos by one camera, each within some seconds of the one before, and alike."""
    shots: dict[tuple[str, bool], list[tuple[float, int]]] = {}
    for number, frames in scene.frames.items():
        frame = frames[0]
        moment = _moment(frame.taken_at)
        if moment is not None and frame.camera:
            shots.setdefault((frame.camera, moment[1]), []).append((moment[0], number))
    for taken in shots.values():
        taken.sort()
        run = taken[:1]
        for before, shot in pairwise(taken):
            if shot[0] - before[0] > seconds or not scene.alike_enough(before[1], shot[1]):
                yield from _burst(scene, run)
                run = []
            run.append(shot)
        yield from _burst(scene, run)


def _burst(scene: _Scene, run: Sequence[tuple[float, int]]) -> Iterator[DuplicateGroup]:
    if len(run) < 2:
        return
    when = {number: moment for moment, number in run}
    frames = [scene.frame(number) for _, number in run]
    best, reason = best_frame(frames, "burst")
    rest = [frame for frame in frames if frame is not best]
    similarities = scene.similarities(best.number, [frame.number for frame in rest])
    likeness = [Likeness(copies=scene.copies(best.number))]
    for frame, similarity in zip(rest, similarities, strict=True):
        likeness.append(Likeness(None, None, round(similarity, 4), when[frame.number] - when[best.number], scene.copies(frame.number)))
    yield DuplicateGroup("burst", (best, *rest), tuple(likeness), reason)


def _moment(taken_at: str | None) -> tuple[float, bool] | None:
    """Seconds, and whether they are of the whole world's clock or of the camera's alone, which nobody can compare with another."""
    try:
        moment = datetime.fromisoformat(taken_at or "")
    except ValueError:
        return None
    known = moment.tzinfo is not None
    return (moment if known else moment.replace(tzinfo=UTC)).timestamp(), known


def _rows(derived: Derived, where: str | None) -> Iterator[tuple[int, str | None, dict[str, Any]]]:
    """Of each photo that is looked at: the number of its vector, its hash, and the other columns of a frame."""
    from .filter import matching_vectors, row_statement

    columns = ", ".join(f'images."{column}"' for column in _COLUMNS)
    if where is None:
        rows = derived.database.execute(f"SELECT vector, {columns} FROM images ORDER BY vector")  # noqa: S608 (names from the schema)
    else:
        statement = row_statement(f"images.vector, {columns}", where)
        found = matching_vectors(derived.database, where).tolist()
        rows = (row for number in found for row in derived.database.execute(statement, (number,)))  # type: ignore[assignment]
    for number, *values in rows:
        facts = dict(zip(_COLUMNS, values, strict=True))
        yield int(number), facts.pop("perceptual_hash"), facts


def _measures(derived: Derived, axis: str) -> dict[str, float]:
    """The scores on an axis by digest, from the cache."""
    return dict(derived.database.execute("SELECT digest, value FROM marks.scores WHERE axis = ?", (axis,)))
