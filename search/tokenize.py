"""Texts to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess import WeightsError

from .clean import clean_text
from .model import remedy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .model import TextInput


class Words:
    """A tokenizer file with the cleaning, length and padding that its tower expects."""

    def __init__(self, file: Path, text: TextInput) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:
            raise WeightsError(f"{file} does not load: {error}. {remedy(file.parent)}") from error
        cut, padding = self._tokenizer.truncation or {}, self._tokenizer.padding or {}  # the file says on which side, the tower how much
        self._tokenizer.enable_truncation(text.length, direction=cut.get("direction", "right"))
        self._tokenizer.enable_padding(
            direction=padding.get("direction", "right"), pad_id=text.pad, length=text.length if text.padded else None
        )
        self._text = text

    def __call__(self, texts: Sequence[str]) -> NDArray[np.integer]:
        """Int64 or Int32["text length"], padded to the tower's length or else to the longest; an empty text is at least one padding token."""
        cleaned = [clean_text(text, self._text.clean).encode("utf-8", "replace").decode() for text in texts]  # no lone surrogates
        rows = [encoding.ids or [self._text.pad] for encoding in self._tokenizer.encode_batch(cleaned)]
        return np.array(rows, self._text.dtype).reshape(len(rows), -1) if rows else np.zeros((0, 1), self._text.dtype)
