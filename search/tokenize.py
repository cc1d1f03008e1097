"""Texts to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess import WeightsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .model import TextInput


class Words:
    """A tokenizer file with the length and padding that its tower expects."""

    def __init__(self, file: Path, text: TextInput) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:
            raise WeightsError(f"{file} does not load: {error}") from error
        self._tokenizer.enable_truncation(text.length)
        self._tokenizer.no_padding()
        self._text = text

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Int64["text length"], padded to the longest; an empty text is one padding token."""
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        ids = np.full((len(rows), max(1, *map(len, rows)) if rows else 1), self._text.pad, np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = row
        return ids
