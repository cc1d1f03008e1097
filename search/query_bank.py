"""A bank of generic queries, of the kind that people type: what they find in a library tells how much is unusual there."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .encode import Encoder, Vectors

BANK_FILE = "query_bank.txt"
_PART = 64  # texts a call, so that a large text tower needs little memory


@functools.cache
def bank_queries() -> tuple[str, ...]:
    """The queries, in the order of the file."""
    text = resources.files("search").joinpath("builtin", BANK_FILE).read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def bank_hash() -> str:
    """Twelve hexadecimal digits of the queries: another bank is measured anew."""
    return hashlib.sha256("\n".join(bank_queries()).encode()).hexdigest()[:12]


def bank_file(cache: Path, recipe_id: str) -> Path:
    """Where the queries' vectors by an encoder are kept, beside a library's caches."""
    return cache / f"bank-{recipe_id}-{bank_hash()}.npy"


def kept_bank(cache: Path, recipe_id: str) -> Vectors | None:
    """The queries' unit rows, Float32["query dim"], if they have been encoded before and the file is whole."""
    import numpy as np

    try:
        rows = np.load(bank_file(cache, recipe_id), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return np.asarray(rows, np.float32) if rows.ndim == 2 and len(rows) == len(bank_queries()) else None


def bank_vectors(encoder: Encoder, cache: Path | None = None) -> Vectors:
    """The queries' unit rows, Float32["query dim"]; read from the cache where they are, else encoded and kept there.

    A cache that cannot be written costs the time of encoding again, nothing else.
    """
    import numpy as np

    if cache is not None and (kept := kept_bank(cache, encoder.recipe.id)) is not None:
        return kept
    queries = bank_queries()
    rows = np.concatenate([encoder.encode_texts(queries[at : at + _PART]) for at in range(0, len(queries), _PART)]).astype(np.float16)
    if cache is not None:
        file = bank_file(cache, encoder.recipe.id)
        fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with fresh.open("wb") as out:
                np.save(out, rows)
            fresh.replace(file)
            for other in cache.glob(f"bank-{encoder.recipe.id}-*.npy"):  # of an earlier bank
                if other != file:
                    other.unlink(missing_ok=True)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
    return np.asarray(rows, np.float32)
