"""The model card that ships."""

from __future__ import annotations

import re
from pathlib import Path

from search._onnx_clip import OnnxEncoder, builtin_folder


def test_the_card_is_filled_in_and_says_what_it_is_not() -> None:
    card = (builtin_folder() / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Not CLIP quality" in card.splitlines()[0]
    assert not re.search(r"\{\w", card)


def test_the_files_are_those_that_weights_json_names_and_stay_small() -> None:
    encoder = OnnxEncoder(builtin_folder())
    assert encoder.verify() == []
    assert sum(file.stat().st_size for file in Path(builtin_folder()).iterdir() if file.is_file()) < 25_000_000
