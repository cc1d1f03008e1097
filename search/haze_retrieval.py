"""Whether dehazing helps search: captioned photos in haze of several strengths, searched as they are, dehazed, and through the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import DEHAZED_SHORT, Gate, InputError, add_haze, read_image, reduced

from .encode import normalize
from .evaluate import ranks_of, read_captions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from preprocess import Dehazer

    from .encode import Encoder, Prepared, Vectors

    Hits = NDArray[np.bool_]

K = 10
CLEAR = 1.0
STRENGTHS = (0.6, 0.35, 0.2)
"""Mean transmissions: of thin, of middling and of dense haze."""

WAYS = ("raw", "always", "gate", "both", "margin", "mean")
"""How a photo is found: by its own vector; by that of its dehazed version; by that where the gate keeps one and its own otherwise; where the gate keeps
one, by the better of the two, by the better with a margin of 0.02 for its own, or by the mean of the two. A search does what "both" does."""

_BATCH = 64
_MARGIN = 0.02
_DRAWS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """The photos in haze of one strength: their vectors, those of the dehazed ones, and where the gate keeps the dehazed one."""

    mean_t: float
    raw: Vectors
    dehazed: Vectors
    kept: Hits

    def where(self, rows: Hits, other: Condition) -> Condition:
        """These rows, and those of the other condition elsewhere."""
        pick = rows[:, None]
        return Condition(self.mean_t, np.where(pick, self.raw, other.raw), np.where(pick, self.dehazed, other.dehazed),
                         np.where(rows, self.kept, other.kept))  # fmt: skip


def evaluate_haze_retrieval(
    folder: Path,
    encoder: Encoder,
    dehazer: Dehazer,
    strengths: Sequence[float] = STRENGTHS,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Recall at 10 of finding a photo by its caption, in clear air and in haze, by each of the `WAYS`.

    `folder` is as for `evaluate_retrieval`. In `conditions`, every photo of the library is in the same haze; in `mixed`, every second one is in haze and
    the others are clear, once in either order, and captions of the hazy and of the clear ones count apart. Each recall is `[value, low, high]`, with a 95%
    bootstrap interval over photos; so is `gain`, which is paired: recall less that of raw.

    Raises:
        InputError: the folder lacks captions, has a single photo, or a strength is not between 0 and 1.
        ImageError: a photo of it cannot be read.
    """
    if not all(0 < strength < 1 for strength in strengths):
        raise InputError(
            f"The strengths {list(strengths)} must lie between 0 and 1: they are mean transmissions, 0.2 is dense haze, 0.6 thin."
        )
    names, captions = read_captions(folder)
    if len(names) < 2:
        raise InputError(f"{folder} has captions of a single photo. Finding it is no test: add others.")
    owners = np.array([at for at, texts in enumerate(captions) for _ in texts])
    texts = encoder.encode_texts([text for row in captions for text in row])
    conditions = _conditions([folder / name for name in names], (CLEAR, *strengths), encoder, Gate(dehazer), on_progress)
    score = _Score(owners, len(names))
    alone = [
        {"mean_t": condition.mean_t, "kept": round(float(condition.kept.mean()), 4)}
        | score.figures({way: _found(texts, owners, condition, way) for way in WAYS})
        for condition in conditions
    ]
    mixed = [{"mean_t": hazy.mean_t} | _mixed(texts, owners, hazy, conditions[0], score) for hazy in conditions[1:]]
    return {"photos": len(names), "captions": len(owners), "encoder": encoder.recipe.encoder, "recipe": encoder.recipe.id, "dehazer": dehazer.id,
            "conditions": alone, "mixed": mixed}  # fmt: skip


