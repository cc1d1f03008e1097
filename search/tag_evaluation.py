"""How right tags are, on folders whose photos have captions or classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import InputError

from .evaluate import encode_files, labelled_photos, read_captions
from .tag_words import UNSAID, NamedTags
from .tagger import Tagger, TagOptions, load_tagger
from .vocabulary_file import load_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Encoder, Vectors
    from .vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class TagEvaluationOptions:
    """With which words (all that ship where none are given) and templates, and what counts as found."""

    vocabulary: Vocabulary | None = None
    ensemble: str = "auto"
    tags: TagOptions = field(default_factory=TagOptions)
    cache_folder: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known of photos: which tags they have, Bool["photo tag"], and of which tags it is known whether they have them, Bool["tag"]."""

    right: NDArray[np.bool_]
    known: NDArray[np.bool_]


def evaluate_tags(folder: Path, encoder: Encoder, options: TagEvaluationOptions | None = None) -> dict[str, Any]:
    """Mean average precision, and precision at the cut, of tags on a folder's photos, which are also the library that they are judged in.

    `folder` is one of: photos with `captions.jsonl`; a sub-folder a class; `photos.parquet` with `labels.txt`; photos named `n01440764_tench.jpg`.
    A caption's tags are those that it names, and all that these are a kind of; any other is taken to be wrong, so that the precision is a lower bound: captions
    leave out most of what there is. Of groups that captions hardly speak of (`tag_words.UNSAID`) nothing is known. A class's tags are those that its name names;
    only tags of some class are known.

    Raises:
        InputError: the folder is none of these, or its words name no tag of the vocabulary.
    """
    options = options or TagEvaluationOptions()
    vocabulary = options.vocabulary or load_vocabulary("photo")
    if (folder / "captions.jsonl").is_file():
        names, texts = read_captions(folder)
        vectors = encode_files([folder / name for name in names], encoder)
        truth = truth_of(vocabulary, texts, complete=True)
    else:
        labels, wanted, vectors = labelled_photos(folder, encoder)
        texts = [[labels[at]] for at in wanted.tolist()]
        truth = truth_of(vocabulary, texts, complete=False)
    if not truth.right.any():
        raise InputError(
            f"No caption or class in {folder} names a tag of the vocabulary {vocabulary.name!r}. Name another with --vocabulary."
        )
    tagger = load_tagger(encoder, vocabulary, options.ensemble, options.cache_folder)
    return {"photos": len(vectors), "encoder": encoder.recipe.encoder, "recipe": encoder.recipe.id, "vocabulary": vocabulary.name,
            "templates": tagger.ensemble, **measure_tags(tagger, vectors, truth, options.tags)}  # fmt: skip


def truth_of(vocabulary: Vocabulary, texts: Sequence[Sequence[str]], *, complete: bool) -> Truth:
    """What each photo's texts say of the tags. With `complete` ones what is not named is wrong; otherwise only tags that some photo's texts name are known."""
    named = NamedTags(vocabulary)
    number = {tag.name: at for at, tag in enumerate(vocabulary)}
    right = np.zeros((len(texts), len(vocabulary)), np.bool_)
    for row, said in zip(right, texts, strict=True):
        row[[number[name] for name in named.labels(said)]] = True
    known = np.array([tag.group not in UNSAID for tag in vocabulary], np.bool_)
    if not complete:
        # A class of beaches says nothing of whether photos of other classes are outdoors.
        direct = frozenset[str]().union(*(named.named(text) for text in {text for row in texts for text in row}))
        known = (known | np.array([tag.name in direct for tag in vocabulary])) & right.any(0)
    return Truth(right & known, known)


def measure_tags(tagger: Tagger, vectors: Vectors, truth: Truth, options: TagOptions | None = None) -> dict[str, Any]:
    """The figures of `evaluate_tags`, for photos by their unit rows, Float32["photo dim"].

    `mean_average_precision` is the mean, over tags that some photo has, of the average precision of the photos in the order of their log odds;
    `mean_average_precision_of_photos` that of the tags, photo by photo; `by_chance` is what the first would be in a random order, about. At the cut:
    `precision`, of found tags of which it is known; `expected_precision`, what the tagger says of the same; `tags_a_photo`, found and known; `recall`.
    """
    options = options or TagOptions()
    statistics = tagger.fit([vectors])
    odds = tagger.judge(statistics).all_odds(vectors)
    shown = np.flatnonzero(truth.right.any(0))
    by_tag = [average_precision(odds[:, tag], truth.right[:, tag]) for tag in shown]
    by_photo = [
        average_precision(row[truth.known], right[truth.known]) for row, right in zip(odds, truth.right, strict=True) if right.any()
    ]
    columns = tagger.columns(vectors, statistics, options)
    known = truth.known[columns.tag]
    photo, tag = columns.photo[known], columns.tag[known]
    hits = int(truth.right[photo, tag].sum())
    return {
        "tags": len(shown),
        "mean_average_precision": _round(np.mean(by_tag)),
        "by_chance": _round(truth.right[:, shown].mean()),
        "mean_average_precision_of_photos": _round(np.mean(by_photo)),
        "cut": options.precision,
        "precision": _round(hits / len(tag)) if len(tag) else None,
        "expected_precision": _round(columns.precision[known].mean()) if len(tag) else None,
        "standard_error": _round(_error(photo, truth.right[photo, tag])) if len(tag) else None,
        "tags_a_photo": _round(len(tag) / len(vectors)),
        "all_tags_a_photo": _round(len(columns) / len(vectors)),
        "recall": _round(hits / int(truth.right.sum())),
    }


def average_precision(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """The mean, over what is right, of the share of right ones among all with at least its score.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True])) == (1 + 2 / 3) / 2
    True
    """
    ordered, wanted = np.sort(scores), np.sort(scores[right])
    before = len(scores) - np.searchsorted(ordered, scores[right], "left")
    good = len(wanted) - np.searchsorted(wanted, scores[right], "left")
    return float((good / before).mean())


def _error(photo: NDArray[np.int64], right: NDArray[np.bool_]) -> float:
    """The standard error of the share of right tags, whose tags go by photos: those of one are right together."""
    hits, counts = np.bincount(photo, right), np.bincount(photo)
    return float(np.sqrt(np.square(hits - hits.sum() / counts.sum() * counts).sum()) / counts.sum())


def _round(value: Any) -> float:
    return round(float(value), 4)
