"""An encoder that remembers the words that it was asked for last: people type, go back and page on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from search import Encoder, Prepared, Vectors

MOST = 1024
"""Texts whose rows are kept: with 512 numbers each, 2 MB."""


class RememberingEncoder:
    """The same rows as the encoder gives; those of texts that were asked for before without asking it again. Safe to call from many threads."""

    def __init__(self, encoder: Encoder, most: int = MOST) -> None:
        self.encoder, self.most = encoder, most
        self.recipe, self.side, self.batch_size = encoder.recipe, encoder.side, encoder.batch_size
        self._lock = threading.Lock()
        self._rows: OrderedDict[str, Vectors] = OrderedDict()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def prepare(self, pixels: Any) -> Prepared:
        """As the encoder does."""
        return self.encoder.prepare(pixels)

    def encode_images(self, prepared: Sequence[Prepared]) -> Vectors:
        """As the encoder does."""
        return self.encoder.encode_images(prepared)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, Float32["text dim"]."""
        with self._lock:
            known = {text: row for text in texts if (row := self._rows.get(text)) is not None}
        fresh = list(dict.fromkeys(text for text in texts if text not in known))
        if fresh:
            rows = self.encoder.encode_texts(fresh)
            known |= {text: row.copy() for text, row in zip(fresh, rows, strict=True)}  # a view would keep the whole batch
        with self._lock:
            for text in texts:
                self._rows[text] = known[text]
                self._rows.move_to_end(text)
            while len(self._rows) > self.most:
                self._rows.popitem(last=False)
        return np.array([known[text] for text in texts], np.float32).reshape(-1, self.recipe.dim)
