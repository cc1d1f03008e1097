"""How well scores of quality agree with people's ratings: rank and linear correlations on photos with mean opinion scores."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import ImageError, InputError, Limits, read_bytes

from .scorers import scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .scorers import PixelScorer

RATINGS = "mos.csv"
LEAST_PHOTOS = 3

PUBLISHED = {"BRISQUE": 0.603, "ResNet-50": 0.647}
"""SRCC on BIQ2021 by its authors (Ahmed, Asif, "BIQ2021: a large-scale blind image quality assessment database", J. Electronic Imaging 2022), on a larger part of it."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """`srcc`, `plcc` and `krcc` are Spearman's, Pearson's and Kendall's correlation of scores with ratings, in [-1, 1]; none for scores that are all equal.
    `error` is the standard error of `srcc` by Fisher's transformation, about 0.04 for 250 photos: smaller differences between methods mean little."""

    srcc: float | None
    plcc: float | None
    krcc: float | None
    error: float | None


def read_ratings(folder: Path) -> dict[str, float]:
    """Mean opinion scores by a photo's name in `folder`, from its `mos.csv` with the columns `image` and `mos`; larger is better.

    Raises:
        InputError: there is no such file, a line of it is wrong, or it has fewer than three photos.
    """
    file = folder / RATINGS
    ratings: dict[str, float] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            for number, row in enumerate(csv.DictReader(stream), 2):
                name, mos = row.get("image"), row.get("mos")
                if not name or mos is None:
                    raise InputError(f"Line {number} of {file} has no image or no mos. Its columns are called image and mos.")
                rating = float(mos)
                if not np.isfinite(rating):
                    raise ValueError(f"{mos!r} on line {number} is no rating")
                ratings[name] = rating
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{file} is missing: a table of photos and ratings with the columns image and mos.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file} cannot be used: {error}. It is a table with the columns image and mos.") from error
    if len(ratings) < LEAST_PHOTOS:
        raise InputError(f"{file} rates {len(ratings)} photos; correlations need at least {LEAST_PHOTOS}.")
    return ratings


def evaluate_quality(
    folder: Path,
    scorers: Sequence[PixelScorer],
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """The agreement of each score that the scorers give with the ratings of a folder's `mos.csv`.

    Photos that cannot be read are left out and named in `failed`.

    Raises:
        InputError: see `read_ratings`; fewer than three photos could be read.
    """
    ratings = read_ratings(folder)
    failed: dict[str, str] = {}
    rows: list[Mapping[str, float]] = []
    wanted: list[float] = []
    for done, (name, rating) in enumerate(ratings.items(), 1):
        try:
            data = read_bytes(folder / name, limits)
            rows.append(scores_of(data, name, scorers, limits))
            wanted.append(rating)
        except ImageError as error:
            failed[name] = str(error)
        on_progress(done, len(ratings))
    if len(rows) < LEAST_PHOTOS:
        raise InputError(
            f"Of {len(ratings)} photos in {folder / RATINGS}, {len(rows)} could be read. The first error: {next(iter(failed.values()))}"
        )
    people = np.array(wanted)
    found = {name: agreement(np.array([row[name] for row in rows]), people) for name in rows[0]}
    axes = {name: {"srcc": one.srcc, "plcc": one.plcc, "krcc": one.krcc, "error": one.error} for name, one in found.items()}
    return {"photos": len(rows), "axes": axes, "published": PUBLISHED, "failed": failed}


def agreement(scores: NDArray[np.floating], ratings: NDArray[np.floating]) -> Agreement:
    """Of scores and ratings of the same photos, Float["photo"], at least three. Pearson's is of the scores as they are, without the logistic curve that is
    sometimes fitted first; Kendall's is τ_b, which allows for ties."""
    a, b = np.asarray(scores, np.float64), np.asarray(ratings, np.float64)
    if len(a) < LEAST_PHOTOS or len(a) != len(b):
        raise ValueError(f"{len(a)} scores and {len(b)} ratings; both are of the same photos, at least {LEAST_PHOTOS}.")
    srcc = pearson(ranks(a), ranks(b))
    # Bonett, Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 2000: variance (1 + r²/2) / (n - 3) of atanh(r).
    error = None if srcc is None or len(a) == LEAST_PHOTOS else (1 - srcc**2) * float(np.sqrt((1 + srcc**2 / 2) / (len(a) - 3)))
    return Agreement(*(None if value is None else round(value, 4) for value in (srcc, pearson(a, b), kendall(a, b), error)))


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1 up; equal values share the mean of theirs.

    >>> import numpy as np
    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    ordered = np.sort(values)
    below, at_most = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((below + at_most + 1) / 2, np.float64)


def pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """The linear correlation; none where all values on a side are equal."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip((a @ b) / np.sqrt((a @ a) * (b @ b)), -1, 1))


def kendall(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """τ_b; none where all values on a side are equal. Row by row, so ten thousand photos take no more memory than ten."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    both = first = second = 0
    for at in range(len(a) - 1):
        x, y = np.sign(a[at + 1 :] - a[at]), np.sign(b[at + 1 :] - b[at])
        both += int(x @ y)
        first += int(np.count_nonzero(x))
        second += int(np.count_nonzero(y))
    return float(both / np.sqrt(first * second))
