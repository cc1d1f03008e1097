"""Fit what verdicts are calibrated by: the neutral values of the built-in encoder and the curves of `search/verdict.py`.

Run: `python training/verdict_fit.py /work/shared/data/train` or wherever the training photos are. It prints the lines to put into `search/verdict.py`. The neutral values come first: the
curves are fitted with those that stand there, so run it again after changing them.

Libraries are drawn from photos and words that encoders are trained with, never from those that anything is measured on. So the built-in encoder has seen them, and finds
them more easily than a user's: docs/verdicts.md says what that does to the probabilities. Queries with and without an answer count alike, and so do the sources.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from sklearn.linear_model import LogisticRegression

from preprocess import Limits, decode
from search import EncoderOptions, load_encoder
from search.null_model import TOP, NullModel
from search.query_bank import bank_vectors
from search.verdict import Kind
from search.verdict_evaluation import LOOKED_AT, Held, Library, alike

CLASSES = ("caltech101", "x-animals22", "x-sports22", "x-grocery-store", "food10", "x-scene15", "x-sun-a", "x-sun-b")
CAPTIONS = ("coco-captions", "flickr-captions")
MORE = ("x-conceptual-captions881", "x-corel1k")  # for the neutral values only
PHOTOS = 3500  # of a source
SIZES = (60, 2000)  # photos of a library that is drawn


class Source:
    """Photos of one file, as unit rows, with their texts."""

    def __init__(self, file: Path, encoder: Any, random: np.random.Generator) -> None:
        table = pyarrow.parquet.read_table(file, columns=["image", "texts"])
        if len(table) > PHOTOS:
            table = table.take(random.choice(len(table), PHOTOS, replace=False))
        self.texts: list[list[str]] = table["texts"].to_pylist()
        parts = [table["image"][at : at + 256] for at in range(0, len(table), 256)]
        limits = Limits()
        self.photos = np.concatenate(
            [
                encoder.encode_images([encoder.prepare(decode(d.as_py(), file.name, limits, encoder.side).pixels) for d in part])
                for part in parts
            ]
        )
        distinct = sorted({text for texts in self.texts for text in texts})
        self.rows = dict(zip(distinct, encoder.encode_texts(distinct), strict=True))


def size(random: np.random.Generator) -> int:
    return int(np.exp(random.uniform(*np.log(SIZES))))


def class_trials(sources: list[Source], bank: Any, random: np.random.Generator, draws: int = 25) -> Iterator[tuple[str, Any, bool, Any]]:
    """Kind of query, what was asked, whether there is an answer, and which of the nearest are right."""
    photos = np.concatenate([source.photos for source in sources])
    labels = np.array([min(texts, key=len) for source in sources for texts in source.texts])
    asked = {min(texts, key=len): [source.rows[text] for text in texts] for source in sources for texts in source.texts}
    names = np.array(sorted(asked))
    for _ in range(draws):
        drawn = random.permutation(names)[: max(3, int(len(names) * random.uniform(0.05, 0.7)))]
        kept = random.permutation(np.flatnonzero(np.isin(labels, drawn)))[: size(random)]
        library = Library.of(photos[kept], bank, "builtin")
        present = np.array(sorted(set(labels[kept])))
        absent = np.setdiff1d(names, present)
        others = np.setdiff1d(np.arange(len(photos)), kept)
        for name in (*random.permutation(present)[:30], *random.permutation(absent)[:30]):
            pictures = others[labels[others] == name]
            words = asked[name][random.integers(len(asked[name]))]
            queries: dict[Kind, Any] = {"words": words, "other": words}  # by similarity, and by standard scores alone
            if len(pictures):
                queries["picture"] = photos[random.choice(pictures)]
            for kind, query in queries.items():
                found = library.ask(query, kind)
                yield kind, found, name in present, labels[kept][found.nearest] == name


def caption_trials(source: Source, bank: Any, random: np.random.Generator, draws: int = 6) -> Iterator[tuple[str, Any, bool, Any]]:
    for _ in range(draws):
        kept = random.permutation(len(source.photos))[: min(size(random), 600)]
        texts = [text for at in kept for text in source.texts[at]]
        owners = np.array([at for at, photo in enumerate(kept) for _ in source.texts[photo]])
        library, gone = Library.of(source.photos[kept], bank, "builtin"), alike(texts, owners, len(kept))
        for at in random.permutation(len(texts))[:60]:
            query = source.rows[texts[at]]
            yield "words", library.ask(query), True, None
            yield "words", library.ask(query, without=gone[at]), False, None


def neutral_values(photos: Any, bank: Any, random: np.random.Generator) -> None:
    """Print mean and deviation of the bank's levels, of its scores and of pictures' levels, as lines over the logarithm of the number of photos."""
    rows = []
    for count in (30, 100, 300, 1000, 3000, len(photos)):
        for _ in range(5 if count < 3000 else 1):
            null = NullModel.measure(bank, Held(photos[random.permutation(len(photos))[:count]]), count)
            rows.append((np.log(count), *null.numbers[1:]))
    logs, *values = np.array(rows).T
    for name, mean, deviation in (("builtin", *values[:2]), ("SCORE", *values[2:4]), ("PICTURE", *values[4:])):
        growth, base = np.polyfit(logs, mean, 1)
        print(f"{name}: Family({base:.4f}, {growth:.4f}, {deviation.mean():.4f}, ...)  residual {np.std(mean - base - growth * logs):.4f}")


def curve(values: list[float], right: list[bool], weights: list[float]) -> str:
    fitted = LogisticRegression(C=1e6).fit(np.array(values)[:, None], right, np.array(weights) / np.mean(weights))
    return f"Curve({fitted.coef_[0, 0]:.3f}, {fitted.intercept_[0]:.3f})"


def fitted_curves(sets: dict[str, list[tuple[str, Any, bool, Any]]]) -> None:
    for kind in ("words", "picture", "other"):
        values, right, weights = list[float](), list[bool](), list[float]()
        hits, relevant = list[float](), list[bool]()
        for rows in sets.values():
            own = [row for row in rows if row[0] == kind]
            yes = sum(row[2] for row in own)
            for _, found, answered, matches in own:
                values.append(found.unusual)
                right.append(answered)
                weights.append(0.5 / yes if answered else 0.5 / (len(own) - yes))
                if matches is not None:
                    hits += found.judge.unusual_alone(found.similarities[:LOOKED_AT]).tolist()
                    relevant += matches[:LOOKED_AT].tolist()
        print(
            f"{kind}: answer {curve(values, right, weights)}, hit {curve(hits, relevant, [1.0] * len(hits))}; {len(values):,} queries, {np.mean(relevant):.3f} of hits right"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder, random = parser.parse_args().folder, np.random.default_rng(0)
    encoder = load_encoder("builtin", EncoderOptions(threads=2))
    bank = bank_vectors(encoder)
    sources = {name: Source(folder / f"{name}.parquet", encoder, random) for name in (*CLASSES, *CAPTIONS, *MORE)}
    print(f"{sum(len(source.photos) for source in sources.values()):,} photos, {len(bank)} generic queries, nearest {TOP}")
    neutral_values(np.concatenate([source.photos for source in sources.values()]), bank, random)
    sets = {name: list(caption_trials(sources[name], bank, random)) for name in CAPTIONS}
    sets["classes"] = list(class_trials([sources[name] for name in CLASSES], bank, random))
    fitted_curves(sets)


if __name__ == "__main__":
    main()
