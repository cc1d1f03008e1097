"""Small pictures made in memory, and the folder of real ones."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "eval"


@pytest.fixture(scope="session")
def real() -> Path:
    if not REAL.is_dir():
        pytest.skip("the evaluation photos are not here")
    return REAL


@pytest.fixture(scope="session")
def scene() -> Image.Image:
    """96×64: four quarters of different colours, so that no rotation or mirroring looks like another."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :48], pixels[:32, 48:] = (220, 30, 30), (30, 200, 40)
    pixels[32:, :48], pixels[32:, 48:] = (40, 50, 210), (240, 220, 60)
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    pillow_heif.register_heif_opener()

    def save(image: Image.Image, format: str, **options: Any) -> bytes:  # noqa: A002
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        return buffer.getvalue()

    return save