def _conditions(
    files: Sequence[Path], strengths: Sequence[float], encoder: Encoder, gate: Gate, on_progress: Callable[[int, int], None]
) -> list[Condition]:
    """Each photo is read once, hazed, judged and dehazed at every strength."""
    raw: list[list[Vectors]] = [[] for _ in strengths]
    dehazed: list[list[Vectors]] = [[] for _ in strengths]
    kept: list[list[bool]] = [[] for _ in strengths]

    def work(file: Path) -> list[tuple[Prepared, Prepared, bool]]:
        pixels = read_image(file, side=encoder.side).pixels
        done = []
        for strength in strengths:
            hazy = add_haze(pixels, strength, file.name)
            small = reduced(hazy, max(2 * encoder.side, DEHAZED_SHORT))
            judged = gate.judge(small)
            clearer = gate.dehazer(small) if judged.pixels is None else judged.pixels
            done.append((encoder.prepare(hazy), encoder.prepare(clearer), judged.pixels is not None))
        return done

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), _BATCH):
            for at, versions in enumerate(zip(*pool.map(work, files[start : start + _BATCH]), strict=True)):
                hazy, clearer, keep = zip(*versions, strict=True)
                raw[at].append(encoder.encode_images(hazy))
                dehazed[at].append(encoder.encode_images(clearer))
                kept[at] += keep
            on_progress(min(start + _BATCH, len(files)), len(files))
    return [
        Condition(strength, np.concatenate(raw[at]), np.concatenate(dehazed[at]), np.array(kept[at], bool))
        for at, strength in enumerate(strengths)
    ]


def _found(texts: Vectors, owners: NDArray[np.int64], photos: Condition, way: str) -> Hits:
    """Whether each caption finds its photo among the first ten."""
    own, dehazed = texts @ photos.raw.T, texts @ photos.dehazed.T
    if way == "raw":
        similarities = own
    elif way == "always":
        similarities = dehazed
    elif way == "gate":
        similarities = np.where(photos.kept, dehazed, own)
    elif way == "both":
        similarities = np.where(photos.kept, np.maximum(own, dehazed), own)
    elif way == "margin":
        similarities = np.where(photos.kept, np.maximum(own, dehazed - np.float32(_MARGIN)), own)
    else:
        similarities = np.where(photos.kept, texts @ normalize(photos.raw + photos.dehazed).T, own)
    return np.asarray(ranks_of(similarities, owners) < K)


def _mixed(texts: Vectors, owners: NDArray[np.int64], hazy: Condition, clear: Condition, score: _Score) -> dict[str, Any]:
    """Two libraries, the second with the haze on the other half: so that each photo is looked for once in haze and once in clear air."""
    first = np.random.default_rng(0).permutation(len(hazy.kept)) % 2 == 0
    libraries = [(rows, hazy.where(rows, clear)) for rows in (first, ~first)]
    in_haze: dict[str, Hits] = {}
    in_air: dict[str, Hits] = {}
    for way in WAYS:
        a, b = (_found(texts, owners, library, way) for _, library in libraries)
        in_haze[way], in_air[way] = np.where(first[owners], a, b), np.where(first[owners], b, a)
    return {"hazy": score.figures(in_haze), "clear": score.figures(in_air)}


class _Score:
    """Recalls with bootstrap intervals: photos are drawn with replacement, each with all its captions; the library stays as it is."""

    def __init__(self, owners: NDArray[np.int64], photos: int) -> None:
        self.owners, self.photos = owners, photos
        draws = np.random.default_rng(0).multinomial(photos, np.full(photos, 1 / photos), _DRAWS)
        self.draws = np.concatenate([np.ones((1, photos)), draws])  # the first is the set itself
        self.captions = self.draws @ np.bincount(owners, minlength=photos)

    def figures(self, found: dict[str, Hits]) -> dict[str, Any]:
        recalls = {way: self.draws @ np.bincount(self.owners, hits, self.photos) / self.captions for way, hits in found.items()}
        gains = {way: values - recalls["raw"] for way, values in recalls.items() if way != "raw"}
        return {
            "recall_at_10": {way: _interval(values) for way, values in recalls.items()},
            "gain": {way: _interval(values) for way, values in gains.items()},
        }


def _interval(values: NDArray[np.float64]) -> list[float]:
    low, high = np.quantile(values[1:], (0.025, 0.975))
    return [round(float(value), 4) for value in (values[0], low, high)]
