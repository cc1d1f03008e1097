"""The perceptual hash: alike for alike pictures, exact under turns, stable where a JPEG is decoded at a reduced size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from preprocess import TURNS, decode, distances, example_photos, hash_text, picture_hash, real_photos, turns
from preprocess.perceptual_hash import FLAT, halved


def hashes(photos: list[np.ndarray]) -> np.ndarray:
    return np.array([picture_hash(np.ascontiguousarray(photo)) for photo in photos], np.uint64)


PHOTOS = [photo[: photo.shape[0] // 256 * 256, : photo.shape[1] // 256 * 256] for photo in real_photos() if min(photo.shape[:2]) >= 256]


def test_the_hash_of_a_turn_follows_from_one_hash() -> None:
    """Exactly where halving drops no row, as 256 and 512 are halved."""
    turned = {
        "as it is": lambda p: p, "mirrored": lambda p: p[:, ::-1], "upside down": lambda p: p[::-1], "turned by 180°": lambda p: np.rot90(p, 2),
        "transposed": lambda p: p.transpose(1, 0, 2), "turned by 90°": lambda p: np.rot90(p, 1), "turned by 270°": lambda p: np.rot90(p, 3),
        "transposed the other way": lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    }  # fmt: skip
    assert len(PHOTOS) >= 2
    assert tuple(turned) == TURNS
    predicted = turns(hashes(PHOTOS))
    for at, turn in enumerate(turned.values()):
        assert distances(hashes([turn(photo) for photo in PHOTOS]), predicted[at]).max() <= 1
    apart = distances(predicted[1:], predicted[:1])
    assert apart.min() > 10  # none of these photos is its own mirror image


@pytest.mark.parametrize("side", [40, 112, 224])
def test_a_jpeg_that_is_decoded_at_a_reduced_size_keeps_its_hash(side: int) -> None:
    for photo in real_photos():
        out = io.BytesIO()
        Image.fromarray(photo).resize((2016, 1512), Image.Resampling.BICUBIC).save(out, "JPEG", quality=85)
        whole, small = (decode(out.getvalue(), "photo.jpg", side=wanted).pixels for wanted in (None, side))
        assert small.shape[0] < whole.shape[0]
        assert distances(hashes([whole]), hashes([small]))[0] <= 2


def test_copies_are_close_and_other_photos_are_not() -> None:
    photos = [*real_photos(), *example_photos(6)]
    own = hashes(photos)
    smaller = hashes([np.asarray(Image.fromarray(photo).resize((photo.shape[1] // 2, photo.shape[0] // 2))) for photo in photos])
    brighter = hashes([(255 * (photo / 255) ** 0.7).astype(np.uint8) for photo in photos])
    assert max(distances(own, smaller).max(), distances(own, brighter).max()) <= 8
    others = distances(own[:, None], own[None])[~np.eye(len(own), dtype=bool)]
    assert others.min() >= 12


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (50, 40)])
def test_a_flat_picture_says_so(shape: tuple[int, int]) -> None:
    assert picture_hash(np.full((*shape, 3), 77, np.uint8)) == FLAT
    assert turns(np.array([FLAT], np.uint64)).tolist() == [[FLAT]] * 8


def test_any_size_has_a_hash() -> None:
    random = np.random.default_rng(0)
    for shape in ((2, 1), (1, 300), (7, 9), (33, 31), (1, 4000)):
        assert 0 <= picture_hash(random.integers(0, 256, (*shape, 3)).astype(np.uint8)) < 2**64


def test_as_text() -> None:
    assert (hash_text(255), len(hash_text(2**64 - 1))) == ("00000000000000ff", 16)


def test_halving_stops_in_time() -> None:
    assert halved(np.zeros((1000, 700), np.uint8), 128).shape == (250, 175)
    assert halved(np.zeros((100, 700), np.uint8), 128).shape == (100, 700)
