"""The vectors of a vocabulary's words, kept in a file, since thousands of prompts take seconds with a small text tower and minutes with a large one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess import temporary_beside

from .encode import normalize
from .phrases import form_of
from .templates import Ensemble, encode_phrases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .encode import Encoder, Vectors
    from .vocabulary import Vocabulary

STALE_S = 600  # an unfinished file of another process that is older is nobody's


def tag_vectors(
    encoder: Encoder, vocabulary: Vocabulary, ensemble: Ensemble, sentences: Sequence[str], words: Sequence[str], folder: Path | None
) -> tuple[Vectors, Vectors, Vectors]:
    """Unit rows of the tags, of some sentences as they stand, and of some words in the ensemble's templates, each Float32["row dim"].

    They lie in `folder` under a name made of the recipe, the hash of all words and the ensemble's id. The file appears whole or not at all; one that is damaged is
    made anew. Without a folder, or where it cannot be written, nothing is kept.
    """
    others = hashlib.sha256("\n".join([*sentences, "", *words]).encode()).hexdigest()[:8]
    file = folder / f"tags-{encoder.recipe.id}-{vocabulary.hash}-{others}-{ensemble.id}.npz" if folder is not None else None
    counts = (len(vocabulary), len(sentences), len(words))
    kept = _read(file, counts, encoder.recipe.dim) if file is not None else None
    if kept is None:
        phrases = [tag.asked for tag in vocabulary] + [(word, form_of(word)) for word in words]
        rows = encode_phrases(encoder, phrases, ensemble)
        kept = np.concatenate([rows[: counts[0]], normalize(encoder.encode_texts(list(sentences))), rows[counts[0] :]])
        if file is not None:
            _write(file, kept)
    first, second = counts[0], counts[0] + counts[1]
    return kept[:first], kept[first:second], kept[second:]


def _read(file: Path, counts: tuple[int, int, int], dim: int) -> Vectors | None:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:  # numpy would leave a file open that it cannot read
            rows = kept["rows"]  # the archive holds a checksum of it
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if rows.shape != (sum(counts), dim) or rows.dtype != np.float32 or not np.isfinite(rows).all():
        return None
    return np.asarray(rows, np.float32)


def _write(file: Path, rows: Vectors) -> None:
    """The file appears in one rename; a disk that refuses only costs the next run its time."""
    fresh = temporary_beside(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for old in file.parent.glob(".pellucid-*.new"):
            if old.is_file() and time.time() - old.stat().st_mtime > STALE_S:
                old.unlink(missing_ok=True)
        with fresh.open("wb") as stream:
            np.savez(stream, rows=rows)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
